"""Matching to reference peaks, and robust fits of the mass error: CPU.

A mass error is a line e(m) = a + b·u with u = (m - centre) / half, which runs from -1
to 1 over the reference peaks and stays constant beyond them.
"""

import numba as nb
import numpy as np

__all__ = ["fit_bent_rows", "fit_rows", "match_points", "match_rows"]

#: Tukey's constant: 95 % efficient where errors are normal.
TUKEY = 4.685
N_ITERATIONS = 10
#: Points above half height from which a centroid is taken; below that a parabola.
MIN_POINTS = 4
#: The variance of a match falls with its height, as that of counts does, until other
#: errors are left: this part of the variance of the ninth of ten matches by height.
#: What the usual error is, all of the higher half say about alike.
LEAST_VARIANCE = 0.1


@nb.njit(nogil=True, cache=True)
def _locate(mz, y, apex, low, high):
    """Return the m/z of the maximum at `apex` and its height over its surroundings."""
    left = y[apex]
    for k in range(low, apex):
        left = min(left, y[k])
    right = y[apex]
    for k in range(apex + 1, high):
        right = min(right, y[k])
    floor = np.float64(max(left, right))
    top = np.float64(y[apex])
    h1, h2 = mz[apex] - mz[apex - 1], mz[apex + 1] - mz[apex]
    gap = 1.5 * min(h1, h2)
    half = floor + 0.5 * (top - floor)
    total, moment, count = top - half, 0.0, 1
    k = apex - 1
    while k >= low and y[k] > half and mz[k + 1] - mz[k] <= gap:
        total += y[k] - half
        moment += (y[k] - half) * (mz[k] - mz[apex])
        count += 1
        k -= 1
    k = apex + 1
    while k < high and y[k] > half and mz[k] - mz[k - 1] <= gap:
        total += y[k] - half
        moment += (y[k] - half) * (mz[k] - mz[apex])
        count += 1
        k += 1
    near = h1 <= gap and h2 <= gap and y[apex - 1] > 0 and y[apex + 1] > 0
    if count < MIN_POINTS and near:
        # The vertex of the parabola through the logarithms: exact for a Gaussian.
        d1 = np.log(top / y[apex - 1])
        d2 = np.log(top / y[apex + 1])
        bend = d1 * h2 + d2 * h1
        offset = 0.5 * (d1 * h2 * h2 - d2 * h1 * h1) / bend if bend > 0 else 0.0
    elif total > 0:
        offset = moment / total
    else:
        offset = 0.0
    return mz[apex] + offset, top - floor


@nb.njit(nogil=True, cache=True)
def _match(mz, y, reference, width, unit, profile, errors, heights):
    n = mz.size
    start = 0
    for k in range(reference.size):
        errors[k] = np.nan
        heights[k] = 0.0
        low, high = reference[k] - width[k], reference[k] + width[k]
        start += np.searchsorted(mz[start:], low)
        stop = start + np.searchsorted(mz[start:], high, side="right")
        best, apex = 0.0, -1
        if profile:
            # One sample more: the maximum may lie inside where its sample does not.
            for i in range(max(start - 1, 1), min(stop + 1, n - 1)):
                if y[i] > best and y[i] >= y[i - 1] and y[i] > y[i + 1]:
                    best, apex = y[i], i
            if apex >= 0:
                place, height = _locate(
                    mz, y, apex, max(start - 2, 0), min(stop + 2, n)
                )
                if height > 0 and abs(place - reference[k]) <= width[k]:
                    errors[k] = (place - reference[k]) * unit[k]
                    heights[k] = height
        else:
            for i in range(start, stop):
                if y[i] > best:
                    best, apex = y[i], i
            if apex >= 0:
                errors[k] = (mz[apex] - reference[k]) * unit[k]
                heights[k] = best


@nb.njit(nogil=True, cache=True)
def match_rows(X, mz, reference, width, unit, profile, errors, heights):
    """Find the highest maximum within `width` of each reference peak, in each row.

    `errors` (n, k) gets its distance times `unit`, NaN where there is none; `heights`
    its height over its surroundings (its intensity where `profile` is false).
    """
    for i in range(X.shape[0]):
        _match(mz, X[i], reference, width, unit, profile, errors[i], heights[i])


@nb.njit(nogil=True, cache=True)
def match_points(
    mz, intensity, indptr, reference, width, unit, profile, errors, heights
):
    """Do the same for spectra that lie one after the other."""
    for i in range(errors.shape[0]):
        low, high = indptr[i], indptr[i + 1]
        _match(
            mz[low:high],
            intensity[low:high],
            reference,
            width,
            unit,
            profile,
            errors[i],
            heights[i],
        )


@nb.njit(nogil=True, cache=True)
def _weighted_median(values, weights):
    """Return the smallest value that half of the weight does not exceed."""
    order = np.argsort(values)
    total = 0.0
    for k in range(weights.size):
        total += weights[k]
    below = 0.0
    for k in range(order.size):
        below += weights[order[k]]
        if below >= 0.5 * total:
            return values[order[k]]
    return values[order[-1]]


@nb.njit(nogil=True, cache=True)
def _weigh(w):
    """Turn heights into weights for medians, in place; return those for the line."""
    high = np.sort(w)[int(0.9 * (w.size - 1))]
    precise = np.empty(w.size)
    for k in range(w.size):
        precise[k] = w[k] / (high + LEAST_VARIANCE * w[k])
        w[k] = min(1.0, 2.0 * w[k] / (w[k] + high))
    return precise


@nb.njit(nogil=True, cache=True)
def _fit(errors, heights, u, prior, precision, floor, theta, quality):
    n = 0
    for k in range(errors.size):
        n += heights[k] > 0
    theta[:] = prior
    quality[:] = 0.0
    quality[3] = np.inf
    if n == 0:
        return
    e, x, w = np.empty(n), np.empty(n), np.empty(n)
    n = 0
    for k in range(errors.size):
        if heights[k] > 0:
            e[n], x[n], w[n] = errors[k], u[k], heights[k]
            n += 1
    precise = _weigh(w)
    residual = e - prior[0] - prior[1] * x
    a, b = prior[0] + _weighted_median(residual, w), prior[1]
    scale = floor
    tukey = np.ones(n)
    for _ in range(N_ITERATIONS):
        for k in range(n):
            residual[k] = e[k] - a - b * x[k]
        scale = max(floor, 1.4826 * _weighted_median(np.abs(residual), w))
        s0, s1, s2, t0, t1 = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(n):
            r = residual[k] / (TUKEY * scale)
            tukey[k] = (1 - r * r) ** 2 if abs(r) < 1 else 0.0
            v = precise[k] * tukey[k] / (scale * scale)
            s0 += v
            s1 += v * x[k]
            s2 += v * x[k] * x[k]
            t0 += v * e[k]
            t1 += v * x[k] * e[k]
        s0 += precision[0]
        s2 += precision[1]
        t0 += precision[0] * prior[0]
        t1 += precision[1] * prior[1]
        determinant = s0 * s2 - s1 * s1
        if not determinant > 1e-12 * s0 * s2:
            break
        a = (t0 * s2 - t1 * s1) / determinant
        b = (t1 * s0 - t0 * s1) / determinant
    theta[0], theta[1] = a, b
    for k in range(n):
        if tukey[k] > 0:
            quality[0] += 1
            quality[1] += x[k] < -1 / 3
            quality[2] += x[k] > 1 / 3
    quality[3] = scale


@nb.njit(nogil=True, cache=True)
def fit_rows(errors, heights, u, prior, precision, floor, theta, quality):
    """Fit the line of each row's errors (n, k), robustly, drawn towards a prior.

    `u` (k,) is the place of each reference peak from -1 to 1. `prior` (n, 2) and
    `precision` (n, 2) are mean and inverse variance of a and b. `theta` (n, 2) gets
    the lines; `quality` (n, 4) the number of matches that the fit keeps, how many of
    them lie in the lower and in the upper third, and the scale of the residuals, which
    is at least `floor`.
    """
    for i in range(errors.shape[0]):
        _fit(
            errors[i],
            heights[i],
            u,
            prior[i],
            precision[i],
            floor,
            theta[i],
            quality[i],
        )


@nb.njit(nogil=True, cache=True)
def _solve(matrix, vector):
    """Solve a small positive definite system in place; False where it is singular."""
    p = vector.size
    diagonal = np.empty(p)
    for i in range(p):
        diagonal[i] = matrix[i, i]
    for i in range(p):
        if not matrix[i, i] > 1e-12 * diagonal[i]:
            return False
        for j in range(i + 1, p):
            factor = matrix[j, i] / matrix[i, i]
            for k in range(i, p):
                matrix[j, k] -= factor * matrix[i, k]
            vector[j] -= factor * vector[i]
    for i in range(p - 1, -1, -1):
        for k in range(i + 1, p):
            vector[i] -= matrix[i, k] * vector[k]
        vector[i] /= matrix[i, i]
    return True


@nb.njit(nogil=True, cache=True)
def _fit_bent(errors, heights, design, prior, precision, floor, theta, quality):
    p, n = design.shape[1], 0
    for k in range(errors.size):
        n += heights[k] > 0
    theta[:] = prior
    quality[:] = 0.0
    quality[3] = np.inf
    if n == 0:
        return
    e, B, w = np.empty(n), np.empty((n, p)), np.empty(n)
    n = 0
    for k in range(errors.size):
        if heights[k] > 0:
            e[n], w[n] = errors[k], heights[k]
            B[n] = design[k]
            n += 1
    precise = _weigh(w)
    theta[0] += _weighted_median(e - B @ theta, w)
    scale, tukey = floor, np.ones(n)
    matrix, vector = np.empty((p, p)), np.empty(p)
    for _ in range(N_ITERATIONS):
        residual = e - B @ theta
        scale = max(floor, 1.4826 * _weighted_median(np.abs(residual), w))
        matrix[:] = 0.0
        for i in range(p):
            matrix[i, i] = precision[i]
            vector[i] = precision[i] * prior[i]
        for k in range(n):
            r = residual[k] / (TUKEY * scale)
            tukey[k] = (1 - r * r) ** 2 if abs(r) < 1 else 0.0
            v = precise[k] * tukey[k] / (scale * scale)
            for i in range(p):
                vector[i] += v * B[k, i] * e[k]
                part = v * B[k, i]
                if part != 0:
                    for j in range(i, p):
                        matrix[i, j] += part * B[k, j]
        for i in range(p):
            for j in range(i):
                matrix[i, j] = matrix[j, i]
        if not _solve(matrix, vector):
            break
        theta[:] = vector
    for k in range(n):
        if tukey[k] > 0:
            quality[0] += 1
            quality[1] += B[k, 1] < -1 / 3
            quality[2] += B[k, 1] > 1 / 3
    quality[3] = scale


@nb.njit(nogil=True, cache=True)
def fit_bent_rows(errors, heights, design, prior, precision, floor, theta, quality):
    """Do as `fit_rows` for any functions of m/z: `design` (k, p), the line first."""
    for i in range(errors.shape[0]):
        _fit_bent(
            errors[i],
            heights[i],
            design,
            prior[i],
            precision[i],
            floor,
            theta[i],
            quality[i],
        )
