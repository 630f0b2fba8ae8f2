"""SNIP baselines in any array namespace: the reference."""

from typing import Any

from imsminer._array import array_namespace, device_of

__all__ = ["grid_positions", "interpolate", "snip_rows"]


def snip_rows(X: Any, reach: Any, linear: bool = False) -> Any:
    """Return the rows of `X` (n, m) minus their SNIP baselines, at least 0.

    `reach` (m,) is the half window at each point, in points. Near the ends it is as
    wide as fits on both sides. `linear` clips intensities as they are.
    """
    xp = array_namespace(X)
    m = X.shape[1]
    if m == 0:
        return X
    index = xp.arange(m, dtype=reach.dtype, device=device_of(reach))
    reach = xp.minimum(reach, xp.minimum(index, m - 1 - index))
    v = xp.clip(X, 0.0, None) if linear else _compress(X)
    base = v
    for width in range(int(xp.max(reach)), 0, -1):
        mean = 0.5 * (xp.roll(base, width, axis=1) + xp.roll(base, -width, axis=1))
        base = xp.where((width <= reach) & (mean < base), mean, base)
    return v - base if linear else _subtract(X, v, base)


def grid_positions(
    mz: Any, knots: Any, steps: Any, low: float, high: float, limit: int
) -> tuple[Any, int]:
    """Number the points of one spectrum on the grid of its samples, from `low`.

    Returns the positions and the number of grid points up to `high`. Gaps wider than
    `limit` are cut down to it.
    """
    xp = array_namespace(mz)
    spacing = interpolate(mz, knots, steps)
    gaps = xp.concat([mz[:1] - low, mz[1:] - mz[:-1]])
    counts = xp.clip(xp.round(gaps / spacing), 0.0, float(limit))
    first = xp.arange(mz.shape[0], device=device_of(mz)) == 0
    counts = xp.where(first, counts, xp.clip(counts, 1.0, float(limit)))
    position = xp.astype(xp.cumulative_sum(counts), xp.int64)
    rest = round(min(max((high - float(mz[-1])) / float(spacing[-1]), 0.0), limit))
    return position, int(position[-1]) + 1 + rest


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
