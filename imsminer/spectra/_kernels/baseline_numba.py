"""Baselines other than SNIP's and openings on the CPU, and the lift to mid-noise.

Rows hold values of at least 0. A baseline may exceed its spectrum: the estimator takes
the difference, at least 0.
"""

import numba as nb
import numpy as np

__all__ = [
    "lift_points",
    "lift_rows",
    "minima_rows",
    "noise_rows",
    "polynomial_rows",
]

MAD_TO_SD = 1.4826
#: Standard deviation of y[i - 1] - 2 y[i] + y[i + 1], in those of white noise.
SECOND_DIFFERENCE = 6.0**0.5
#: A lift is at most this many standard deviations of the noise.
MAX_LIFT = 4.0
#: Most values that a window is judged by.
N_SAMPLES = 128
MAX_STEPS = 100


@nb.njit(nogil=True, cache=True)
def _count(values, limit):
    n = 0
    for i in range(values.size):
        n += values[i] <= limit
    return n


@nb.njit(nogil=True, cache=True)
def _ordered(values, k):
    """Return the k-th smallest value, counted from 0; the values change places."""
    low, high = 0, values.size - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    return values[k]


@nb.njit(nogil=True, cache=True)
def _lift(rest, bends):
    """Return how far the middle of the noise lies above a lower envelope."""
    n = rest.size
    level = _ordered(rest, (n - 1) // 2)
    for _ in range(2):
        if level == 0:
            return 0.0
        # Noise reaches as far above its middle as below; what is higher is peaks.
        level = _ordered(rest, (_count(rest, 2 * level) - 1) // 2)
    noise = MAD_TO_SD / SECOND_DIFFERENCE * _ordered(bends, (bends.size - 1) // 2)
    return min(np.float64(level), MAX_LIFT * noise)


@nb.njit(nogil=True, cache=True)
def lift_rows(Y, R, hop, out):
    """Set `out` to `R` lowered to the middle of the noise, at least 0.

    `Y` (n, m) are spectra and `R` (n, m) what is left of them above a lower envelope.
    Windows of 2 * `hop` + 1 points, centred `hop` points apart, are judged by
    `N_SAMPLES` values each, with linear interpolation between their centres.
    """
    rows, m = R.shape
    if m < 3:
        out[:] = R
        return
    n_windows = (m - 1 + hop - 1) // hop + 1
    stride = max(1, (2 * hop + 1) // N_SAMPLES)
    side = hop // stride
    rest = np.empty(2 * side + 1, R.dtype)
    bends = np.empty(2 * side + 1, R.dtype)
    levels = np.empty(n_windows)
    zero, two = R.dtype.type(0), R.dtype.type(2)
    for r in range(rows):
        y, above = Y[r], R[r]
        for w in range(n_windows):
            n = 0
            for k in range(-side, side + 1):
                i = w * hop + k * stride
                if 0 <= i < m:
                    rest[n] = above[i]
                    i = min(max(i, 1), m - 2)
                    left, here, right = y[i - 1], y[i], y[i + 1]
                    left, right = max(left, zero), max(right, zero)
                    bends[n] = abs((left - two * max(here, zero)) + right)
                    n += 1
            levels[w] = _lift(rest[:n], bends[:n])
        for w in range(n_windows):
            start, stop = w * hop, min((w + 1) * hop, m)
            level, step = levels[w], 0.0
            if w + 1 < n_windows:
                step = (levels[w + 1] - level) / hop
            for i in range(start, stop):
                lifted = R.dtype.type(above[i] - (level + step * (i - start)))
                out[r, i] = lifted if lifted > zero else zero


@nb.njit(nogil=True, cache=True)
def minima_rows(X, reach, out):
    """Set `out` to straight lines between the lowest points within `reach`.

    The first and the last point are among them.
    """
    rows, m = X.shape
    for r in range(rows):
        row, base = X[r], out[r]
        last = 0
        for i in range(m):
            here = row[i]
            lowest = True
            if 0 < i < m - 1:
                for j in range(max(0, i - reach[i]), min(m, i + reach[i] + 1)):
                    if row[j] < here:
                        lowest = False
                        break
            if not lowest:
                continue
            base[i] = here
            if i > last + 1:
                start = np.float64(row[last])
                step = (np.float64(here) - start) / (i - last)
                for j in range(last + 1, i):
                    base[j] = start + step * (j - last)
            last = i


@nb.njit(nogil=True, cache=True)
def polynomial_rows(X, basis, factor, out):
    """Set `out` to polynomials through the low points of each row.

    `basis` (n_terms, m) are orthogonal polynomials. Points more than `factor` standard
    deviations above the fit are left out, until no more are; the deviation is that of
    the points below the fit.
    """
    rows, m = X.shape
    terms = basis.shape[0]
    kept = np.empty(m, np.bool_)
    fit = np.empty(m)
    gram = np.empty((terms, terms))
    right = np.empty(terms)
    for r in range(rows):
        row = X[r]
        kept[:] = True
        largest = np.float64(row.max())
        for _ in range(MAX_STEPS):
            for a in range(terms):
                total = 0.0
                for i in range(m):
                    if kept[i]:
                        total += basis[a, i] * row[i]
                right[a] = total
                for b in range(a + 1):
                    total = 0.0
                    for i in range(m):
                        if kept[i]:
                            total += basis[a, i] * basis[b, i]
                    gram[a, b] = gram[b, a] = total
            # So little that it only matters where the low points leave it open.
            ridge = 1e-12 * np.trace(gram)
            for a in range(terms):
                gram[a, a] += ridge
            weights = np.linalg.solve(gram, right)
            squares, below = 0.0, 0
            fit[:] = 0.0
            for a in range(terms):
                for i in range(m):
                    fit[i] += weights[a] * basis[a, i]
            for i in range(m):
                rest = row[i] - fit[i]
                if rest < 0:
                    squares += rest * rest
                    below += 1
            limit = factor * np.sqrt(squares / max(below, 1)) + 1e-9 * largest
            left, changed = 0, False
            for i in range(m):
                left += row[i] - fit[i] <= limit
            if left < 2 * terms:
                break
            for i in range(m):
                low = row[i] - fit[i] <= limit
                changed |= low != kept[i]
                kept[i] = low
            if not changed:
                break
        for i in range(m):
            out[r, i] = max(fit[i], 0.0)


@nb.njit(nogil=True, cache=True)
def noise_rows(X, factor, z_threshold, out):
    """Set `out` to `factor` times the noise of each row.

    The noise is the standard deviation of the values whose z-score is below
    `z_threshold`, among themselves.
    """
    rows, m = X.shape
    for r in range(rows):
        row = X[r]
        low, high = -np.inf, np.inf
        before = -1
        sd = 0.0
        for _ in range(MAX_STEPS):
            total, n = 0.0, 0
            for i in range(m):
                if low <= row[i] <= high:
                    total += row[i]
                    n += 1
            if n == before or n == 0:
                break
            before = n
            mean = total / n
            squares = 0.0
            for i in range(m):
                if low <= row[i] <= high:
                    squares += (row[i] - mean) ** 2
            sd = np.sqrt(squares / n)
            low = max(low, mean - z_threshold * sd)
            high = min(high, mean + z_threshold * sd)
        out[r, :] = factor * sd


@nb.njit(nogil=True, cache=True)
def lift_points(values, rest, indptr, position, length, hop):
    """Do as :func:`lift_rows` for ragged spectra, in place: `rest` is lowered.

    Grid points that are not stored are 0. `position` and `length` come from
    :func:`imsminer.spectra._kernels.snip_numba.grid_positions`.
    """
    longest = 0
    for s in range(length.size):
        longest = max(longest, length[s])
    dense = np.zeros((3, longest), rest.dtype)
    for s in range(length.size):
        first, stop, n = indptr[s], indptr[s + 1], length[s]
        if first == stop:
            continue
        for k in range(first, stop):
            dense[0, position[k]] = values[k]
            dense[1, position[k]] = rest[k]
        lift_rows(dense[0:1, :n], dense[1:2, :n], hop, dense[2:3, :n])
        for k in range(first, stop):
            rest[k] = dense[2, position[k]]
            dense[0, position[k]] = 0
            dense[1, position[k]] = 0
