"""Polynomials through mass errors, which wrong references do not move."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

__all__ = ["REACH", "Polynomial", "fit_polynomial", "leave_one_out"]

#: A polynomial holds this many half ranges from the middle of the reference masses:
#: a quarter of their range beyond each end. From there on the error stays the same.
REACH = 1.5
#: Tukey's constant, and residuals smaller than this part of the tolerance are none.
TUKEY, FLOOR = 4.685, 1e-3
N_ITERATIONS = 50
#: Beyond so many smallest subsets of the references, as many are drawn.
N_SUBSETS = 3000
#: Up to so many references, each fit without one of them starts from nothing.
N_FEW = 50


@dataclass(frozen=True)
class Polynomial:
    """A fitted polynomial of the error, in u = (m - centre) / half.

    Attributes
    ----------
    coefficients : ndarray of float64, shape (degree + 1,)
        Of the powers of u, the constant first.
    used : ndarray of bool, shape (n,)
        Whether a reference took part; outliers did not.
    scale : float
        Standard deviation of the residuals of those that did.
    """

    coefficients: np.ndarray
    used: np.ndarray
    scale: float

    def __call__(self, u: np.ndarray) -> np.ndarray:
        """Return the errors at places `u`."""
        u = np.clip(u, -REACH, REACH)
        return np.polynomial.polynomial.polyval(u, self.coefficients)


def fit_polynomial(
    u: np.ndarray,
    errors: np.ndarray,
    degree: int,
    tolerance: float,
    start: Polynomial | None = None,
) -> Polynomial:
    """Fit a polynomial that does not follow wrong references.

    It starts from the least median of squares, which up to half of the references
    cannot move, and goes on with Tukey's biweight.

    Parameters
    ----------
    u, errors : ndarray of float64, shape (n,)
        Places from -1 to 1 and errors; at least ``degree + 1``.
    degree : int
        Of the polynomial.
    tolerance : float
        Of the matching: sets which residuals count as none.
    start : Polynomial, default=None
        Where to start instead.
    """
    p, n = degree + 1, u.size
    design = np.vander(u, p, increasing=True)
    if n == p:
        exact = np.linalg.lstsq(design, errors, rcond=None)[0]
        return Polynomial(exact, np.ones(n, bool), 0.0)
    floor = FLOOR * tolerance
    if start is None:
        coefficients, scale = _least_median(design, errors)
    else:
        coefficients, scale = start.coefficients, start.scale
    freedom = math.sqrt(n / (n - p))
    scale, weight = max(scale, floor), np.ones(n)
    for iteration in range(N_ITERATIONS):
        r = (errors - design @ coefficients) / (TUKEY * scale)
        weight = np.where(np.abs(r) < 1, (1 - r * r) ** 2, 0.0)
        if np.count_nonzero(weight) < p:
            break
        root = np.sqrt(weight)
        new = np.linalg.lstsq(design * root[:, None], errors * root, rcond=None)[0]
        done = np.allclose(new, coefficients, rtol=0, atol=1e-9)
        coefficients = new
        if done and iteration > 1:
            break
        residual = np.abs(errors - design @ coefficients)
        scale = max(1.4826 * freedom * float(np.median(residual)), floor)
    return Polynomial(coefficients, weight > 0, float(scale))


def leave_one_out(
    u: np.ndarray, errors: np.ndarray, degree: int, tolerance: float
) -> np.ndarray:
    """Return what is left of each error by the polynomial through all others.

    NaN where the others are too few.
    """
    residual = np.full(u.size, np.nan)
    if u.size < degree + 2:
        return residual
    # One of many does not decide where the search starts.
    start = None
    if u.size > N_FEW:
        start = fit_polynomial(u, errors, degree, tolerance)
    for i in range(u.size):
        others = np.arange(u.size) != i
        fit = fit_polynomial(u[others], errors[others], degree, tolerance, start)
        residual[i] = errors[i] - float(fit(u[i]))
    return residual


def _least_median(design: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the polynomial through few references that most others lie close to."""
    n, p = design.shape
    if math.comb(n, p) <= N_SUBSETS:
        subsets = np.array(list(itertools.combinations(range(n), p)))
    else:
        # The same subsets every time: results are reproducible.
        draw = np.random.default_rng(0).random((N_SUBSETS, n))
        subsets = np.argpartition(draw, p, axis=1)[:, :p]
    matrices = design[subsets]
    spread = np.abs(np.linalg.det(matrices))
    regular = spread > 1e-6 * spread.max(initial=0.0)
    if not regular.any():
        flat = np.zeros(p)
        flat[0] = np.median(errors)
        residual = np.abs(errors - flat[0])
        return flat, float(1.4826 * np.median(residual))
    matrices, subsets = matrices[regular], subsets[regular]
    solved = np.linalg.solve(matrices, errors[subsets][..., None])[..., 0]
    residual = np.sort(np.abs(errors - solved @ design.T), axis=1)
    half = min((n + p + 1) // 2, n) - 1
    best = int(np.argmin(residual[:, half]))
    scale = 1.4826 * (1 + 5 / (n - p)) * float(residual[best, half])
    return solved[best], scale
