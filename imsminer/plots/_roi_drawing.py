"""Outlines of regions of interest, each on the image of its run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from imsminer.images.roi import ROI
from imsminer.plots._montage import Montage, Plane
from imsminer.plots._palette import segment_colors

__all__ = ["draw_outlines", "image_box", "pixel_runs", "planes_of"]

#: How far beyond the image of its run an outline is drawn, in pixels of the image: less
#: than half of the gap between two.
MARGIN = 0.9


def pixel_runs(values: Any, coordinates: Any) -> np.ndarray | None:
    """Name of the run of each pixel as text, or None when nothing says it."""
    for source in (coordinates, values):
        table = getattr(source, "pixels", source)
        index = table if isinstance(table, pd.MultiIndex) else None
        index = getattr(table, "index", index)
        if isinstance(table, pd.DataFrame) and "run" in table:
            return table["run"].to_numpy().astype(str)
        if isinstance(index, pd.MultiIndex) and "run" in index.names:
            return index.get_level_values("run").to_numpy().astype(str)
    return None


def planes_of(roi: ROI, montage: Montage, runs: np.ndarray | None) -> list[Plane]:
    """Images that a region lies on: those of its run, or all."""
    if roi.run is None:
        return montage.planes
    if runs is None:
        # Nothing names the runs: there is one image, and it is taken for the one.
        return montage.planes if len(montage.planes) == 1 else []
    return [plane for plane in montage.planes if runs[plane.rows[0]] == roi.run]


def image_box(plane: Plane, montage: Montage) -> Bbox:
    """Where an image lies in the picture, from edge to edge of its pixels."""
    xy = montage.coordinates[plane.rows, :2] + plane.offset
    return Bbox([xy.min(axis=0) - 0.5, xy.max(axis=0) + 0.5])


def draw_outlines(
    ax: Axes,
    rois: Sequence[ROI],
    montage: Montage | None,
    runs: np.ndarray | None,
    *,
    by: str = "name",
    colors: Any = None,
    labels: bool = True,
    linewidth: float = 1.5,
    fontsize: Any = "small",
) -> list[Artist]:
    """Draw the outline of each region, and its label where there is room.

    Of several images side by side, each shows what lies on it, and nothing in between.

    Parameters
    ----------
    ax : Axes
        That holds the image; its limits must be final.
    rois : sequence of ROI
        Regions.
    montage : Montage or None
        Where the runs are drawn; `None` draws all regions where their coordinates say.
    runs : ndarray of str or None
        Name of the run of each pixel of the montage.
    by, colors, labels, linewidth
        As in :func:`imsminer.plots.roi_outlines`.
    fontsize : float or str
        Of the labels.

    Returns
    -------
    list of Artist
        What was drawn: outlines, then labels.
    """
    several = montage is not None and len(montage.planes) > 1
    keys = [
        roi.name if by == "name" or roi.group is None else roi.group for roi in rois
    ]
    palette = _palette(keys, colors)
    patches: list[Artist] = []
    spots: list[tuple[str, str, Any]] = []
    for roi, key in zip(rois, keys, strict=True):
        planes = [None] if montage is None else planes_of(roi, montage, runs)
        for plane in planes:
            dx, dy = (0.0, 0.0) if plane is None else plane.offset
            x0, y0, x1, y1 = roi.bounds
            box = Bbox.from_extents(x0 + dx, y0 + dy, x1 + dx, y1 + dy)
            image = None
            if montage is not None and plane is not None and several:
                image = image_box(plane, montage)
                shown = Bbox.intersection(box, image)
                if shown is None or shown.width == 0 or shown.height == 0:
                    continue
                box = shown
            patch = PathPatch(
                _path(roi, dx, dy),
                facecolor="none",
                edgecolor=palette[key],
                linewidth=linewidth,
                joinstyle="round",
                # Visible on dark and on bright pixels alike.
                path_effects=[withStroke(linewidth=linewidth + 1.5, foreground="w")],
                label=key,
                zorder=3,
            )
            ax.add_patch(patch)
            if image is not None:
                # Beside the clipping to the Axes, which stays.
                corners = image.padded(MARGIN).corners()[[0, 1, 3, 2, 0]]
                patch.set_clip_path(Path(corners, closed=True), ax.transData)
            patches.append(patch)
            spots.append((key, palette[key], box.extents))
    if labels:
        patches += _label(ax, spots, fontsize)
    return patches


def _palette(keys: Sequence[str], colors: Any) -> dict[str, Any]:
    """Colour of each key: given by name, in order, or from the palette."""
    names = list(dict.fromkeys(keys))
    if isinstance(colors, dict):
        missing = [name for name in names if name not in colors]
        if missing:
            message = f"colors has no entry for {', '.join(map(repr, missing))}."
            raise ValueError(message)
        return colors
    if isinstance(colors, str):
        return dict.fromkeys(names, colors)
    if colors is None:
        colors = segment_colors(len(names))
    if len(colors) < len(names):
        message = f"colors holds {len(colors)} colours, but there are {len(names)}."
        raise ValueError(message)
    return dict(zip(names, colors, strict=False))


def _path(roi: ROI, dx: float, dy: float) -> Path:
    """All rings of a region as one path."""
    rings = [ring for outer, holes in roi.outlines for ring in (outer, *holes)]
    shift = np.array([dx, dy])
    paths = [Path(np.array([*ring, ring[0]]) + shift, closed=True) for ring in rings]
    return Path.make_compound_path(*paths)


def _label(
    ax: Axes,
    spots: Sequence[tuple[str, str, Any]],
    fontsize: Any,
) -> list[Text]:
    """Write labels above, below or inside of regions, the first that is free."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    # Lays the figure out: only then is the size of a label in data units known.
    figure.draw_without_rendering()
    frame = ax.get_window_extent()
    placed: list[Any] = []
    texts: list[Text] = []
    for name, color, (x0, y0, x1, y1) in spots:
        x = (x0 + x1) / 2
        # y points down on an image: the smaller y is its upper edge.
        upper, lower = sorted(
            (y0, y1), key=lambda y: -ax.transData.transform((x, y))[1]
        )
        places: Any = (
            (upper, 3, "bottom"),
            (lower, -3, "top"),
            ((y0 + y1) / 2, 0, "center"),
        )
        text = ax.annotate(
            name,
            (x, upper),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=fontsize,
            color=color,
            fontweight="bold",
            path_effects=[withStroke(linewidth=2, foreground="w")],
            annotation_clip=True,
            zorder=4,
        )
        for y, shift, va in places:
            text.xy = (x, y)
            text.xyann = (0, shift)
            text.set_verticalalignment(va)
            box = text.get_window_extent()
            inside = frame.y0 <= box.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in placed):
                break
        placed.append(text.get_window_extent())
        texts.append(text)
    return texts
