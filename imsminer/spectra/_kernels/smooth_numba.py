"""Weighted means of neighbours on the CPU.

Runs of points with the same weights are taken in tiles: for each weight one product of
a slice is added to the tile, which the compiler vectorises.
"""

import numba as nb
import numpy as np

__all__ = ["smooth_rows"]

TILE = 1024


@nb.njit(nogil=True, cache=True, fastmath={"contract"})
def _add(values, weight, out):
    for i in range(out.size):
        out[i] += weight * values[i]


@nb.njit(nogil=True, cache=True)
def smooth_rows(X, kind, tables, halves, out):
    """Set `out` to the rows of `X` (n, m), weighted sums of neighbours.

    `kind` (m,) says which row of `tables` holds the weights at a point: the first
    2 * h + 1 values, with h from `halves`. Beyond the ends the outermost value goes on.
    Sums are float64.
    """
    rows, m = X.shape
    if m == 0:
        return
    widest = 0
    for t in range(halves.size):
        widest = max(widest, halves[t])
    padded = np.empty(m + 2 * widest)
    tile = np.empty(TILE)
    for r in range(rows):
        padded[:widest] = X[r, 0]
        padded[widest : widest + m] = X[r]
        padded[widest + m :] = X[r, m - 1]
        start = 0
        while start < m:
            stop = start + 1
            while stop < m and stop - start < TILE and kind[stop] == kind[start]:
                stop += 1
            half = halves[kind[start]]
            weights = tables[kind[start]]
            n = stop - start
            part = tile[:n]
            part[:] = 0.0
            first = start + widest - half
            for k in range(2 * half + 1):
                _add(padded[first + k : first + k + n], weights[k], part)
            out[r, start:stop] = part
            start = stop
