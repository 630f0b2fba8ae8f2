"""Openings on a GPU.

How minima and maxima are found, and why so: see ``windows_cuda``.
"""

from typing import Any

from imsminer._array import array_namespace
from imsminer.spectra._kernels.windows_cuda import (
    extremes,
    windows_of_points,
    windows_of_rows,
)

__all__ = ["open_points", "open_rows"]


def open_rows(X: Any, reach: Any) -> Any:
    """Return the opening of the rows of `X` (n, m): the maximum of minima.

    `reach` (m,) is the half window at each point, as an array of the host, or the
    kernel waits for it; windows are cut off at the ends.
    """
    xp = array_namespace(X)
    if X.shape[0] == 0 or X.shape[1] == 0:
        return X
    windows = windows_of_rows(X, reach)
    low = extremes(xp.reshape(X, (-1,)), *windows, False)
    return xp.reshape(extremes(low, *windows, True), X.shape)


def open_points(
    values: Any, indptr: Any, position: Any, length: Any, reach: Any, widest: int
) -> Any:
    """Do the same for ragged spectra of values of at least 0.

    Grid points that are not stored are 0. `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`; `reach` (n_points,) is the
    half window at each point, in points of the grid, and at most `widest`.
    """
    if values.shape[0] == 0:
        return values
    windows = windows_of_points(indptr, position, length, reach, widest)
    # The largest minimum is that of a stored point: those of the others are 0.
    return extremes(extremes(values, *windows, False), *windows, True)
