"""Intensities inside windows, on a GPU.

Some threads share a window, more of them where windows are wide or few: neighbours read
neighbouring values, and add up in shared memory in a fixed order. On a shared axis the
floor is reading the columns of the windows once. For ragged spectra each window is
found by a guess and a search in the spectrum's m/z, some 6 lines of memory of 32 bytes,
after which its intensities are read (for areas its m/z, too).
"""

import math
from typing import Any

import numpy as np
from numba import cuda, float64, int64

from imsminer._array import array_namespace, moved_like, to_numpy
from imsminer._cuda import SIMULATED, THREADS, launch_blocks
from imsminer.core._kernels.accumulate_cuda import BUSY
from imsminer.core._kernels.binning_xp import widths
from imsminer.core._kernels.search_cuda import first_from

__all__ = [
    "area_points",
    "area_windows_rows",
    "integrate_points",
    "integrate_rows",
    "max_points",
    "max_windows_rows",
    "sum_windows_rows",
]

SUM, WEIGHTED, PARTIAL, LARGEST = 0, 1, 2, 3

#: Threads of a window are 2 to the power of a shift. At least so many share a window of
#: ragged points, as 8 float32 are a line of memory; at most a whole block.
FEWEST, MOST = 1 if SIMULATED else 3, THREADS.bit_length() - 1


def sum_windows_rows(X: Any, left: Any, right: Any) -> Any:
    """Return the sum of ``X[p, left[w]:right[w]]`` for each row and window."""
    return _rows(X, left, right, SUM)


def integrate_rows(X: Any, left: Any, right: Any, weights: Any) -> Any:
    """Return the same with each column weighted by `weights` (m,)."""
    return _rows(X, left, right, WEIGHTED, weights)


def area_windows_rows(
    X: Any, left: Any, right: Any, weights: Any, first: Any, last: Any
) -> Any:
    """Return the same where the first and the last column count in part only."""
    return _rows(X, left, right, PARTIAL, weights, first, last)


def max_windows_rows(X: Any, left: Any, right: Any) -> Any:
    """Return the maximum of ``X[p, left[w]:right[w]]``, 0 for an empty window."""
    return _rows(X, left, right, LARGEST)


def integrate_points(mz: Any, intensity: Any, indptr: Any, low: Any, high: Any) -> Any:
    """Return the sum of each spectrum's points in ``[low[w], high[w])``."""
    ends = put_like(mz, low), put_like(mz, high)
    return _points(_window_points, (mz, intensity, indptr, *ends, SUM))


def max_points(mz: Any, intensity: Any, indptr: Any, low: Any, high: Any) -> Any:
    """Return the largest of each spectrum's points in ``[low[w], high[w])``, or 0."""
    ends = put_like(mz, low), put_like(mz, high)
    return _points(_window_points, (mz, intensity, indptr, *ends, LARGEST))


def area_points(
    mz: Any,
    intensity: Any,
    indptr: Any,
    cell_guide: Any,
    cell_edges: Any,
    low: Any,
    high: Any,
) -> Any:
    """Return the area of each spectrum's samples in ``[low[w], high[w])``.

    `cell_guide` is not needed here; it stands for equal arguments with the CPU kernel.
    """
    low, high = put_like(mz, low), put_like(mz, high)
    cells = put_like(mz, cell_edges)
    reach = reach_of_cells(cells, low, high)
    return _points(_window_areas, (mz, intensity, indptr, low, high, cells, *reach))


def put_like(X: Any, values: Any, dtype: Any = np.float64) -> Any:
    """Return host values on the device of `X`; others are there already."""
    if not isinstance(values, np.ndarray | list | tuple):
        return values
    return moved_like(np.ascontiguousarray(values, dtype=dtype), X)


def reach_of_cells(cells: Any, low: Any, high: Any) -> tuple[Any, Any, Any]:
    """Return the m/z between which samples may reach into each window, and a cell.

    It is the cell of the first of these m/z.
    """
    xp = array_namespace(cells)
    start = low - 0.51 * widths(low, cells)
    cell = xp.searchsorted(cells, start, side="right") - 1
    cell = xp.astype(xp.clip(cell, 0, cells.shape[0] - 2), xp.int64)
    return start, high + 0.51 * widths(high, cells), cell


def _rows(
    X: Any,
    left: Any,
    right: Any,
    kind: int,
    weights: Any = (0.0,),
    first: Any = (0.0,),
    last: Any = (0.0,),
) -> Any:
    xp = array_namespace(X)
    left, right = (np.asarray(to_numpy(end), dtype=np.int64) for end in (left, right))
    out = xp.zeros((X.shape[0], left.size), dtype=xp.float64)
    if left.size and X.shape[0]:
        # A thread has about four columns, those of a few wide windows more.
        size = np.maximum(right - left, 0)
        columns = int(max(size.mean(), size.max() / 64))
        shift = min(MOST, (columns // 4).bit_length())
        ends = put_like(X, left, np.int64), put_like(X, right, np.int64)
        factors = [put_like(X, factor) for factor in (weights, first, last)]
        blocks = -(-(X.shape[0] * left.size << shift) // THREADS)
        launch_blocks(
            _window_rows, blocks, THREADS, X, *ends, *factors, kind, shift, out
        )
    return out


def _points(kernel: Any, arguments: tuple) -> Any:
    """Run a kernel on ragged points with as many threads for a window as do good."""
    intensity, indptr, low = arguments[1:4]
    xp = array_namespace(intensity)
    out = xp.zeros((indptr.shape[0] - 1, low.shape[0]), dtype=xp.float64)
    items = out.shape[0] * out.shape[1]
    if items:
        shift = min(MOST, max(FEWEST, (BUSY // items).bit_length() - 1))
        blocks = -(-(items << shift) // THREADS)
        launch_blocks(kernel, blocks, THREADS, *arguments, shift, out)
    return out


@cuda.jit(device=True)
def start_of(mz, start, stop, x):
    """Return the first index in [start, stop) with ``mz >= x``, else `stop`.

    A straight line through the spectrum's ends guesses.
    """
    if start >= stop or x <= mz[start]:
        return start
    guess = stop - 1
    origin, last = mz[start], mz[stop - 1]
    if x < last:
        # last > origin here: x lies between them.
        guess = start + int64((x - origin) / (last - origin) * (stop - 1 - start))
        guess = min(guess, stop - 1)
    return first_from(mz, start, stop, x, guess)


@cuda.jit(device=True)
def cell_at(cell_edges, m, cell, last):
    """Return the cell of `m`, which is `cell` or a later one up to `last`."""
    step = int64(1)
    while cell + step <= last and cell_edges[cell + step] <= m:
        cell += step
        step *= 2
    high = min(cell + step - 1, last)
    while cell < high:
        middle = (cell + high + 1) >> 1
        if cell_edges[middle] <= m:
            cell = middle
        else:
            high = middle - 1
    return cell


@cuda.jit(device=True)
def _larger(a, b):
    # A NaN must not hide: once met, it stays.
    if not b <= a and a == a:
        return b
    return a


@cuda.jit(device=True)
def _combine(kept, value, kind, lane, shift):
    """Return what all lanes of a window have; every thread of the block comes here."""
    t = cuda.threadIdx.x
    kept[t] = value
    cuda.syncthreads()
    half = (1 << shift) >> 1
    while half > 0:
        if lane < half:
            other = kept[t + half]
            if kind == LARGEST:
                kept[t] = _larger(kept[t], other)
            else:
                kept[t] += other
        cuda.syncthreads()
        half >>= 1
    return kept[t]


@cuda.jit
def _window_rows(X, left, right, weights, first, last, kind, shift, out):
    kept = cuda.shared.array(THREADS, float64)
    i = cuda.grid(1)
    n, n_windows = out.shape
    lane, item = i & ((1 << shift) - 1), i >> shift
    p = item // n_windows
    w = item - p * n_windows
    value = float64(-math.inf if kind == LARGEST else 0.0)
    size = int64(0)
    if p < n:
        start, stop = left[w], right[w]
        size = stop - start
        j = start + lane
        while j < stop:
            x = float64(X[p, j])
            if kind == LARGEST:
                value = _larger(value, x)
            else:
                if kind != SUM:
                    x *= weights[j]
                if kind == PARTIAL:
                    if j == start:
                        x *= first[w]
                    elif j == stop - 1:
                        x *= last[w]
                value += x
            j += 1 << shift
    value = _combine(kept, value, kind, lane, shift)
    if p < n and lane == 0 and size > 0:
        out[p, w] = value


@cuda.jit
def _window_points(mz, intensity, indptr, low, high, kind, shift, out):
    kept = cuda.shared.array(THREADS, float64)
    i = cuda.grid(1)
    n, n_windows = out.shape
    lane, item = i & ((1 << shift) - 1), i >> shift
    p = item // n_windows
    w = item - p * n_windows
    value = float64(-math.inf if kind == LARGEST else 0.0)
    size = int64(0)
    if p < n:
        stop = indptr[p + 1]
        start = start_of(mz, indptr[p], stop, low[w])
        stop = first_from(mz, start, stop, high[w], start)
        size = stop - start
        k = start + lane
        while k < stop:
            y = float64(intensity[k])
            if kind == LARGEST:
                value = _larger(value, y)
            else:
                value += y
            k += 1 << shift
    value = _combine(kept, value, kind, lane, shift)
    if p < n and lane == 0 and size > 0:
        out[p, w] = value


@cuda.jit
def _window_areas(
    mz, intensity, indptr, low, high, cells, begin, end, near, shift, out
):
    kept = cuda.shared.array(THREADS, float64)
    i = cuda.grid(1)
    n, n_windows = out.shape
    lane, item = i & ((1 << shift) - 1), i >> shift
    p = item // n_windows
    w = item - p * n_windows
    area = float64(0.0)
    if p < n:
        stop, last = indptr[p + 1], int64(cells.shape[0] - 2)
        cell, k = near[w], start_of(mz, indptr[p], stop, begin[w]) + lane
        while k < stop and mz[k] < end[w]:
            m = mz[k]
            cell = cell_at(cells, m, cell, last)
            half = 0.5 * (cells[cell + 1] - cells[cell])
            inside = min(high[w], m + half) - max(low[w], m - half)
            if inside > 0:
                area += float64(intensity[k]) * inside
            k += 1 << shift
    area = _combine(kept, area, SUM, lane, shift)
    if p < n and lane == 0:
        out[p, w] = area
