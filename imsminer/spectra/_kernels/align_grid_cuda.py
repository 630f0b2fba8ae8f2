"""Alignment by search over a grid of lines, on a GPU.

A thread computes one value of the tables, of all samples that reach it; a block
searches one row, a thread some of its lines. Tables of some rows at a time are kept.
Results are the same in every run.
"""

import math
from typing import Any

from numba import cuda, float64, int64

from imsminer._array import array_namespace, device_of
from imsminer._cuda import SIMULATED, launch, launch_blocks
from imsminer.core._kernels.search_cuda import lower_bound, upper_bound
from imsminer.spectra._kernels.align_grid_xp import (
    MAX_STEP,
    N_STEPS,
    N_ZOOMS,
    PER_WIDTH,
    RATIO,
    REACH,
    ZOOM,
)

__all__ = ["grid_points", "grid_rows"]

#: Threads that search the lines of a row; a power of 2.
SEARCH_THREADS = 4 if SIMULATED else 256
#: Values of tables that are kept at a time.
TABLE_VALUES = 2**12 if SIMULATED else 2**24


def grid_rows(
    X: Any,
    mz: Any,
    reference: Any,
    unit: Any,
    place: Any,
    limit: float,
    width: float,
    linear: bool,
) -> Any:
    """Return a and b of each row by all, even and odd reference peaks: (n, 3, 2)."""
    xp = array_namespace(X)
    bounds = xp.zeros(1, dtype=xp.int64, device=device_of(X))
    points = (mz, xp.reshape(X, (-1,)), bounds, X.shape[1])
    lines = (reference, unit, place, limit, width, linear)
    return _searched(X.shape[0], points, *lines)


def grid_points(mz: Any, intensity: Any, indptr: Any, *arguments: Any) -> Any:
    """Do the same for spectra that lie one after the other."""
    points = (mz, intensity, indptr, -1)
    return _searched(indptr.shape[0] - 1, points, *arguments)


def _searched(
    n: int,
    points: tuple,
    reference: Any,
    unit: Any,
    place: Any,
    limit: float,
    width: float,
    linear: bool,
) -> Any:
    xp, device = array_namespace(points[1]), device_of(points[1])
    limit, width = float(limit), float(width)
    out = xp.zeros((n, 3, 2), dtype=xp.float64, device=device)
    nodes = 2 * math.ceil(REACH * limit / width * PER_WIDTH) + 7
    steps = max(N_STEPS, math.ceil(2 * limit / (MAX_STEP * width)) + 1)
    n_peaks = reference.shape[0]
    rows = max(1, min(n, TABLE_VALUES // (n_peaks * nodes)))
    table = xp.zeros((rows, n_peaks, nodes), dtype=xp.float64, device=device)
    for first in range(0, n, rows):
        number = min(rows, n - first)
        values = number * n_peaks * nodes
        launch(_tabulate, values, *points, first, reference, unit, width, table)
        search = (table, place, first, steps, limit, width, linear)
        launch_blocks(_search, 3 * number, SEARCH_THREADS, *search, out)
    return out


@cuda.jit
def _tabulate(mz, y, indptr, m, first, reference, unit, width, table):
    """One value for each thread, of rows from `first` on.

    Spectra share an axis of `m` points, if `m` >= 0.
    """
    i = cuda.grid(1)
    n_peaks, nodes = table.shape[1], table.shape[2]
    if i >= table.shape[0] * n_peaks * nodes:
        return
    place = i // nodes
    node = i - place * nodes
    own = place // n_peaks
    peak = place - own * n_peaks
    row = own + first
    begin, end, offset = int64(0), int64(m), row * int64(m)
    if m < 0:
        # The last tables may be of fewer rows than there is room for.
        if row >= indptr.shape[0] - 1:
            return
        begin, end, offset = int64(indptr[row]), int64(indptr[row + 1]), int64(0)
    elif offset >= y.shape[0]:
        return
    moved = (node - 0.5 * (nodes - 1)) * (width / PER_WIDTH)
    middle, scale = reference[peak], unit[peak]
    # A little more on both sides: the exact bound is the one below.
    far = 1.001 * RATIO * width
    start = lower_bound(mz, begin, end, middle + (moved - far) / scale)
    stop = upper_bound(mz, start, end, middle + (moved + far) / scale)
    total = 0.0
    for k in range(start, stop):
        x = ((mz[k] - middle) * scale - moved) / width
        if abs(x) <= RATIO:
            total += y[k + offset] * math.exp(-x * x)
    table[own, peak, node] = total


@cuda.jit(device=True)
def _height(table, row, place, part, a, b, step):
    """Return the sum of the tables along a line, by all, even or odd peaks."""
    nodes, start, by = table.shape[2], 0, 1
    if part > 0:
        start, by = part - 1, 2
    total = 0.0
    for k in range(start, table.shape[1], by):
        x = (a + b * place[k]) / step + 0.5 * (nodes - 1)
        q = min(max(int64(x), 1), nodes - 3)
        t = x - q
        y0, y1 = table[row, k, q - 1], table[row, k, q]
        y2, y3 = table[row, k, q + 1], table[row, k, q + 2]
        # Catmull-Rom: straight lines would draw maxima to the nodes.
        c1, c2 = y2 - y0, 2 * y0 - 5 * y1 + 4 * y2 - y3
        c3 = 3 * (y1 - y2) + y3 - y0
        total += y1 + 0.5 * t * (c1 + t * (c2 + t * c3))
    return total


@cuda.jit
def _search(table, place, first, steps, limit, width, linear, out):
    """Search the lines of a row by one part of the peaks, a block to each."""
    tops = cuda.shared.array(SEARCH_THREADS, float64)
    lines = cuda.shared.array(SEARCH_THREADS, int64)
    t = cuda.threadIdx.x
    row = cuda.blockIdx.x // 3
    part = cuda.blockIdx.x - row * 3
    step = width / PER_WIDTH
    shift, stretch, best = 0.0, 0.0, 0.0
    span_a, span_b, n = 2 * limit, 2 * limit if linear else 0.0, steps
    for _ in range(N_ZOOMS):
        # The highest of the lines of each thread; of equal ones the first.
        low_a, low_b = shift - 0.5 * span_a, stretch - 0.5 * span_b
        top, line = -math.inf, int64(0)
        for i in range(t, n * n if linear else n, SEARCH_THREADS):
            ib = i // n
            a = low_a + span_a * ((i - ib * n) / (n - 1))
            b = low_b + span_b * (ib / (n - 1))
            total = -1.0
            if abs(a) + abs(b) <= limit:
                total = _height(table, row, place, part, a, b, step)
            if total > top:
                top, line = total, int64(i)
        tops[t], lines[t] = top, line
        cuda.syncthreads()
        half = SEARCH_THREADS // 2
        while half > 0:
            if t < half:
                other = tops[t + half]
                earlier = lines[t + half] < lines[t]
                if other > tops[t] or (other == tops[t] and earlier):
                    tops[t], lines[t] = other, lines[t + half]
            cuda.syncthreads()
            half //= 2
        best, line = tops[0], lines[0]
        ib = line // n
        shift = low_a + span_a * ((line - ib * n) / (n - 1))
        stretch = low_b + span_b * (ib / (n - 1))
        span_a, span_b, n = span_a * ZOOM, span_b * ZOOM, N_STEPS
        cuda.syncthreads()
    if t == 0:
        out[row + first, part, 0] = shift if best > 0 else math.nan
        out[row + first, part, 1] = stretch if best > 0 else math.nan
