"""SNIP baselines in any array namespace: the reference."""

from typing import Any

from imsminer._array import array_namespace, device_of

__all__ = [
    "grid_positions",
    "interpolate",
    "owners",
    "place_apart",
    "snip_points",
    "snip_rows",
    "with_zeros",
]


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

    `position` and `length` come from :func:`grid_positions`; `reach` (n_points,) is
    the half window at each point, in points of the grid, and at most `widest`.
    """
    xp = array_namespace(intensity)
    if intensity.shape[0] == 0:
        return intensity
    place, room = place_apart(indptr, position, length, widest)
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


def grid_positions(
    mz: Any,
    indptr: Any,
    knots: Any,
    steps: Any,
    low: float,
    high: float,
    limit: int,
) -> tuple[Any, Any]:
    """Number the points of ragged spectra on the grid of their samples, from `low`.

    Returns the position of each point and, for each spectrum, the number of grid points
    up to `high`: 0 where it is empty. Gaps wider than `limit` are cut down to it.
    """
    xp = array_namespace(mz)
    n = mz.shape[0]
    start, stop = indptr[:-1], indptr[1:]
    if n == 0:
        empty = xp.zeros(0, dtype=xp.int64, device=device_of(mz))
        return empty, stop - start
    owner = owners(indptr, n)
    spacing = interpolate(mz, knots, steps)
    index = xp.arange(n, dtype=indptr.dtype, device=device_of(mz))
    first = xp.take(start, owner) == index
    gaps = mz - xp.where(first, low, xp.roll(mz, 1))
    counts = xp.clip(xp.round(gaps / spacing), 0.0, float(limit))
    counts = xp.where(first, counts, xp.clip(counts, 1.0, float(limit)))
    total = xp.cumulative_sum(xp.astype(counts, xp.int64))
    before = xp.concat([xp.zeros_like(total[:1]), total])
    position = total - xp.take(xp.take(before, start), owner)
    last = xp.clip(stop - 1, 0, n - 1)
    rest = (high - xp.take(mz, last)) / xp.take(spacing, last)
    rest = xp.astype(xp.round(xp.clip(rest, 0.0, float(limit))), xp.int64)
    length = xp.take(position, last) + 1 + rest
    return position, xp.where(stop > start, length, xp.zeros_like(length))


def place_apart(
    indptr: Any, position: Any, length: Any, widest: int
) -> tuple[Any, Any]:
    """Lay the grids of ragged spectra end to end, `widest` or more points apart.

    Returns the place of each point there, which windows of up to `widest` points can
    take for one axis, and the width of the widest window that its own grid has room
    for.
    """
    xp = array_namespace(position)
    owner = owners(indptr, position.shape[0])
    ends = xp.cumulative_sum(length + (widest + 1))
    place = position + xp.take(ends - length, owner)
    room = xp.minimum(position, xp.take(length, owner) - 1 - position)
    return place, room


def with_zeros(values: Any, position: Any, length: int) -> Any:
    """Return the values of one spectrum on its whole grid: 0 where none is stored."""
    xp = array_namespace(values)
    index = xp.arange(length, dtype=position.dtype, device=device_of(values))
    last = xp.clip(xp.searchsorted(position, index, side="right") - 1, 0, None)
    stored = xp.take(position, last) == index
    return xp.astype(xp.where(stored, xp.take(values, last), 0.0), values.dtype)


def owners(indptr: Any, n_points: int) -> Any:
    """Return the number of the spectrum that each point belongs to."""
    xp = array_namespace(indptr)
    index = xp.arange(n_points, dtype=indptr.dtype, device=device_of(indptr))
    return xp.searchsorted(indptr[1:], index, side="right")


def interpolate(x: Any, knots: Any, values: Any) -> Any:
    """Interpolate linearly between increasing knots; constant beyond them."""
    xp = array_namespace(x)
    if knots.shape[0] == 1:
        return xp.zeros_like(x) + values[0]
    q = xp.clip(xp.searchsorted(knots, x, side="right") - 1, 0, knots.shape[0] - 2)
    left, right = xp.take(knots, q), xp.take(knots, q + 1)
    t = xp.clip((x - left) / (right - left), 0.0, 1.0)
    return xp.take(values, q) + t * (xp.take(values, q + 1) - xp.take(values, q))


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
