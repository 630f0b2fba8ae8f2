"""Baselines other than SNIP's and openings on the CPU.

Rows hold values of at least 0. A baseline may exceed its spectrum: the estimator takes
the difference, at least 0.
"""

import numba as nb
import numpy as np

__all__ = [
    "minima_rows",
    "noise_rows",
    "polynomial_rows",
]

MAX_STEPS = 100


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
