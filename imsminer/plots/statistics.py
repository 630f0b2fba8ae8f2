"""Pictures of comparisons: boxes of units and volcanoes."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from imsminer.plots._brackets import Bracket, draw_brackets
from imsminer.plots._panels import panel_axes
from imsminer.plots._volcano import draw_volcano, label_volcano, set_limits
from imsminer.plots.clusters import segment_colors

__all__ = ["box", "volcano"]

#: More pairs than this show only the brackets of small q.
MANY_PAIRS = 6
SIGNIFICANT = 0.05
#: Half the width over which the points of a group are spread.
SPREAD = 0.17

SCALES = {
    "log2": "log$_2$ intensity (a.u.)",
    "linear": "intensity (a.u.)",
    "share": "share of pixels",
}


def box(
    aggregated: pd.DataFrame,
    feature: Any,
    group: str,
    *,
    table: pd.DataFrame | None = None,
    q: float | None = None,
    order: Sequence[Any] | None = None,
    connect: str | None = None,
    colors: Sequence[Any] | None = None,
    label: str | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the values of units by group, as boxes and as points.

    Parameters
    ----------
    aggregated : DataFrame
        One row per unit, as from :func:`imsminer.statistics.aggregate`: of ions, or of
        mean images of clusters.
    feature : str
        Column to draw.
    group : str
        Level of the index, or column, that holds the groups.
    table : DataFrame, default=None
        From :func:`imsminer.statistics.compare`; its q-values are written on brackets
        between the groups.
    q : float, default=None
        Draw the brackets of pairs with this q or less only. `None` draws all of up to
        six pairs, and of more those with 0.05 or less.
    order : sequence, default=None
        Groups from left to right; `None` sorts them.
    connect : str, default=None
        Level of the index whose values are joined by lines, such as the run that holds
        all groups.
    colors : sequence of colours, default=None
        One per group.
    label : str, default=None
        Quantity and unit on the y axis; `None` takes it from ``aggregated.attrs``.
    title : str, default=None
        `None` names the ion.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.

    Returns
    -------
    Axes
        Boxes reach from the first to the third quartile, whiskers to the last unit
        within 1.5 times that; every unit is drawn as a point.

    Raises
    ------
    ValueError
        When the feature, the groups or the comparison do not exist.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer import plots
    >>> from imsminer.plots.statistics import box
    >>> index = pd.MultiIndex.from_product(
    ...     [["control", "drug"], [1, 2, 3]], names=["condition", "animal"]
    ... )
    >>> units = pd.DataFrame({"mz_773.5272": [1, 2, 3, 4, 6, 5]}, index=index)
    >>> ax = box(units, "mz_773.5272", "condition")
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['control\\n(n = 3)', 'drug\\n(n = 3)']
    """
    values, groups = _units(aggregated, feature, group)
    names = _ordered(groups, order)
    palette = list(colors) if colors is not None else segment_colors(len(names))
    if len(palette) < len(names):
        message = f"colors has {len(palette)} colours for {len(names)} groups."
        raise ValueError(message)
    parts = [values[(groups == name).to_numpy(bool)].to_numpy() for name in names]
    own = ax is None
    if ax is None:
        size = (1.2 + 0.75 * max(len(names), 2), 3.6)
        _, ax = plt.subplots(figsize=size, layout="constrained")
    places = np.arange(len(names))
    drawn = ax.boxplot(
        parts,
        positions=places,
        widths=0.55,
        showfliers=False,
        patch_artist=True,
        medianprops={"color": "0.15", "linewidth": 1.4},
        whiskerprops={"color": "0.4"},
        capprops={"color": "0.4"},
    )
    for patch, color in zip(drawn["boxes"], palette, strict=False):
        patch.set(facecolor=color, alpha=0.3, edgecolor="0.4")
    spots = [
        place + SPREAD * _spread(len(part))
        for place, part in zip(places, parts, strict=True)
    ]
    if connect is not None:
        _connect(ax, aggregated, connect, groups, names, spots, parts)
    for spot, part, color in zip(spots, parts, palette, strict=False):
        ax.scatter(
            spot, part, s=18, color=color, edgecolor="white", linewidth=0.5, zorder=3
        )
    shown = [
        f"{name}\n(n = {len(part)})" for name, part in zip(names, parts, strict=True)
    ]
    ax.set_xticks(places, shown, fontsize="small")
    if max(len(str(name)) for name in names) > 9 and len(names) > 3:
        for text in ax.get_xticklabels():
            text.set(rotation=35, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.6, len(names) - 0.4)
    scale = aggregated.attrs.get("scale")
    ax.set_ylabel(label if label is not None else SCALES.get(scale, "value (a.u.)"))
    ax.set_title(_feature_title(feature) if title is None else title, fontsize="medium")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    if table is not None:
        _draw_q(ax, table, feature, names, parts, q, grow=own)
    return ax


def _units(
    aggregated: pd.DataFrame, feature: Any, group: str
) -> tuple[pd.Series, pd.Series]:
    """Values and groups of the units, without those that lack a value."""
    if feature not in aggregated:
        message = (
            f"aggregated has no column {feature!r}; it has "
            f"{', '.join(map(repr, aggregated.columns[:5]))}, …"
        )
        raise ValueError(message)
    if group in aggregated:
        groups = aggregated[group]
    elif group in aggregated.index.names:
        groups = pd.Series(aggregated.index.get_level_values(group))
    else:
        known = [*filter(None, aggregated.index.names)]
        message = (
            f"group must be a level of the index of aggregated "
            f"({', '.join(map(repr, known))}) or a column; got {group!r}."
        )
        raise ValueError(message)
    values = aggregated[feature].reset_index(drop=True).astype(float)
    groups = groups.reset_index(drop=True)
    known = values.notna() & groups.notna()
    return values[known], groups[known]


def _ordered(groups: pd.Series, order: Sequence[Any] | None) -> list[Any]:
    found = list(groups.drop_duplicates().sort_values())
    if order is None:
        return found
    unknown = [name for name in order if name not in found]
    if unknown:
        message = (
            f"order names {unknown[0]!r}, which is none of the groups "
            f"{', '.join(map(repr, found))}."
        )
        raise ValueError(message)
    return list(order)


def _spread(n: int) -> np.ndarray:
    """Offsets between -1 and 1 that keep neighbours apart: van der Corput's."""
    if n == 1:
        return np.zeros(1)
    result = []
    for k in range(1, n + 1):
        part, base = 0.0, 0.5
        while k:
            part += base * (k & 1)
            k >>= 1
            base /= 2
        result.append(2 * part - 1)
    return np.array(result)


def _connect(
    ax: Axes,
    aggregated: pd.DataFrame,
    connect: str,
    groups: pd.Series,
    names: list[Any],
    spots: list[np.ndarray],
    parts: list[np.ndarray],
) -> None:
    if connect not in aggregated.index.names:
        message = (
            f"connect must be a level of the index of aggregated; got {connect!r}."
        )
        raise ValueError(message)
    level = pd.Series(aggregated.index.get_level_values(connect))[groups.index]
    places: dict[Any, list[tuple[float, float]]] = {}
    for name, spot, part in zip(names, spots, parts, strict=True):
        members = level[(groups == name).to_numpy(bool)]
        for key, x, y in zip(members, spot, part, strict=True):
            places.setdefault(key, []).append((x, y))
    for line in places.values():
        ax.plot(*np.transpose(line), color="0.6", linewidth=0.7, zorder=2)


def _draw_q(
    ax: Axes,
    table: pd.DataFrame,
    feature: Any,
    names: list[Any],
    parts: list[np.ndarray],
    q: float | None,
    *,
    grow: bool,
) -> None:
    rows = table[table["feature"] == feature]
    rows = rows[rows["group_a"].isin(names) & rows["group_b"].isin(names)]
    if rows.empty:
        message = f"table compares no two of the groups in feature {feature!r}."
        raise ValueError(message)
    known = rows[rows["q"].notna()]
    if known.empty:
        reason = next(filter(None, rows["note"]), "see the table's notes")
        ax.set_title(f"no p-value: {reason}", loc="left", fontsize="x-small", y=0.99)
        return
    limit = q
    if q is None:
        limit = 1.0 if len(known) <= MANY_PAIRS else SIGNIFICANT
    brackets = []
    for _, row in known[known["q"] <= limit].iterrows():
        left, right = sorted((names.index(row["group_a"]), names.index(row["group_b"])))
        brackets.append(Bracket(left, right, _q_text(row["q"])))
    draw_brackets(ax, brackets, np.array([part.max() for part in parts]), grow=grow)


def _q_text(q: float) -> str:
    """``q = 0.012``, or with a power of ten below 0.001."""
    if q >= 0.001:
        return f"$q$ = {q:.2g}"
    if q < 1e-99:
        return "$q$ < 10$^{-99}$"
    power = math.floor(math.log10(q))
    factor = round(q / 10.0**power)
    if factor == 10:
        factor, power = 1, power + 1
    return f"$q$ = {factor}×10$^{{{power}}}$"


def _feature_title(feature: Any) -> str:
    text = str(feature)
    return f"$m/z$ {text[3:]}" if text.startswith("mz_") else text


def volcano(
    table: pd.DataFrame,
    *,
    q: float = 0.05,
    fold_change: float = 1.5,
    label: str | None = "mz",
    n_labels: int = 10,
    pair: tuple[Any, Any] | None = None,
    ax: Any = None,
) -> Any:
    """Draw the fold change and the q-value of each feature.

    Parameters
    ----------
    table : DataFrame
        From :func:`imsminer.statistics.compare`.
    q : float, default=0.05
        Largest q, and ...
    fold_change : float, default=1.5
        ... smallest ratio of means, in either direction, of the features in colour.
    label : str or None, default="mz"
        Column with the labels of the most distinct features in colour: ``"mz"``,
        ``"feature"``, or one that you added, such as ``"analyte"``; rows without a
        value have no label. None writes none.
    n_labels : int, default=10
        Largest number of labels; those without room are left out.
    pair : (group_a, group_b), default=None
        Which comparison to draw; `None` draws all in the table.
    ax : Axes or sequence of Axes, default=None
        Where to draw, one for each pair; `None` makes a figure.

    Returns
    -------
    Axes, or ndarray of Axes when there are several pairs
        To the right, above the line and in red there is more in the second group.
        Features without a q-value are not drawn, and counted in the title. Labels are
        placed for the size that the Axes have now: in a figure with other panels, draw
        those first.

    Raises
    ------
    ValueError
        When there is no such pair or column, no feature has a q-value, or a threshold
        is out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer.plots.statistics import volcano
    >>> table = pd.DataFrame(
    ...     {"mz": [700.5, 801.25], "group_a": "control", "group_b": "drug", "n_a": 5,
    ...      "n_b": 5, "log2_fold_change": [0.1, 2.0], "q": [0.8, 0.001],
    ...      "test": "welch", "inference": "biological"}
    ... )
    >>> ax = volcano(table)
    >>> [text.get_text() for text in ax.texts if text.get_text()]
    ['801.2500']
    """
    if not 0 < q <= 1 or not fold_change >= 1:
        message = (
            "volcano: q must lie between 0 and 1, and fold_change be 1 or more; got "
            f"q={q!r}, fold_change={fold_change!r}."
        )
        raise ValueError(message)
    if label is not None and label not in table:
        message = (
            f"volcano: table has no column {label!r} for the labels; add it, or pass "
            "label='mz' or None."
        )
        raise ValueError(message)
    parts = _pairs(table, pair)
    axes = _panels(ax, len(parts))
    for panel, part in zip(axes, parts, strict=True):
        draw_volcano(panel, part, q, fold_change)
    set_limits(axes, parts, q, fold_change)
    if label is not None:
        # Limits and layout are final before labels are placed: once for all panels.
        for figure in {panel.get_figure(root=True) for panel in axes}:
            figure.draw_without_rendering()
        for panel, part in zip(axes, parts, strict=True):
            label_volcano(panel, part, q, fold_change, label, n_labels)
    return axes[0] if len(parts) == 1 else axes


def _pairs(table: pd.DataFrame, pair: tuple[Any, Any] | None) -> list[pd.DataFrame]:
    parts = {
        (str(a), str(b)): part
        for (a, b), part in table.groupby(
            ["group_a", "group_b"], sort=False, observed=True
        )
    }
    if pair is not None:
        key = (str(pair[0]), str(pair[1]))
        if key not in parts:
            known = ", ".join(f"({a!r}, {b!r})" for a, b in parts)
            message = f"volcano: table has no pair {tuple(pair)!r}; it has {known}."
            raise ValueError(message)
        parts = {key: parts[key]}
    for (a, b), part in parts.items():
        if not part["q"].notna().any():
            reason = next(filter(None, part.get("note", [])), "no reason is given")
            message = (
                f"volcano: no feature has a q-value for {a!r} and {b!r}: {reason}. "
                "Draw the fold changes or the AUC instead, or choose another pair."
            )
            raise ValueError(message)
    if not parts:
        message = "volcano: the table has no rows."
        raise ValueError(message)
    return list(parts.values())


def _panels(ax: Any, n: int) -> np.ndarray:
    if ax is not None:
        given = np.asarray(ax, dtype=object).ravel()
        if given.size < n:
            message = (
                f"volcano: ax holds {given.size} Axes, but the table {n} pairs; pass "
                "pair= to draw one."
            )
            raise ValueError(message)
        return given[:n]
    return np.array(panel_axes(n, size=(4.3, 3.9), shared=True), dtype=object)
