"""Mass errors taken out of spectra, by new m/z or by resampling: CPU.

A mass error is a line e(m) = a + b·u with u = (m - centre) / half, which runs from -1
to 1 over the reference peaks and stays constant beyond them. It may bend at inner
knots: `theta` (n, 2 + q) then holds a, b and the distances from the line at q knots,
and `knots` (q + 2,) are the places of all knots in u, from -1 to 1.
"""

import numba as nb
import numpy as np

__all__ = ["resample_at", "resample_rows", "shift_points", "slopes"]

#: Places at a time where all move by as many cells.
STEADY = 256


@nb.njit(nogil=True, cache=True, inline="always")
def _error(m, line, centre, half, knots):
    u = (m - centre) / half
    u = min(max(u, -1.0), 1.0)
    error = line[0] + line[1] * u
    if line.size > 2:
        k = 1
        while k < knots.size - 1 and u > knots[k]:
            k += 1
        t = (u - knots[k - 1]) / (knots[k] - knots[k - 1])
        if k > 1:
            error += (1 - t) * line[k]
        if k < knots.size - 1:
            error += t * line[k + 1]
    return error


@nb.njit(nogil=True, cache=True)
def shift_points(mz, indptr, theta, centre, half, knots, out):
    """Correct the m/z of ragged spectra by their error in ppm."""
    for i in range(theta.shape[0]):
        line = theta[i]
        for k in range(indptr[i], indptr[i + 1]):
            out[k] = mz[k] / (1 + 1e-6 * _error(mz[k], line, centre, half, knots))


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
def slopes(y, slope):
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
def _all_between(low, place, high):
    n = 0
    for k in range(place.size):
        n += np.int64(low[k] <= place[k]) & np.int64(place[k] < high[k])
    return n == place.size


@nb.njit(nogil=True, cache=True)
def _parts(y, d0, d1, low, inverse, place, part):
    for k in range(part.size):
        t = (place[k] - low[k]) * inverse[k]
        t = t if t > 0.0 else 0.0
        t = t if t < 1.0 else 1.0
        part[k] = _part(np.float64(y[k]), d0[k], d1[k], t)


@nb.njit(nogil=True, cache=True)
def _differences(before, part, y0, y1, out):
    for k in range(out.size):
        value = part[k] - before[k] + y0[k]
        positive = (y0[k] >= 0) & (y1[k] >= 0)
        out[k] = 0.0 if (value < 0) & positive else value


@nb.njit(nogil=True, cache=True)
def _no_negative(y):
    for k in range(y.size):
        if y[k] < 0:
            return False
    return True


@nb.njit(nogil=True, cache=True)
def _one_by_one(y, edges, place, inverse, slope, out, start, stop, q, before):
    """Set ``out[start:stop]``, from the part `before` in cell q on; return the last."""
    m = y.size
    for j in range(start, stop):
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
    return q, before


@nb.njit(nogil=True, cache=True)
def resample_at(y, edges, place, inverse, slope, out):
    """Set `out` (m,) to the differences of the integral of `y` between places.

    Where a whole block of places lies as many cells further on as the place before it,
    all of it is computed at once, else one place after the other.
    """
    m = y.size
    q, before, j = 0, 0.0, 0
    parts = np.empty(STEADY + 1)
    while j < m:
        p, stop = q + 1, j + STEADY
        n = p + STEADY
        if n < m and _all_between(
            edges[p:n], place[j + 1 : stop + 1], edges[p + 1 : n + 1]
        ):
            parts[0] = before
            _parts(
                y[p:n],
                slope[p:n],
                slope[p + 1 : n + 1],
                edges[p:n],
                inverse[p:n],
                place[j + 1 : stop + 1],
                parts[1:],
            )
            _differences(parts[:-1], parts[1:], y[q : n - 1], y[p:n], out[j:stop])
            q, before, j = n - 1, parts[STEADY], stop
            continue
        stop = min(stop, m)
        q, before = _one_by_one(
            y, edges, place, inverse, slope, out, j, stop, q, before
        )
        j = stop


@nb.njit(nogil=True, cache=True)
def resample_rows(X, edges, theta, centre, half, ppm, knots, out):
    """Move the rows of `X` (n, m) by their errors, on the same cells.

    Each row's integral over the `edges` (m + 1,) is read at the moved edges, so that
    the sum of each row stays the same; what leaves the axis gathers at its ends.
    Errors are in ppm of m/z, or else in units of the axis.
    """
    slope, place = np.empty(X.shape[1] + 1), np.empty(X.shape[1] + 1)
    inverse = 1 / (edges[1:] - edges[:-1])
    for i in range(X.shape[0]):
        line = theta[i]
        still = True
        for j in range(line.size):
            still &= line[j] == 0
        if still:
            out[i] = X[i]
            continue
        slopes(X[i], slope)
        if line.size == 2:
            _move_edges(edges, line[0], line[1], centre, half, ppm, place)
        else:
            for j in range(place.size):
                error = _error(edges[j], line, centre, half, knots)
                place[j] = edges[j] * (1 + 1e-6 * error) if ppm else edges[j] + error
        resample_at(X[i], edges, place, inverse, slope, out[i])
