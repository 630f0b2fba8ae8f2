"""A number for each spectrum, and the division by it, on a GPU.

Sums read each intensity once and divisions also write it once: that is what bounds
them. Medians are selected by the digits of the values' bits, a block to a spectrum: as
many reads as a value has bytes, most of them from the cache, and no copy of the values.
All results are the same in every run.
"""

from typing import Any

from numba import cuda, float64, int32, int64

from imsminer._array import array_namespace, device_of
from imsminer._cuda import SIMULATED, THREADS, launch_blocks
from imsminer.core._kernels.accumulate_cuda import row_totals, row_totals_ragged
from imsminer.core._kernels.search_cuda import upper_bound

# A sort by columns, once in a fit, is left to CuPy.
from imsminer.spectra._kernels.normalize_xp import median_columns

__all__ = [
    "divide_points",
    "divide_rows",
    "maxima",
    "median_columns",
    "medians",
    "square_sums",
    "sum_points",
    "sum_rows",
]

#: Values that a block divides.
SPAN = 8 * THREADS
#: Threads of a block that selects medians.
SELECT_THREADS = 4 if SIMULATED else 512
#: Digits of 8 bits, and how many threads in turn count them apart: most values share
#: their first digit, and threads that count the same one wait for each other.
DIGITS, COPIES = 256, 2 if SIMULATED else 8
COUNTERS = DIGITS * COPIES
#: Digits are first counted in groups of so many.
GROUP = 16
GROUPS = DIGITS // GROUP


def sum_rows(X: Any) -> Any:
    """Return the sums of the rows of `X` (n, m), float64."""
    return row_totals(X)[0]


def sum_points(intensity: Any, indptr: Any) -> Any:
    """Return the sums of spectra that lie one after the other, float64."""
    return row_totals_ragged(intensity, indptr)[0]


def square_sums(intensity: Any, indptr: Any) -> Any:
    """Return the sums of squares."""
    return row_totals_ragged(intensity, indptr)[2]


def maxima(intensity: Any, indptr: Any) -> Any:
    """Return the largest values; 0 for a spectrum without points."""
    _, maximum, squares, _ = row_totals_ragged(intensity, indptr)
    xp = array_namespace(squares)
    # Maxima of the device pass over NaN, sums of squares do not.
    return xp.where(xp.isnan(squares), squares, maximum)


def medians(intensity: Any, indptr: Any) -> Any:
    """Return the medians of the values that are not 0; 0 where there is none."""
    xp = array_namespace(intensity)
    n, device = indptr.shape[0] - 1, device_of(intensity)
    if intensity.dtype not in (xp.float32, xp.float64):
        intensity = xp.astype(intensity, xp.float64)
    single = intensity.dtype == xp.float32
    integer = xp.int32 if single else xp.int64
    infinite = 0x7F800000 if single else 0x7FF0000000000000
    low, high = (xp.zeros(n, dtype=integer, device=device) for _ in range(2))
    count = xp.zeros(n, dtype=xp.int64, device=device)
    shape = (intensity.view(integer), indptr, 32 if single else 64, infinite)
    if n:
        launch_blocks(_select, n, SELECT_THREADS, *shape, low, high, count)
    low, high = (xp.astype(k.view(intensity.dtype), xp.float64) for k in (low, high))
    median = xp.where(count > 0, low + 0.5 * (high - low), xp.zeros_like(low))
    return xp.where(count < 0, xp.full_like(median, xp.nan), median)


def divide_rows(X: Any, factors: Any) -> Any:
    """Divide each row of `X` by its factor (n,); a factor of 0 gives 0."""
    xp = array_namespace(X)
    out = xp.zeros(X.shape, dtype=X.dtype, device=device_of(X))
    tiles = -(-X.shape[1] // SPAN)
    if X.shape[0] * tiles:
        launch_blocks(_divide_rows, X.shape[0] * tiles, THREADS, X, factors, tiles, out)
    return out


def divide_points(intensity: Any, indptr: Any, factors: Any) -> Any:
    """Do the same for spectra that lie one after the other."""
    xp = array_namespace(intensity)
    n = intensity.shape[0]
    out = xp.zeros(n, dtype=intensity.dtype, device=device_of(intensity))
    if n:
        blocks = -(-n // SPAN)
        launch_blocks(_divide_points, blocks, THREADS, intensity, indptr, factors, out)
    return out


@cuda.jit
def _divide_rows(X, factors, tiles, out):
    row = cuda.blockIdx.x // tiles
    start = (cuda.blockIdx.x - row * tiles) * SPAN
    factor = float64(factors[row])
    for j in range(start + cuda.threadIdx.x, min(start + SPAN, X.shape[1]), THREADS):
        if factor == 0:
            out[row, j] = 0
        else:
            out[row, j] = float64(X[row, j]) / factor


@cuda.jit
def _divide_points(intensity, indptr, factors, out):
    start = int64(cuda.blockIdx.x) * SPAN
    stop = min(start + SPAN, intensity.shape[0])
    # The spectra of the block, which all of its threads look up alike.
    n = factors.shape[0]
    first = upper_bound(indptr, 1, n, start)
    last = upper_bound(indptr, first, n, stop - 1)
    for k in range(start + cuda.threadIdx.x, stop, THREADS):
        factor = float64(factors[upper_bound(indptr, first, last, k) - 1])
        if factor == 0:
            out[k] = 0
        else:
            out[k] = float64(intensity[k]) / factor


@cuda.jit(device=True)
def _in_order(bits, largest):
    """Return bits of a float as an integer in the order of the floats; its inverse."""
    key = int64(bits)
    return key if key >= 0 else key ^ largest


@cuda.jit
def _select(bits, indptr, n_bits, infinite, low, high, count):
    """Set `low` and `high` to the middle values of each spectrum that are not 0.

    `bits` are those of the floats. `count` (n,) is the number of values, -1 where one
    is not finite.
    """
    counters = cuda.shared.array(COUNTERS, int32)
    digits = cuda.shared.array(DIGITS, int32)
    groups = cuda.shared.array(GROUPS, int32)
    # Digits found so far, rank among the values that share them, number of values.
    state = cuda.shared.array(4, int64)
    t, threads = cuda.threadIdx.x, cuda.blockDim.x
    row = cuda.blockIdx.x
    start, stop = indptr[row], indptr[row + 1]
    largest = (int64(1) << (n_bits - 2)) - 1 + (int64(1) << (n_bits - 2))
    if t == 0:
        state[0], state[1], state[2], state[3] = 0, -1, 0, largest
    broken = int64(0)
    for shift in range(n_bits - 8, -1, -8):
        top = shift == n_bits - 8
        for k in range(t, COUNTERS, threads):
            counters[k] = 0
        cuda.syncthreads()
        found = state[0]
        copy = (t % COPIES) * DIGITS
        for k in range(start + t, stop, threads):
            key = _in_order(bits[k], largest)
            # Zeros of either sign.
            if key == 0 or key == -1:
                continue
            if top:
                if (int64(bits[k]) & largest) >= infinite:
                    broken = int64(1)
                cuda.atomic.add(counters, copy + (key >> shift) + 128, 1)
            elif (key >> (shift + 8)) == found:
                cuda.atomic.add(counters, copy + ((key >> shift) & 255), 1)
        cuda.syncthreads()
        for k in range(t, DIGITS, threads):
            total = 0
            for c in range(COPIES):
                total += counters[c * DIGITS + k]
            digits[k] = total
        cuda.syncthreads()
        for k in range(t, GROUPS, threads):
            total = 0
            for d in range(k * GROUP, (k + 1) * GROUP):
                total += digits[d]
            groups[k] = total
        if broken > 0:
            state[1] = -2
        cuda.syncthreads()
        if t == 0:
            if top:
                total = 0
                for k in range(GROUPS):
                    total += groups[k]
                state[2] = -1 if state[1] == -2 else total
                state[1] = (total - 1) // 2
            if state[2] > 0:
                rank, k = state[1], 0
                while rank >= groups[k]:
                    rank -= groups[k]
                    k += 1
                d = k * GROUP
                while rank >= digits[d]:
                    rank -= digits[d]
                    d += 1
                state[0] = d - 128 if top else state[0] * 256 + d
                state[1] = rank
        cuda.syncthreads()
        broken = int64(0)
        if state[2] <= 0:
            break
    number, middle, rank = state[2], state[0], state[1]
    if number > 0 and number % 2 == 0 and rank + 1 == digits[middle & 255]:
        # The other middle value is the next larger one.
        above = largest
        for k in range(start + t, stop, threads):
            key = _in_order(bits[k], largest)
            if key > middle and key != 0 and key != -1:
                above = min(above, key)
        cuda.atomic.min(state, 3, above)
    cuda.syncthreads()
    if t == 0:
        count[row] = number
        if number > 0:
            other = middle if state[3] == largest else state[3]
            low[row] = _in_order(middle, largest)
            high[row] = _in_order(other, largest)
