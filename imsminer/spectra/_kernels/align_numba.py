"""Matching to reference peaks, robust fits of the mass error, and resampling: CPU.

A mass error is a line e(m) = a + b·u with u = (m - centre) / half, which runs from -1
to 1 over the reference peaks and stays constant beyond them.
"""

import numba as nb
import numpy as np

__all__ = ["fit_rows", "match_points", "match_rows", "resample_rows", "shift_points"]

#: Tukey's constant: 95 % efficient where errors are normal.
TUKEY = 4.685
N_ITERATIONS = 10
#: Points above half height from which a centroid is taken; below that a parabola.
MIN_POINTS = 4


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
    # Counting statistics: the variance falls with the height, down to a level that is
    # reached by the highest tenth.
    high = np.sort(w)[int(0.9 * (n - 1))]
    for k in range(n):
        w[k] = min(1.0, 2.0 * w[k] / (w[k] + high))
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
            v = w[k] * tukey[k] / (scale * scale)
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


@nb.njit(nogil=True, cache=True, inline="always")
def _error(m, a, b, centre, half):
    u = (m - centre) / half
    u = min(max(u, -1.0), 1.0)
    return a + b * u


@nb.njit(nogil=True, cache=True)
def shift_points(mz, indptr, theta, centre, half, out):
    """Correct the m/z of ragged spectra by their error in ppm."""
    for i in range(theta.shape[0]):
        a, b = theta[i, 0], theta[i, 1]
        for k in range(indptr[i], indptr[i + 1]):
            out[k] = mz[k] / (1 + 1e-6 * _error(mz[k], a, b, centre, half))


@nb.njit(nogil=True, cache=True, inline="always")
def _limit(d, one, two):
    """Clip a slope to what keeps the integral of either sign monotone."""
    smaller = one if abs(one) < abs(two) else two
    bound = 3 * smaller if one * two > 0 else 0.0
    low = bound if bound < 0 else 0.0
    high = bound if bound > 0 else 0.0
    d = low if d < low else d
    return high if d > high else d


@nb.njit(nogil=True, cache=True)
def _inner_slopes(y0, y1, y2, y3, slope):
    for j in range(slope.size):
        one, two = np.float64(y1[j]), np.float64(y2[j])
        d = (7 * (one + two) - (np.float64(y0[j]) + np.float64(y3[j]))) / 12
        slope[j] = _limit(d, one, two)


@nb.njit(nogil=True, cache=True)
def _slopes(y, slope):
    """Set `slope` (m + 1,) to the density at the cells' edges.

    Fourth-order averages (Colella & Woodward 1984), limited so that the integral in
    between rises wherever intensities are positive.
    """
    m = y.size
    slope[0], slope[m] = y[0], y[m - 1]
    if m > 3:
        _inner_slopes(y[: m - 3], y[1 : m - 2], y[2 : m - 1], y[3:], slope[2 : m - 1])
    for j in range(1, m):
        if j == 1 or j == m - 1:
            one, two = np.float64(y[j - 1]), np.float64(y[j])
            slope[j] = _limit(0.5 * (one + two), one, two)


@nb.njit(nogil=True, cache=True, inline="always")
def _part(total, d0, d1, t):
    """Return the integral over the first part `t` of a cell."""
    return t * (d0 + t * ((3 * total - 2 * d0 - d1) + t * (d0 + d1 - 2 * total)))


@nb.njit(nogil=True, cache=True)
def _move_edges(edges, a, b, centre, half, ppm, place):
    b = b / half
    for j in range(place.size):
        m = edges[j]
        u = m - centre
        u = -half if u < -half else u
        u = half if u > half else u
        error = a + b * u
        place[j] = m * (1 + 1e-6 * error) if ppm else m + error


@nb.njit(nogil=True, cache=True)
def _resample(y, edges, place, inverse, slope, out):
    m = y.size
    q, before = 0, 0.0
    for j in range(m):
        if j == m - 1:
            p, part = m - 1, np.float64(y[m - 1])
        else:
            p = q
            while p < m - 1 and edges[p + 1] <= place[j + 1]:
                p += 1
            t = (place[j + 1] - edges[p]) * inverse[p]
            t = t if t > 0.0 else 0.0
            t = t if t < 1.0 else 1.0
            part = _part(np.float64(y[p]), slope[p], slope[p + 1], t)
        # From `before` in cell q to `part` in cell p.
        value = part - before
        for k in range(q, p):
            value += y[k]
        if value < 0 and _no_negative(y[q : p + 1]):
            value = 0.0
        out[j] = value
        q, before = p, part


@nb.njit(nogil=True, cache=True)
def _no_negative(y):
    for k in range(y.size):
        if y[k] < 0:
            return False
    return True


@nb.njit(nogil=True, cache=True)
def resample_rows(X, edges, theta, centre, half, ppm, out):
    """Move the rows of `X` (n, m) by their errors, on the same cells.

    Each row's integral over the `edges` (m + 1,) is read at the moved edges, so that
    the sum of each row stays the same; what leaves the axis gathers at its ends.
    Errors are in ppm of m/z, or else in units of the axis.
    """
    slope, place = np.empty(X.shape[1] + 1), np.empty(X.shape[1] + 1)
    inverse = 1 / (edges[1:] - edges[:-1])
    for i in range(X.shape[0]):
        if theta[i, 0] == 0 and theta[i, 1] == 0:
            out[i] = X[i]
        else:
            a, b = theta[i, 0], theta[i, 1]
            _slopes(X[i], slope)
            _move_edges(edges, a, b, centre, half, ppm, place)
            _resample(X[i], edges, place, inverse, slope, out[i])
