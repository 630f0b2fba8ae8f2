"""Regions of interest: outlines on images, pictures beneath them, and drawing them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.transforms import Affine2D

from imsminer._array import to_numpy
from imsminer.images.registration import Registration
from imsminer.images.roi import ROI
from imsminer.plots._montage import montage_of
from imsminer.plots._raster import (
    add_color_bar,
    add_scale_bar,
    color_map,
    draw_planes,
    image_axes,
    pixel_edges,
)
from imsminer.plots._roi_drawing import draw_outlines, pixel_runs
from imsminer.plots._roi_selector import RoiSelector
from imsminer.plots.images import INTENSITY, color_limits, ion_title

__all__ = ["RoiSelector", "overlay", "roi_outlines"]


def roi_outlines(
    rois: Iterable[ROI],
    coordinates: Any = None,
    *,
    ax: Axes,
    by: str = "name",
    colors: Any = None,
    labels: bool = True,
    linewidth: float = 1.5,
) -> Axes:
    """Draw the outlines of regions on an image that is there.

    Parameters
    ----------
    rois : iterable of Rectangle, Ellipse, Polygon or MaskROI
        The regions.
    coordinates : array-like, DataFrame, Spectra or MultiIndex, default=None
        Where the pixels of the image are, such as the features that were drawn: needed
        where several runs lie side by side. A region with a run is drawn on the image
        of that run, one without on each image that it lies on.
    ax : Axes
        That of :func:`ion_image`, :func:`segmentation` or :func:`overlay`.
    by : {"name", "group"}, default="name"
        What to write beside a region, and by what regions share a colour. A region
        without a group takes its name.
    colors : colour, list or dict, default=None
        One colour for all, one per name (or group) in order, or by it; `None` takes
        colours that colour-blind eyes can tell apart.
    labels : bool, default=True
        Whether to write the names.
    linewidth : float, default=1.5
        In points. Outlines have a white rim, to be seen on dark pixels too.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        When `by` is something else, or colours are missing.

    Examples
    --------
    >>> from imsminer import Rectangle, plots
    >>> ax = plots.ion_image([0.0, 2.0, 4.0], [[1, 1], [2, 1], [2, 2]])
    >>> ax = plots.roi_outlines([Rectangle("cortex", 1.5, 0.5, 2.5, 2.5)], ax=ax)
    >>> [patch.get_label() for patch in ax.patches]
    ['cortex']
    """
    if by not in ("name", "group"):
        message = f'roi_outlines: by must be "name" or "group"; got {by!r}.'
        raise ValueError(message)
    montage = runs = None
    if coordinates is not None:
        table = getattr(coordinates, "pixels", coordinates)
        montage, runs = montage_of(table, table), pixel_runs(None, table)
    draw_outlines(
        ax,
        list(rois),
        montage,
        runs,
        by=by,
        colors=colors,
        labels=labels,
        linewidth=linewidth,
    )
    return ax


def overlay(
    picture: Any,
    values: Any,
    coordinates: Any = None,
    registration: Registration | None = None,
    *,
    ax: Axes | None = None,
    alpha: float = 0.7,
    title: str | None = None,
    cmap: Any = "viridis",
    pixel_size: float | tuple[float, float] | None = None,
    clip_quantile: float = 0.99,
    label: str = INTENSITY,
) -> Axes:
    """Draw an ion image on top of a histology picture, in the pixels' coordinates.

    Parameters
    ----------
    picture : array-like of shape (height, width), (height, width, 3) or \
            (height, width, 4)
        Grey values, or colours as numbers from 0 to 1 or bytes.
    values : Series or array-like of shape (n_pixels,)
        One intensity per pixel of one run; where it is NaN the picture shows.
    coordinates : array-like, DataFrame, Spectra or MultiIndex, default=None
        Where the pixels are, as in :func:`ion_image`.
    registration : Registration
        From :func:`register_landmarks`, of points in the picture whose first pixel
        reaches from 0 to 1, as QuPath counts.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.
    alpha : float, default=0.7
        Opacity at the upper end of the colour scale. It falls to 0 at the lower end, so
        that the tissue shows where the ion is not.
    title : str, default=None
        `None` writes the m/z.
    cmap, pixel_size, clip_quantile, label
        As in :func:`ion_image`.

    Returns
    -------
    Axes
        In pixels: :func:`roi_outlines` draws on it.

    Raises
    ------
    ValueError
        When the pixels are of several runs or planes, `registration` is missing, or a
        value is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import plots, register_landmarks
    >>> corners = [(0, 0), (20, 0), (0, 20)]
    >>> registration = register_landmarks(corners, [(0.5, 0.5), (2.5, 0.5), (0.5, 2.5)])
    >>> picture = np.full((20, 20, 3), 200, np.uint8)
    >>> ax = plots.overlay(
    ...     picture, [0.0, 2.0, 4.0], [[1, 1], [2, 1], [2, 2]], registration, alpha=0.4
    ... )
    >>> len(ax.images)
    2
    """
    if registration is None:
        message = (
            "overlay needs registration=: where the pixels are in the picture, from "
            "register_landmarks."
        )
        raise ValueError(message)
    if not 0 <= alpha <= 1:
        message = f"overlay: alpha must be from 0 to 1; got {alpha!r}."
        raise ValueError(message)
    picture = _picture(picture)
    numbers = np.asarray(to_numpy(values), dtype=np.float64)
    montage = montage_of(values, coordinates)
    if len(montage.planes) > 1:
        message = (
            f"overlay draws one run on its picture, but the pixels are of "
            f"{len(montage.planes)} runs or planes. Select those of one first."
        )
        raise ValueError(message)
    ax = image_axes(ax, montage)
    width, height = pixel_edges(pixel_size)
    low, high, clipped = color_limits(numbers, clip_quantile)
    mappable = draw_planes(
        ax,
        numbers,
        montage,
        aspect=height / width if np.isfinite(width * height) else 1.0,
        cmap=_fading(color_map(cmap), alpha),
        vmin=low,
        vmax=high,
    )
    limits = ax.get_xlim(), ax.get_ylim()
    drawn = ax.imshow(
        picture,
        cmap="gray",
        extent=(0, picture.shape[1], picture.shape[0], 0),
        interpolation="antialiased",
        aspect=ax.get_aspect(),
        zorder=-1,
    )
    drawn.set_transform(Affine2D(registration.matrix) + ax.transData)
    ax.set(xlim=limits[0], ylim=limits[1])
    add_scale_bar(ax, montage, width)
    add_color_bar(ax, mappable, label, clipped=clipped)
    ax.set_title(ion_title(values) if title is None else title, fontsize="medium")
    return ax


def _fading(cmap: Colormap, alpha: float) -> Colormap:
    """Return a colour map whose opacity rises from 0 to `alpha`."""
    colors = cmap(np.arange(cmap.N))
    colors[:, 3] = np.linspace(0, alpha, cmap.N)
    return ListedColormap(colors).with_extremes(bad=(0, 0, 0, 0))


def _picture(picture: Any) -> np.ndarray:
    array = to_numpy(picture)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        message = (
            "overlay: picture must be grey (height, width) or coloured (height, width, "
            f"3 or 4); got the shape {array.shape}."
        )
        raise ValueError(message)
    return array
