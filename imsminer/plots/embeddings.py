"""Embeddings of pixels, such as PCA or t-SNE: a scatter, or colours on the tissue."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba_array
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from imsminer._array import to_numpy
from imsminer.images.roi import ROI
from imsminer.plots._embedding_colors import CHANNELS, SPACES, embedding_colors
from imsminer.plots._montage import montage_of
from imsminer.plots._palette import segment_colors
from imsminer.plots._raster import (
    BACKGROUND,
    add_color_bar,
    add_scale_bar,
    as_table,
    color_map,
    draw_planes,
    image_axes,
    pixel_edges,
)
from imsminer.plots._roi_drawing import draw_outlines, pixel_runs
from imsminer.plots.images import INTENSITY, color_limits, ion_title

__all__ = ["embedding", "embedding_image"]

#: Whole numbers of more different values than this are not classes.
MAX_CLASSES = 24
#: Colour of points when they all have the same.
PLAIN = "#4477AA"
#: Width of the scatter beside an image, in inches.
KEY = 1.7


def embedding(
    embedding: Any,
    color: Any = None,
    *,
    categorical: bool | None = None,
    components: tuple[int, int] = (0, 1),
    ax: Axes | None = None,
    title: str | None = None,
    cmap: Any = "viridis",
    colors: Sequence[Any] | None = None,
    clip_quantile: float = 0.99,
    size: float | None = None,
    label: str | None = None,
) -> Axes:
    """Draw an embedding of pixels as a scatter, coloured by segment, region or ion.

    Points are drawn in random order, so that no class covers another by being last, and
    as one picture of pixels within files of vector graphics, which stay small.

    Parameters
    ----------
    embedding : DataFrame or array-like of shape (n_pixels, n_components)
        What :class:`~imsminer.images.embed.TSNEEmbedder`, or scikit-learn's ``PCA`` or
        ``NMF``, returns.
    color : Series or array-like of shape (n_pixels,), default=None
        What colours the points: segments, regions, runs, conditions, or intensities of
        an ion. Missing values are light grey.
    categorical : bool, default=None
        Whether `color` names classes. `None` decides: text, booleans, categories and
        whole numbers of up to 24 different values do; others are a scale.
    components : (int, int), default=(0, 1)
        Which columns of the embedding are drawn to the right and upwards, from 0.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.
    title : str, default=None
        `None` writes the m/z, or the name, of `color`.
    cmap : str or Colormap, default="viridis"
        Of a scale.
    colors : list of colours, default=None
        One for each class in sorted order; `None` takes those of :func:`segmentation`,
        that colour-blind eyes can tell apart.
    clip_quantile : float, default=0.99
        A scale ends at this quantile of the non-zero values, as in :func:`ion_image`.
    size : float, default=None
        Area of a point in points²; `None` takes less for more pixels.
    label : str, default=None
        Title of the legend, or quantity and unit beside the colour bar.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        When `color` has another length than the embedding, `components` names a column
        that is not there, `colors` are too few or `clip_quantile` is outside of (0, 1].

    Examples
    --------
    >>> from imsminer.plots.embeddings import embedding
    >>> ax = embedding([[0.0, 1.0], [2.0, 3.0], [2.5, 3.0]], ["liver", "gut", "gut"])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['gut', 'liver']
    """
    table = as_table(embedding)
    points, axis_names = _components(table, components)
    if ax is None:
        _, ax = plt.subplots(figsize=(5.2, 4.4), layout="constrained")
    if size is None:
        size = float(np.clip(12_000 / max(len(points), 1), 1.0, 25.0))
    order = np.random.default_rng(0).permutation(len(points))
    style: dict[str, Any] = {"s": size, "linewidths": 0, "rasterized": True}
    if color is None:
        ax.scatter(points[order, 0], points[order, 1], color=PLAIN, **style)
    else:
        series = color if isinstance(color, pd.Series) else pd.Series(to_numpy(color))
        if len(series) != len(points):
            message = (
                f"color has {len(series)} values, but the embedding has {len(points)} "
                "pixels."
            )
            raise ValueError(message)
        if title is None:
            title = ion_title(series)
        if _is_categorical(series, categorical):
            _draw_classes(ax, points, series, order, colors, label, style)
        else:
            _draw_scale(ax, points, series, order, cmap, clip_quantile, label, style)
    ax.set_xlabel(axis_names[0])
    ax.set_ylabel(axis_names[1])
    ax.set_aspect("equal", adjustable="datalim")
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
    if title:
        ax.set_title(title, fontsize="medium")
    return ax


def embedding_image(
    embedding: Any,
    coordinates: Any = None,
    *,
    space: str = "lab",
    clip_quantile: float = 0.99,
    ax: Axes | None = None,
    title: str | None = None,
    pixel_size: float | tuple[float, float] | None = None,
    rois: Iterable[ROI] | None = None,
    key: bool = True,
) -> Axes:
    """Draw an embedding of pixels as colours on the tissue.

    Pixels with similar spectra get similar colours, without any choice of a number of
    segments. Several runs, or planes z of one run, are drawn side by side: the same
    colour is the same place in the embedding.

    Parameters
    ----------
    embedding : DataFrame or array-like of shape (n_pixels, 2 or 3)
        Two or three components; rows with NaN show the background.
    coordinates : array-like, DataFrame, Spectra or MultiIndex, default=None
        Where the pixels are: the features, or as in :func:`ion_image`. `None` takes
        them from the index of `embedding`.
    space : {"lab", "rgb"}, default="lab"
        ``"lab"`` lays the components along the axes of CIELAB, in which equal steps
        look alike: the first from blue to yellow, the second from dark to light, and
        the third, if there is one, from green to red. Two components can be told apart
        with colour-blind eyes too. ``"rgb"`` makes them red, green and blue (of two,
        the first is red and the second green and blue): more vivid, but steps look
        unequal.
    clip_quantile : float, default=0.99
        Each component spans its colours from quantile ``1 - clip_quantile`` to this
        one, so that a few outliers do not make the rest uniform.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.
    title : str, default=None
        Title of the picture.
    pixel_size : float or (float, float), default=None
        Edge of a pixel in µm; see :func:`ion_image`.
    rois : iterable of Rectangle, Ellipse, Polygon or MaskROI, default=None
        Regions whose outlines are drawn on top.
    key : bool, default=True
        Whether to draw, beside the image, the scatter of the first two components in
        the same colours.

    Returns
    -------
    Axes
        That of the image; the scatter is its first child.

    Raises
    ------
    ValueError
        When nothing says where the pixels are, the embedding has another number of
        components, or `space` or `clip_quantile` is out of its range.

    Examples
    --------
    >>> from imsminer.plots.embeddings import embedding_image
    >>> ax = embedding_image([[0, 0], [1, 0], [1, 1]], [[1, 1], [2, 1], [2, 2]])
    >>> len(ax.get_images())
    1
    """
    table = as_table(embedding)
    values = table.to_numpy(np.float64)
    if values.shape[1] not in (2, 3):
        message = (
            f"embedding_image draws 2 or 3 components, got {values.shape[1]}. Pass "
            "some of the columns."
        )
        raise ValueError(message)
    if space not in SPACES:
        allowed = " or ".join(map(repr, SPACES))
        message = f"embedding_image: space must be {allowed}; got {space!r}."
        raise ValueError(message)
    if not 0.5 < clip_quantile <= 1:
        message = f"clip_quantile must be in (0.5, 1], got {clip_quantile!r}."
        raise ValueError(message)
    montage = montage_of(table, coordinates)
    rgb = embedding_colors(values, space, clip_quantile)
    ax = image_axes(ax, montage, margin=KEY + 0.7 if key else 0.2)
    width, height = pixel_edges(pixel_size)
    before = len(ax.get_images())
    aspect = height / width if np.isfinite(width * height) else 1.0
    draw_planes(ax, np.arange(float(len(rgb))), montage, aspect=aspect)
    colors = np.concatenate([rgb, to_rgba_array(BACKGROUND)[:, :3]])
    for image in ax.get_images()[before:]:
        # Where there is no pixel the last colour, the background, is taken.
        row: Any = np.ma.filled(np.ma.asarray(image.get_array()), len(rgb))
        image.set_data(colors[np.nan_to_num(row, nan=len(rgb)).astype(np.int64)])
    add_scale_bar(ax, montage, width)
    if rois is not None:
        draw_outlines(ax, list(rois), montage, pixel_runs(table, coordinates))
    if key:
        _draw_key(ax, values, rgb, _names(table, range(values.shape[1])), space)
    if title is not None:
        ax.set_title(title, fontsize="medium")
    return ax


def _names(table: pd.DataFrame, columns: Iterable[int]) -> list[str]:
    """Names of components: those of the columns, or their numbers from 1."""
    return [
        name if isinstance(name := table.columns[i], str) else f"component {i + 1}"
        for i in columns
    ]


def _components(
    table: pd.DataFrame, components: tuple[int, int]
) -> tuple[np.ndarray, list[str]]:
    """The two columns to draw, and their names."""
    n = table.shape[1]
    chosen = tuple(components)
    if len(chosen) != 2 or not all(0 <= i < n for i in chosen):
        message = (
            f"components must be two numbers from 0 to {n - 1}, of the {n} columns of "
            f"the embedding; got {components!r}."
        )
        raise ValueError(message)
    return table.iloc[:, list(chosen)].to_numpy(np.float64), _names(table, chosen)


def _is_categorical(series: pd.Series, categorical: bool | None) -> bool:
    if categorical is not None:
        return categorical
    if pd.api.types.is_bool_dtype(series.dtype):
        return True
    if pd.api.types.is_integer_dtype(series.dtype):
        return series.nunique() <= MAX_CLASSES
    return not pd.api.types.is_numeric_dtype(series.dtype)


def _draw_classes(
    ax: Axes,
    points: np.ndarray,
    series: pd.Series,
    order: np.ndarray,
    colors: Sequence[Any] | None,
    label: str | None,
    style: dict[str, Any],
) -> None:
    """Points in the colours of their classes, and a legend."""
    codes, names = pd.factorize(series, sort=True)
    palette = segment_colors(len(names)) if colors is None else list(colors)
    if len(palette) < len(names):
        message = f"colors has {len(palette)} colours for {len(names)} classes."
        raise ValueError(message)
    entries = [
        (f"{name:g}" if isinstance(name, float) else str(name), color)
        for name, color in zip(names, palette, strict=False)
    ]
    if (codes < 0).any():
        entries.append(("none", BACKGROUND))
        # Beneath all others, since it says the least.
        order = order[np.argsort(codes[order] >= 0, kind="stable")]
    if not entries:
        return
    # The code of a missing value, -1, is the last of the colours.
    faces = to_rgba_array([color for _, color in entries])[codes[order]]
    ax.scatter(points[order, 0], points[order, 1], c=faces, **style)
    handles = [
        Line2D([], [], marker="o", markersize=6, color=color, linestyle="", label=name)
        for name, color in entries
    ]
    ax.legend(
        handles=handles,
        title=label,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
        frameon=False,
        fontsize="small",
        title_fontsize="small",
        handletextpad=0.2,
        ncols=1 + (len(handles) - 1) // 16,
    )


def _draw_scale(
    ax: Axes,
    points: np.ndarray,
    series: pd.Series,
    order: np.ndarray,
    cmap: Any,
    clip_quantile: float,
    label: str | None,
    style: dict[str, Any],
) -> None:
    """Points on a scale of colours, and its bar."""
    numbers = series.to_numpy(np.float64, na_value=np.nan)
    low, high, clipped = color_limits(numbers, clip_quantile)
    mappable = ScalarMappable(Normalize(low, high), color_map(cmap))
    missing = ~np.isfinite(numbers)
    if missing.any():
        order = order[np.argsort(~missing[order], kind="stable")]
    faces = mappable.to_rgba(np.ma.masked_invalid(numbers[order]))
    ax.scatter(points[order, 0], points[order, 1], c=faces, **style)
    add_color_bar(ax, mappable, INTENSITY if label is None else label, clipped=clipped)


def _draw_key(
    ax: Axes, values: np.ndarray, rgb: np.ndarray, names: list[str], space: str
) -> None:
    """Scatter of the first two components beside the image, in its colours."""
    # To the right in its room, so that what the layout sets aside is what it takes.
    ax.set_anchor("E")
    panel = ax.inset_axes((1, 0, 1, 1))
    panel.set_axes_locator(partial(_beside, ax))
    order = np.random.default_rng(0).permutation(len(values))
    panel.scatter(
        values[order, 0],
        values[order, 1],
        c=rgb[order],
        s=float(np.clip(3_000 / max(len(values), 1), 0.3, 12)),
        linewidths=0,
        rasterized=True,
    )
    panel.set(xticks=[], yticks=[])
    panel.margins(0.06)
    for spine in panel.spines.values():
        spine.set_color("0.7")
    # All beneath: to the right there is no room that is known beforehand.
    lines = [
        f"{arrow} {name}: {channel}"
        for arrow, name, channel in zip(
            ("→", "↑", "  "), names, CHANNELS[space][len(names)], strict=False
        )
    ]
    panel.set_xlabel("\n".join(lines), fontsize="x-small", loc="left")


def _beside(ax: Axes, panel: Axes, renderer: Any) -> Bbox:
    """Place of the scatter at the upper right corner of `ax`, of a size in inches."""
    figure = panel.get_figure()
    assert figure is not None
    image = ax.get_window_extent()
    dpi = figure.dpi
    width = KEY * dpi
    # Its label stays beside the image, unless that is very low.
    height = float(np.clip(image.height - 0.5 * dpi, 0.5 * dpi, 0.85 * width))
    box = Bbox.from_bounds(image.x1 + 0.1 * dpi, image.y1 - height, width, height)
    return box.transformed(figure.transSubfigure.inverted())
