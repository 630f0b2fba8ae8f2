"""Openings on the CPU, by doubling: windows of 1, 2, 4, … points from their halves.

The minimum over any window is that of two windows of a power of two. Each doubling is
one minimum of two slices, which the compiler vectorises, so a window of 81 points costs
seven passes over values in the cache.
"""

import numba as nb
import numpy as np

__all__ = ["open_rows"]


@nb.njit(nogil=True, cache=True)
def _smaller(left, right, out):
    for i in range(out.size):
        a, b = left[i], right[i]
        out[i] = a if a < b else b


@nb.njit(nogil=True, cache=True)
def _larger(left, right, out):
    for i in range(out.size):
        a, b = left[i], right[i]
        out[i] = a if a > b else b


@nb.njit(nogil=True, cache=True)
def _uniform(row, reach, padded, other, out):
    """Erode and dilate with one half window; the buffers hold m + 4 * reach values."""
    m = row.size
    window = 2 * reach + 1
    # The minimum of the part of a window that lies on the axis: beyond it is +inf.
    a, b = padded, other
    n = m + 4 * reach
    a[: 2 * reach] = np.inf
    a[2 * reach : 2 * reach + m] = row
    a[2 * reach + m : n] = np.inf
    size = 1
    while 2 * size <= window:
        n -= size
        _smaller(a[:n], a[size : size + n], b[:n])
        a, b = b, a
        size *= 2
    rest = window - size
    n -= rest
    _smaller(a[:n], a[rest : rest + n], b[:n])
    a, b = b, a
    # Here n is m + 2 * reach; minima of windows centred beyond the axis do not count.
    a[:reach] = -np.inf
    a[reach + m : n] = -np.inf
    size = 1
    while 2 * size <= window:
        n -= size
        _larger(a[:n], a[size : size + n], b[:n])
        a, b = b, a
        size *= 2
    rest = window - size
    n -= rest
    _larger(a[:n], a[rest : rest + n], out)


@nb.njit(nogil=True, cache=True)
def _varying(row, reach, table, out):
    """Minimum over [i - reach_i, i + reach_i], by windows of powers of two."""
    m = row.size
    table[0, :m] = row
    levels = 1
    while levels < table.shape[0] and 1 << levels <= m:
        n = m - (1 << levels) + 1
        half = 1 << (levels - 1)
        _smaller(
            table[levels - 1, :n], table[levels - 1, half : half + n], table[levels, :n]
        )
        levels += 1
    for i in range(m):
        low, high = max(0, i - reach[i]), min(m - 1, i + reach[i])
        k, span = 0, high - low + 1
        while 2 << k <= span:
            k += 1
        a, b = table[k, low], table[k, high + 1 - (1 << k)]
        out[i] = a if a < b else b


@nb.njit(nogil=True, cache=True)
def open_rows(X, reach, out):
    """Set `out` to the opening of the rows of `X` (n, m): the maximum of minima.

    `reach` (m,) int64 is the half window at each point; windows are cut off at the
    ends.
    """
    n, m = X.shape
    if m == 0:
        return
    widest, narrowest = reach[0], reach[0]
    for i in range(m):
        widest, narrowest = max(widest, reach[i]), min(narrowest, reach[i])
    widest = min(widest, m - 1)
    narrowest = min(narrowest, m - 1)
    if widest == narrowest:
        first = np.empty(m + 4 * widest, X.dtype)
        second = np.empty(m + 4 * widest, X.dtype)
        for r in range(n):
            _uniform(X[r], widest, first, second, out[r])
        return
    levels = 1
    while 1 << levels <= 2 * widest + 1:
        levels += 1
    table = np.empty((levels, m), X.dtype)
    minima = np.empty(m, X.dtype)
    for r in range(n):
        _varying(X[r], reach, table, minima)
        for i in range(m):
            minima[i] = -minima[i]
        _varying(minima, reach, table, out[r])
        for i in range(m):
            out[r, i] = -out[r, i]
