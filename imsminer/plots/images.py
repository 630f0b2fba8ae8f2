"""Ion images: one, or a contact sheet of many."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from imsminer._array import to_numpy
from imsminer.images.roi import ROI
from imsminer.plots._contrast import (
    check_display,
    contrast_norm,
    smoothed,
    smoothed_label,
)
from imsminer.plots._montage import Montage, montage_of
from imsminer.plots._raster import (
    add_color_bar,
    add_scale_bar,
    as_table,
    color_map,
    draw_planes,
    image_axes,
    pixel_edges,
    sheet_axes,
)
from imsminer.plots._roi_drawing import draw_outlines, pixel_runs

__all__ = ["ion_image", "ion_images"]

INTENSITY = "intensity (a.u.)"


def ion_image(
    values: Any,
    coordinates: Any = None,
    *,
    ax: Axes | None = None,
    title: str | None = None,
    mz: float | None = None,
    cmap: Any = "viridis",
    pixel_size: float | tuple[float, float] | None = None,
    clip_quantile: float = 0.99,
    vmin: float | None = None,
    vmax: float | None = None,
    contrast: str = "linear",
    smooth: str | tuple[str, int] | None = None,
    interpolation: str = "nearest",
    rois: Iterable[ROI] | None = None,
    label: str = INTENSITY,
) -> Axes:
    """Draw the image of one ion.

    Several runs, or planes z of one run, are drawn side by side on one colour scale.
    Positions without a pixel, and pixels whose value is NaN, are light grey.

    Parameters
    ----------
    values : Series or array-like of shape (n_pixels,)
        One intensity per pixel. A column of the features brings its coordinates in
        its index (run, x, y, z).
    coordinates : array-like, DataFrame, Spectra or MultiIndex, default=None
        Where the pixels are, for values that do not say it: (n_pixels, 2 or 3), or
        what has columns or an index with x and y. Takes precedence over the index.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.
    title : str, default=None
        `None` writes the m/z.
    mz : float, default=None
        m/z for the title; `None` takes it from the name of the Series.
    cmap : str or Colormap, default="viridis"
        ``"viridis"`` and ``"cividis"`` can be read with colour-blind eyes.
    pixel_size : float or (float, float), default=None
        Edge of a pixel in µm, or its width and height. Without it, or with NaN, the
        scale bar counts pixels.
    clip_quantile : float, default=0.99
        The colour scale ends at this quantile of the non-zero values, so that a few
        hot spots do not darken the rest; 1 ends it at the maximum. The tip of the
        colour bar says that values lie beyond.
    vmin, vmax : float, default=None
        Ends of the colour scale. `None`: 0, or the minimum where that is negative;
        and the quantile.
    contrast : {"linear", "sqrt", "log", "rank"}, default="linear"
        How intensity becomes brightness. ``"log"`` spans three decades at most, and
        shows zeros as its lower end. ``"rank"`` spreads the non-zero pixels evenly.
        The colour bar always tells the intensities.
    smooth : str, (str, int) or None, default=None
        ``"median"``, ``"gaussian"``, ``"bilateral"`` or ``"tv"``: smooth what is
        shown, as :class:`imsminer.images.process.ImageSmoother` does; with a width in
        pixels as in ``("median", 5)``. The label says so.
    interpolation : str, default="nearest"
        How pixels are drawn: ``"nearest"`` as even squares; matplotlib knows others,
        such as ``"bilinear"``, which look smoother than what was measured.
    rois : iterable of Rectangle, Ellipse, Polygon or MaskROI, default=None
        Regions whose outlines and names are drawn: one that names its run on the image
        of that run, others on all. :func:`roi_outlines` has more options.
    label : str, default="intensity (a.u.)"
        Quantity and unit, beside the colour bar.

    Returns
    -------
    Axes
        In the coordinates of the file when there is one image.

    Raises
    ------
    ValueError
        When nothing says where the pixels are, a position occurs twice,
        `clip_quantile` is outside of (0, 1], or `contrast` or `smooth` is not one of
        the above.

    Examples
    --------
    >>> from imsminer import plots
    >>> ax = plots.ion_image(
    ...     [0.0, 2.0, 4.0], [[1, 1], [2, 1], [2, 2]], mz=885.5499, pixel_size=50
    ... )
    >>> ax.get_title()
    '$m/z$ 885.5499'
    """
    if not isinstance(values, pd.Series):
        values = to_numpy(values)
    check_display(contrast, smooth)
    numbers = _numbers(values)
    montage = montage_of(values, coordinates)
    numbers = smoothed(numbers, montage, smooth)
    low, high, clipped = color_limits(numbers, clip_quantile, vmin, vmax)
    norm = contrast_norm(contrast, numbers, (low, high))
    ax = image_axes(ax, montage)
    mappable = draw_numbers(
        ax,
        numbers,
        montage,
        norm,
        cmap,
        pixel_size,
        interpolation=interpolation,
    )
    below = contrast == "log" and bool(np.nanmin(numbers, initial=np.inf) < norm.vmin)
    label = smoothed_label(label, smooth)
    add_color_bar(ax, mappable, label, clipped=clipped, below=below)
    if title is None:
        title = f"$m/z$ {mz:.4f}" if mz is not None else ion_title(values)
    ax.set_title(title, fontsize="medium")
    if rois is not None:
        draw_outlines(ax, list(rois), montage, pixel_runs(values, coordinates))
    return ax


def ion_images(
    features: Any,
    columns: Any = None,
    coordinates: Any = None,
    *,
    ax: Sequence[Axes] | np.ndarray | None = None,
    n_columns: int | None = None,
    titles: Sequence[str] | None = None,
    cmap: Any = "viridis",
    pixel_size: float | tuple[float, float] | None = None,
    clip_quantile: float = 0.99,
    shared: bool = False,
    contrast: str = "linear",
    smooth: str | tuple[str, int] | None = None,
    interpolation: str = "nearest",
    rois: Iterable[ROI] | None = None,
    label: str = INTENSITY,
) -> np.ndarray:
    """Draw a contact sheet of ion images.

    Parameters
    ----------
    features : DataFrame or array-like of shape (n_pixels, n_peaks)
        Intensities, one column per ion.
    columns : list, default=None
        Names (of a DataFrame) or positions of the columns to draw; `None` draws all.
    coordinates : array-like, DataFrame, Spectra or MultiIndex, default=None
        As in :func:`ion_image`.
    ax : sequence of Axes, default=None
        One for each image; `None` makes a figure.
    n_columns : int, default=None
        Columns of the sheet; `None` chooses.
    titles : list of str, default=None
        One per image; `None` writes the m/z.
    cmap, pixel_size, clip_quantile
        As in :func:`ion_image`.
    shared : bool, default=False
        One colour scale for all images, instead of one each.
    contrast, smooth, interpolation
        As in :func:`ion_image`.
    rois : iterable of Rectangle, Ellipse, Polygon or MaskROI, default=None
        Regions whose outlines are drawn on each image, without their names.
    label : str, default="intensity (a.u.)"
        Quantity and unit of all colour bars, written above the sheet.

    Returns
    -------
    ndarray of Axes, shape (n_images,)

    Raises
    ------
    ValueError
        As :func:`ion_image`, and when there is no image to draw.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import plots
    >>> axes = plots.ion_images(
    ...     np.eye(4), [0, 3], [[0, 0], [1, 0], [0, 1], [1, 1]], titles=["a", "b"]
    ... )
    >>> [ax.get_title() for ax in axes]
    ['a', 'b']
    """
    table = as_table(features)
    montage = montage_of(table, coordinates)
    table = table if columns is None else table[list(columns)]
    if table.shape[1] == 0:
        message = "there is no ion to draw: columns is empty."
        raise ValueError(message)
    if titles is None:
        titles = [ion_title(table.iloc[:, i]) for i in range(table.shape[1])]
    check_display(contrast, smooth)
    regions, runs = list(rois or ()), pixel_runs(table, coordinates)
    axes = sheet_axes(ax, table.shape[1], montage, n_columns)
    images = [
        smoothed(table.iloc[:, i].to_numpy(np.float64), montage, smooth)
        for i in range(table.shape[1])
    ]
    every = np.concatenate(images) if shared else None
    for panel, title, numbers in zip(axes, titles, images, strict=True):
        scaled = numbers if every is None else every
        low, high, _ = color_limits(scaled, clip_quantile)
        norm = contrast_norm(contrast, scaled, (low, high))
        mappable = draw_numbers(
            panel,
            numbers,
            montage,
            norm,
            cmap,
            pixel_size,
            fontsize="x-small",
            interpolation=interpolation,
        )
        clipped = bool(np.nanmax(numbers, initial=-np.inf) > high)
        below = contrast == "log" and bool(
            np.nanmin(numbers, initial=np.inf) < norm.vmin
        )
        add_color_bar(panel, mappable, "", clipped=clipped, below=below, compact=True)
        panel.set_title(title, fontsize="small")
        if regions:
            draw_outlines(panel, regions, montage, runs, labels=False, linewidth=1.0)
    if ax is None and label:
        scale = "one colour scale" if shared else "each on its own colour scale"
        label = smoothed_label(label, smooth)
        axes[0].get_figure(root=True).suptitle(f"{label}, {scale}", fontsize="small")
    return axes


def color_limits(
    values: np.ndarray,
    clip_quantile: float,
    vmin: float | None = None,
    vmax: float | None = None,
) -> tuple[float, float, bool]:
    """Return the ends of the colour scale, and whether values lie above.

    Zeros do not count for the quantile: in sparse images they are most of the pixels
    and the scale would end far below the signal.
    """
    if not 0 < clip_quantile <= 1:
        message = f"clip_quantile must be in (0, 1], got {clip_quantile!r}."
        raise ValueError(message)
    finite = values[np.isfinite(values)]
    signal = finite[finite != 0]
    low = min(0.0, float(finite.min(initial=0.0))) if vmin is None else float(vmin)
    if vmax is not None:
        high = float(vmax)
    elif signal.size:
        # A method that returns a value that occurs keeps the end at the only one.
        high = float(np.quantile(signal, clip_quantile, method="higher"))
    else:
        high = low + 1
    if high <= low:
        high = low + 1 if vmax is None else high
    return low, high, bool(np.any(finite > high))


def ion_title(values: Any) -> str:
    """Return ``m/z 773.5272`` for a column named ``mz_773.5272``, else its name."""
    name = getattr(values, "name", None)
    if name is None:
        return ""
    match = re.fullmatch(r"mz_(\d+(?:\.\d+)?)(_\d+)?", str(name))
    return f"$m/z$ {match[1]}" if match else str(name)


def draw_numbers(
    ax: Axes,
    numbers: np.ndarray,
    montage: Montage,
    scale: tuple[float, float] | Normalize,
    cmap: Any,
    pixel_size: Any,
    *,
    fontsize: str = "small",
    interpolation: str = "nearest",
) -> Any:
    """Draw the planes on a colour scale, its ends or its norm, and the scale bar."""
    width, height = pixel_edges(pixel_size)
    mappable = draw_planes(
        ax,
        numbers,
        montage,
        aspect=height / width if np.isfinite(width * height) else 1.0,
        cmap=color_map(cmap),
        norm=scale if isinstance(scale, Normalize) else Normalize(*scale),
        interpolation=interpolation,
    )
    add_scale_bar(ax, montage, width, fontsize=fontsize)
    return mappable


def _numbers(values: Any) -> np.ndarray:
    """The values as float64, checked to be one per pixel."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1:
        message = (
            f"ion_image draws one number per pixel, got the shape {numbers.shape}; "
            "ion_images draws several columns."
        )
        raise ValueError(message)
    return numbers
