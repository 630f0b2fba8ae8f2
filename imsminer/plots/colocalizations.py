"""Which ions go together: the matrix of all pairs, and ions as a map of images."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from imsminer._array import to_numpy
from imsminer.plots._miniatures import miniature, place_images
from imsminer.plots._montage import montage_of
from imsminer.plots._raster import as_table, color_map
from imsminer.plots._trees import LEGIBLE, draw_trees, name_rows
from imsminer.plots.clusters import segment_colors
from imsminer.plots.images import ion_title

__all__ = ["colocalization", "ion_embedding"]

#: Inches of a row, and of the smallest and largest matrix.
CELL, SMALLEST, LARGEST = 0.16, 1.8, 9.0
#: Inches of tree, names, and colour bar.
TREE, NAME, BAR = 0.7, 0.85, 0.1
#: Leaves are put into their best order up to this many: the cost is cubic.
BEST_ORDER = 400
#: Miniatures up to this number carry a name.
NAMED = 40


def colocalization(
    matrix: Any,
    *,
    labels: Sequence[str] | None = None,
    cluster: bool = True,
    limit: float = 1.0,
    label: str = "colocalization",
    cmap: Any = "RdBu_r",
    ax: Axes | None = None,
) -> Axes:
    """Draw the similarities of all pairs of ions, those that go together side by side.

    Parameters
    ----------
    matrix : DataFrame or array-like of shape (n_ions, n_ions)
        Symmetric, as :func:`imsminer.images.colocalize.colocalization_matrix` returns
        it.
    labels : sequence of str, default=None
        One per ion; `None` takes the m/z from the names of a DataFrame.
    cluster : bool, default=True
        Order ions by average linkage of 1 - similarity, and draw the tree.
    limit : float, default=1
        The colours go from -limit to limit, with 0 in the middle.
    label : str, default="colocalization"
        What the colours mean.
    cmap : str or Colormap, default="RdBu_r"
        A diverging map; the default's blue and red differ for colour-blind eyes.
    ax : Axes, default=None
        Where to draw the matrix, with the tree to its left and the colour bar above;
        `None` makes a figure.

    Returns
    -------
    Axes
        One row and one column per ion. Rows too low for names have none.

    Raises
    ------
    ValueError
        When the matrix is empty, not square, not symmetric or not finite, or `labels`
        have another length.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer.plots.colocalizations import colocalization
    >>> names = ["mz_700.5000", "mz_725.1000", "mz_810.4000"]
    >>> matrix = [[1.0, 0.1, 0.9], [0.1, 1.0, 0.2], [0.9, 0.2, 1.0]]
    >>> ax = colocalization(pd.DataFrame(matrix, index=names, columns=names))
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['725.1000', '810.4000', '700.5000']
    """
    values = _checked_matrix(matrix)
    if labels is None:
        names = (
            matrix.columns if isinstance(matrix, pd.DataFrame) else range(len(values))
        )
        labels = [str(name).removeprefix("mz_") for name in names]
    labels = [str(name) for name in labels]
    if len(labels) != len(values):
        message = f"labels has {len(labels)} names for {len(values)} ions."
        raise ValueError(message)
    if not limit > 0:
        message = f"limit must be above 0; got {limit!r}."
        raise ValueError(message)
    tree = _tree(values) if cluster and len(values) > 1 else None
    order = np.arange(len(values)) if tree is None else np.array(tree["leaves"])
    if ax is None:
        ax = _matrix_axes(len(values))
    shown = ax.imshow(
        values[np.ix_(order, order)],
        aspect="equal",
        interpolation="nearest",
        cmap=color_map(cmap),
        vmin=-limit,
        vmax=limit,
    )
    ax.tick_params(length=0)
    ax.set_xticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    figure = ax.get_figure(root=True)
    assert figure is not None
    names = [labels[i] for i in order]
    name_rows(ax, names)
    room = ax.get_window_extent().height * 72 / figure.dpi / len(names)
    if room >= LEGIBLE:
        size = min(0.8 * room, 8)
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=size)
    if tree is not None:
        draw_trees(ax, [tree, None])
    height = ax.get_window_extent().height / figure.dpi
    place = ax.inset_axes((0.5, 1 + 0.1 / height, 0.5, BAR / height), label="colours")
    beyond = (bool((values < -limit).any()), bool((values > limit * 1.0001).any()))
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    bar = figure.colorbar(
        shown, cax=place, orientation="horizontal", extend=extend[beyond]
    )
    bar.outline.set_visible(False)
    bar.ax.xaxis.set_ticks_position("top")
    bar.ax.xaxis.set_label_position("top")
    bar.set_ticks([-limit, 0, limit])
    bar.ax.tick_params(labelsize="x-small", length=2)
    bar.set_label(label, fontsize="small")
    return ax


def ion_embedding(
    embedding: Any,
    features: Any,
    coordinates: Any = None,
    *,
    clusters: Any = None,
    labels: Sequence[str] | None = None,
    cmap: Any = "viridis",
    clip_quantile: float = 0.99,
    ax: Axes | None = None,
) -> Axes:
    """Draw each ion as its image, where an embedding of the ions places it.

    Miniatures are moved apart until none hides another; a line leads from one that
    was moved to the place of its ion.

    Parameters
    ----------
    embedding : array-like of shape (n_ions, 2)
        Places of the ions, such as t-SNE on their images gives:
        ``TSNE().fit_transform(images.T)``.
    features : DataFrame or array-like of shape (n_pixels, n_ions)
        Ion images, one a column.
    coordinates : array-like, DataFrame, Spectra or MultiIndex, default=None
        As in :func:`imsminer.plots.ion_image`.
    clusters : array-like of int, shape (n_ions,), default=None
        The cluster of each ion, which colours the frames, such as ``labels_`` of an
        :class:`imsminer.ImageClusterer`.
    labels : sequence of str, default=None
        One name per ion, below its image; empty ones write nothing. `None` writes the
        m/z of up to 40 ions, and nothing below more.
    cmap : str or Colormap, default="viridis"
        Each image has its own scale, from 0 to its `clip_quantile`.
    clip_quantile : float, default=0.99
        As in :func:`imsminer.plots.ion_image`.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.

    Returns
    -------
    Axes
        In the units of the embedding.

    Raises
    ------
    ValueError
        When shapes do not fit, the embedding is not finite, or nothing says where the
        pixels are.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer.plots.colocalizations import ion_embedding
    >>> images = np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 3.0]])
    >>> ax = ion_embedding([[0, 0], [1, 1]], images, [[0, 0], [1, 0], [2, 0]])
    >>> len(ax.artists)
    2
    """
    table = as_table(features)
    places = np.asarray(to_numpy(embedding), dtype=np.float64)
    n = table.shape[1]
    if places.shape != (n, 2) or n == 0:
        message = (
            f"embedding must have shape (n_ions, 2) for the {n} columns of features; "
            f"got {places.shape}."
        )
        raise ValueError(message)
    if not np.isfinite(places).all():
        message = "embedding has places that are NaN or infinite."
        raise ValueError(message)
    for name, given in (("labels", labels), ("clusters", clusters)):
        if given is not None and len(given) != n:
            message = f"{name} has {len(given)} entries for {n} ions."
            raise ValueError(message)
    montage = montage_of(table, coordinates)
    if labels is None:
        titles = [ion_title(table.iloc[:, i]) for i in range(n)]
        labels = [t.removeprefix("$m/z$ ") for t in titles] if n <= NAMED else [""] * n
    images = [
        miniature(table.iloc[:, i].to_numpy(np.float64), montage, cmap, clip_quantile)
        for i in range(n)
    ]
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 8), layout="constrained")
    ax.set_xticks([])
    ax.set_yticks([])
    for axis, values in zip("xy", places.T, strict=True):
        reach = np.ptp(values) or 1.0
        limits = values.min() - 0.08 * reach, values.max() + 0.08 * reach
        getattr(ax, f"set_{axis}lim")(*limits)
    colors = ["0.4"] * n
    if clusters is not None:
        codes, names = pd.factorize(np.asarray(to_numpy(clusters)), sort=True)
        palette = segment_colors(len(names))
        colors = [palette[code] for code in codes]
        _cluster_legend(ax, names, palette)
    place_images(ax, places, images, labels, colors)
    return ax


def _checked_matrix(matrix: Any) -> np.ndarray:
    values = np.asarray(to_numpy(matrix), dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not values.size:
        message = f"matrix must be square, (n_ions, n_ions); got {values.shape}."
        raise ValueError(message)
    if not np.isfinite(values).all():
        message = "matrix has entries that are NaN or infinite."
        raise ValueError(message)
    if not np.allclose(values, values.T, atol=1e-5):
        message = (
            "matrix must be symmetric, the similarities of all pairs of ions; it "
            f"differs from its transpose by up to {np.abs(values - values.T).max():g}."
        )
        raise ValueError(message)
    return values


def _tree(values: np.ndarray) -> dict[str, Any]:
    """Average linkage on 1 - similarity, as SciPy's dendrogram."""
    from scipy.cluster.hierarchy import dendrogram, linkage
    from scipy.spatial.distance import squareform

    distance = np.clip(1 - (values + values.T) / 2, 0, None)
    np.fill_diagonal(distance, 0)
    best = len(values) <= BEST_ORDER
    links = linkage(squareform(distance), method="average", optimal_ordering=best)
    return dendrogram(links, no_plot=True)


def _matrix_axes(n: int) -> Axes:
    """A figure with room for the tree, the names and the colour bar."""
    edge = float(np.clip(CELL * n, SMALLEST, LARGEST))
    names = NAME if edge / n * 72 >= LEGIBLE else 0.35
    size = (TREE + edge + names, names + edge + 0.65)
    figure = plt.figure(figsize=size)
    return figure.add_axes(
        (TREE / size[0], names / size[1], edge / size[0], edge / size[1])
    )


def _cluster_legend(ax: Axes, names: Any, palette: list[str]) -> None:
    handles = [
        Line2D([], [], marker="s", linestyle="", color=color, label=str(name))
        for name, color in zip(names, palette, strict=True)
    ]
    ax.legend(
        handles=handles,
        title="cluster",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        fontsize="small",
        title_fontsize="small",
    )
