"""Least and largest values of windows on a GPU, by windows of 1, 4, 16, … values.

The minimum over any window is that of up to four windows of a power of 4, and those are
minima of four smaller ones. Windows of 81 points cost 4 launches, each of which reads
and writes the data once, and those of 1000 points 5; windows may vary, and blocks of
threads need no margins. A loop over each window would read as many values as it has.
"""

from typing import Any

from numba import cuda

from imsminer._array import array_namespace, device_of, to_numpy
from imsminer._cuda import launch
from imsminer.core._kernels.search_cuda import lower_bound, upper_bound
from imsminer.spectra._kernels.grid_xp import owners

__all__ = ["extremes", "windows_of_points", "windows_of_rows"]


def windows_of_rows(X: Any, reach: Any) -> tuple[Any, Any, Any, int]:
    """Return the first and last column of the window at each column of `X` (n, m).

    `reach` (m,) is the half window at each, as an array of the host, or the kernel
    waits for it; windows are cut off at the ends. The third array says that all of
    their values are there, the number how many they are at most.
    """
    xp, device = array_namespace(X), device_of(X)
    m = X.shape[1]
    widest = min(2 * int(to_numpy(reach).max()) + 1, m)
    reach = xp.asarray(reach, device=device)
    index = xp.arange(m, dtype=xp.int64, device=device)
    first, last = xp.clip(index - reach, 0, None), xp.clip(index + reach, None, m - 1)
    return first, last, xp.ones(m, dtype=xp.bool, device=device), widest


def windows_of_points(
    indptr: Any, position: Any, length: Any, reach: Any, widest: int
) -> tuple[Any, Any, Any, int]:
    """Return the first and last stored point of the window at each of them.

    `reach` (n_points,) is the half window at each point, in points of the grid, and at
    most `widest`. The third array says whether all grid points there are stored.
    """
    xp, n = array_namespace(position), position.shape[0]
    first, last = xp.empty_like(position), xp.empty_like(position)
    whole = xp.empty(n, dtype=xp.bool, device=device_of(position))
    where = (indptr, owners(indptr, n), position, length)
    launch(_find_windows, n, *where, reach, first, last, whole)
    return first, last, whole, min(2 * widest + 1, n)


def extremes(
    values: Any, first: Any, last: Any, whole: Any, widest: int, largest: bool
) -> Any:
    """Return the least or the largest of the values from `first` to `last`.

    `values` are rows of ``first.shape[0]`` of them; `widest` is the most values that a
    window has. Where one is not `whole`, 0 is among its values.
    """
    xp = array_namespace(values)
    out = xp.empty_like(values)
    table, spare = values, None
    size = 1
    while size <= widest:
        wider = xp.empty_like(values) if spare is None else spare
        windows = (first, last, whole, largest)
        growing = 4 * size <= widest
        arguments = (table, size, *windows, growing, wider, out)
        launch(_widen, values.shape[0], *arguments)
        table, spare = wider, None if table is values else table
        size *= 4
    return out


@cuda.jit
def _find_windows(indptr, owner, position, length, reach, first, last, whole):
    """Find which stored points are in the window of each."""
    k = cuda.grid(1)
    if k >= position.shape[0]:
        return
    s = owner[k]
    low = max(position[k] - reach[k], 0)
    high = min(position[k] + reach[k], length[s] - 1)
    a = lower_bound(position, max(k - reach[k], indptr[s]), k, low)
    b = upper_bound(position, k, min(k + reach[k] + 1, indptr[s + 1]), high)
    first[k] = a
    last[k] = b - 1
    whole[k] = b - a == high - low + 1


@cuda.jit(device=True)
def _better(a, b, largest):
    if largest:
        return b if b > a else a
    return b if b < a else a


@cuda.jit
def _widen(table, size, first, last, whole, largest, growing, wider, out):
    """Set `wider` to the best of four neighbours of `table`, which holds as many each.

    `table` holds the best of `size` values from each on. Windows of at least as many,
    and of fewer than four times as many, are finished.
    """
    i = cuda.grid(1)
    n, m = table.shape[0], first.shape[0]
    if i >= n:
        return
    if growing:
        best = table[i]
        for a in range(1, 4):
            # Beyond the end the last value takes part again.
            best = _better(best, table[min(i + a * size, n - 1)], largest)
        wider[i] = best
    j = i % m
    span = last[j] - first[j] + 1
    if size <= span and span < 4 * size:
        start = i - j + first[j]
        room = span - size
        best = table[start]
        for a in range(1, 4):
            best = _better(best, table[start + min(a * size, room)], largest)
        if not whole[j]:
            best = _better(best, table.dtype.type(0), largest)
        out[i] = best
