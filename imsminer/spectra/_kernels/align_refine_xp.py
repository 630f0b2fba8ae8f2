"""Widths of peaks, and places of matches by their samples, in any array namespace.

The reference for the compiled kernels, which explain the quantities.
"""

import itertools
from typing import Any

from imsminer._array import array_namespace

__all__ = ["refine_points", "refine_rows", "width_rows"]

WIDER, REACH = 1.2, 1.2011
N_STEPS, GAIN, MAX_GAIN = 4, 2.0, 12.0
MIN_SAMPLES, GAP = 1.5, 1.5


def width_rows(
    X: Any, mz: Any, reference: Any, unit: Any, errors: Any, heights: Any
) -> Any:
    """Return the full widths (n, k) of matches at half maximum, times `unit`, or 0.

    It is 0 where nothing was matched, and where a peak does not fall to half of its
    height. Spectra share an axis.
    """
    xp, m = array_namespace(X), mz.shape[0]
    widths = xp.zeros_like(heights)
    if m < 3:
        return widths
    y = xp.astype(X, xp.float64)
    zeros = xp.zeros_like(heights)
    place = reference + xp.where(heights > 0, errors, zeros) / unit
    apex = xp.reshape(_nearest(mz, xp.reshape(place, (-1,))), place.shape)
    alive = (heights > 0) & (apex > 0) & (apex < m - 1)
    apex = xp.clip(apex, 1, m - 2)
    top = xp.take_along_axis(y, apex, axis=1)
    for _ in range(3):
        half = top - 0.5 * heights
        left = _one_side(mz, y, apex, half, alive, -1)
        right = _one_side(mz, y, apex, half, alive, 1)
        alive = alive & (left > 0) & (right > 0)
        widths = xp.where(alive, left + right, widths)
        # Where the tolerance is small, a height stands on the flanks of its peak.
        reach = xp.where(alive, 1.5 * widths, zeros)
        floor = xp.maximum(*(_least(mz, y, apex, reach, step) for step in (-1, 1)))
        heights = xp.maximum(heights, top - floor)
    return widths * unit


def _one_side(mz: Any, y: Any, apex: Any, half: Any, going: Any, step: int) -> Any:
    """Return how far the signal stays above half height; 0 where it does not fall."""
    xp, m = array_namespace(y), mz.shape[0]
    middle = _taken(mz, apex)
    spacing = xp.minimum(_taken(mz, apex + 1) - middle, middle - _taken(mz, apex - 1))
    k, result = apex, xp.zeros_like(half)
    while bool(xp.any(going)):
        here, beside = _taken(mz, k), _taken(mz, k + step)
        above, below = (xp.take_along_axis(y, i, axis=1) for i in (k, k + step))
        gap = xp.abs(beside - here)
        is_gap = gap > GAP * spacing
        gap = xp.where(is_gap, spacing, gap)
        below = xp.where(is_gap, xp.zeros_like(below), below)
        ends = going & (below <= half)
        fall = xp.where(above > below, above - below, xp.ones_like(below))
        part = xp.where(above > below, (above - half) / fall, xp.zeros_like(below))
        result = xp.where(ends, xp.abs(here - middle) + part * gap, result)
        going = going & ~ends & (k + step > 0) & (k + step < m - 1)
        k = xp.where(going, k + step, k)
    return result


def _least(mz: Any, y: Any, apex: Any, reach: Any, step: int) -> Any:
    """Return the least value from the apex to as far as `reach` on one side."""
    xp, m = array_namespace(y), mz.shape[0]
    end = _taken(mz, apex) + step * reach
    k, least = apex, xp.take_along_axis(y, apex, axis=1)
    while True:
        k = xp.clip(k + step, 0, m - 1)
        inside = step * _taken(mz, k) <= step * end
        value = xp.take_along_axis(y, k, axis=1)
        least = xp.where(inside, xp.minimum(least, value), least)
        if not bool(xp.any(inside & (k > 0) & (k < m - 1))):
            return least


def _taken(mz: Any, index: Any) -> Any:
    xp = array_namespace(mz)
    return xp.reshape(xp.take(mz, xp.reshape(index, (-1,))), index.shape)


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
    xp, n = array_namespace(X), mz.shape[0]
    if n < 3:
        return errors
    y = xp.astype(X, xp.float64)
    gaps = mz[1:] - mz[:-1]
    least = xp.minimum(gaps[:-1], gaps[1:])
    share = xp.minimum(gaps[:-1], GAP * least) + xp.minimum(gaps[1:], GAP * least)
    result = []
    for k in range(reference.shape[0]):
        error, size = errors[:, k], float(fwhm[k])
        known = heights[:, k] > 0
        place = reference[k] + xp.where(known, error, xp.zeros_like(error)) / unit[k]
        far = width[k] + (WIDER * REACH + 1) * fwhm[k]
        start = max(int(xp.searchsorted(mz, reference[k] - far)), 1)
        stop = min(int(xp.searchsorted(mz, reference[k] + far, side="right")), n - 1)
        if not size > 0 or stop <= start:
            result.append(error)
            continue
        apex = _nearest(mz, place)
        inside = (apex > 0) & (apex < n - 1)
        spacing = xp.take(least, xp.clip(apex - 1, 0, n - 3))
        known = known & inside & (size >= MIN_SAMPLES * spacing)
        near = slice(start, stop)
        cells = share[start - 1 : stop - 1]
        found = _place(mz[near], y[:, near] * cells, place, WIDER * REACH * size)
        known = known & (xp.abs(found - reference[k]) <= width[k])
        known = known & (xp.abs(found - place) <= 0.5 * size)
        result.append(xp.where(known, (found - reference[k]) * unit[k], error))
    return xp.stack(result, axis=1)


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
    xp = array_namespace(intensity)
    bounds = itertools.pairwise(int(bound) for bound in indptr)
    parts = [
        refine_rows(
            intensity[a:b][None, :],
            mz[a:b],
            reference,
            width,
            unit,
            fwhm,
            errors[i : i + 1, :],
            heights[i : i + 1, :],
        )
        for i, (a, b) in enumerate(bounds)
    ]
    return xp.concat(parts)


def _nearest(mz: Any, place: Any) -> Any:
    xp, n = array_namespace(mz), mz.shape[0]
    i = xp.searchsorted(mz, place)
    at, before = (xp.take(mz, xp.clip(i - j, 0, n - 1)) for j in (0, 1))
    closer = (i == n) | ((i > 0) & (place - before < at - place))
    return i - xp.astype(closer, i.dtype)


def _place(mz: Any, y: Any, place: Any, reach: float) -> Any:
    """Return the place (n,) of the maximum of the correlation of each row."""
    xp, most = array_namespace(y), 0.35 * reach
    zeros = xp.zeros_like(place)
    gain, before, bad = zeros + GAIN, zeros, zeros > 0
    for _ in range(N_STEPS):
        x = (mz - place[:, None]) / reach
        v = xp.where(xp.abs(x) < 1, y * (1 - x * x) ** 4, xp.zeros_like(x))
        total, moment = xp.sum(v, axis=1), xp.sum(v * x, axis=1)
        bad = bad | ~(total > 0)
        mean = reach * moment / xp.where(bad, zeros + 1, total)
        line = (before != 0) & (mean != before)
        slope = xp.where(line, before - mean, zeros + 1)
        new = xp.clip(gain * before / slope, 0.5 * GAIN, MAX_GAIN)
        gain = xp.where(line, new, gain)
        move = gain * mean
        before = xp.where(xp.abs(move) < most, mean, zeros)
        place = place + xp.clip(move, -most, most)
    return xp.where(bad, zeros + xp.nan, place)
