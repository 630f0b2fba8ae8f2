"""Small images that stand near their places and hide no other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from imsminer.core.grid import to_image
from imsminer.plots._montage import Montage
from imsminer.plots._raster import color_map
from imsminer.plots.images import color_limits

__all__ = ["miniature", "place_images"]

#: Share of the Axes that miniatures may fill, and their largest edge in inches.
FILLED, LARGEST_IMAGE = 0.4, 1.1
#: Share of a miniature by which two may overlap at most.
OVERLAP = 0.02


def miniature(
    values: np.ndarray, montage: Montage, cmap: Any, clip_quantile: float
) -> np.ndarray:
    """Return the colours of an ion's image, its planes side by side.

    Parameters
    ----------
    values : ndarray of float64, shape (n_pixels,)
    montage : Montage
        Of the same pixels.
    cmap : str or Colormap
    clip_quantile : float
        As in :func:`imsminer.plots.ion_image`.

    Returns
    -------
    ndarray of shape (height, width, 4)
        Transparent where there is no pixel or no value.
    """
    low, high, _ = color_limits(values, clip_quantile)
    parts = []
    for plane in montage.planes:
        at = montage.coordinates[plane.rows]
        x = round(at[:, 0].min() + plane.offset[0])
        y = round(at[:, 1].min() + plane.offset[1])
        parts.append((x, y, to_image(values[plane.rows], at)))
    left, top = min(p[0] for p in parts), min(p[1] for p in parts)
    width = max(x + image.shape[1] for x, _, image in parts) - left
    height = max(y + image.shape[0] for _, y, image in parts) - top
    whole = np.full((height, width), np.nan)
    for x, y, image in parts:
        rows = slice(y - top, y - top + image.shape[0])
        whole[rows, x - left : x - left + image.shape[1]] = image
    colors = color_map(cmap).with_extremes(bad=(1, 1, 1, 0))
    return colors(Normalize(low, high)(np.ma.masked_invalid(whole)))


def place_images(
    ax: Axes,
    places: np.ndarray,
    images: list[np.ndarray],
    labels: Sequence[str],
    colors: list[Any],
) -> None:
    """Draw images as large as there is room for, and lines to those that were moved.

    Parameters
    ----------
    ax : Axes
        Its limits must be final.
    places : ndarray of shape (n, 2)
        Where images should stand, in data units.
    images : list of ndarray
        Colours, all of one shape.
    labels : sequence of str
        What is written below each; empty for nothing.
    colors : list of colours
        Of the frames.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    # Lays the figure out: only then is the size of the Axes known.
    figure.draw_without_rendering()
    frame = ax.get_window_extent()
    scale = figure.dpi / 72
    points = (ax.transData.transform(places) - (frame.x0, frame.y0)) / scale
    room = np.array([frame.width, frame.height]) / scale
    ratio = images[0].shape[0] / images[0].shape[1]
    text = 9.0 if any(labels) else 0.0
    area = FILLED * room[0] * room[1] / len(images)
    edge = min(np.sqrt(area / ratio), LARGEST_IMAGE * 72 / max(ratio, 1.0))
    # Frames and a gap between them take 4 points.
    box = np.array([edge + 4, edge * ratio + 4 + text])
    centers = _moved_apart(points, box, room)
    while _overlap(centers, box) > OVERLAP and edge > 4:
        edge *= 0.88
        box = np.array([edge + 4, edge * ratio + 4 + text])
        centers = _moved_apart(points, box, room)
    middles = centers + np.array([0, text / 2])
    # Under the images, from the place of each that was moved away from it.
    away = np.flatnonzero((np.abs(middles - points) > box / 2).any(axis=1))
    ends = ax.transAxes.transform(middles[away] / room)
    ends = ax.transData.inverted().transform(ends)
    lines = LineCollection(
        list(np.stack([places[away], ends], axis=1)),
        colors=[colors[i] for i in away],
        linewidths=0.7,
        zorder=2,
    )
    ax.add_collection(lines, autolim=False)
    x, y = places[away].T
    ax.scatter(x, y, s=6, color=[colors[i] for i in away], zorder=2)
    for i, image in enumerate(images):
        artist = OffsetImage(image, zoom=edge / image.shape[1], interpolation="auto")
        ax.add_artist(
            AnnotationBbox(
                artist,
                tuple(middles[i] / room),
                xycoords="axes fraction",
                pad=0.0,
                bboxprops={"edgecolor": colors[i], "linewidth": 1.0},
                zorder=3,
            )
        )
        if labels[i]:
            ax.annotate(
                labels[i],
                tuple((middles[i] - (0, edge * ratio / 2 + 2)) / room),
                xycoords="axes fraction",
                ha="center",
                va="top",
                fontsize=min(7.0, edge / 4.2),
                bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
                zorder=4,
            )


def _moved_apart(points: np.ndarray, box: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Centres of boxes near `points` that overlap little, within the frame."""
    n = len(points)
    # Equal points would have no direction to part in.
    angle = 2.4 * np.arange(n)
    centers = points + 0.01 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    half = np.minimum(box / 2, room / 2)
    centers = np.clip(centers, half, room - half)
    for _ in range(int(np.clip(4e6 / n**2, 60, 1000))):
        offset = centers[:, None, :] - centers[None, :, :]
        excess = box - np.abs(offset)
        np.einsum("iik->ik", excess)[:] = -1
        hit = (excess > 0).all(axis=2)
        if not hit.any():
            break
        # Along the direction in which there is less to go.
        across = excess[..., 0] <= excess[..., 1]
        push = np.stack([hit & across, hit & ~across], axis=2) * excess
        centers = centers + 0.3 * (np.sign(offset) * push).sum(axis=1)
        centers = np.clip(centers, half, room - half)
    return centers


def _overlap(centers: np.ndarray, box: np.ndarray) -> float:
    """Largest share of a box that another one covers."""
    excess = np.clip(box - np.abs(centers[:, None] - centers[None, :]), 0, None)
    shared = excess.prod(axis=2)
    np.fill_diagonal(shared, 0)
    return float(shared.max(initial=0) / box.prod())
