"""Weighted means of neighbours on a GPU.

One thread for each value adds up its window in float64, in the order of the window.
Neighbouring threads read neighbouring values, nearly all of them from the cache: the
data are read and written once.
"""

from typing import Any

import numpy as np
from numba import cuda, float64

from imsminer._array import array_namespace, device_of
from imsminer._cuda import launch
from imsminer.core._kernels.search_cuda import lower_bound, upper_bound
from imsminer.spectra._kernels.grid_xp import owners

__all__ = ["smooth_points", "smooth_rows"]


def smooth_rows(X: Any, kind: Any, tables: list) -> Any:
    """Return the rows of `X` (n, m), each value the weighted sum of its neighbours.

    `kind` (m,), of the host or beside `X`, says which of the `tables` holds the weights
    at a point: arrays of 2 * h + 1 weights. Beyond the ends the outermost value goes
    on.
    """
    xp = array_namespace(X)
    out = xp.empty_like(X)
    kind = xp.asarray(kind, device=device_of(X))
    n, m = X.shape
    launch(_smooth_rows, n * m, X, kind, *_joined(tables, X), out)
    return out


def smooth_points(
    values: Any, indptr: Any, position: Any, length: Any, kind: Any, tables: list
) -> Any:
    """Do the same for ragged spectra: grid points that are not stored are 0.

    `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`; `kind` is (n_points,).
    """
    xp = array_namespace(values)
    n = values.shape[0]
    out = xp.empty_like(values)
    if n > 0:
        where = (indptr, owners(indptr, n), position, length)
        launch(_smooth_points, n, values, *where, kind, *_joined(tables, values), out)
    return out


def _joined(tables: list, like: Any) -> tuple[Any, Any]:
    """Return the weights one after the other, and where each table begins and ends."""
    xp, device = array_namespace(like), device_of(like)
    bounds = np.cumsum([0, *(len(table) for table in tables)])
    weights = np.concatenate([np.asarray(table, np.float64) for table in tables])
    return xp.asarray(weights, device=device), xp.asarray(bounds, device=device)


@cuda.jit
def _smooth_rows(X, kind, weights, bounds, out):
    i = cuda.grid(1)
    n, m = X.shape
    if i >= n * m:
        return
    row = i // m
    j = i - row * m
    begin = bounds[kind[j]]
    size = bounds[kind[j] + 1] - begin
    first = j - size // 2
    total = 0.0
    for k in range(size):
        total += weights[begin + k] * float64(X[row, min(max(first + k, 0), m - 1)])
    out[row, j] = total


@cuda.jit
def _smooth_points(values, indptr, owner, position, length, kind, weights, bounds, out):
    i = cuda.grid(1)
    if i >= values.shape[0]:
        return
    s = owner[i]
    start, stop, end = indptr[s], indptr[s + 1], length[s] - 1
    begin = bounds[kind[i]]
    half = (bounds[kind[i] + 1] - begin) // 2
    p = position[i]
    middle = begin + half
    total = 0.0
    if p < half and position[start] == 0:
        for k in range(half - p):
            total += weights[begin + k] * float64(values[start])
    a = lower_bound(position, max(i - half, start), i, p - half)
    b = upper_bound(position, i, min(i + half + 1, stop), p + half)
    for k in range(a, b):
        total += weights[middle + position[k] - p] * float64(values[k])
    if p + half > end and position[stop - 1] == end:
        for k in range(end - p + 1, half + 1):
            total += weights[middle + k] * float64(values[stop - 1])
    out[i] = total
