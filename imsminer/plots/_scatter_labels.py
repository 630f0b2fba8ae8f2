"""Labels of points that overlap neither each other nor the points."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.transforms import Bbox

__all__ = ["label_points"]

#: Directions in which a label may stand, the most legible first: right, left, above, …
ANGLES = np.radians([15, 165, 60, 120, -15, -165, -60, -120, 90, -90, 0, 180])
#: Distances from the point that are tried, in points (1/72 inch).
DISTANCES = (2, 5, 10, 16, 24, 34)
#: From which distance on a line leads to the point.
LEADER = 10


def label_points(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    texts: Sequence[str],
    order: Iterable[int],
    n_labels: int,
    *,
    radius: float = 2.5,
) -> list[Any]:
    """Write beside up to `n_labels` points.

    Points are taken in `order`. For each, places around it are tried from near to far;
    the first is taken that is free of other labels, their leader lines, the points and
    the frame, and nearest to its own point or led to it by a line. A point without a
    free place goes without, and the next gets its chance. The limits of `ax` must be
    final, and its figure laid out (`draw_without_rendering`), as only then the size of
    a label is known.

    Parameters
    ----------
    ax : Axes
        Where the points are drawn.
    x, y : ndarray of shape (n_points,)
        All points that labels must not hide, in data units.
    texts : sequence of str, length n_points
    order : iterable of int
        Positions of the points to label, the most important first.
    n_labels : int
        Largest number of labels.
    radius : float, default=2.5
        Of the points, in points.

    Returns
    -------
    list of Annotation
        The labels that are drawn.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    scale = figure.dpi / 72
    places = ax.transData.transform(np.column_stack([x, y]))
    frame = ax.get_window_extent()
    taken: list[Bbox] = []
    lines: list[Path] = []
    labels: list[Any] = []
    for i in order:
        if len(labels) == n_labels:
            break
        label = ax.annotate(
            texts[i],
            (x[i], y[i]),
            xytext=(0, 0),
            textcoords="offset points",
            ha="left",
            va="bottom",
            fontsize="x-small",
            zorder=4,
        )
        size = label.get_window_extent()
        box = None
        for box, line in _candidates(places[i], size.width, size.height, radius, scale):
            if _is_free(box, line, i, places, radius * scale, frame, taken, lines):
                break
        else:
            label.remove()
            continue
        label.xyann = (
            (box.x0 - places[i, 0]) / scale,
            (box.y0 - places[i, 1]) / scale,
        )
        if line is not None:
            lines.append(line)
            end = np.asarray(line.vertices)[1]
            ax.annotate(
                "",
                (x[i], y[i]),
                xytext=(end - places[i]) / scale,
                textcoords="offset points",
                arrowprops={
                    "arrowstyle": "-",
                    "linewidth": 0.5,
                    "color": "0.5",
                    "shrinkA": 0,
                    "shrinkB": radius,
                },
                zorder=3,
            )
        taken.append(box)
        labels.append(label)
    return labels


def _candidates(
    point: np.ndarray, width: float, height: float, radius: float, scale: float
) -> Iterator[tuple[Bbox, Path | None]]:
    """Boxes around a point and the lines that lead to it, the best first."""
    for distance in DISTANCES:
        for angle in ANGLES:
            direction = np.array([np.cos(angle), np.sin(angle)])
            anchor = point + (distance + radius) * scale * direction
            # The side of the box that faces the point starts at the anchor.
            x0 = anchor[0] - width * (0.5 - 0.5 * _side(direction[0]))
            y0 = anchor[1] - height * (0.5 - 0.5 * _side(direction[1]))
            box = Bbox.from_bounds(x0, y0, width, height)
            line = None
            if distance >= LEADER:
                end = np.clip(point, [box.x0, box.y0], [box.x1, box.y1])
                line = Path([point, end])
            yield box, line


def _is_free(
    box: Bbox,
    line: Path | None,
    own: int,
    points: np.ndarray,
    radius: float,
    frame: Bbox,
    taken: list[Bbox],
    lines: list[Path],
) -> bool:
    if not (frame.x0 <= box.x0 and box.x1 <= frame.x1):
        return False
    if not (frame.y0 <= box.y0 and box.y1 <= frame.y1):
        return False
    near = box.padded(0.6 * radius)
    if any(near.overlaps(other) for other in taken):
        return False
    if any(other.intersects_bbox(near, filled=False) for other in lines):
        return False
    # Distance of each point from the box.
    nearest = np.clip(points, [box.x0, box.y0], [box.x1, box.y1])
    distance = np.hypot(*(points - nearest).T)
    if distance.min() < 0.8 * radius:
        return False
    if line is None:
        others = np.delete(distance, own)
        return bool(distance[own] + 0.5 * radius < others.min(initial=np.inf))
    if _distance_from_line(np.delete(points, own, axis=0), line) < 0.9 * radius:
        return False
    return not any(line.intersects_bbox(other, filled=False) for other in taken)


def _distance_from_line(points: np.ndarray, line: Path) -> float:
    """Distance of the nearest point from a segment."""
    start, end = np.asarray(line.vertices)
    step = end - start
    along = (points - start) @ step / max(step @ step, np.finfo(float).tiny)
    nearest = start + np.clip(along, 0, 1)[:, None] * step
    return float(np.hypot(*(points - nearest).T).min(initial=np.inf))


def _side(part: float) -> float:
    """-1, 0 or 1: whether a box lies before, around or behind its anchor."""
    return float(np.sign(part)) if abs(part) > 0.4 else 0.0
