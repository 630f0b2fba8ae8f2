"""Matching to reference peaks, and robust fits of the mass error, on a GPU.

A match reads a window of a spectrum, by one thread: windows are short, and there are
many of them. A fit belongs to a block of threads, which share its medians and its sums;
these are taken in the order of the peaks, so that results are the same in every run.
Medians compare each match with each: quicker than sorting for the some hundred matches
that there are.
"""

import math
from typing import Any

from numba import cuda, float64, int64

from imsminer._array import array_namespace, device_of
from imsminer._cuda import SIMULATED, launch, launch_blocks
from imsminer.core._kernels.search_cuda import lower_bound, upper_bound
from imsminer.spectra._kernels.align_warp_cuda import resample_rows, shift_points
from imsminer.spectra._kernels.align_xp import (
    LEAST_VARIANCE,
    MIN_POINTS,
    N_ITERATIONS,
    TUKEY,
)

__all__ = [
    "fit_bent_rows",
    "fit_rows",
    "match_points",
    "match_rows",
    "resample_rows",
    "shift_points",
]

#: Threads of a fit; a power of 2.
FIT_THREADS = 4 if SIMULATED else 128
#: From a median absolute deviation to the standard deviation.
NORMAL = 1.4826


def match_rows(
    X: Any, mz: Any, reference: Any, width: Any, unit: Any, profile: bool
) -> tuple[Any, Any]:
    """Return errors and heights (n, k) of the highest maxima near reference peaks."""
    values = array_namespace(X).reshape(X, (-1,))
    peaks = (reference, width, unit, profile)
    return _launch_match(X.shape[0], mz, values, _no_bounds(mz), X.shape[1], *peaks)


def match_points(
    mz: Any,
    intensity: Any,
    indptr: Any,
    reference: Any,
    width: Any,
    unit: Any,
    profile: bool,
) -> tuple[Any, Any]:
    """Do the same for spectra that lie one after the other."""
    peaks = (reference, width, unit, profile)
    return _launch_match(indptr.shape[0] - 1, mz, intensity, indptr, -1, *peaks)


def fit_rows(
    errors: Any, heights: Any, u: Any, prior: Any, precision: Any, floor: float
) -> tuple[Any, Any]:
    """Return the robust lines (n, 2) of rows of errors, and their quality (n, 4)."""
    xp = array_namespace(errors)
    design = xp.stack([xp.ones_like(u), u], axis=1)
    return fit_bent_rows(errors, heights, design, prior, precision, floor)


def fit_bent_rows(
    errors: Any, heights: Any, design: Any, prior: Any, precision: Any, floor: float
) -> tuple[Any, Any]:
    """Return the robust curves (n, p) of rows of errors, and their quality (n, 4)."""
    xp, device = array_namespace(errors), device_of(errors)
    (n, k), p = errors.shape, design.shape[1]

    def empty(*shape: int) -> Any:
        return xp.zeros(shape, dtype=xp.float64, device=device)

    scratch = (empty(4, n, k), empty(n, p, p + 2))
    theta, quality = empty(n, p), empty(n, 4)
    given = (errors, heights, design, prior, precision, float(floor))
    if n:
        launch_blocks(_fit, n, FIT_THREADS, *given, *scratch, theta, quality)
    return theta, quality


def _no_bounds(mz: Any) -> Any:
    """Return what stands for the bounds of spectra that share an axis."""
    xp = array_namespace(mz)
    return xp.zeros(1, dtype=xp.int64, device=device_of(mz))


def _launch_match(
    n: int, mz: Any, values: Any, indptr: Any, m: int, *peaks: Any
) -> tuple[Any, Any]:
    xp, shape = array_namespace(values), (n, peaks[0].shape[0])
    errors, heights = (
        xp.zeros(shape, dtype=xp.float64, device=device_of(values)) for _ in range(2)
    )
    launch(_match, shape[0] * shape[1], mz, values, indptr, m, *peaks, errors, heights)
    return errors, heights


@cuda.jit(device=True)
def _locate(mz, y, offset, apex, low, high):
    """Return the m/z of the maximum at `apex` and its height over its surroundings.

    Indices are those of m/z; its intensity lies `offset` places further on.
    """
    top = float64(y[apex + offset])
    left, right = top, top
    for k in range(low, apex):
        left = min(left, float64(y[k + offset]))
    for k in range(apex + 1, high):
        right = min(right, float64(y[k + offset]))
    floor = max(left, right)
    place = mz[apex]
    h1, h2 = place - mz[apex - 1], mz[apex + 1] - place
    gap = 1.5 * min(h1, h2)
    half = floor + 0.5 * (top - floor)
    total, moment, count = top - half, 0.0, 1
    k = apex - 1
    while k >= low and y[k + offset] > half and mz[k + 1] - mz[k] <= gap:
        part = float64(y[k + offset]) - half
        total += part
        moment += part * (mz[k] - place)
        count += 1
        k -= 1
    k = apex + 1
    while k < high and y[k + offset] > half and mz[k] - mz[k - 1] <= gap:
        part = float64(y[k + offset]) - half
        total += part
        moment += part * (mz[k] - place)
        count += 1
        k += 1
    y1, y2 = float64(y[apex - 1 + offset]), float64(y[apex + 1 + offset])
    move = 0.0
    if count < MIN_POINTS and h1 <= gap and h2 <= gap and y1 > 0 and y2 > 0:
        # The vertex of the parabola through the logarithms: exact for a Gaussian.
        d1, d2 = math.log(top / y1), math.log(top / y2)
        bend = d1 * h2 + d2 * h1
        if bend > 0:
            move = 0.5 * (d1 * h2 * h2 - d2 * h1 * h1) / bend
    elif total > 0:
        move = moment / total
    return place + move, top - floor


@cuda.jit
def _match(mz, y, indptr, m, reference, width, unit, profile, errors, heights):
    """One match for each thread. Spectra share an axis of `m` points, if `m` >= 0."""
    i = cuda.grid(1)
    n_peaks = reference.shape[0]
    if i >= errors.shape[0] * n_peaks:
        return
    row = i // n_peaks
    peak = i - row * n_peaks
    begin, end, offset = int64(0), int64(m), row * int64(m)
    if m < 0:
        begin, end, offset = int64(indptr[row]), int64(indptr[row + 1]), int64(0)
    middle, far = reference[peak], width[peak]
    start = lower_bound(mz, begin, end, middle - far)
    stop = upper_bound(mz, start, end, middle + far)
    low, high = start, stop
    if profile:
        # One sample more: the maximum may lie inside where its sample does not.
        low, high = max(start - 1, begin + 1), min(stop + 1, end - 1)
    best, apex = 0.0, int64(-1)
    for k in range(low, high):
        here = float64(y[k + offset])
        if here > best:
            is_top = True
            if profile:
                is_top = here >= y[k - 1 + offset] and here > y[k + 1 + offset]
            if is_top:
                best, apex = here, k
    error, height = math.nan, 0.0
    if apex >= 0:
        place, found = mz[apex], best
        if profile:
            low, high = max(start - 2, begin), min(stop + 2, end)
            place, found = _locate(mz, y, offset, apex, low, high)
        if found > 0 and abs(place - middle) <= far:
            error, height = (place - middle) * unit[peak], found
    errors[row, peak] = error
    heights[row, peak] = height


@cuda.jit(device=True)
def _own_median(values, weights, row):
    """Return the least value, of those that fall to a thread, with half the weight.

    The median is the least of those of all threads.
    """
    own, n = math.inf, values.shape[1]
    for j in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        limit, below, total = values[row, j], 0.0, 0.0
        for i in range(n):
            weight = weights[row, i]
            total += weight
            if values[row, i] <= limit:
                below += weight
        if below >= 0.5 * total and limit < own:
            own = limit
    return own


@cuda.jit(device=True)
def _least(best, own):
    """Return the least of what the threads of a block have."""
    t, half = cuda.threadIdx.x, cuda.blockDim.x // 2
    cuda.syncthreads()
    best[t] = own
    cuda.syncthreads()
    while half > 0:
        if t < half:
            best[t] = min(best[t], best[t + half])
        cuda.syncthreads()
        half //= 2
    return best[0]


@cuda.jit(device=True)
def _curve(design, theta, row, k):
    value = 0.0
    for i in range(design.shape[1]):
        value += theta[row, i] * design[k, i]
    return value


@cuda.jit(device=True)
def _solve(system, row, p, theta):
    """Solve a small positive definite system, unless it is singular.

    Its matrix and its right side are the first p + 1 columns; the last is spare.
    """
    for i in range(p):
        system[row, i, p + 1] = system[row, i, i]
    for i in range(p):
        if not system[row, i, i] > 1e-12 * system[row, i, p + 1]:
            return False
        for j in range(i + 1, p):
            factor = system[row, j, i] / system[row, i, i]
            for k in range(i, p + 1):
                system[row, j, k] -= factor * system[row, i, k]
    for i in range(p - 1, -1, -1):
        value = system[row, i, p]
        for k in range(i + 1, p):
            value -= system[row, i, k] * theta[row, k]
        theta[row, i] = value / system[row, i, i]
    return True


@cuda.jit
def _fit(
    errors,
    heights,
    design,
    prior,
    precision,
    floor,
    parts,
    system,
    theta,
    quality,
):
    """Fit a row for each block; `parts` and `system` are scratch."""
    best = cuda.shared.array(FIT_THREADS, float64)
    regular = cuda.shared.array(1, int64)
    t, threads, row = cuda.threadIdx.x, cuda.blockDim.x, cuda.blockIdx.x
    n, p = design.shape[0], design.shape[1]
    residual, weights, precise, tukey = parts[0], parts[1], parts[2], parts[3]
    for i in range(t, p, threads):
        theta[row, i] = prior[row, i]
    if t == 0:
        regular[0] = 1
    # The height of the ninth of ten matches.
    number = 0
    for k in range(n):
        if heights[row, k] > 0:
            number += 1
    rank, own = int64(0.9 * (number - 1)), math.inf
    for j in range(t, n, threads):
        height = heights[row, j]
        upto = 0
        if height > 0:
            for k in range(n):
                if heights[row, k] > 0 and heights[row, k] <= height:
                    upto += 1
            if upto > rank:
                own = min(own, height)
    high = _least(best, own)
    for k in range(t, n, threads):
        height = heights[row, k]
        found = height > 0
        weights[row, k] = min(2 * height / (height + high), 1.0) if found else 0.0
        noise = high + LEAST_VARIANCE * height
        precise[row, k] = height / noise if found else 0.0
        value = errors[row, k] if found else 0.0
        residual[row, k] = value - _curve(design, prior, row, k)
    cuda.syncthreads()
    shift = _least(best, _own_median(residual, weights, row))
    if t == 0 and number > 0:
        theta[row, 0] += shift
    cuda.syncthreads()
    scale = floor
    for _ in range(N_ITERATIONS if number > 0 else 0):
        for k in range(t, n, threads):
            value = errors[row, k] if heights[row, k] > 0 else 0.0
            value -= _curve(design, theta, row, k)
            residual[row, k], tukey[row, k] = value, abs(value)
        cuda.syncthreads()
        spread = NORMAL * _least(best, _own_median(tukey, weights, row))
        scale = max(spread, floor)
        cuda.syncthreads()
        for k in range(t, n, threads):
            r = residual[row, k] / (TUKEY * scale)
            kept = 1 - r * r
            tukey[row, k] = kept * kept if abs(r) < 1 else 0.0
        cuda.syncthreads()
        for entry in range(t, p * (p + 1), threads):
            i = entry // (p + 1)
            j = entry - i * (p + 1)
            value = 0.0
            for k in range(n):
                v = precise[row, k] * tukey[row, k] / (scale * scale)
                if v > 0:
                    other = design[k, min(j, p - 1)] if j < p else errors[row, k]
                    value += v * design[k, i] * other
            if j == i:
                value += precision[row, i]
            if j == p:
                value += precision[row, i] * prior[row, i]
            system[row, i, j] = value
        cuda.syncthreads()
        if t == 0 and not _solve(system, row, p, theta):
            regular[0] = 0
        cuda.syncthreads()
        if regular[0] == 0:
            break
    if t == 0:
        for k in range(n if number > 0 else 0):
            if heights[row, k] > 0 and tukey[row, k] > 0:
                quality[row, 0] += 1
                if design[k, 1] < -1 / 3:
                    quality[row, 1] += 1
                if design[k, 1] > 1 / 3:
                    quality[row, 2] += 1
        quality[row, 3] = scale if number > 0 else math.inf
