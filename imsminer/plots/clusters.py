"""Segmentations of pixels and clusters of ions."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from imsminer._array import to_numpy
from imsminer.plots._labels import intensity_axis, label_peaks
from imsminer.plots._montage import montage_of
from imsminer.plots._palette import PALETTE, segment_colors
from imsminer.plots._raster import (
    BACKGROUND,
    add_color_bar,
    add_scale_bar,
    as_table,
    draw_planes,
    image_axes,
    pixel_edges,
    sheet_axes,
)
from imsminer.plots.images import color_limits, draw_numbers

__all__ = [
    "PALETTE",
    "cluster_images",
    "segment_colors",
    "segment_profiles",
    "segmentation",
]


def segmentation(
    labels: Any,
    coordinates: Any = None,
    *,
    ax: Axes | None = None,
    title: str | None = None,
    colors: Sequence[Any] | None = None,
    pixel_size: float | tuple[float, float] | None = None,
    legend: bool = True,
) -> Axes:
    """Draw the segment of each pixel.

    Several runs, or planes z of one run, are drawn side by side in the same colours.

    Parameters
    ----------
    labels : array-like or Series of shape (n_pixels,)
        Segments: numbers or names; missing values (NaN) show the background.
    coordinates : array-like, DataFrame, Spectra or MultiIndex, default=None
        Where the pixels are: the features that were segmented, or as in
        :func:`ion_image`. `None` takes them from the index of `labels`.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.
    title : str, default=None
        Title of the picture.
    colors : list of colours, default=None
        One per segment in sorted order; `None` takes colours that colour-blind eyes
        can tell apart.
    pixel_size : float or (float, float), default=None
        Edge of a pixel in µm; see :func:`ion_image`.
    legend : bool, default=True
        Whether to list the segments and their shares of the pixels.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        When nothing says where the pixels are, or `colors` are too few.

    Examples
    --------
    >>> from imsminer import plots
    >>> ax = plots.segmentation([0, 1, 1], [[1, 1], [2, 1], [2, 2]])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['0  (33.3 %)', '1  (66.7 %)']
    """
    series = labels if isinstance(labels, pd.Series) else pd.Series(to_numpy(labels))
    montage = montage_of(series, coordinates)
    codes, names = pd.factorize(series, sort=True)
    palette = _palette(colors, len(names))
    ax = image_axes(ax, montage, margin=1.5 if legend else 0.2)
    width, height = pixel_edges(pixel_size)
    cmap = ListedColormap(palette or [BACKGROUND]).with_extremes(bad=BACKGROUND)
    draw_planes(
        ax,
        np.where(codes < 0, np.nan, codes).astype(np.float64),
        montage,
        aspect=height / width if np.isfinite(width * height) else 1.0,
        cmap=cmap,
        vmin=-0.5,
        vmax=max(len(names), 1) - 0.5,
    )
    add_scale_bar(ax, montage, width)
    if legend and len(names):
        share = np.bincount(codes[codes >= 0], minlength=len(names)) / len(codes)
        handles = [
            Patch(facecolor=color, label=f"{_plain(name)}  ({100 * part:.1f} %)")
            for color, name, part in zip(palette, names, share, strict=True)
        ]
        if (codes < 0).any():
            rest = f"none  ({100 * np.mean(codes < 0):.1f} %)"
            handles.append(Patch(facecolor=BACKGROUND, label=rest))
        ax.legend(
            handles=handles,
            title="segment (share)",
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            borderaxespad=0,
            frameon=False,
            fontsize="small",
            title_fontsize="small",
            alignment="left",
        )
    if title is not None:
        ax.set_title(title, fontsize="medium")
    return ax


def segment_profiles(
    profiles: Any,
    mz: Any,
    *,
    labels: Any = None,
    ax: Sequence[Axes] | np.ndarray | None = None,
    colors: Sequence[Any] | None = None,
    top: int = 3,
    label: str = "mean intensity (a.u.)",
) -> np.ndarray:
    """Draw the mean spectrum of peaks of each segment, mirrored by that of the others.

    Parameters
    ----------
    profiles : DataFrame or array-like of shape (n_segments, n_peaks)
        Mean intensity of each peak in each segment.
    mz : array-like of shape (n_peaks,)
        m/z of the peaks.
    labels : array-like of shape (n_segments,), default=None
        Names of the segments; `None` numbers them from 0, as `labels_` does.
    ax : sequence of Axes, default=None
        One for each segment; `None` makes a figure.
    colors : list of colours, default=None
        One per segment; `None` takes those of :func:`segmentation`.
    top : int, default=3
        How many peaks to label in each segment: those that exceed the mean of the
        other segments the most.
    label : str, default="mean intensity (a.u.)"
        Quantity and unit.

    Returns
    -------
    ndarray of Axes, shape (n_segments,)
        Upwards the segment, downwards, in grey, the mean of the other segments on the
        same scale. Scales differ between segments.

    Raises
    ------
    ValueError
        When `mz` or `labels` do not fit to `profiles`.

    Examples
    --------
    >>> from imsminer import plots
    >>> axes = plots.segment_profiles([[1.0, 5.0], [4.0, 5.0]], [722.5, 885.55])
    >>> [ax.get_title(loc="left") for ax in axes]
    ['segment 0', 'segment 1']
    """
    values = np.atleast_2d(to_numpy(profiles)).astype(np.float64)
    masses = np.asarray(mz, dtype=np.float64)
    n_segments, n_peaks = values.shape
    if masses.shape != (n_peaks,):
        message = (
            f"mz must have one value for each of the {n_peaks} peaks of profiles, got "
            f"the shape {masses.shape}."
        )
        raise ValueError(message)
    names = range(n_segments) if labels is None else list(labels)
    if len(names) != n_segments:
        message = f"labels has {len(names)} names for {n_segments} segments."
        raise ValueError(message)
    palette = _palette(colors, n_segments)
    axes: Any
    if ax is None:
        figure, grid = plt.subplots(
            n_segments,
            1,
            figsize=(8, 0.7 + 1.3 * n_segments),
            sharex=True,
            squeeze=False,
            layout="constrained",
        )
        axes = grid[:, 0]
    else:
        axes = np.asarray(ax, dtype=object).ravel()[:n_segments]
    others = (values.sum(axis=0) - values) / max(n_segments - 1, 1)
    for k, panel in enumerate(axes):
        # vlines is one collection for all stems: quick for thousands of peaks.
        panel.vlines(masses, 0, values[k], color=palette[k], linewidth=1.2)
        panel.vlines(masses, -others[k], 0, color="0.6", linewidth=1.0)
        panel.axhline(0, color="0.3", linewidth=0.6)
        panel.set_title(f"segment {_plain(names[k])}", loc="left", fontsize="small")
        up, down = values[k].max(initial=0.0), others[k].max(initial=0.0)
        span = float(up + down) or 1.0
        # Room for two rows of labels above the highest peak.
        panel.set_ylim(-down - 0.05 * span, up + 0.4 * span)
        for spine in ("top", "right"):
            panel.spines[spine].set_visible(False)
    axes[0].set_title("downwards: mean of the others", loc="right", fontsize="small")
    axes[-1].set_xlabel("$m/z$")
    label = intensity_axis(axes, label)
    if ax is None:
        figure.supylabel(label, fontsize="medium")
    else:
        axes[n_segments // 2].set_ylabel(label)
    for k, panel in enumerate(axes):
        excess = values[k] - others[k]
        order = np.argsort(-excess, kind="stable")
        distinct = order[excess[order] > 0]
        label_peaks(panel, masses, np.maximum(values[k], 0), distinct, top)
    return axes


def cluster_images(
    mean_images: Any,
    coordinates: Any = None,
    labels: Any = None,
    *,
    mz: Any = None,
    ax: Sequence[Axes] | np.ndarray | None = None,
    n_columns: int | None = None,
    cmap: Any = "viridis",
    pixel_size: float | tuple[float, float] | None = None,
    clip_quantile: float = 0.99,
    label: str = "mean image (a.u.)",
) -> np.ndarray:
    """Draw the mean image of each cluster of ions.

    Parameters
    ----------
    mean_images : DataFrame or array-like of shape (n_pixels, n_clusters)
        What ``ImageClusterer.transform`` returns.
    coordinates : array-like, DataFrame, Spectra or MultiIndex, default=None
        Where the pixels are: the features that were clustered, or as in
        :func:`ion_image`. `None` takes them from the index of `mean_images`.
    labels : array-like of shape (n_ions,), default=None
        The cluster of each ion, for the number of ions in the titles. Their sorted
        values name the columns of `mean_images`.
    mz : array-like of shape (n_ions,), default=None
        m/z of the ions; the titles then show those of the first three ions.
    ax : sequence of Axes, default=None
        One for each cluster; `None` makes a figure.
    n_columns, cmap, pixel_size, clip_quantile
        As in :func:`ion_images`.
    label : str, default="mean image (a.u.)"
        Quantity and unit of all colour bars, written above the sheet.

    Returns
    -------
    ndarray of Axes, shape (n_clusters,)

    Raises
    ------
    ValueError
        When `labels` have more values than there are images, or `mz` another length.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import plots
    >>> where = [[1, 1], [2, 1], [3, 1]]
    >>> axes = plots.cluster_images(np.eye(3)[:, :2], where, labels=[0, 1, 1])
    >>> [ax.get_title() for ax in axes]
    ['cluster 0: 1 ion', 'cluster 1: 2 ions']
    """
    table = as_table(mean_images)
    montage = montage_of(table, coordinates)
    titles = _cluster_titles(table.shape[1], labels, mz)
    lines = 2 if mz is not None else 1
    axes = sheet_axes(ax, table.shape[1], montage, n_columns, title_lines=lines)
    for k, panel in enumerate(axes):
        numbers = table.iloc[:, k].to_numpy(np.float64)
        low, high, clipped = color_limits(numbers, clip_quantile)
        mappable = draw_numbers(
            panel, numbers, montage, (low, high), cmap, pixel_size, fontsize="x-small"
        )
        add_color_bar(panel, mappable, "", clipped=clipped, compact=True)
        panel.set_title(titles[k], fontsize="small")
    if ax is None and label:
        figure = axes[0].get_figure(root=True)
        figure.suptitle(f"{label}, each on its own colour scale", fontsize="small")
    return axes


def _cluster_titles(n_clusters: int, labels: Any, mz: Any) -> list[str]:
    """``cluster 1: 12 ions`` and perhaps the first m/z, for each cluster."""
    if labels is None:
        return [f"cluster {k}" for k in range(n_clusters)]
    labels = to_numpy(labels)
    names: Any = np.unique(labels)
    if len(names) > n_clusters:
        message = (
            f"labels name {len(names)} clusters, but there are {n_clusters} images."
        )
        raise ValueError(message)
    if len(names) < n_clusters:
        # A cluster without ions has no label; the numbers then say which is which.
        names = np.arange(n_clusters)
    masses = None if mz is None else np.asarray(mz, dtype=np.float64)
    if masses is not None and masses.shape != labels.shape:
        message = f"mz has the shape {masses.shape}, labels {labels.shape}."
        raise ValueError(message)
    titles = []
    for name in names:
        members = np.flatnonzero(labels == name)
        ions = "1 ion" if len(members) == 1 else f"{len(members)} ions"
        title = f"cluster {_plain(name)}: {ions}"
        if masses is not None and len(members):
            shown = ", ".join(f"{mass:.2f}" for mass in masses[members[:3]])
            title += f"\n$m/z$ {shown}{', …' if len(members) > 3 else ''}"
        titles.append(title)
    return titles


def _palette(colors: Sequence[Any] | None, n: int) -> list[Any]:
    """The first `n` colours, checked to be enough."""
    if colors is None:
        return segment_colors(n)
    if len(colors) < n:
        message = f"colors has {len(colors)} colours for {n} segments."
        raise ValueError(message)
    return list(colors[:n])


def _plain(name: Any) -> str:
    """A label as a person writes it: 3, not 3.0 (which a missing value makes of it)."""
    if isinstance(name, float | np.floating) and float(name).is_integer():
        return str(int(name))
    return str(name)
