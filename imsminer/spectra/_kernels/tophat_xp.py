"""Moving minimum and maximum, and openings, in any array namespace: the reference."""

from typing import Any

from imsminer._array import array_namespace, device_of
from imsminer.spectra._kernels.grid_xp import on_whole_grids

__all__ = ["open_points", "open_rows"]


def open_rows(X: Any, reach: Any) -> Any:
    """Return the opening of the rows of `X` (n, m): the maximum of minima.

    `reach` (m,) is the half window at each point, as an array of the host or beside
    `X`; windows are cut off at the ends.
    """
    reach = array_namespace(X).asarray(reach, device=device_of(X))
    return _largest(-_largest(-X, reach), reach)


def _largest(X: Any, reach: Any) -> Any:
    xp = array_namespace(X)
    m = X.shape[1]
    index = xp.arange(m, dtype=reach.dtype, device=device_of(reach))
    best = X
    for width in range(1, min(int(xp.max(reach)), m - 1) + 1):
        inside = reach >= width
        left = xp.where(inside & (index >= width), xp.roll(X, width, axis=1), best)
        right = xp.roll(X, -width, axis=1)
        right = xp.where(inside & (index < m - width), right, best)
        best = xp.maximum(best, xp.maximum(left, right))
    return best


def open_points(
    values: Any, indptr: Any, position: Any, length: Any, reach: Any, widest: int
) -> Any:
    """Do the same for ragged spectra of values of at least 0.

    Grid points that are not stored are 0. `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`; `reach` (n_points,) is the
    half window at each point, in points of the grid, and at most `widest`.
    """

    def opened(row: Any, wide: Any) -> Any:
        return open_rows(row[None, :], wide)

    return on_whole_grids(opened, (values, reach), indptr, position, length)
