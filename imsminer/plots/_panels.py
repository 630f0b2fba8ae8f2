"""Figures with several panels."""

import math

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

__all__ = ["panel_axes"]


def panel_axes(
    n: int,
    *,
    columns: int = 3,
    size: tuple[float, float] = (4.0, 3.4),
    shared: bool = False,
) -> list[Axes]:
    """Make a figure with `n` Axes, row by row.

    Parameters
    ----------
    n : int
        Number of panels, at least 1.
    columns : int, default=3
        Most panels in a row.
    size : (float, float), default=(4, 3.4)
        Width and height of each in inches.
    shared : bool, default=False
        Whether all have the same limits.
    """
    columns = min(n, columns)
    rows = math.ceil(n / columns)
    _, grid = plt.subplots(
        rows,
        columns,
        figsize=(columns * size[0], rows * size[1]),
        squeeze=False,
        sharex=shared,
        sharey=shared,
        layout="constrained",
    )
    for unused in grid.ravel()[n:]:
        unused.remove()
    return grid.ravel()[:n].tolist()
