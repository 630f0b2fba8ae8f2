"""SNIP baselines on a GPU.

A pass of clipping reads what lies a window away on both sides of each point, so a
point depends, through several passes, on those within the sum of their windows. Blocks
of threads hold a stretch of a row in shared memory with so many points more on both
sides, do as many passes there as `HALO` allows, and write the stretch once. For windows
of 40 points that is 2 launches rather than 40: the data cross the device's memory 6
times, margins included (the first launch compresses what it reads, the last subtracts),
and 2 are the floor. All passes in one launch would compute half as much again in the
margins.

Ragged spectra keep the points that they have. Each thread holds one point, and where
its neighbours are stored: as windows shrink, these places move by one at the most.
Blocks of points do not end where spectra do.

Sums are taken in a fixed order: results do not vary.
"""

import math
from typing import Any

from numba import cuda

from imsminer._array import array_namespace, device_of, to_numpy
from imsminer._cuda import SIMULATED, launch, launch_blocks
from imsminer.core._kernels.search_cuda import lower_bound, upper_bound
from imsminer.spectra._kernels.grid_xp import end_to_end

__all__ = ["snip_points", "snip_rows"]

#: Values of a row that a block holds twice: all of the 48 KiB of shared memory that
#: kernels have unasked, in float64.
SIZE = 48 if SIMULATED else 3072
#: Most points by which the passes of one launch reach beyond what it writes.
HALO = SIZE // 6
#: Threads of a block over rows.
ROW_THREADS = 8 if SIMULATED else 512
#: Points, and threads, of a block over ragged spectra.
POINTS = 32 if SIMULATED else 1024
POINTS_HALO = 6 if SIMULATED else 128


def snip_rows(X: Any, reach: Any, linear: bool = False) -> Any:
    """Return the rows of `X` (n, m) minus their SNIP baselines, at least 0.

    `reach` (m,) is the half window at each point, in points: an array of the host, or
    the kernel waits for it. Near the ends it is as wide as fits on both sides. `linear`
    clips intensities as they are.
    """
    xp = array_namespace(X)
    n, m = X.shape
    if n == 0 or m == 0:
        return X
    host = to_numpy(reach)
    widest = int(host.max())
    uniform = bool((host == widest).all())
    reach = xp.asarray(reach, device=device_of(X))
    widest = min(widest, (m - 1) // 2)
    values = xp.reshape(X, (-1,))
    out = xp.empty_like(values)
    clipped, spare = values, None
    for width in range(widest, HALO, -1):
        if spare is None:
            clipped, spare = xp.empty_like(values), xp.empty_like(values)
            launch(_levels, n * m, values, linear, clipped)
        launch(_clip_once, n * m, clipped, m, width, reach, spare)
        clipped, spare = spare, clipped
    launches = _together(min(widest, HALO), HALO)
    for number, (first, last, halo) in enumerate(launches):
        opening, closing = clipped is values, number + 1 == len(launches)
        target = out if closing else xp.empty_like(values) if spare is None else spare
        inner = SIZE - 2 * halo
        tiles = -(-m // inner)
        shape = (values, clipped, m, tiles, inner, halo, first, last)
        how = (uniform, opening, closing, linear)
        arguments = (*shape, reach, *how, target)
        launch_blocks(_clip_rows, n * tiles, ROW_THREADS, *arguments)
        clipped, spare = target, None if opening else clipped
    return xp.reshape(out, X.shape)


def snip_points(
    intensity: Any,
    indptr: Any,
    position: Any,
    length: Any,
    reach: Any,
    widest: int,
    linear: bool = False,
) -> Any:
    """Do the same for ragged spectra: grid points that are not stored are 0.

    `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`; `reach` (n_points,) is
    the half window at each point, in points of the grid, and at most `widest`.
    """
    xp = array_namespace(intensity)
    n = intensity.shape[0]
    if n == 0:
        return intensity
    place, room = end_to_end(indptr, position, length)
    # So that no spectrum sees another.
    reach = xp.minimum(reach, room)
    out = xp.empty_like(intensity)
    clipped, spare = intensity, None
    for width in range(widest, POINTS_HALO, -1):
        if spare is None:
            clipped, spare = xp.empty_like(intensity), xp.empty_like(intensity)
            launch(_levels, n, intensity, linear, clipped)
        launch(_clip_points_once, n, clipped, place, reach, width, linear, spare)
        clipped, spare = spare, clipped
    launches = _together(min(widest, POINTS_HALO), POINTS_HALO)
    for number, (first, last, halo) in enumerate(launches):
        opening, closing = clipped is intensity, number + 1 == len(launches)
        target = out if closing else spare
        if target is None:
            target = xp.empty_like(intensity)
        blocks = -(-n // (POINTS - 2 * halo))
        shape = (intensity, clipped, place, reach, halo, first, last)
        how = (opening, closing, linear)
        launch_blocks(_clip_points, blocks, POINTS, *shape, *how, target)
        clipped, spare = target, None if opening else clipped
    return out


def _together(widest: int, halo: int) -> list[tuple[int, int, int]]:
    """Return which windows, from `widest` to 1, share a launch, and their sums."""
    found = []
    first = last = total = widest
    for width in range(widest - 1, 0, -1):
        if total + width > halo:
            found.append((first, last, total))
            first, total = width, 0
        last = width
        total += width
    return [*found, (first, last, total)]


@cuda.jit(device=True)
def _level(y, linear):
    """Return what is clipped: an intensity that is at least 0, or its compression."""
    one = type(y)(1)
    v = type(y)(0) if y < type(y)(0) else y
    if linear:
        return v
    return type(y)(math.log(math.log(math.sqrt(v + one) + one) + one))


@cuda.jit(device=True)
def _rest(y, base, linear):
    """Return what an intensity has above its baseline, at least 0."""
    zero, one = type(y)(0), type(y)(1)
    v = _level(y, linear)
    # Where the baseline is the signal the difference is 0, not rounding error.
    if base == v:
        return zero
    if linear:
        return v - base
    root = math.exp(math.exp(base) - one) - one
    rest = type(y)(y - (root * root - one))
    return zero if rest < zero else rest


@cuda.jit
def _levels(values, linear, out):
    i = cuda.grid(1)
    if i < values.shape[0]:
        out[i] = _level(values[i], linear)


@cuda.jit
def _clip_once(values, m, width, reach, out):
    """One pass over rows of `m` values, one thread for each."""
    i = cuda.grid(1)
    if i >= values.shape[0]:
        return
    here = values[i]
    j = i % m
    if j >= width and j < m - width and reach[j] >= width:
        mean = values.dtype.type(0.5) * (values[i - width] + values[i + width])
        here = mean if mean < here else here
    out[i] = here


@cuda.jit
def _clip_rows(
    X,
    values,
    m,
    tiles,
    inner,
    halo,
    first,
    last,
    reach,
    uniform,
    opening,
    closing,
    linear,
    out,
):
    """Passes with windows from `first` down to `last`; a block writes `inner` values.

    `opening`: `values` are intensities. `closing`: `out` becomes what `X` has above the
    baseline.
    """
    kept = cuda.shared.array((2, SIZE), X.dtype)
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    row = cuda.blockIdx.x // tiles
    start = (cuda.blockIdx.x - row * tiles) * inner
    stop = min(start + inner, m)
    low, high = max(start - halo, 0), min(stop + halo, m)
    begin = row * m
    for j in range(low + thread, high, threads):
        y = values[begin + j]
        kept[0, j - low] = _level(y, linear) if opening else y
    cuda.syncthreads()
    half = X.dtype.type(0.5)
    now, left = 0, halo
    for width in range(first, last - 1, -1):
        # Later passes reach `left` points beyond what is written.
        left -= width
        for j in range(max(start - left, 0) + thread, min(stop + left, m), threads):
            k = j - low
            here = kept[now, k]
            # Points whose window reaches beyond an end stay as they are.
            if width <= j and j < m - width and (uniform or reach[j] >= width):
                mean = half * (kept[now, k - width] + kept[now, k + width])
                here = mean if mean < here else here
            kept[1 - now, k] = here
        now = 1 - now
        cuda.syncthreads()
    for j in range(start + thread, stop, threads):
        base = kept[now, j - low]
        out[begin + j] = _rest(X[begin + j], base, linear) if closing else base


@cuda.jit
def _clip_points_once(values, place, reach, width, linear, out):
    """One pass over ragged spectra, one thread for each stored point."""
    k = cuda.grid(1)
    n = values.shape[0]
    if k >= n:
        return
    here = values[k]
    if reach[k] >= width:
        ground = _level(values.dtype.type(0), linear)
        p = place[k]
        a = lower_bound(place, max(k - width, 0), k, p - width)
        b = upper_bound(place, k, min(k + width + 1, n), p + width) - 1
        left = values[a] if place[a] == p - width else ground
        right = values[b] if place[b] == p + width else ground
        mean = values.dtype.type(0.5) * (left + right)
        here = mean if mean < here else here
    out[k] = here


@cuda.jit
def _clip_points(
    X, values, place, reach, halo, first, last, opening, closing, linear, out
):
    """Passes with windows from `first` down to `last`, one thread for each point."""
    kept = cuda.shared.array((2, POINTS), X.dtype)
    n = X.shape[0]
    t = cuda.threadIdx.x
    k = cuda.blockIdx.x * (POINTS - 2 * halo) + t - halo
    stored = 0 <= k and k < n
    half, ground = X.dtype.type(0.5), _level(X.dtype.type(0), linear)
    here = ground
    p, near, a, b = k, k, k, k
    if stored:
        y = values[k]
        here = _level(y, linear) if opening else y
        p, near = place[k], reach[k]
        a = lower_bound(place, max(k - first, 0), k, p - first)
        b = upper_bound(place, k, min(k + first + 1, n), p + first) - 1
    kept[0, t] = here
    cuda.syncthreads()
    now, used = 0, 0
    for width in range(first, last - 1, -1):
        used += width
        # What is nearer to an end of the block has neighbours that it does not hold.
        if stored and used <= t and t < POINTS - used:
            # Windows shrink by one point, and places are whole numbers.
            if place[a] < p - width:
                a += 1
            if place[b] > p + width:
                b -= 1
            if near >= width:
                left = kept[now, t - (k - a)] if place[a] == p - width else ground
                right = kept[now, t + (b - k)] if place[b] == p + width else ground
                mean = half * (left + right)
                here = mean if mean < here else here
        kept[1 - now, t] = here
        now = 1 - now
        cuda.syncthreads()
    if stored and halo <= t and t < POINTS - halo:
        out[k] = _rest(X[k], here, linear) if closing else here
