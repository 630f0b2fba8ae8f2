"""Clustered heat maps of how regions differ."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from imsminer.plots._raster import color_map
from imsminer.plots._trees import (
    LEGIBLE,
    MARGIN,
    TREE,
    draw_trees,
    inches,
    name_rows,
)

__all__ = ["heatmap", "log_ratios"]

#: Sizes in inches: of a row and a column, and the tallest map.
ROW, COLUMN, TALLEST = 0.16, 0.5, 9.0
#: Height of the colour bar in inches.
BAR = 0.1
#: Width of a letter in inches, and letters of a region's name that is written level.
LETTER, SHORT = 0.078, 5
#: Leaves are put into their best order up to this many: the cost is cubic.
BEST_ORDER = 400


def log_ratios(
    aggregated: pd.DataFrame, by: str | None = None, *, log2: bool | None = None
) -> pd.DataFrame:
    """log2 of each region's mean over the mean of the regions, feature by feature.

    Parameters
    ----------
    aggregated : DataFrame
        One row per region and unit, as from :func:`imsminer.statistics.aggregate`.
    by : str, default=None
        Level of the index that holds the regions; `None` takes the first. Units of a
        region are averaged.
    log2 : bool, default=None
        Whether values are logarithms to base 2 already; the ratio is then that of
        geometric means. `None` takes it from ``aggregated.attrs``.

    Returns
    -------
    DataFrame of shape (n_features, n_regions)
        NaN for features that are 0 in all regions, -inf for those that are 0 in one.

    Raises
    ------
    ValueError
        When nothing says whether values are logarithms, or intensities are negative.
    """
    if by is None:
        by = aggregated.index.names[0]
    if by is None or by not in aggregated.index.names:
        known = ", ".join(repr(n) for n in aggregated.index.names if n is not None)
        message = (
            f"by must be a level of the index of aggregated ({known}); got {by!r}."
        )
        raise ValueError(message)
    if log2 is None:
        scale = aggregated.attrs.get("scale")
        if scale not in ("log2", "linear"):
            message = (
                "aggregated does not say whether its values are logarithms (attrs "
                f"scale={scale!r}); pass log2=True or log2=False."
            )
            raise ValueError(message)
        log2 = scale == "log2"
    values = aggregated.drop(columns="n_pixels", errors="ignore")
    means = values.groupby(level=by, observed=True).mean().T.astype(float)
    if log2:
        return means.sub(means.mean(axis=1), axis=0)
    if (means < 0).any(axis=None):
        message = (
            "a ratio of means needs intensities of 0 or more; some means are negative. "
            "Aggregate with statistic='mean_log', or draw the differences."
        )
        raise ValueError(message)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log2(means.div(means.mean(axis=1), axis=0))


def heatmap(
    aggregated: pd.DataFrame,
    by: str | None = None,
    *,
    log2: bool | None = None,
    cluster: bool = True,
    limit: float | None = None,
    labels: Any = None,
    cmap: Any = "RdBu_r",
    ax: Axes | None = None,
) -> Axes:
    """Draw log2(region mean / mean over regions) of all features, clustered.

    Parameters
    ----------
    aggregated : DataFrame
        One row per region and unit, as from :func:`imsminer.statistics.aggregate`.
        Select columns to draw fewer features.
    by : str, default=None
        Level of the index that holds the regions; `None` takes the first.
    log2 : bool, default=None
        Whether values are logarithms to base 2; `None` takes it from
        ``aggregated.attrs``.
    cluster : bool, default=True
        Order features and regions by average linkage of their Euclidean distances, and
        draw the trees.
    limit : float, default=None
        Where the colours end, on both sides of 0; `None` takes the 99 % quantile.
    labels : sequence of str, default=None
        One per feature, such as analytes; `None` takes the m/z.
    cmap : str or Colormap, default="RdBu_r"
        A diverging map; the default's blue and red differ for colour-blind eyes.
    ax : Axes, default=None
        Where to draw the map, with trees and colour bar outside of it, to the left and
        above; `None` makes a figure.

    Returns
    -------
    Axes
        One row per feature and one column per region. Rows that would be too low for
        their labels have none.

    Raises
    ------
    ValueError
        As from :func:`log_ratios`, or when `labels` have another length.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer.plots.heatmaps import heatmap
    >>> units = pd.DataFrame(
    ...     {"mz_700.5000": [1.0, 4.0], "mz_801.2500": [3.0, 3.0]},
    ...     index=pd.Index(["cortex", "medulla"], name="roi"),
    ... )
    >>> ax = heatmap(units, log2=False)
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['cortex', 'medulla']
    """
    ratios = log_ratios(aggregated, by, log2=log2)
    if ratios.empty:
        message = "heatmap: there are no features to draw."
        raise ValueError(message)
    names = [_short(name) for name in ratios.index] if labels is None else list(labels)
    if len(names) != len(ratios):
        message = f"labels has {len(names)} names for {len(ratios)} features."
        raise ValueError(message)
    values = ratios.to_numpy()
    finite = np.abs(values[np.isfinite(values)])
    if limit is None:
        limit = float(np.quantile(finite, 0.99)) if finite.size else 1.0
        limit = limit if limit > 0 else 1.0
    trees: list[Any] = [None, None]
    if cluster:
        # Of a feature without signal nothing is known: it counts as even.
        safe = np.clip(np.nan_to_num(values), -2 * limit, 2 * limit)
        trees = [_tree(safe), _tree(safe.T)]
    rows, columns = (
        np.array(tree["leaves"]) if tree else np.arange(n)
        for tree, n in zip(trees, values.shape, strict=True)
    )
    if ax is None:
        ax = _figure(values.shape, names, [str(name) for name in ratios.columns])
    mesh = ax.imshow(
        values[np.ix_(rows, columns)],
        aspect="auto",
        interpolation="nearest",
        cmap=color_map(cmap),
        vmin=-limit,
        vmax=limit,
    )
    regions = [str(name) for name in ratios.columns[columns]]
    ax.set_xticks(range(len(regions)), regions, fontsize="small")
    if max(map(len, regions)) > SHORT:
        for text in ax.get_xticklabels():
            text.set(rotation=45, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    name_rows(ax, [names[i] for i in rows])
    draw_trees(ax, trees)
    beyond = (
        (np.nan_to_num(values, neginf=-np.inf) < -limit).any(),
        (values > limit).any(),
    )
    _color_bar(ax, mesh, beyond, with_tree=trees[1] is not None)
    return ax


def _short(name: Any) -> str:
    text = str(name)
    return text[3:] if text.startswith("mz_") else text


def _tree(values: np.ndarray) -> dict[str, Any] | None:
    """Average linkage of rows, as SciPy's dendrogram; None for a single row."""
    from scipy.cluster.hierarchy import dendrogram, linkage

    if len(values) < 2:
        return None
    best = len(values) <= BEST_ORDER
    links = linkage(values, method="average", optimal_ordering=best)
    return dendrogram(links, no_plot=True)


def _figure(shape: tuple[int, int], names: list[str], regions: list[str]) -> Axes:
    """A figure with room for trees, colour bar and names around the map."""
    height = min(max(ROW * shape[0], 1.2), TALLEST)
    width = max(COLUMN * shape[1], 1.8)
    legible = height / shape[0] * 72 >= LEGIBLE
    right = 0.2 + LETTER * max(map(len, names)) if legible else 0.4
    longest = max(map(len, regions))
    bottom = 0.3 if longest <= SHORT else 0.25 + 0.75 * LETTER * longest
    left, top = TREE + MARGIN + 0.1, TREE + 3 * MARGIN + BAR + 0.42
    if longest > SHORT:
        left = max(left, 0.75 * LETTER * longest)
    size = (left + width + right, bottom + height + top)
    figure = plt.figure(figsize=size)
    return figure.add_axes(
        (left / size[0], bottom / size[1], width / size[0], height / size[1])
    )


def _color_bar(
    ax: Axes, mesh: Any, beyond: tuple[Any, Any], *, with_tree: bool
) -> None:
    width, height = inches(ax)
    above = 2 * MARGIN + (TREE if with_tree else 0)
    length = min(1.0, 2.2 / width)
    place = ax.inset_axes(
        (0.5 - 0.5 * length, 1 + above / height, length, BAR / height), label="colours"
    )
    extend = {(0, 0): "neither", (1, 0): "min", (0, 1): "max", (1, 1): "both"}
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(
        mesh,
        cax=place,
        orientation="horizontal",
        extend=extend[int(beyond[0]), int(beyond[1])],
    )
    bar.outline.set_visible(False)
    bar.ax.xaxis.set_ticks_position("top")
    bar.ax.xaxis.set_label_position("top")
    bar.ax.tick_params(labelsize="x-small", length=2)
    bar.ax.locator_params(axis="x", nbins=5)
    bar.set_label("log$_2$(mean / mean of regions)", fontsize="small")
