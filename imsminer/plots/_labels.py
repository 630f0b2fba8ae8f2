"""Labels of peaks that do not overlap, and axes that write large numbers shortly."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from imsminer.plots._numbers import power_of_1000, scaled_label

__all__ = ["intensity_axis", "label_peaks"]

#: How far above its peak a label may stand, as a share of the height of the Axes.
REACH = 0.15
#: From how many pixels above its peak a label needs a leader line.
GAP = 4


def label_peaks(
    ax: Axes,
    mz: np.ndarray,
    height: np.ndarray,
    order: Iterable[int],
    top: int,
    envelope: tuple[np.ndarray, np.ndarray] | None = None,
) -> list[Any]:
    """Write the m/z above up to `top` peaks.

    Peaks are taken in `order`. A label stands above whatever signal is under its
    width; one that would overlap another label, or stand far above its peak, is left
    out and the next peak gets its chance. The limits of `ax` must be final.

    Parameters
    ----------
    ax : Axes
        Where the peaks are drawn.
    mz, height : ndarray of shape (n_peaks,)
        The apexes, in data units.
    order : iterable of int
        Positions of the peaks to label, the most important first.
    top : int
        Largest number of labels.
    envelope : (ndarray, ndarray), default=None
        Points of the signal that labels must stay above; `None` takes the apexes.

    Returns
    -------
    list of Annotation
        The labels that are drawn.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    # Lays the figure out: only then is the size of a label in data units known.
    figure.draw_without_rendering()
    x, y = ax.transData.transform(np.column_stack([mz, height])).T
    if envelope is None:
        signal_x, signal_y = x, y
    else:
        signal_x, signal_y = ax.transData.transform(np.column_stack(envelope)).T
    points = 72 / figure.dpi
    frame = ax.get_window_extent()
    placed: list[Bbox] = []
    labels: list[Any] = []
    for i in order:
        if len(labels) == top:
            break
        if not frame.x0 <= x[i] <= frame.x1:
            continue
        label = ax.annotate(
            f"{mz[i]:.4f}",
            (mz[i], height[i]),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize="x-small",
        )
        box = label.get_window_extent()
        # Slide it into the frame.
        dx = max(frame.x0 + 3 - box.x0, 0.0) - max(box.x1 - frame.x1, 0.0)
        under = (signal_x >= box.x0 + dx - 2) & (signal_x <= box.x1 + dx + 2)
        dy = max(float(signal_y[under].max(initial=y[i])) - float(y[i]), 0.0)
        box = box.translated(dx, dy)
        near = box.padded(1.5)
        if (
            dy > REACH * frame.height
            or box.y1 > frame.y1
            or any(near.overlaps(other) for other in placed)
        ):
            label.remove()
            continue
        label.xyann = (dx * points, 3 + dy * points)
        if dy > GAP:
            # Raised above neighbours: a line leads to the peak that is meant.
            ax.annotate(
                "",
                (mz[i], height[i]),
                xytext=(0, 3 + dy * points),
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "0.5"},
            )
        placed.append(box)
        labels.append(label)
    return labels


def intensity_axis(axes: Iterable[Axes], label: str) -> str:
    """Write y axes in thousands, millions, … and return the label that says so."""
    axes = list(axes)
    reach = max(abs(limit) for ax in axes for limit in ax.get_ylim())
    power = power_of_1000(reach)
    scale = 10.0**power
    for ax in axes:
        ax.yaxis.set_major_formatter(lambda value, _: f"{abs(value) / scale:g}")
    return scaled_label(label, power)
