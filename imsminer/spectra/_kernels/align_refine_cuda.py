"""Widths of peaks, and places of matches by all samples of a peak, on a GPU.

A thread has a match: it reads the samples of one peak some times over, which stay in
the cache. Results are the same in every run.
"""

import math
from typing import Any

from numba import cuda, float64, int64

from imsminer._array import array_namespace, device_of
from imsminer._cuda import launch
from imsminer.core._kernels.search_cuda import lower_bound, upper_bound
from imsminer.spectra._kernels.align_refine_xp import (
    GAIN,
    GAP,
    MAX_GAIN,
    MIN_SAMPLES,
    N_STEPS,
    REACH,
    WIDER,
)

__all__ = ["refine_points", "refine_rows", "width_rows"]


def width_rows(
    X: Any, mz: Any, reference: Any, unit: Any, errors: Any, heights: Any
) -> Any:
    """Return the full widths (n, k) of matches at half maximum, times `unit`, or 0."""
    xp = array_namespace(X)
    out = xp.zeros(heights.shape, dtype=xp.float64, device=device_of(X))
    n_matches = heights.shape[0] * heights.shape[1]
    values = xp.reshape(X, (-1,))
    launch(_widths, n_matches, values, mz, reference, unit, errors, heights, out)
    return out


def refine_rows(
    X: Any,
    mz: Any,
    reference: Any,
    width: Any,
    unit: Any,
    fwhm: Any,
    errors: Any,
    heights: Any,
) -> Any:
    """Return the refined errors (n, k) of matches in profiles."""
    xp = array_namespace(X)
    bounds = xp.zeros(1, dtype=xp.int64, device=device_of(X))
    peaks = (reference, width, unit, fwhm, errors, heights)
    return _refined(mz, xp.reshape(X, (-1,)), bounds, X.shape[1], *peaks)


def refine_points(
    mz: Any,
    intensity: Any,
    indptr: Any,
    reference: Any,
    width: Any,
    unit: Any,
    fwhm: Any,
    errors: Any,
    heights: Any,
) -> Any:
    """Do the same for spectra that lie one after the other."""
    peaks = (reference, width, unit, fwhm, errors, heights)
    return _refined(mz, intensity, indptr, -1, *peaks)


def _refined(mz: Any, values: Any, indptr: Any, m: int, *peaks: Any) -> Any:
    xp, errors = array_namespace(values), peaks[-2]
    out = xp.zeros(errors.shape, dtype=xp.float64, device=device_of(errors))
    n_matches = errors.shape[0] * errors.shape[1]
    launch(_refine, n_matches, mz, values, indptr, m, *peaks, out)
    return out


@cuda.jit(device=True)
def _nearest(mz, begin, end, place):
    """Return the sample that is nearest to a place."""
    k = lower_bound(mz, begin, end, place)
    if k == end or (k > begin and place - mz[k - 1] < mz[k] - place):
        k -= 1
    return k


@cuda.jit(device=True)
def _one_side(mz, y, offset, apex, half, spacing, step):
    """Return how far the signal stays above half height; 0 where it does not fall."""
    k, m = apex, mz.shape[0]
    while 0 < k and k < m - 1:
        gap, below = abs(mz[k + step] - mz[k]), float64(y[k + step + offset])
        if gap > GAP * spacing:
            gap, below = spacing, 0.0
        if below <= half:
            above, part = float64(y[k + offset]), 0.0
            if above > below:
                part = (above - half) / (above - below)
            return abs(mz[k] - mz[apex]) + part * gap
        k += step
    return 0.0


@cuda.jit(device=True)
def _least(mz, y, offset, apex, reach, step):
    """Return the least value from the apex to as far as `reach` on one side."""
    end, least = mz[apex] + step * reach, float64(y[apex + offset])
    k = apex + step
    while 0 <= k and k < mz.shape[0] and step * mz[k] <= step * end:
        least = min(least, float64(y[k + offset]))
        k += step
    return least


@cuda.jit
def _widths(y, mz, reference, unit, errors, heights, out):
    """The width of one match for each thread."""
    i = cuda.grid(1)
    n_peaks = reference.shape[0]
    if i >= errors.shape[0] * n_peaks:
        return
    row = i // n_peaks
    peak = i - row * n_peaks
    height, m = heights[row, peak], mz.shape[0]
    if not height > 0:
        return
    place = reference[peak] + errors[row, peak] / unit[peak]
    apex = _nearest(mz, int64(0), m, place)
    if not (0 < apex and apex < m - 1):
        return
    offset = row * m
    top, width = float64(y[apex + offset]), 0.0
    spacing = min(mz[apex + 1] - mz[apex], mz[apex] - mz[apex - 1])
    for _ in range(3):
        half = top - 0.5 * height
        left = _one_side(mz, y, offset, apex, half, spacing, -1)
        right = _one_side(mz, y, offset, apex, half, spacing, 1)
        if not (left > 0 and right > 0):
            break
        width = left + right
        # Where the tolerance is small, a height stands on the flanks of its peak.
        low = _least(mz, y, offset, apex, 1.5 * width, -1)
        high = _least(mz, y, offset, apex, 1.5 * width, 1)
        height = max(height, top - max(low, high))
    out[row, peak] = width * unit[peak]


@cuda.jit(device=True)
def _place(mz, y, offset, place, start, stop, reach):
    """Return the place of the maximum of the correlation near `place`."""
    most, gain, before = 0.35 * reach, GAIN, 0.0
    for _ in range(N_STEPS):
        total, moment = 0.0, 0.0
        i = lower_bound(mz, start, stop, place - reach)
        while i < stop and mz[i] < place + reach:
            x = (mz[i] - place) / reach
            # Samples count by their spacing, at a gap as elsewhere.
            left, right = mz[i] - mz[i - 1], mz[i + 1] - mz[i]
            gap = GAP * min(left, right)
            g = max(1 - x * x, 0.0)
            g *= g
            v = y[i + offset] * g * g * (min(left, gap) + min(right, gap))
            total += v
            moment += v * x
            i += 1
        if not total > 0:
            return math.nan
        mean = reach * moment / total
        if before != 0 and mean != before:
            # It falls along a line: where to 0, two values of it say.
            gain = min(max(gain * before / (before - mean), 0.5 * GAIN), MAX_GAIN)
        move = gain * mean
        before = mean if abs(move) < most else 0.0
        place += min(max(move, -most), most)
    return place


@cuda.jit
def _refine(mz, y, indptr, m, reference, width, unit, fwhm, errors, heights, out):
    """One match for each thread. Spectra share an axis of `m` points, if `m` >= 0."""
    k = cuda.grid(1)
    n_peaks = reference.shape[0]
    if k >= errors.shape[0] * n_peaks:
        return
    row = k // n_peaks
    peak = k - row * n_peaks
    error, size = errors[row, peak], fwhm[peak]
    out[row, peak] = error
    if not (heights[row, peak] > 0 and size > 0):
        return
    begin, end, offset = int64(0), int64(m), row * int64(m)
    if m < 0:
        begin, end, offset = int64(indptr[row]), int64(indptr[row + 1]), int64(0)
    middle = reference[peak]
    place = middle + error / unit[peak]
    apex = _nearest(mz, begin, end, place)
    if not (begin < apex and apex < end - 1):
        return
    spacing = min(mz[apex + 1] - mz[apex], mz[apex] - mz[apex - 1])
    if size < MIN_SAMPLES * spacing:
        return
    far = width[peak] + (WIDER * REACH + 1) * size
    start = max(lower_bound(mz, begin, end, middle - far), begin + 1)
    stop = min(upper_bound(mz, begin, end, middle + far), end - 1)
    found = _place(mz, y, offset, place, start, stop, WIDER * REACH * size)
    if abs(found - middle) <= width[peak] and abs(found - place) <= 0.5 * size:
        out[row, peak] = (found - middle) * unit[peak]
