"""Statistics over rows and over columns of intensities, on a GPU.

Each function reads the intensities once, in whole lines of memory, and adds up in
float64: what bounds it is ``n * m * itemsize`` bytes to read. Columns belong to threads
and slabs of rows to blocks (rows: segments of a row to blocks); their partial results
are combined by a second, small sum. No atomics: results are the same in every run.
"""

import math
from typing import Any

from numba import cuda, float64, int64

from imsminer._array import array_namespace
from imsminer._cuda import SIMULATED, THREADS, launch_blocks

__all__ = ["accumulate_rows", "row_totals", "row_totals_ragged", "sum_rows"]

#: Threads that keep a large GPU busy: each reads four values at a time.
BUSY = 64 if SIMULATED else 1 << 18

#: The fewest rows of a slab: partial results are written and read again.
ROWS = 2 if SIMULATED else 16


def sum_rows(X: Any) -> Any:
    """Return the columns' sums of `X` (n, m), float64."""
    xp = array_namespace(X)
    step, slabs = slabs_of(*X.shape)
    total = xp.empty((slabs, X.shape[1]), dtype=xp.float64)
    blocks = (-(-X.shape[1] // THREADS), slabs)
    if X.shape[1]:
        launch_blocks(_sum_columns, blocks, THREADS, X, step, total)
    return xp.sum(total, axis=0)


def accumulate_rows(X: Any) -> tuple[Any, Any, Any, Any]:
    """Return sum, maximum, count of values above 0 and sum of squares per column."""
    xp = array_namespace(X)
    step, slabs = slabs_of(*X.shape)
    total, maximum, count, squares = empty_slabs(xp, slabs, X.shape[1])
    blocks = (-(-X.shape[1] // THREADS), slabs)
    if X.shape[1]:
        parts = (total, maximum, count, squares)
        launch_blocks(_fuse_columns, blocks, THREADS, X, step, *parts)
    return combine_slabs(total, maximum, count, squares)


def row_totals(X: Any) -> tuple[Any, Any, Any, Any]:
    """Return sum, maximum, sum of squares and count of values above 0 per row."""
    xp = array_namespace(X)
    n, m = X.shape
    return row_totals_ragged(xp.reshape(X, (n * m,)), xp.arange(n + 1) * m)


def row_totals_ragged(intensity: Any, indptr: Any) -> tuple[Any, Any, Any, Any]:
    """Do the same for spectra that lie one after the other; an empty one gives 0."""
    xp = array_namespace(intensity)
    n = indptr.shape[0] - 1
    # Few long rows are cut, so that there are blocks for the whole GPU.
    longest = intensity.shape[0] // (4 * THREADS * max(n, 1)) + 1
    segments = max(1, min(BUSY // THREADS // max(n, 1), longest))
    total, maximum, count, squares = empty_slabs(xp, n, segments)
    if n:
        parts = (total, maximum, squares, count)
        launch_blocks(
            _total_segments, n * segments, THREADS, intensity, indptr, segments, *parts
        )
    total, squares = xp.sum(total, axis=1), xp.sum(squares, axis=1)
    maximum, count = xp.max(maximum, axis=1), xp.sum(count, axis=1)
    # A segment without values has no maximum, and a row without any counts as 0.
    maximum = xp.where(indptr[1:] > indptr[:-1], maximum, xp.zeros_like(maximum))
    return total, maximum, squares, count


def slabs_of(n: int, columns: int) -> tuple[int, int]:
    """Return how many of `n` rows go into a slab, and how many slabs there are."""
    slabs = max(1, min(BUSY // max(columns, 1), n // ROWS))
    step = max(1, -(-n // slabs))
    return step, max(1, -(-n // step))


def empty_slabs(xp: Any, *shape: int) -> tuple[Any, Any, Any, Any]:
    """Return room for sum, maximum, count and sum of squares."""
    total, maximum, squares = (xp.empty(shape, dtype=xp.float64) for _ in range(3))
    return total, maximum, xp.empty(shape, dtype=xp.int64), squares


def combine_slabs(
    total: Any, maximum: Any, count: Any, squares: Any
) -> tuple[Any, Any, Any, Any]:
    """Return the statistics of all slabs from theirs, each (slabs, m)."""
    xp = array_namespace(total)
    return (
        xp.sum(total, axis=0),
        xp.max(maximum, axis=0),
        xp.sum(count, axis=0),
        xp.sum(squares, axis=0),
    )


@cuda.jit
def _sum_columns(X, step, total):
    j = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if j >= X.shape[1]:
        return
    slab = cuda.blockIdx.y
    row, stop = int64(slab) * step, min(X.shape[0], (int64(slab) + 1) * step)
    value = float64(0.0)
    # Four reads are under way at a time.
    while row + 4 <= stop:
        a, b, c, d = X[row, j], X[row + 1, j], X[row + 2, j], X[row + 3, j]
        value += (float64(a) + float64(b)) + (float64(c) + float64(d))
        row += 4
    while row < stop:
        value += float64(X[row, j])
        row += 1
    total[slab, j] = value


@cuda.jit
def _fuse_columns(X, step, total, maximum, count, squares):
    j = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if j >= X.shape[1]:
        return
    slab = cuda.blockIdx.y
    row, stop = int64(slab) * step, min(X.shape[0], (int64(slab) + 1) * step)
    value, square, points = float64(0.0), float64(0.0), int64(0)
    top = float64(-math.inf)
    while row + 4 <= stop:
        a, b = float64(X[row, j]), float64(X[row + 1, j])
        c, d = float64(X[row + 2, j]), float64(X[row + 3, j])
        value += (a + b) + (c + d)
        square += (a * a + b * b) + (c * c + d * d)
        points += (int64(a > 0) + int64(b > 0)) + (int64(c > 0) + int64(d > 0))
        top = max(top, max(max(a, b), max(c, d)))
        row += 4
    while row < stop:
        a = float64(X[row, j])
        value += a
        square += a * a
        points += int64(a > 0)
        top = max(top, a)
        row += 1
    total[slab, j] = value
    squares[slab, j] = square
    count[slab, j] = points
    maximum[slab, j] = top


@cuda.jit
def _total_segments(values, indptr, segments, total, maximum, squares, count):
    sums = cuda.shared.array(THREADS, float64)
    tops = cuda.shared.array(THREADS, float64)
    powers = cuda.shared.array(THREADS, float64)
    counts = cuda.shared.array(THREADS, int64)
    t = cuda.threadIdx.x
    p, segment = cuda.blockIdx.x // segments, cuda.blockIdx.x % segments
    start, end = indptr[p], indptr[p + 1]
    length = (end - start + segments - 1) // segments
    k = start + segment * length + t
    stop = min(end, start + (segment + 1) * length)
    value, square, points = float64(0.0), float64(0.0), int64(0)
    top = float64(-math.inf)
    while k + 3 * THREADS < stop:
        a, b = float64(values[k]), float64(values[k + THREADS])
        c, d = float64(values[k + 2 * THREADS]), float64(values[k + 3 * THREADS])
        value += (a + b) + (c + d)
        square += (a * a + b * b) + (c * c + d * d)
        points += (int64(a > 0) + int64(b > 0)) + (int64(c > 0) + int64(d > 0))
        top = max(top, max(max(a, b), max(c, d)))
        k += 4 * THREADS
    while k < stop:
        a = float64(values[k])
        value += a
        square += a * a
        points += int64(a > 0)
        top = max(top, a)
        k += THREADS
    sums[t], tops[t], powers[t], counts[t] = value, top, square, points
    cuda.syncthreads()
    half = THREADS // 2
    while half > 0:
        if t < half:
            sums[t] += sums[t + half]
            powers[t] += powers[t + half]
            counts[t] += counts[t + half]
            tops[t] = max(tops[t], tops[t + half])
        cuda.syncthreads()
        half //= 2
    if t == 0:
        total[p, segment] = sums[0]
        maximum[p, segment] = tops[0]
        squares[p, segment] = powers[0]
        count[p, segment] = counts[0]
