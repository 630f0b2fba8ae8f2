"""Running medians on a GPU, by selection.

One thread for each value counts how many of its window are below one of them, and goes
on among those on the side of the median: some 2 ln(w) rounds for windows of w values,
which the cache holds. The next value is taken far from the one before, so that a slope
does not make many rounds. The result is a value of the window, whatever the order.

Zeros that sparse spectra leave out, and outermost values that go on beyond the ends,
are counted without being looked at one by one.
"""

import math
from typing import Any

from numba import cuda

from imsminer._array import array_namespace, device_of
from imsminer._cuda import launch
from imsminer.core._kernels.search_cuda import lower_bound, upper_bound
from imsminer.spectra._kernels.grid_xp import owners

__all__ = ["median_points", "median_rows", "nearest_rows"]


def median_rows(X: Any, reach: Any) -> Any:
    """Return the medians of the windows of 2 * reach + 1 points, for rows of `X`.

    `reach` (m,) is the half window at each point, as an array of the host or beside
    `X`. Near the ends it is as wide as fits on both sides.
    """
    return _rows(X, reach, False)


def nearest_rows(X: Any, reach: Any) -> Any:
    """Do the same with windows that go on beyond the ends, with the outermost value."""
    return _rows(X, reach, True)


def median_points(
    values: Any,
    indptr: Any,
    position: Any,
    length: Any,
    reach: Any,
    nearest: bool = False,
) -> Any:
    """Do the same for ragged spectra: grid points that are not stored are 0.

    `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`; `reach` (n_points,) is the
    half window at each point, in points of the grid. `nearest`: beyond the ends the
    outermost value of the grid goes on.
    """
    xp = array_namespace(values)
    n = values.shape[0]
    out = xp.empty_like(values)
    if n > 0:
        where = (indptr, owners(indptr, n), position, length)
        launch(_select_points, n, values, *where, reach, nearest, out)
    return out


def _rows(X: Any, reach: Any, nearest: bool) -> Any:
    xp = array_namespace(X)
    out = xp.empty_like(X)
    reach = xp.asarray(reach, device=device_of(X))
    n, m = X.shape
    launch(_select_rows, n * m, X, reach, nearest, out)
    return out


@cuda.jit(device=True)
def _count(value, pivot, times):
    """Return how many are below the pivot, and how many equal it."""
    below = times if value < pivot else 0
    same = times if value == pivot else 0
    return below, same


@cuda.jit(device=True)
def _ordered(values, zeros, first, before, last, after, k):
    """Return the k-th smallest of `values`, 0 `zeros` times, and two others."""
    n = values.shape[0]
    zero = values.dtype.type(0)
    low, high = values.dtype.type(-math.inf), values.dtype.type(math.inf)
    at = n // 2
    while True:
        # The median is between `low` and `high`, and neither of them.
        found, pivot = False, zero
        if zeros > 0 and low < zero and zero < high:
            found = True
        i = 0
        while i < n and not found:
            here = at + i
            value = values[here - n if here >= n else here]
            if low < value and value < high:
                found, pivot = True, value
            i += 1
        if before > 0 and not found and low < first and first < high:
            found, pivot = True, first
        if after > 0 and not found and low < last and last < high:
            found, pivot = True, last
        if not found:
            return values.dtype.type(math.nan)
        less, same = _count(zero, pivot, zeros)
        more, equal = _count(first, pivot, before)
        less, same = less + more, same + equal
        more, equal = _count(last, pivot, after)
        less, same = less + more, same + equal
        for i in range(n):
            value = values[i]
            if value < pivot:
                less += 1
            elif value == pivot:
                same += 1
        if k < less:
            high = pivot
        elif k < less + same:
            return pivot
        else:
            low = pivot
        # The golden section of the window.
        at += (5 * n) // 13 + 1
        at -= n if at >= n else 0


@cuda.jit
def _select_rows(X, reach, nearest, out):
    i = cuda.grid(1)
    n, m = X.shape
    if i >= n * m:
        return
    row = i // m
    j = i - row * m
    half = reach[j] if nearest else min(reach[j], min(j, m - 1 - j))
    a, b = max(j - half, 0), min(j + half, m - 1)
    before, after = a - (j - half), j + half - b
    first, last = X[row, 0], X[row, m - 1]
    part = X[row, a : b + 1]
    out[row, j] = _ordered(part, 0, first, before, last, after, half)


@cuda.jit
def _select_points(values, indptr, owner, position, length, reach, nearest, out):
    i = cuda.grid(1)
    if i >= values.shape[0]:
        return
    s = owner[i]
    start, stop, end = indptr[s], indptr[s + 1], length[s] - 1
    p = position[i]
    half = reach[i] if nearest else min(reach[i], min(p, end - p))
    low, high = max(p - half, 0), min(p + half, end)
    a = lower_bound(position, max(i - half, start), i, low)
    b = upper_bound(position, i, min(i + half + 1, stop), high)
    zeros = (high - low + 1) - (b - a)
    zero = values.dtype.type(0)
    first = values[start] if position[start] == 0 else zero
    last = values[stop - 1] if position[stop - 1] == end else zero
    before, after = low - (p - half), p + half - high
    part = values[a:b]
    out[i] = _ordered(part, zeros, first, before, last, after, half)
