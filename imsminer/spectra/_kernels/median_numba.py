"""Running medians on the CPU: the window is kept sorted, values enter and leave."""

import numba as nb
import numpy as np

__all__ = ["median_rows"]


@nb.njit(nogil=True, cache=True)
def _place(window, n, value):
    """Return the first place among the `n` sorted values that is not below `value`."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if window[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@nb.njit(nogil=True, cache=True)
def _enter(window, n, value):
    at = _place(window, n, value)
    for k in range(n, at, -1):
        window[k] = window[k - 1]
    window[at] = value


@nb.njit(nogil=True, cache=True)
def _leave(window, n, value):
    for k in range(_place(window, n, value), n - 1):
        window[k] = window[k + 1]


@nb.njit(nogil=True, cache=True)
def _exchange(window, n, old, new):
    """Let one value leave and another enter; only what lies between them moves."""
    if old == new:
        return
    at, to = _place(window, n, old), _place(window, n, new)
    if at < to:
        for k in range(at, to - 1):
            window[k] = window[k + 1]
        window[to - 1] = new
    else:
        for k in range(at, to, -1):
            window[k] = window[k - 1]
        window[to] = new


@nb.njit(nogil=True, cache=True)
def median_rows(X, reach, out):
    """Set `out` to the medians of the windows of 2 * reach + 1 points, row by row.

    `reach` (m,) int64 is the half window at each point. Near the ends it is as wide as
    fits on both sides. Values are not NaN.
    """
    rows, m = X.shape
    widest = 0
    for i in range(m):
        widest = max(widest, min(reach[i], min(i, m - 1 - i)))
    window = np.empty(2 * widest + 3, X.dtype)
    for r in range(rows):
        row, result = X[r], out[r]
        # The window holds the values from `low` to `high`.
        low, high, n = 0, -1, 0
        for i in range(m):
            h = min(reach[i], min(i, m - 1 - i))
            while low > i - h:
                low -= 1
                _enter(window, n, row[low])
                n += 1
            if high + 1 == i + h and low + 1 == i - h and n > 0:
                _exchange(window, n, row[low], row[high + 1])
                low += 1
                high += 1
            while low < i - h and n > 0:
                _leave(window, n, row[low])
                low += 1
                n -= 1
            while high > i + h:
                _leave(window, n, row[high])
                high -= 1
                n -= 1
            if n == 0:
                low, high = i - h, i - h - 1
            while high < i + h:
                high += 1
                _enter(window, n, row[high])
                n += 1
            result[i] = window[h]
