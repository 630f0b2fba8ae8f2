"""Places of matches by all samples of a peak, in any array namespace.

The reference for the compiled kernels, which explain the quantities.
"""

import itertools
from typing import Any

from imsminer._array import array_namespace

__all__ = ["refine_points", "refine_rows"]

WIDER, REACH = 1.2, 1.2011
N_STEPS, GAIN, MAX_GAIN = 4, 2.0, 12.0
MIN_SAMPLES, GAP = 1.5, 1.5


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
