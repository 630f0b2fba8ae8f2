"""Baselines other than SNIP's and openings in any array namespace: the reference."""

from typing import Any

from imsminer._array import array_namespace, device_of
from imsminer.spectra._kernels.grid_xp import interpolate, on_whole_grids

__all__ = [
    "minima_points",
    "minima_rows",
    "noise_points",
    "noise_rows",
    "polynomial_rows",
]

MAX_STEPS = 100


def minima_rows(X: Any, reach: Any) -> Any:
    """Return straight lines between the lowest points within `reach`.

    `reach` (m,) is an array of the host or beside `X`. The first and the last point
    are among the lowest.
    """
    xp = array_namespace(X)
    reach = xp.asarray(reach, device=device_of(X))
    m = X.shape[1]
    index = xp.arange(m, dtype=reach.dtype, device=device_of(reach))
    lowest = xp.ones(X.shape, dtype=xp.bool, device=device_of(X))
    for width in range(1, min(int(xp.max(reach)), m - 1) + 1):
        inside = reach >= width
        left = inside & (index >= width) & (xp.roll(X, width, axis=1) < X)
        right = inside & (index < m - width) & (xp.roll(X, -width, axis=1) < X)
        lowest = lowest & ~left & ~right
    lowest = lowest | (index == 0) | (index == m - 1)
    place = xp.astype(index, xp.float64)
    rows = []
    for i in range(X.shape[0]):
        knots = place[lowest[i, :]]
        values = xp.astype(X[i, :], xp.float64)[lowest[i, :]]
        rows.append(xp.astype(interpolate(place, knots, values), X.dtype))
    return xp.stack(rows)


def polynomial_rows(X: Any, basis: Any, factor: float) -> Any:
    """Return polynomials through the low points of each row.

    `basis` (n_terms, m) are orthogonal polynomials. Points more than `factor` standard
    deviations above the fit are left out, until no more are; the deviation is that of
    the points below the fit.
    """
    xp = array_namespace(X)
    terms = basis.shape[0]
    unit = xp.eye(terms, dtype=xp.float64, device=device_of(X))
    rows = []
    for i in range(X.shape[0]):
        row = xp.astype(X[i, :], xp.float64)
        kept = xp.ones(row.shape, dtype=xp.bool, device=device_of(X))
        for _ in range(MAX_STEPS):
            used = xp.where(kept, basis, 0.0)
            gram = used @ basis.T
            gram = gram + 1e-12 * xp.sum(gram * unit) * unit
            fit = xp.linalg.solve(gram, (used @ row)[:, None])[:, 0] @ basis
            rest = row - fit
            below = rest < 0
            n = max(int(xp.sum(xp.astype(below, xp.int64))), 1)
            squares = float(xp.sum(xp.where(below, rest**2, 0.0)))
            low = rest <= factor * (squares / n) ** 0.5 + 1e-9 * float(xp.max(row))
            if int(xp.sum(xp.astype(low, xp.int64))) < 2 * terms:
                break
            if bool(xp.all(low == kept)):
                break
            kept = low
        rows.append(xp.astype(xp.clip(fit, 0.0, None), X.dtype))
    return xp.stack(rows)


def noise_rows(X: Any, factor: float, z_threshold: float) -> Any:
    """Return `factor` times the noise of each row, in every column.

    The noise is the standard deviation of the values whose z-score is below
    `z_threshold`, among themselves.
    """
    xp = array_namespace(X)
    values = xp.astype(X, xp.float64)
    kept = xp.ones(X.shape, dtype=xp.bool, device=device_of(X))
    for _ in range(MAX_STEPS):
        n = xp.sum(xp.astype(kept, xp.float64), axis=1, keepdims=True)
        mean = xp.sum(xp.where(kept, values, 0.0), axis=1, keepdims=True) / n
        rest = xp.where(kept, values - mean, 0.0)
        sd = xp.sqrt(xp.sum(rest**2, axis=1, keepdims=True) / n)
        near = kept & (xp.abs(values - mean) <= z_threshold * sd)
        # A constant row may differ from its mean by rounding.
        near = xp.where(xp.any(near, axis=1, keepdims=True), near, kept)
        if bool(xp.all(near == kept)):
            break
        kept = near
    return xp.astype(xp.zeros_like(values) + factor * sd, X.dtype)


def minima_points(
    values: Any, indptr: Any, position: Any, length: Any, reach: Any, widest: int
) -> Any:
    """Do as :func:`minima_rows` for ragged spectra of values of at least 0.

    Grid points that are not stored are 0, and so among the lowest. `position` and
    `length` come from :func:`imsminer.spectra._kernels.grid_xp.grid_positions`; `reach`
    (n_points,) is the half window at each point, in points of the grid, and at most
    `widest`.
    """

    def join(row: Any, wide: Any) -> Any:
        return minima_rows(row[None, :], wide)

    return on_whole_grids(join, (values, reach), indptr, position, length)


def noise_points(
    values: Any,
    indptr: Any,
    position: Any,
    length: Any,
    factor: float,
    z_threshold: float,
) -> Any:
    """Do as :func:`noise_rows` for ragged spectra: points that are not stored are 0.

    `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`.
    """

    def noise(row: Any) -> Any:
        return noise_rows(row[None, :], factor, z_threshold)

    return on_whole_grids(noise, (values,), indptr, position, length)
