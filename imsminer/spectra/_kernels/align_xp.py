"""Matching and robust fits of the mass error in any array namespace.

The reference for the compiled kernels, which explain the quantities.
"""

import itertools
from typing import Any

from imsminer._array import array_namespace, device_of
from imsminer.spectra._kernels.align_warp_xp import resample_rows, shift_points

__all__ = [
    "fit_bent_rows",
    "fit_rows",
    "match_points",
    "match_rows",
    "resample_rows",
    "shift_points",
]

TUKEY = 4.685
N_ITERATIONS = 10
MIN_POINTS = 4
LEAST_VARIANCE = 0.1


def match_rows(
    X: Any, mz: Any, reference: Any, width: Any, unit: Any, profile: bool
) -> tuple[Any, Any]:
    """Return errors and heights (n, k) of the highest maxima near reference peaks."""
    xp = array_namespace(X)
    n = mz.shape[0]
    values = xp.astype(X, xp.float64)
    starts = xp.searchsorted(mz, reference - width)
    stops = xp.searchsorted(mz, reference + width, side="right")
    errors, heights = [], []
    for k in range(reference.shape[0]):
        start, stop = int(starts[k]), int(stops[k])
        if profile:
            start, stop = max(start - 1, 1), min(stop + 1, n - 1)
        if stop <= start:
            none = xp.sum(values[:, :0], axis=1)
            errors.append(none + xp.nan)
            heights.append(none)
            continue
        if profile:
            low, high = max(int(starts[k]) - 2, 0), min(int(stops[k]) + 2, n)
            place, height = _locate(
                mz[low:high], values[:, low:high], start - low, stop - low
            )
        else:
            window = values[:, start:stop]
            height = xp.max(window, axis=1)
            place = xp.take(mz[start:stop], xp.argmax(window, axis=1))
        found = (height > 0) & (xp.abs(place - reference[k]) <= width[k])
        error = (place - reference[k]) * unit[k]
        errors.append(xp.where(found, error, xp.full_like(error, xp.nan)))
        heights.append(xp.where(found, height, xp.zeros_like(height)))
    return xp.stack(errors, axis=1), xp.stack(heights, axis=1)


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
    xp = array_namespace(intensity)
    parts = [
        match_rows(intensity[a:b][None, :], mz[a:b], reference, width, unit, profile)
        for a, b in itertools.pairwise(int(bound) for bound in indptr)
    ]
    return xp.concat([p[0] for p in parts]), xp.concat([p[1] for p in parts])


def _locate(mz: Any, y: Any, start: int, stop: int) -> tuple[Any, Any]:
    """Return m/z and height of the highest maximum in columns `start` to `stop`."""
    xp = array_namespace(y)
    column = xp.arange(mz.shape[0], device=device_of(y))
    is_apex = (y[:, 1:-1] >= y[:, :-2]) & (y[:, 1:-1] > y[:, 2:])
    inside = (column[1:-1] >= start) & (column[1:-1] < stop)
    tops = xp.where(is_apex & inside, y[:, 1:-1], xp.zeros_like(y[:, 1:-1]))
    top = xp.max(tops, axis=1, keepdims=True)
    apex = xp.argmax(tops, axis=1)[:, None] + 1
    infinite = xp.full_like(y, xp.inf)
    left = xp.min(xp.where(column <= apex, y, infinite), axis=1, keepdims=True)
    right = xp.min(xp.where(column >= apex, y, infinite), axis=1, keepdims=True)
    floor = xp.maximum(left, right)

    def pick(values: Any, index: Any) -> Any:
        chosen = xp.where(column == index, values, xp.zeros_like(y))
        return xp.sum(chosen, axis=1, keepdims=True)

    m = mz + xp.zeros_like(y)
    place = pick(m, apex)
    h1, h2 = place - pick(m, apex - 1), pick(m, apex + 1) - place
    gap = 1.5 * xp.minimum(h1, h2)
    half = floor + 0.5 * (top - floor)
    below = ~(y > half)
    # Points belong to the apex when nothing below half height, and no gap, lies
    # between: the number of such breaks up to them is the same.
    far = xp.concat([mz[:1] * 0, mz[1:] - mz[:-1]]) > gap
    breaks = xp.cumulative_sum(xp.astype(below | far, xp.float64), axis=1)
    part = (breaks == pick(breaks, apex)) & ~below
    weight = xp.where(part, y - half, xp.zeros_like(y))
    total = xp.sum(weight, axis=1, keepdims=True)
    moment = xp.sum(weight * (mz - place), axis=1, keepdims=True)
    count = xp.sum(xp.astype(part, xp.int64), axis=1, keepdims=True)
    one = xp.ones_like(total)
    offset = moment / xp.where(total > 0, total, one)
    y1, y2 = pick(y, apex - 1), pick(y, apex + 1)
    near = (h1 <= gap) & (h2 <= gap) & (y1 > 0) & (y2 > 0) & (top > 0)
    d1 = xp.log(xp.where(near, top, one) / xp.where(near, y1, one))
    d2 = xp.log(xp.where(near, top, one) / xp.where(near, y2, one))
    bend = d1 * h2 + d2 * h1
    vertex = 0.5 * (d1 * h2 * h2 - d2 * h1 * h1) / xp.where(bend > 0, bend, one)
    vertex = xp.where(bend > 0, vertex, xp.zeros_like(vertex))
    offset = xp.where((count < MIN_POINTS) & near, vertex, offset)
    height = xp.where(top > 0, top - floor, xp.zeros_like(top))
    return (place + offset)[:, 0], height[:, 0]


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
    xp = array_namespace(errors)
    found = heights > 0
    zeros, ones = xp.zeros_like(errors), xp.ones_like(errors)
    number = xp.sum(xp.astype(found, xp.int64), axis=1, keepdims=True)
    e = xp.where(found, errors, zeros)
    ranked = xp.sort(xp.where(found, heights, zeros), axis=1)
    column = xp.arange(errors.shape[1], device=device_of(errors))
    rank = xp.astype(0.9 * xp.astype(number - 1, xp.float64), xp.int64)
    rank = errors.shape[1] - number + rank
    high = xp.sum(xp.where(column == rank, ranked, zeros), axis=1, keepdims=True)
    w = 2 * heights / xp.where(found, heights + high, ones)
    w = xp.where(found, xp.minimum(w, ones), zeros)
    precise = heights / xp.where(found, high + LEAST_VARIANCE * heights, ones)
    precise = xp.where(found, precise, zeros)
    p = design.shape[1]
    basis = [design[:, i] for i in range(p)]
    start = _weighted_median(e - prior @ design.T, w)
    theta = xp.concat([prior[:, :1] + start, prior[:, 1:]], axis=1)
    tukey, scale = ones, xp.zeros_like(start) + floor
    for _ in range(N_ITERATIONS):
        residual = e - theta @ design.T
        spread = 1.4826 * _weighted_median(xp.abs(residual), w)
        scale = xp.maximum(spread, xp.zeros_like(spread) + floor)
        r = residual / (TUKEY * scale)
        tukey = xp.where(xp.abs(r) < 1, (1 - r * r) ** 2, zeros)
        v = precise * tukey / scale**2
        vector = [
            xp.sum(v * f * e, axis=1) + precision[:, i] * prior[:, i]
            for i, f in enumerate(basis)
        ]
        matrix = [[xp.sum(v * f * g, axis=1) for g in basis] for f in basis]
        for i in range(p):
            matrix[i][i] = matrix[i][i] + precision[:, i]
        solved, good = _solve(matrix, vector)
        theta = xp.where(good[:, None], xp.stack(solved, axis=1), theta)
    any_match = number > 0
    theta = xp.where(any_match, theta, prior)
    kept = found & (tukey > 0)

    def count(mask: Any) -> Any:
        return xp.sum(xp.astype(mask, xp.float64), axis=1, keepdims=True)

    scale = xp.where(any_match, scale, xp.full_like(scale, xp.inf))
    low, upper = kept & (basis[1] < -1 / 3), kept & (basis[1] > 1 / 3)
    quality = xp.concat([count(kept), count(low), count(upper), scale], axis=1)
    return theta, quality


def _solve(matrix: list[list[Any]], vector: list[Any]) -> tuple[list[Any], Any]:
    """Solve small positive definite systems, one a row; and say which are regular."""
    xp, p = array_namespace(vector[0]), len(vector)
    diagonal = [matrix[i][i] for i in range(p)]
    good = xp.ones_like(vector[0], dtype=xp.bool)
    for i in range(p):
        regular = matrix[i][i] > 1e-12 * diagonal[i]
        good = good & regular
        pivot = xp.where(regular, matrix[i][i], xp.ones_like(matrix[i][i]))
        matrix[i][i] = pivot
        for j in range(i + 1, p):
            factor = matrix[j][i] / pivot
            row = zip(matrix[j], matrix[i], strict=True)
            matrix[j] = [one - factor * other for one, other in row]
            vector[j] = vector[j] - factor * vector[i]
    for i in range(p - 1, -1, -1):
        for k in range(i + 1, p):
            vector[i] = vector[i] - matrix[i][k] * vector[k]
        vector[i] = vector[i] / matrix[i][i]
    return vector, good


def _weighted_median(values: Any, weights: Any) -> Any:
    xp = array_namespace(values)
    order = xp.argsort(values, axis=1)
    values = xp.take_along_axis(values, order, axis=1)
    sums = xp.cumulative_sum(xp.take_along_axis(weights, order, axis=1), axis=1)
    first = xp.argmax(
        xp.astype(sums >= 0.5 * sums[:, -1:], xp.int64), axis=1, keepdims=True
    )
    return xp.take_along_axis(values, first, axis=1)
