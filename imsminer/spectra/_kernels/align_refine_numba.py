"""Widths of peaks, and places of matches by all samples of a peak: CPU.

In white noise the place of a peak is found best where its correlation with its own
shape is largest. For a shape g that is where the moment, the sum of (m - place)
g(m - place) y(m), is 0. Here g is (1 - (x / reach)²)⁴, a Gaussian that ends, a little
wider than the peaks: where noise is that of counts, wider is better.
"""

import numba as nb
import numpy as np

__all__ = ["half_widths", "refine_points", "refine_rows"]

#: Width of the Gaussian over that of the peaks, and where it ends in FWHM: sqrt(8)
#: standard deviations, from where it has the curvature of a Gaussian at its top.
WIDER, REACH = 1.2, 1.2011
#: Steps to the maximum; the first one takes this many times the mean distance, which
#: is right for a Gaussian of that width, later ones what the step before has shown.
N_STEPS, GAIN, MAX_GAIN = 4, 2.0, 12.0
#: Peaks of fewer samples at half height are left to the parabola.
MIN_SAMPLES = 1.5
#: Wider than this part of the spacing to its neighbour is a gap: samples left out.
GAP = 1.5


@nb.njit(nogil=True, cache=True)
def _nearest(mz, place):
    i = np.searchsorted(mz, place)
    if i == mz.size or (i > 0 and place - mz[i - 1] < mz[i] - place):
        i -= 1
    return i


@nb.njit(nogil=True, cache=True)
def _one_side(mz, y, apex, half, step):
    """Return how far the signal stays above half height; 0 where it does not fall."""
    spacing = min(mz[apex + 1] - mz[apex], mz[apex] - mz[apex - 1])
    k = apex
    while 0 < k < mz.size - 1:
        gap, below = abs(mz[k + step] - mz[k]), np.float64(y[k + step])
        if gap > GAP * spacing:
            gap, below = spacing, 0.0
        if below <= half:
            part = (y[k] - half) / (y[k] - below) if y[k] > below else 0.0
            return abs(mz[k] - mz[apex]) + part * gap
        k += step
    return 0.0


@nb.njit(nogil=True, cache=True)
def _full_width(mz, y, apex, height):
    """Return the full width at half maximum; 0 where there is none."""
    width = 0.0
    for _ in range(3):
        half = y[apex] - 0.5 * height
        left = _one_side(mz, y, apex, half, -1)
        right = _one_side(mz, y, apex, half, 1)
        if not (left > 0 and right > 0):
            return width
        width = left + right
        # Where the tolerance is small, a height stands on the flanks of its peak.
        low = np.searchsorted(mz, mz[apex] - 1.5 * width)
        high = np.searchsorted(mz, mz[apex] + 1.5 * width, side="right")
        floor = max(y[low : apex + 1].min(), y[apex:high].min())
        height = max(height, y[apex] - floor)
    return width


@nb.njit(nogil=True, cache=True)
def half_widths(mz, intensity, indptr, reference, unit, errors, heights, widths):
    """Set `widths` (n, k) to the full width at half maximum of matches, times `unit`.

    Spectra lie one after the other. It is 0 where nothing was matched, and where a
    peak does not fall to half of its height.
    """
    for i in range(errors.shape[0]):
        mz_i = mz[indptr[i] : indptr[i + 1]]
        y = intensity[indptr[i] : indptr[i + 1]]
        for k in range(reference.size):
            widths[i, k] = 0.0
            if not heights[i, k] > 0:
                continue
            apex = _nearest(mz_i, reference[k] + errors[i, k] / unit[k])
            if 0 < apex < mz_i.size - 1:
                height = heights[i, k]
                widths[i, k] = _full_width(mz_i, y, apex, height) * unit[k]


@nb.njit(nogil=True, cache=True)
def _place(mz, y, place, start, stop, reach):
    """Return the place of the maximum of the correlation near `place`."""
    most, gain, before = 0.35 * reach, GAIN, 0.0
    for _ in range(N_STEPS):
        total, moment = 0.0, 0.0
        for i in range(start, stop):
            x = (mz[i] - place) / reach
            if abs(x) < 1:
                # Samples count by their spacing, at a gap as elsewhere.
                left, right = mz[i] - mz[i - 1], mz[i + 1] - mz[i]
                gap = GAP * min(left, right)
                g = 1 - x * x
                g *= g
                v = y[i] * g * g * (min(left, gap) + min(right, gap))
                total += v
                moment += v * x
        if not total > 0:
            return np.nan
        mean = reach * moment / total
        if before != 0 and mean != before:
            # It falls along a line: where to 0, two values of it say.
            gain = min(max(gain * before / (before - mean), 0.5 * GAIN), MAX_GAIN)
        move = gain * mean
        before = mean if abs(move) < most else 0.0
        place += min(max(move, -most), most)
    return place


@nb.njit(nogil=True, cache=True)
def _refine(mz, y, reference, width, unit, fwhm, errors, heights):
    n, first = mz.size, 0
    for k in range(reference.size):
        if not (heights[k] > 0 and fwhm[k] > 0):
            continue
        place = reference[k] + errors[k] / unit[k]
        apex = _nearest(mz, place)
        if not 0 < apex < n - 1:
            continue
        spacing = min(mz[apex + 1] - mz[apex], mz[apex] - mz[apex - 1])
        if fwhm[k] < MIN_SAMPLES * spacing:
            continue
        reach = WIDER * REACH * fwhm[k]
        # With room for the steps, of which half a FWHM is accepted.
        far = reach + fwhm[k]
        first += np.searchsorted(mz[first:], reference[k] - width[k] - far)
        start = first + np.searchsorted(mz[first:], place - far)
        stop = start + np.searchsorted(mz[start:], place + far, side="right")
        found = _place(mz, y, place, max(start, 1), min(stop, n - 1), reach)
        inside = abs(found - reference[k]) <= width[k]
        if inside and abs(found - place) <= 0.5 * fwhm[k]:
            errors[k] = (found - reference[k]) * unit[k]


@nb.njit(nogil=True, cache=True)
def refine_rows(X, mz, reference, width, unit, fwhm, errors, heights):
    """Refine the errors (n, k) of matches in profiles, in place.

    `fwhm` (k,) is the full width of peaks at half maximum, in m/z; 0 leaves a match
    alone. So do places that would leave their peak, or `width`.
    """
    for i in range(X.shape[0]):
        _refine(mz, X[i], reference, width, unit, fwhm, errors[i], heights[i])


@nb.njit(nogil=True, cache=True)
def refine_points(mz, intensity, indptr, reference, width, unit, fwhm, errors, heights):
    """Do the same for spectra that lie one after the other."""
    peaks = (reference, width, unit, fwhm)
    for i in range(errors.shape[0]):
        low, high = indptr[i], indptr[i + 1]
        _refine(mz[low:high], intensity[low:high], *peaks, errors[i], heights[i])
