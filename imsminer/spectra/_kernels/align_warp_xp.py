"""Mass errors taken out of spectra, in any array namespace.

The reference for the compiled kernels, which explain the quantities.
"""

from typing import Any

from imsminer._array import array_namespace, device_of

__all__ = ["hat", "resample_at", "resample_rows", "shift_points"]


def _error(m: Any, theta: Any, centre: float, half: float, knots: Any) -> Any:
    xp = array_namespace(m)
    u = xp.clip((m - centre) / half, -1.0, 1.0)
    error = theta[..., 0] + theta[..., 1] * u
    for j in range(theta.shape[-1] - 2):
        error = error + theta[..., 2 + j] * hat(u, knots, j)
    return error


def hat(u: Any, knots: Any, j: int) -> Any:
    """Return the function that is 1 at inner knot `j`, 0 at others, straight between.

    `knots` (q + 2,) run from -1 to 1; the first and the last one are no inner knots.
    """
    xp = array_namespace(u)
    low, mid, high = (float(knots[j + i]) for i in range(3))
    rise, fall = (u - low) / (mid - low), (high - u) / (high - mid)
    return xp.clip(xp.minimum(rise, fall), 0.0, 1.0)


def shift_points(
    mz: Any, indptr: Any, theta: Any, centre: float, half: float, knots: Any = None
) -> Any:
    """Return the m/z of ragged spectra corrected by their error in ppm."""
    xp = array_namespace(mz)
    points = xp.arange(mz.shape[0], dtype=indptr.dtype, device=device_of(mz))
    owner = xp.searchsorted(indptr, points, side="right") - 1
    rows = xp.take(theta, owner, axis=0)
    return mz / (1 + 1e-6 * _error(mz, rows, centre, half, knots))


def resample_rows(
    X: Any,
    edges: Any,
    theta: Any,
    centre: float,
    half: float,
    ppm: bool,
    knots: Any = None,
) -> Any:
    """Return the rows of `X` (n, m) moved by their errors, with the same sums."""
    xp = array_namespace(X)
    inside = edges[1:-1]
    error = _error(inside, theta[:, None, :], centre, half, knots)
    place = inside * (1 + 1e-6 * error) if ppm else inside + error
    still = xp.all(theta == 0, axis=1, keepdims=True)
    return xp.where(still, X, resample_at(X, edges, place))


def resample_at(X: Any, edges: Any, place: Any) -> Any:
    """Return the differences of the rows' integrals between places (n, m - 1)."""
    xp = array_namespace(X)
    m = X.shape[1]
    y = xp.astype(X, xp.float64)
    one, two = y[:, :-1], y[:, 1:]
    d = 0.5 * (one + two)
    if m > 3:
        inner = (7 * (one[:, 1:-1] + two[:, 1:-1]) - (y[:, :-3] + y[:, 3:])) / 12
        d = xp.concat([d[:, :1], inner, d[:, -1:]], axis=1)
    zeros = xp.zeros_like(d)
    positive = xp.minimum(xp.maximum(d, zeros), 3 * xp.minimum(one, two))
    negative = xp.maximum(xp.minimum(d, zeros), 3 * xp.maximum(one, two))
    d = xp.where(one * two <= 0, zeros, xp.where(one > 0, positive, negative))
    slope = xp.concat([y[:, :1], d, y[:, -1:]], axis=1)
    cell = xp.searchsorted(edges, xp.reshape(place, (-1,)), side="right") - 1
    cell = xp.clip(xp.reshape(cell, place.shape), 0, m - 1)
    flat = xp.reshape(cell, (-1,))
    left = xp.reshape(xp.take(edges, flat), place.shape)
    right = xp.reshape(xp.take(edges, flat + 1), place.shape)
    t = xp.clip((place - left) / (right - left), 0.0, 1.0)
    total = xp.take_along_axis(y, cell, axis=1)
    d0 = xp.take_along_axis(slope, cell, axis=1)
    d1 = xp.take_along_axis(slope, cell + 1, axis=1)
    part = t * (d0 + t * ((3 * total - 2 * d0 - d1) + t * (d0 + d1 - 2 * total)))
    sums = xp.cumulative_sum(y, axis=1, include_initial=True)
    upto = xp.take_along_axis(sums, cell, axis=1) + part
    upto = xp.concat([sums[:, :1], upto, sums[:, -1:]], axis=1)
    result = upto[:, 1:] - upto[:, :-1]
    # Rounding only: the integral of positive intensities rises.
    least = xp.min(y, axis=1, keepdims=True)
    result = xp.where((least >= 0) & (result < 0), xp.zeros_like(result), result)
    return xp.astype(result, X.dtype)
