"""Samples of ragged profiles spread over bins, on a GPU.

Bins gather, as in :mod:`~imsminer.core._kernels.binning_cuda`: a thread looks through
the samples that may reach into its bin and adds up their shares, spectrum by spectrum.
Samples are read by two to five threads of a block, from the cache after the first. Each
sample is 8 bytes of m/z and those of its intensity. No atomics: results are the same in
every run.

How far samples are spread depends on the cells of the native grid near the bin: that is
looked up once for each call and bin.
"""

import math
from typing import Any

from numba import cuda, float64, int64

from imsminer._array import array_namespace
from imsminer._cuda import THREADS, launch_blocks
from imsminer.core._kernels.binning_cuda import (
    dropped_of,
    gather,
    starts_of,
)
from imsminer.core._kernels.search_cuda import first_from, last_from

__all__ = [
    "linear_accumulate_points",
    "linear_sum_points",
    "spread_accumulate_points",
    "spread_sum_points",
]


def spread_sum_points(
    mz: Any, intensity: Any, indptr: Any, cell_edges: Any, edges: Any
) -> tuple[Any, Any]:
    """Spread profile samples over the bins they overlap, and sum."""
    arrays = (mz, intensity, indptr, cell_edges, edges)
    (total, *_), dropped = _spread(*arrays, full=False)
    return total, dropped


def spread_accumulate_points(
    mz: Any, intensity: Any, indptr: Any, cell_edges: Any, edges: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Do the same for the four statistics, taken once per spectrum and bin."""
    parts, dropped = _spread(mz, intensity, indptr, cell_edges, edges, full=True)
    return *parts, dropped


def linear_sum_points(
    mz: Any, intensity: Any, indptr: Any, edges: Any, centers: Any
) -> tuple[Any, Any]:
    """Share each sample between the two nearest bins, so that its m/z is kept; sum."""
    arrays = (mz, intensity, indptr, edges, centers)
    (total, *_), dropped = _linear(*arrays, full=False)
    return total, dropped


def linear_accumulate_points(
    mz: Any, intensity: Any, indptr: Any, edges: Any, centers: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Do the same for the four statistics, taken once per spectrum and bin."""
    parts, dropped = _linear(mz, intensity, indptr, edges, centers, full=True)
    return *parts, dropped


def _spread(
    mz: Any, intensity: Any, indptr: Any, cell_edges: Any, edges: Any, *, full: bool
) -> tuple[tuple, Any]:
    xp = array_namespace(mz)
    n_bins = edges.shape[0] - 1
    tiles = -(-n_bins // THREADS)
    begin, end = (xp.empty(n_bins, dtype=xp.float64) for _ in range(2))
    near = xp.empty(n_bins, dtype=xp.int64)
    bounds = xp.empty((tiles, 2), dtype=xp.float64)
    widest = xp.max(cell_edges[1:] - cell_edges[:-1], keepdims=True)
    reach = (begin, end, near)
    launch_blocks(
        _find_reach, tiles, THREADS, cell_edges, edges, widest, *reach, bounds
    )
    starts = starts_of(mz, indptr, xp.reshape(bounds, (2 * tiles,)))
    arrays = (mz, intensity, starts, cell_edges, edges, *reach)
    parts = gather(_gather_spread, arrays, indptr.shape[0] - 1, n_bins, full)
    return parts, dropped_of(mz, starts)


def _linear(
    mz: Any, intensity: Any, indptr: Any, edges: Any, centers: Any, *, full: bool
) -> tuple[tuple, Any]:
    xp = array_namespace(mz)
    n_bins = centers.shape[0]
    # Samples from the centre below to the centre above belong to a bin.
    begin = xp.concat([edges[:1], centers[:-1]])[::THREADS]
    end = xp.concat([centers[1:], edges[-1:]])
    end = xp.concat([end[THREADS - 1 : -1 : THREADS], end[-1:]])
    bounds = xp.reshape(xp.stack([begin, end], axis=1), (2 * begin.shape[0],))
    starts = starts_of(mz, indptr, bounds)
    arrays = (mz, intensity, starts, edges, centers)
    parts = gather(_gather_linear, arrays, indptr.shape[0] - 1, n_bins, full)
    return parts, dropped_of(mz, starts)


@cuda.jit
def _find_reach(cell_edges, edges, widest, begin, end, near, bounds):
    """Find the m/z from which samples may reach into each bin, and tile of bins.

    A sample reaches no further than the width of its cell. Where cells to the side are
    wider, they may reach when nearer ones do not: all within the widest are looked at.
    """
    lowest = cuda.shared.array(THREADS, float64)
    highest = cuda.shared.array(THREADS, float64)
    t, tile = cuda.threadIdx.x, cuda.blockIdx.x
    j = tile * THREADS + t
    n_bins, last = int64(edges.shape[0] - 1), int64(cell_edges.shape[0] - 2)
    low, high = float64(math.inf), float64(-math.inf)
    if j < n_bins:
        left, right, wide = edges[j], edges[j + 1], widest[0]
        cell = last_from(cell_edges, left, int64(0), last)
        first, go = cell, True
        while go:
            width = cell_edges[cell + 1] - cell_edges[cell]
            # The outermost cells stand for all that lies beyond them.
            if cell == last or cell_edges[cell + 1] > left - width:
                here = left - width
                if cell > 0:
                    here = max(here, cell_edges[cell])
                low = min(low, here)
                first = cell
            go = cell > 0 and cell_edges[cell] > left - wide
            cell -= 1
        cell, go = last_from(cell_edges, right, int64(0), last), True
        while go:
            width = cell_edges[cell + 1] - cell_edges[cell]
            if cell == 0 or cell_edges[cell] < right + width:
                here = right + width
                if cell < last:
                    here = min(here, cell_edges[cell + 1])
                high = max(high, here)
            go = cell < last and cell_edges[cell + 1] < right + wide
            cell += 1
        low, high = max(low, edges[0]), min(high, edges[n_bins])
        begin[j] = low
        end[j] = high
        near[j] = first
    lowest[t], highest[t] = low, high
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if t < half:
            lowest[t] = min(lowest[t], lowest[t + half])
            highest[t] = max(highest[t], highest[t + half])
        cuda.syncthreads()
        half //= 2
    if t == 0:
        bounds[tile, 0] = lowest[0]
        bounds[tile, 1] = highest[0]


@cuda.jit(device=True)
def _share(x, centre, width, blur):
    """Return the share of a sample below `x`: a box of `width` smoothed by `blur`."""
    v = abs(x - centre)
    flat, half = 0.5 * (width - blur), 0.5 * (width + blur)
    part = float64(0.5)
    if v <= flat:
        part = v / width
    elif v < half:
        part = 0.5 - (half - v) * (half - v) / (2.0 * blur * width)
    return 0.5 + part if x > centre else 0.5 - part


@cuda.jit(device=True)
def _share_of_bin(m, j, home, width, edges):
    """Return the share of a sample at `m`, in bin `home`, that bin `j` gets."""
    top = int64(edges.shape[0] - 2)
    blur = max(width - (edges[home + 1] - edges[home]), 0.0)
    half = 0.5 * (width + blur)
    start, stop = m - half, m + half
    left, right = edges[j], edges[j + 1]
    # What would fall off an end of the axis goes to the last bin there.
    if (right <= start and j < top) or (left >= stop and j > 0):
        return float64(0.0)
    below, upto = float64(0.0), float64(1.0)
    if left > start and j > 0:
        below = _share(left, m, width, blur)
    if right < stop and j < top:
        upto = _share(right, m, width, blur)
    return upto - below


@cuda.jit
def _gather_spread(
    mz,
    intensity,
    starts,
    cell_edges,
    edges,
    begin,
    end,
    near,
    step,
    full,
    total,
    maximum,
    count,
    squares,
):
    t, tile, slab = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    j = int64(tile * THREADS + t)
    if j >= edges.shape[0] - 1:
        return
    low, high, last = begin[j], end[j], int64(cell_edges.shape[0] - 2)
    p = int64(slab) * step
    after = min(int64(starts.shape[0]), (int64(slab) + 1) * step)
    add, square, top = float64(0.0), float64(0.0), float64(0.0)
    points = int64(0)
    while p < after:
        first, stop = starts[p, 2 * tile], starts[p, 2 * tile + 1]
        if first < stop:
            guess = first + (stop - first) * t // THREADS
            k = first_from(mz, first, stop, low, guess)
            value, cell, home = float64(0.0), near[j], j
            while k < stop and mz[k] < high:
                m = mz[k]
                while cell < last and cell_edges[cell + 1] <= m:
                    cell += 1
                while edges[home] > m:
                    home -= 1
                while edges[home + 1] <= m:
                    home += 1
                width = cell_edges[cell + 1] - cell_edges[cell]
                share = _share_of_bin(m, j, home, width, edges)
                value += float64(intensity[k]) * share
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
def _gather_linear(
    mz,
    intensity,
    starts,
    edges,
    centers,
    step,
    full,
    total,
    maximum,
    count,
    squares,
):
    t, tile, slab = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
    j = int64(tile * THREADS + t)
    n_bins = int64(centers.shape[0])
    if j >= n_bins:
        return
    centre = centers[j]
    # Beyond the outermost centres there is no second bin.
    low, high = edges[0], edges[n_bins]
    down, up = float64(0.0), float64(0.0)
    if j > 0:
        low = centers[j - 1]
        down = centre - low
    if j + 1 < n_bins:
        high = centers[j + 1]
        up = high - centre
    p = int64(slab) * step
    after = min(int64(starts.shape[0]), (int64(slab) + 1) * step)
    add, square, top = float64(0.0), float64(0.0), float64(0.0)
    points = int64(0)
    # Read ahead, as where points are not shared.
    ahead, ahead_stop = int64(0), int64(0)
    if p < after:
        ahead, ahead_stop = starts[p, 2 * tile], starts[p, 2 * tile + 1]
    while p < after:
        first, stop, q = ahead, ahead_stop, min(p + 1, after - 1)
        ahead, ahead_stop = starts[q, 2 * tile], starts[q, 2 * tile + 1]
        if first < stop:
            guess = first + (stop - first) * t // THREADS
            guessed = float64(intensity[guess])
            k = first_from(mz, first, stop, low, guess)
            value = float64(0.0)
            while k < stop and mz[k] < high:
                m = mz[k]
                whole = guessed if k == guess else float64(intensity[k])
                if m < centre and j > 0:
                    value += whole * ((m - low) / down)
                elif m > centre and j + 1 < n_bins:
                    value += whole - whole * ((m - centre) / up)
                else:
                    value += whole
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
