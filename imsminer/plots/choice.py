"""What speaks for each number of clusters."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from imsminer.plots.clusters import PALETTE

__all__ = ["choice_of_k"]

#: Label of each criterion, and the end of it that is better (0: neither by itself).
CRITERIA = {
    "stability": ("stability (ARI of halves)", 1),
    "bootstrap": ("stability (ARI of bootstraps)", 1),
    "bic": ("BIC", -1),
    "inertia": ("inertia", 0),
    "silhouette": ("silhouette", 1),
    "calinski_harabasz": ("Calinski–Harabasz", 1),
    "davies_bouldin": ("Davies–Bouldin", -1),
}


def choice_of_k(
    table: pd.DataFrame,
    *,
    ax: Sequence[Axes] | np.ndarray | None = None,
    n_columns: int = 3,
) -> np.ndarray:
    """Draw what :func:`choose_n_clusters` has tabulated, a panel per criterion.

    Parameters
    ----------
    table : DataFrame
        Indexed by the number of clusters, a column per criterion. A column with
        ``_sd`` behind the name of another becomes its error bars.
    ax : sequence of Axes, default=None
        One per criterion; `None` makes a figure.
    n_columns : int, default=3
        Panels beside each other in a new figure.

    Returns
    -------
    ndarray of Axes, shape (n_criteria,)
        A ring marks the best number, where a criterion has one: the largest or the
        smallest value, as its title says. Inertia always falls; it has none.

    Raises
    ------
    ValueError
        When `table` has no columns, or `ax` too few axes.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer.plots.choice import choice_of_k
    >>> table = pd.DataFrame({"silhouette": [0.3, 0.5, 0.4]}, index=[2, 3, 4])
    >>> [ax.get_title(loc="left") for ax in choice_of_k(table)]
    ['silhouette: best at 3 (largest)']
    """
    sds = {f"{name}_sd" for name in table.columns}
    names = [name for name in table.columns if name not in sds]
    if not names:
        message = "table has no columns: it must have one per criterion."
        raise ValueError(message)
    axes = _axes(ax, len(names), n_columns)
    table = table.sort_index()
    numbers = table.index.to_numpy()
    for panel, name in zip(axes, names, strict=True):
        values = table[name].to_numpy(np.float64)
        label, better = CRITERIA.get(name, (str(name), 0))
        panel.plot(numbers, values, "o-", color=PALETTE[0], markersize=3.5, lw=1.2)
        if f"{name}_sd" in table:
            spread = table[f"{name}_sd"].to_numpy(np.float64)
            panel.errorbar(
                numbers, values, spread, fmt="none", ecolor=PALETTE[0], capsize=2, lw=1
            )
            label += ", ± SD"
        title = label
        if better and np.isfinite(values).any():
            best = int(np.nanargmax(better * values))
            panel.plot(
                numbers[best], values[best], "o", mfc="none", mec=PALETTE[5], ms=11
            )
            end = "largest" if better > 0 else "smallest"
            title += f": best at {numbers[best]} ({end})"
        panel.set_title(title, loc="left", fontsize="small")
        panel.margins(0.06, 0.14)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
        panel.tick_params(labelsize="small")
        panel.yaxis.get_offset_text().set_fontsize("x-small")
        panel.grid(axis="x", color="0.92", linewidth=0.8)
        panel.set_axisbelow(True)
        for spine in ("top", "right"):
            panel.spines[spine].set_visible(False)
        panel.set_xlabel("number of clusters", fontsize="small")
    return axes


def _axes(ax: Any, n: int, n_columns: int) -> np.ndarray:
    """The axes given, or those of a new figure."""
    if ax is None:
        columns = max(min(n_columns, n), 1)
        rows = -(-n // columns)
        figure, grid = plt.subplots(
            rows,
            columns,
            figsize=(3.4 * columns, 2.3 * rows),
            squeeze=False,
            layout="constrained",
        )
        for spare in grid.ravel()[n:]:
            figure.delaxes(spare)
        return grid.ravel()[:n]
    axes = np.asarray(ax, dtype=object).ravel()
    if axes.size < n:
        message = f"ax has {axes.size} axes for {n} criteria."
        raise ValueError(message)
    return axes[:n]
