"""Weighted means of neighbours in any array namespace: the reference."""

from typing import Any

from imsminer._array import array_namespace, device_of
from imsminer.spectra._kernels.grid_xp import on_whole_grids

__all__ = ["smooth_points", "smooth_rows"]


def smooth_rows(X: Any, kind: Any, tables: list) -> Any:
    """Return the rows of `X` (n, m), each value the weighted sum of its neighbours.

    `kind` (m,), of the host or beside `X`, says which of the `tables` holds the weights
    at a point: arrays of 2 * h + 1 weights. Beyond the ends the outermost value goes
    on.
    """
    xp = array_namespace(X)
    kind = xp.asarray(kind, device=device_of(X))
    m = X.shape[1]
    index = xp.arange(m, device=device_of(X))
    values = xp.astype(X, xp.float64)
    result = xp.zeros_like(values)
    for number, weights in enumerate(tables):
        half = weights.shape[0] // 2
        total = xp.zeros_like(values)
        for k in range(-half, half + 1):
            place = xp.clip(index + k, 0, m - 1)
            total = total + float(weights[half + k]) * xp.take(values, place, axis=1)
        result = xp.where(kind == number, total, result)
    return xp.astype(result, X.dtype)


def smooth_points(
    values: Any, indptr: Any, position: Any, length: Any, kind: Any, tables: list
) -> Any:
    """Do the same for ragged spectra: grid points that are not stored are 0.

    `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`; `kind` is (n_points,).
    """

    def smooth(row: Any, which: Any) -> Any:
        return smooth_rows(row[None, :], which, tables)

    return on_whole_grids(smooth, (values, kind), indptr, position, length)
