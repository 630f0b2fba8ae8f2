"""Trees beside a matrix, and the names of its rows."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection

__all__ = ["LEGIBLE", "MARGIN", "TREE", "draw_trees", "inches", "name_rows"]

#: Rows lower than this, in points, carry no label.
LEGIBLE = 6.0
#: Size of trees, and the gap beside them, in inches.
TREE, MARGIN = 0.55, 0.06


def inches(ax: Axes) -> tuple[float, float]:
    """Return the width and height of Axes in inches."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    extent = ax.get_window_extent()
    return extent.width / figure.dpi, extent.height / figure.dpi


def name_rows(ax: Axes, names: list[str]) -> None:
    """Write the names of rows to the right, or their number where they are too low."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    ax.yaxis.tick_right()
    ax.yaxis.set_label_position("right")
    figure.draw_without_rendering()
    room = ax.get_window_extent().height * 72 / figure.dpi / len(names)
    if room < LEGIBLE:
        ax.set_yticks([])
        ax.set_ylabel(f"{len(names)} features", fontsize="small", labelpad=6)
        return
    ax.set_yticks(range(len(names)), names, fontsize=min(0.8 * room, 8))


def draw_trees(ax: Axes, trees: list[Any]) -> None:
    """Draw trees to the left and above, with the leaves at their rows and columns."""
    width, height = inches(ax)
    for tree, upright in zip(trees, (False, True), strict=True):
        if tree is None:
            continue
        # SciPy has leaf k at 5 + 10 k.
        leaf = (np.array(tree["icoord"]) - 5) / 10
        depth = np.array(tree["dcoord"])
        if upright:
            box = (0.0, 1 + MARGIN / height, 1.0, TREE / height)
            lines = np.stack([leaf, depth], axis=2)
        else:
            box = (-(TREE + MARGIN) / width, 0.0, TREE / width, 1.0)
            lines = np.stack([depth, leaf], axis=2)
        thickness = 0.8 if len(depth) < 100 else 0.4
        side = ax.inset_axes(box, label="tree")
        side.add_collection(
            LineCollection(list(lines), colors="0.35", linewidths=thickness)
        )
        deepest = 1.03 * max(depth.max(), np.finfo(float).tiny)
        if upright:
            side.set_xlim(ax.get_xlim())
            side.set_ylim(0, deepest)
        else:
            side.set_ylim(ax.get_ylim())
            side.set_xlim(deepest, 0)
        side.axis("off")
