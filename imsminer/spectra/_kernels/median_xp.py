"""Running medians in any array namespace: the reference."""

from typing import Any

from imsminer._array import array_namespace, device_of
from imsminer.spectra._kernels.grid_xp import on_whole_grids

__all__ = ["median_points", "median_rows", "nearest_rows"]

#: Values of the windows that are sorted at a time.
BLOCK = 2**22


def median_rows(X: Any, reach: Any) -> Any:
    """Return the medians of the windows of 2 * reach + 1 points, for rows of `X`.

    `reach` (m,) is the half window at each point, as an array of the host or beside
    `X`. Near the ends it is as wide as fits on both sides.
    """
    xp = array_namespace(X)
    m = X.shape[1]
    device = device_of(X)
    reach = xp.asarray(reach, device=device)
    index = xp.arange(m, dtype=reach.dtype, device=device)
    reach = xp.minimum(reach, xp.minimum(index, m - 1 - index))
    widest = int(xp.max(reach))
    offsets = xp.arange(-widest, widest + 1, dtype=reach.dtype, device=device)
    outside = xp.abs(offsets)[None, :] > reach[:, None]
    places = xp.clip(index[:, None] + offsets[None, :], 0, m - 1)
    rows = []
    for i in range(X.shape[0]):
        parts = []
        size = max(1, BLOCK // (2 * widest + 1))
        for start in range(0, m, size):
            part = slice(start, min(start + size, m))
            shape = places[part, :].shape
            values = xp.take(X[i, :], xp.reshape(places[part, :], (-1,)))
            values = xp.reshape(values, shape)
            # What lies outside goes to the end, so the middle is the reach-th.
            values = xp.where(outside[part, :], xp.inf, values)
            values = xp.sort(values, axis=1)
            middle = xp.arange(2 * widest + 1, dtype=reach.dtype, device=device)
            chosen = middle[None, :] == reach[part][:, None]
            parts.append(xp.sum(xp.where(chosen, values, 0.0), axis=1))
        rows.append(xp.astype(xp.concat(parts), X.dtype))
    return xp.stack(rows)


def nearest_rows(X: Any, reach: Any) -> Any:
    """Do the same with windows that go on beyond the ends, with the outermost value."""
    xp, device = array_namespace(X), device_of(X)
    m = X.shape[1]
    reach = xp.asarray(reach, device=device)
    widest = int(xp.max(reach))
    place = xp.clip(xp.arange(-widest, m + widest, device=device), 0, m - 1)
    beyond = xp.zeros(widest, dtype=reach.dtype, device=device)
    reach = xp.concat([beyond, reach, beyond])
    medians = median_rows(xp.take(X, place, axis=1), reach)
    return medians[:, widest : widest + m]


def median_points(
    values: Any,
    indptr: Any,
    position: Any,
    length: Any,
    reach: Any,
    nearest: bool = False,
) -> Any:
    """Do the same for ragged spectra: grid points that are not stored are 0.

    `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`; `reach` (n_points,) is the
    half window at each point, in points of the grid. `nearest`: beyond the ends the
    outermost value of the grid goes on.
    """

    def medians(row: Any, wide: Any) -> Any:
        return (nearest_rows if nearest else median_rows)(row[None, :], wide)

    return on_whole_grids(medians, (values, reach), indptr, position, length)
