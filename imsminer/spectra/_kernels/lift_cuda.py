"""The lift of lower envelopes to the middle of the noise, on a GPU.

A block of threads sorts the few values that a window is judged by: each value counts
those below it, all of which are in shared memory, and so knows its place. That is exact
and takes as many steps as there are values. Windows are read once, 128 values of each;
what is left above the envelope is read and written once.

Of ragged spectra only the windows beside stored points are judged. Several blocks share
a spectrum, each with a part of its points.
"""

import math
from typing import Any

from numba import cuda, float64

from imsminer._array import array_namespace, device_of
from imsminer._cuda import SIMULATED, launch, launch_blocks
from imsminer.core._kernels.search_cuda import lower_bound, upper_bound
from imsminer.spectra._kernels.lift_xp import (
    MAD_TO_SD,
    MAX_LIFT,
    N_SAMPLES,
    SECOND_DIFFERENCE,
)

__all__ = ["lift_points", "lift_rows"]

#: No window is judged by more values.
MOST = 2 * N_SAMPLES
#: A noise of 1 has second differences of this median.
NOISE = MAD_TO_SD / SECOND_DIFFERENCE
THREADS = 8 if SIMULATED else 128
#: Blocks that share a ragged spectrum.
PARTS = 2 if SIMULATED else 8


def lift_rows(Y: Any, R: Any, hop: int, clip: bool) -> Any:
    """Return `R` lowered to the middle of the noise; `clip`: at least to 0.

    `Y` (n, m) are spectra and `R` (n, m) what is left of them above a lower envelope.
    Windows of 2 * `hop` + 1 points, centred `hop` points apart, are judged by
    `N_SAMPLES` values each, with linear interpolation between their centres.
    """
    xp = array_namespace(R)
    n, m = R.shape
    if n == 0 or m < 3:
        return R
    n_windows = (m - 1 + hop - 1) // hop + 1
    levels = xp.empty((n, n_windows), dtype=xp.float64, device=device_of(R))
    out = xp.empty_like(R)
    window = (hop, *_samples(hop))
    launch_blocks(_judge_rows, n * n_windows, THREADS, Y, R, *window, levels)
    launch(_lower_rows, n * m, R, hop, clip, levels, out)
    return out


def lift_points(
    values: Any,
    rest: Any,
    indptr: Any,
    position: Any,
    length: Any,
    hop: int,
    clip: bool,
) -> Any:
    """Do the same for ragged spectra: grid points that are not stored are 0.

    `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`.
    """
    xp = array_namespace(rest)
    out = xp.empty_like(rest)
    if rest.shape[0] > 0:
        blocks = length.shape[0] * PARTS
        where = (indptr, position, length)
        window = (hop, *_samples(hop))
        arguments = (values, rest, *where, *window, clip, out)
        launch_blocks(_lift_points, blocks, THREADS, *arguments)
    return out


def _samples(hop: int) -> tuple[int, int]:
    """Return how far apart a window's values are, and how many are on each side."""
    stride = max(1, (2 * hop + 1) // N_SAMPLES)
    return stride, hop // stride


@cuda.jit(device=True)
def _level(rest, bends, n, ordered, flat):
    """Return how far the middle of the noise lies above a lower envelope.

    The threads of a block share `n` values of `rest` and `bends`, and as much room.
    """
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    # NaN are at the end of what is sorted.
    for i in range(thread, n, threads):
        ordered[i] = math.nan
        flat[i] = math.nan
    cuda.syncthreads()
    for i in range(thread, n, threads):
        above, bend = rest[i], bends[i]
        lower, flatter = 0, 0
        for j in range(n):
            other = rest[j]
            if other < above or (other == above and j < i):
                lower += 1
            other = bends[j]
            if other < bend or (other == bend and j < i):
                flatter += 1
        if above == above:
            ordered[lower] = above
        if bend == bend:
            flat[flatter] = bend
    cuda.syncthreads()
    level = ordered[(n - 1) // 2]
    for _ in range(2):
        # Noise reaches as far above its middle as below; what is higher is peaks.
        near = upper_bound(ordered, 0, n, level + level)
        level = ordered[max(near - 1, 0) // 2]
    most = MAX_LIFT * (NOISE * flat[(n - 1) // 2])
    # The next window may be judged.
    cuda.syncthreads()
    found = float64(level)
    return most if most < found else found


@cuda.jit(device=True)
def _inside(centre, stride, side, m):
    """Return the first value of a window that is on the axis, and how many are."""
    low = max(-side, -(centre // stride))
    high = min(side, (m - 1 - centre) // stride)
    return centre + low * stride, max(high - low + 1, 0)


@cuda.jit
def _judge_rows(Y, R, hop, stride, side, levels):
    """Judge a window of a row, one block for each."""
    rest = cuda.shared.array(MOST, R.dtype)
    bends = cuda.shared.array(MOST, R.dtype)
    ordered = cuda.shared.array(MOST, R.dtype)
    flat = cuda.shared.array(MOST, R.dtype)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    m, n_windows = R.shape[1], levels.shape[1]
    row = cuda.blockIdx.x // n_windows
    window = cuda.blockIdx.x - row * n_windows
    first, n = _inside(window * hop, stride, side, m)
    zero = R.dtype.type(0)
    for k in range(thread, n, threads):
        i = first + k * stride
        rest[k] = R[row, i]
        i = min(max(i, 1), m - 2)
        left, here, right = Y[row, i - 1], Y[row, i], Y[row, i + 1]
        left = zero if left < zero else left
        here = zero if here < zero else here
        right = zero if right < zero else right
        bends[k] = abs(left - (here + here) + right)
    level = 0.0
    if n > 0:
        cuda.syncthreads()
        level = _level(rest, bends, n, ordered, flat)
    if thread == 0:
        levels[row, window] = level


@cuda.jit
def _lower_rows(R, hop, clip, levels, out):
    i = cuda.grid(1)
    n, m = R.shape
    if i >= n * m:
        return
    row = i // m
    j = i - row * m
    window = min(j // hop, levels.shape[1] - 2)
    level = levels[row, window]
    step = (levels[row, window + 1] - level) / hop
    lowered = R[row, j] - (level + step * (j - window * hop))
    out[row, j] = 0.0 if clip and lowered < 0.0 else lowered


@cuda.jit(device=True)
def _judge_points(
    values,
    rest,
    position,
    start,
    stop,
    m,
    centre,
    stride,
    side,
    above,
    bends,
    ordered,
    flat,
):
    """Return the level of a window of the spectrum from `start` to `stop`.

    `above` to `flat` are shared by the threads of the block.
    """
    first, n = _inside(centre, stride, side, m)
    a = lower_bound(position, start, stop, centre - side * stride - 1)
    b = lower_bound(position, a, stop, centre + side * stride + 2)
    if a == b or n == 0:
        return 0.0
    zero = rest.dtype.type(0)
    for i in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        place = first + i * stride
        near = min(max(place, 1), m - 2)
        kept, left, here, right = zero, zero, zero, zero
        k = lower_bound(position, a, b, near - 1)
        while k < b and position[k] <= near + 1:
            y = zero if values[k] < zero else values[k]
            if position[k] == place:
                kept = rest[k]
            if position[k] < near:
                left = y
            elif position[k] == near:
                here = y
            else:
                right = y
            k += 1
        above[i] = kept
        bends[i] = abs(left - (here + here) + right)
    cuda.syncthreads()
    return _level(above, bends, n, ordered, flat)


@cuda.jit
def _lift_points(values, rest, indptr, position, length, hop, stride, side, clip, out):
    """Lower a part of the points of a spectrum, which blocks share."""
    above = cuda.shared.array(MOST, rest.dtype)
    bends = cuda.shared.array(MOST, rest.dtype)
    ordered = cuda.shared.array(MOST, rest.dtype)
    flat = cuda.shared.array(MOST, rest.dtype)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    s = cuda.blockIdx.x // PARTS
    start, stop, m = indptr[s], indptr[s + 1], length[s]
    size = (stop - start + PARTS - 1) // PARTS
    k = min(start + (cuda.blockIdx.x - s * PARTS) * size, stop)
    end = min(k + size, stop)
    if m < 3:
        for i in range(k + thread, end, threads):
            out[i] = rest[i]
        return
    last = (m - 1 + hop - 1) // hop - 1
    known, after = -1, 0.0
    while k < end:
        window = min(position[k] // hop, last)
        centre = window * hop
        before = after
        if window != known:
            before = _judge_points(
                values,
                rest,
                position,
                start,
                stop,
                m,
                centre,
                stride,
                side,
                above,
                bends,
                ordered,
                flat,
            )
        after = _judge_points(
            values,
            rest,
            position,
            start,
            stop,
            m,
            centre + hop,
            stride,
            side,
            above,
            bends,
            ordered,
            flat,
        )
        known = window + 1
        until = end
        if window < last:
            until = lower_bound(position, k, end, centre + hop)
        step = (after - before) / hop
        for i in range(k + thread, until, threads):
            lowered = rest[i] - (before + step * (position[i] - centre))
            out[i] = 0.0 if clip and lowered < 0.0 else lowered
        k = until
