"""SNIP baselines in any array namespace: the reference."""

from typing import Any

from imsminer._array import array_namespace, device_of
from imsminer.spectra._kernels.grid_xp import end_to_end

__all__ = ["snip_points", "snip_rows"]


def snip_rows(X: Any, reach: Any, linear: bool = False) -> Any:
    """Return the rows of `X` (n, m) minus their SNIP baselines, at least 0.

    `reach` (m,) is the half window at each point, in points, as an array of the host
    or beside `X`. Near the ends it is as wide as fits on both sides. `linear` clips
    intensities as they are.
    """
    xp = array_namespace(X)
    m = X.shape[1]
    if m == 0:
        return X
    reach = xp.asarray(reach, device=device_of(X))
    index = xp.arange(m, dtype=reach.dtype, device=device_of(reach))
    reach = xp.minimum(reach, xp.minimum(index, m - 1 - index))
    v = xp.clip(X, 0.0, None) if linear else _compress(X)
    base = v
    for width in range(int(xp.max(reach)), 0, -1):
        mean = 0.5 * (xp.roll(base, width, axis=1) + xp.roll(base, -width, axis=1))
        base = xp.where((width <= reach) & (mean < base), mean, base)
    return v - base if linear else _subtract(X, v, base)


def snip_points(
    intensity: Any,
    indptr: Any,
    position: Any,
    length: Any,
    reach: Any,
    widest: int,
    linear: bool = False,
) -> Any:
    """Do the same for ragged spectra: grid points that are not stored are 0.

    `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`; `reach` (n_points,) is
    the half window at each point, in points of the grid, and at most `widest`.
    """
    xp = array_namespace(intensity)
    if intensity.shape[0] == 0:
        return intensity
    place, room = end_to_end(indptr, position, length)
    # So that no spectrum sees another.
    reach = xp.minimum(reach, room)
    zero = xp.zeros_like(intensity)
    v = xp.clip(intensity, 0.0, None) if linear else _compress(intensity)
    ground = zero if linear else _compress(zero)
    base = v
    for width in range(widest, 0, -1):
        left = _stored(base, place, place - width, ground)
        right = _stored(base, place, place + width, ground)
        mean = 0.5 * (left + right)
        base = xp.where((width <= reach) & (mean < base), mean, base)
    return v - base if linear else _subtract(intensity, v, base)


def _stored(values: Any, place: Any, wanted: Any, ground: Any) -> Any:
    """Return the values that are stored at the places that are wanted."""
    xp = array_namespace(values)
    k = xp.clip(xp.searchsorted(place, wanted), 0, place.shape[0] - 1)
    return xp.where(xp.take(place, k) == wanted, xp.take(values, k), ground)


def _compress(y: Any) -> Any:
    xp = array_namespace(y)
    v = xp.where(y < 0, xp.zeros_like(y), y)
    return xp.log(xp.log(xp.sqrt(v + 1) + 1) + 1)


def _subtract(y: Any, v: Any, base: Any) -> Any:
    xp = array_namespace(y)
    expanded = (xp.exp(xp.exp(base) - 1) - 1) ** 2 - 1
    result = y - expanded
    nothing = (base == v) | (result < 0)
    return xp.where(nothing, xp.zeros_like(result), result)
