"""Brackets above boxes, which say what a comparison of two groups found."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

__all__ = ["Bracket", "draw_brackets"]

#: Length of the bracket's ends, and what is kept free, in points.
TICK, GAP = 3.0, 4.0
#: Shortening at both ends, in units of the distance between groups, so that
#: neighbours of one level do not touch.
INSET = 0.06


class Bracket(NamedTuple):
    """A line from one group to another, with a text above it."""

    left: float
    right: float
    text: str


def draw_brackets(
    ax: Axes,
    brackets: Sequence[Bracket],
    tops: np.ndarray,
    *,
    grow: bool = False,
    color: str = "0.25",
) -> None:
    """Draw brackets in levels above the data, the narrow ones lowest.

    Two brackets share a level only if neither their lines nor their texts come near
    each other. The upper limit of `ax` is raised to hold them all.

    Parameters
    ----------
    ax : Axes
        With groups at x = 0, 1, 2, … and limits that hold the data.
    brackets : sequence of Bracket
        Positions on the x axis and texts.
    tops : ndarray of shape (n_groups,)
        Highest value of each group.
    grow : bool
        Make the figure higher by what brackets need, instead of the data smaller.
    color : str
        Of lines and texts.
    """
    if not brackets:
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    texts = [
        ax.text(
            bracket.left,
            ax.get_ylim()[0],
            bracket.text,
            fontsize="x-small",
            ha="center",
            va="bottom",
            color=color,
            # They end up inside of the Axes, and must not push it around before.
            in_layout=False,
        )
        for bracket in brackets
    ]
    sizes = [text.get_window_extent() for text in texts]
    unit = ax.transData.transform([(0, 0), (1, 0)])
    per_unit = unit[1, 0] - unit[0, 0]
    # Widths of texts on the x axis, and the height of a level on the screen.
    widths = [size.width / per_unit for size in sizes]
    height = max(size.height for size in sizes) + (TICK + GAP) * scale
    levels = _levels(brackets, widths)
    low = ax.get_ylim()[0]
    # Levels have a size on the screen, data shrink to make room: solve for the limit.
    needed = (max(levels) + 1) * height + GAP * scale
    if grow:
        figure.set_figheight(figure.get_figheight() + needed / figure.dpi)
        figure.draw_without_rendering()
    frame = ax.get_window_extent().height
    share = 1 - min(needed / frame, 0.75)
    top = float(np.nanmax(tops))
    ax.set_ylim(low, low + (top - low) / share)
    per_pixel = (ax.get_ylim()[1] - low) / frame
    for bracket, text, level in zip(brackets, texts, levels, strict=True):
        y = top + (GAP * scale + level * height + TICK * scale) * per_pixel
        foot = y - TICK * scale * per_pixel
        left, right = bracket.left + INSET, bracket.right - INSET
        ax.plot(
            [left, left, right, right],
            [foot, y, y, foot],
            color=color,
            linewidth=0.8,
            solid_capstyle="butt",
            label="_bracket",
        )
        text.set_position((0.5 * (left + right), y + 0.5 * scale * per_pixel))
    # The axis measures data, not brackets.
    ticks = MaxNLocator(max(2, round(7 * share))).tick_values(low, top)
    ax.set_yticks([tick for tick in ticks if low <= tick <= top])
    ax.spines["left"].set_bounds(low, top)


def _levels(brackets: Sequence[Bracket], widths: Sequence[float]) -> list[int]:
    """The lowest free level of each bracket, narrow ones first."""
    order = sorted(
        range(len(brackets)),
        key=lambda i: (brackets[i].right - brackets[i].left, brackets[i].left),
    )
    levels = [0] * len(brackets)
    held: list[list[tuple[float, float]]] = []
    for i in order:
        bracket = brackets[i]
        middle = 0.5 * (bracket.left + bracket.right)
        reach = max(
            0.5 * widths[i] + 0.04, 0.5 * (bracket.right - bracket.left) - INSET
        )
        span = middle - reach, middle + reach
        for level in range(len(held) + 1):
            if level == len(held):
                held.append([])
            if all(span[1] <= a or b <= span[0] for a, b in held[level]):
                held[level].append(span)
                levels[i] = level
                break
    return levels
