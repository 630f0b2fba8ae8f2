"""Points of ragged spectra into bins, on a GPU.

Where spectra have about as many points as there are bins, bins *gather*: a thread owns
a bin, goes through a slab of spectra, and adds up the points of each between its edges.
Neighbouring threads read neighbouring points, all sums stay in registers, and there are
no atomics: results are the same in every run. A block of threads is a tile of bins;
where the tile starts in each spectrum is found by a search before. With fewer points
than that they are *scattered* instead: each run of points of one spectrum in one bin is
added up by a thread, and then added to the bin by atomics, whose order moves the last
bits of sums. There are no private copies of the bins: with few points for each bin,
adding up the copies would read more than there are points.

What bounds both is reading each point once: 8 bytes of m/z, and those of its intensity.
Points increase within a spectrum.
"""

from typing import Any

from numba import cuda, float64, int64

from imsminer._array import array_namespace
from imsminer._cuda import SIMULATED, THREADS, launch, launch_blocks
from imsminer.core._kernels.accumulate_cuda import (
    combine_slabs,
    empty_slabs,
    slabs_of,
)

# Both are whole-array operations, which CuPy has.
from imsminer.core._kernels.binning_xp import sum_runs, widths
from imsminer.core._kernels.search_cuda import first_from, last_from, lower_bound

__all__ = [
    "accumulate_points",
    "find_bins",
    "sum_points",
    "sum_runs",
    "widths",
]

#: Cells of a table that shortens the search for a bin; it stays in the L2 cache.
CELLS = 16 if SIMULATED else 1 << 14

#: Bins gather when there are at most so many of them for each point.
SPARSE = 4


def find_bins(mz: Any, edges: Any) -> Any:
    """Return the bin of every point (int64), -1 outside: the upper edge is open."""
    xp = array_namespace(mz)
    bins = xp.empty(mz.shape, dtype=xp.int64)
    launch(_find_bins, mz.shape[0], mz, edges, *_cell_table(edges), bins)
    return bins


def sum_points(mz: Any, intensity: Any, indptr: Any, edges: Any) -> tuple[Any, Any]:
    """Return the sum of the points in each bin, and how many points lie outside."""
    (total, *_), dropped = _accumulate(mz, intensity, indptr, edges, full=False)
    return total, dropped


def accumulate_points(
    mz: Any, intensity: Any, indptr: Any, edges: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Return sum, maximum, count of values above 0, sum of squares, points outside.

    Points of one spectrum that share a bin add up first; a bin without points is 0.
    """
    parts, dropped = _accumulate(mz, intensity, indptr, edges, full=True)
    return *parts, dropped


def _accumulate(
    mz: Any, intensity: Any, indptr: Any, edges: Any, *, full: bool
) -> tuple[tuple, Any]:
    xp = array_namespace(mz)
    n, n_bins = indptr.shape[0] - 1, edges.shape[0] - 1
    if SPARSE * mz.shape[0] >= n * n_bins:
        bounds = xp.concat([edges[:-1:THREADS], edges[-1:]])
        starts = starts_of(mz, indptr, bounds)
        arrays = (mz, intensity, starts, edges)
        parts = gather(_gather_points, arrays, n, n_bins, full)
    else:
        starts = starts_of(mz, indptr, xp.stack([edges[0], edges[-1]]))
        total, maximum, squares = (xp.zeros(n_bins, dtype=xp.float64) for _ in range(3))
        parts = (total, maximum, xp.zeros(n_bins, dtype=xp.int64), squares)
        if n:
            axis = (edges, *_cell_table(edges))
            flat = (mz, intensity, indptr)
            launch_blocks(_scatter_points, n, THREADS, *flat, *axis, full, *parts)
    return parts, dropped_of(mz, starts)


def starts_of(mz: Any, indptr: Any, bounds: Any) -> Any:
    """Return the first point of each spectrum from each bound on, (n, n_bounds)."""
    xp = array_namespace(mz)
    shape = indptr.shape[0] - 1, bounds.shape[0]
    starts = xp.empty(shape, dtype=xp.int64)
    launch(_find_starts, shape[0] * shape[1], mz, indptr, bounds, starts)
    return starts


def dropped_of(mz: Any, starts: Any) -> Any:
    """Return how many points lie outside the first and the last bound."""
    xp = array_namespace(starts)
    return mz.shape[0] - xp.sum(starts[:, -1] - starts[:, 0])


def gather(kernel: Any, arrays: tuple, n: int, n_bins: int, full: bool) -> tuple:
    """Run a kernel in which bins gather from `n` spectra; combine its slabs.

    Of the four statistics only the sum is filled unless `full`.
    """
    xp = array_namespace(arrays[0])
    step, slabs = slabs_of(n, n_bins)
    parts = empty_slabs(xp, slabs, n_bins)
    if not full:
        parts = (parts[0], *empty_slabs(xp, 1, 1)[1:])
    blocks = (-(-n_bins // THREADS), slabs)
    launch_blocks(kernel, blocks, THREADS, *arrays, step, full, *parts)
    return combine_slabs(*parts)


def _cell_table(edges: Any) -> tuple[Any, Any]:
    """Return start and inverse width of even cells, and the first edge in each."""
    xp = array_namespace(edges)
    place = xp.empty(2, dtype=xp.float64)
    table = xp.empty(CELLS + 1, dtype=xp.int64)
    launch(_fill_table, CELLS + 1, edges, place, table)
    return place, table


@cuda.jit
def _find_starts(mz, indptr, bounds, starts):
    i = cuda.grid(1)
    n, n_bounds = starts.shape
    if i < n * n_bounds:
        p, b = i // n_bounds, i % n_bounds
        starts[p, b] = lower_bound(mz, indptr[p], indptr[p + 1], bounds[b])


# Edges and points get their cells by one rounding each of a difference and a product,
# which both never decrease: the bin of a point starts in its cell or before.
@cuda.jit(device=True)
def _cell_of(m, low, inverse, n_cells):
    return min(int64((m - low) * inverse), n_cells - 1)


@cuda.jit
def _fill_table(edges, place, table):
    cell = cuda.grid(1)
    n_cells, n_edges = int64(table.shape[0] - 1), int64(edges.shape[0])
    low = edges[0]
    inverse = float64(n_cells) / (edges[n_edges - 1] - low)
    if cell == 0:
        place[0] = low
        place[1] = inverse
    if cell <= n_cells:
        first, stop = int64(0), n_edges
        while first < stop:
            middle = (first + stop) >> 1
            if _cell_of(edges[middle], low, inverse, n_cells) < cell:
                first = middle + 1
            else:
                stop = middle
        table[cell] = first


@cuda.jit(device=True)
def _bin_of(m, edges, place, table):
    # The caller has checked edges[0] <= m < edges[-1].
    cell = _cell_of(m, place[0], place[1], int64(table.shape[0] - 1))
    return last_from(edges, m, max(table[cell] - 1, int64(0)), table[cell + 1] - 1)


@cuda.jit
def _find_bins(mz, edges, place, table, bins):
    k = cuda.grid(1)
    if k < mz.shape[0]:
        m = mz[k]
        if edges[0] <= m < edges[edges.shape[0] - 1]:
            bins[k] = _bin_of(m, edges, place, table)
        else:
            bins[k] = -1


@cuda.jit
def _gather_points(
    mz,
    intensity,
    starts,
    edges,
    step,
    full,
    total,
    maximum,
    count,
    squares,
):
    t, tile, slab = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    j = tile * THREADS + t
    if j >= edges.shape[0] - 1:
        return
    low, high = edges[j], edges[j + 1]
    p, end = int64(slab) * step, min(int64(starts.shape[0]), (int64(slab) + 1) * step)
    add, square, top = float64(0.0), float64(0.0), float64(0.0)
    points = int64(0)
    # The tile's points in the spectrum. Those of the next one are read ahead, and the
    # intensity before it is known to be the right one: reads wait for fewer others.
    after, after_stop = int64(0), int64(0)
    if p < end:
        after, after_stop = starts[p, tile], starts[p, tile + 1]
    while p < end:
        first, stop = after, after_stop
        ahead = min(p + 1, end - 1)
        after, after_stop = starts[ahead, tile], starts[ahead, tile + 1]
        if first < stop:
            # Thread by thread, bins start about as far apart as points.
            guess = first + (stop - first) * t // THREADS
            guessed = float64(intensity[guess])
            k = first_from(mz, first, stop, low, guess)
            value = float64(0.0)
            while k < stop and mz[k] < high:
                value += guessed if k == guess else float64(intensity[k])
                k += 1
            add += value
            square += value * value
            points += int64(value > 0)
            top = max(top, value)
        p += 1
    total[slab, j] = add
    if full:
        maximum[slab, j] = top
        count[slab, j] = points
        squares[slab, j] = square


@cuda.jit
def _scatter_points(
    mz,
    intensity,
    indptr,
    edges,
    place,
    table,
    full,
    total,
    maximum,
    count,
    squares,
):
    p = cuda.blockIdx.x
    start, stop = indptr[p], indptr[p + 1]
    first, last = edges[0], edges[edges.shape[0] - 1]
    k = start + cuda.threadIdx.x
    while k < stop:
        m = mz[k]
        if first <= m < last:
            j = _bin_of(m, edges, place, table)
            # The first point of a run in this bin adds up the whole run.
            if k == start or mz[k - 1] < edges[j]:
                value, high, i = float64(0.0), edges[j + 1], k
                while i < stop and mz[i] < high:
                    value += float64(intensity[i])
                    i += 1
                cuda.atomic.add(total, j, value)
                if full:
                    cuda.atomic.add(squares, j, value * value)
                    if value > 0:
                        cuda.atomic.add(count, j, 1)
                        cuda.atomic.max(maximum, j, value)
        k += cuda.blockDim.x
