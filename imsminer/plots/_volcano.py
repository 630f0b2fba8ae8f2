"""The panel of one comparison in a volcano."""

import math
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from imsminer.plots._scatter_labels import label_points

__all__ = ["draw_volcano", "label_volcano", "set_limits"]

#: Colours of ions with less, more, and no clear difference; red and blue of Okabe and
#: Ito, which differ for colour-blind eyes.
LESS, MORE, NEITHER = "#0072B2", "#D55E00", "0.7"
#: Tests as titles name them.
TESTS = {
    "welch": "Welch's t",
    "paired": "paired t",
    "mannwhitney": "Mann–Whitney U",
    "anova": "ANOVA, Tukey's pairs",
    "mixed": "mixed model, Tukey's pairs",
}


def _points(part: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Rows that are drawn, and where."""
    x = part["log2_fold_change"].to_numpy(np.float64)
    known = part["q"].notna().to_numpy(bool) & np.isfinite(x)
    values = part["q"].to_numpy(np.float64)[known]
    tiny = max(values[values > 0].min(initial=1.0), np.finfo(float).tiny)
    # A q of 0 (below what a number can hold) is drawn as the smallest other.
    return part[known], x[known], -np.log10(np.maximum(values, tiny))


def _beyond(part: pd.DataFrame, q: float, fold_change: float) -> np.ndarray:
    """-1, 0 or 1 of each row: less, no clear difference, more in the second group."""
    fold = part["log2_fold_change"].to_numpy(np.float64)
    clear = (part["q"].to_numpy() <= q) & (np.abs(fold) >= math.log2(fold_change))
    return np.where(clear, np.sign(fold), 0).astype(int)


def draw_volcano(ax: Axes, part: pd.DataFrame, q: float, fold_change: float) -> None:
    """Draw points, thresholds, axis labels and title of one pair."""
    rows, x, y = _points(part)
    side = _beyond(rows, q, fold_change)
    for value, color in ((0, NEITHER), (-1, LESS), (1, MORE)):
        chosen = side == value
        ax.scatter(
            x[chosen],
            y[chosen],
            s=14 if value else 9,
            color=color,
            linewidth=0,
            alpha=0.9 if value else 0.7,
            zorder=2 + abs(value),
        )
    line: dict[str, Any] = {
        "color": "0.45",
        "linewidth": 0.8,
        "linestyle": (0, (4, 3)),
        "zorder": 1,
    }
    ax.axhline(-math.log10(q), **line)
    for sign in (-1, 1) if fold_change > 1 else (1,):
        ax.axvline(sign * math.log2(fold_change), **line)
    first = part.iloc[0]
    a, b = first["group_a"], first["group_b"]
    ax.set_xlabel(f"log$_2$ fold change, {b} over {a}")
    ax.set_ylabel("−log$_{10}$ $q$")
    ax.set_title(_volcano_title(part, side, len(rows)), loc="left", fontsize="small")
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)


def set_limits(
    axes: Any, parts: list[pd.DataFrame], q: float, fold_change: float
) -> None:
    """One scale for all panels: around 0, with room for labels."""
    reach = max(2.0 * math.log2(fold_change), 0.5)
    top = max(-1.4 * math.log10(q), 0.5)
    for part in parts:
        _, x, y = _points(part)
        reach = max(reach, 1.15 * np.abs(x).max(initial=0.0))
        top = max(top, 1.15 * y.max(initial=0.0))
    for ax in axes:
        ax.set_xlim(-reach, reach)
        ax.set_ylim(-0.02 * top, top)


def _volcano_title(part: pd.DataFrame, side: np.ndarray, n_drawn: int) -> str:
    first = part.iloc[0]
    counts = f"{(side < 0).sum()} less, {(side > 0).sum()} more in {first['group_b']}"
    if len(part) > n_drawn:
        counts += f"; {len(part) - n_drawn} without $q$"
    test = TESTS.get(first["test"], first["test"])
    what = "" if first["inference"] == "biological" else ", technical replicates"
    return f"{counts}\n{test}, n = {first['n_a']} and {first['n_b']}{what}"


def label_volcano(
    ax: Axes, part: pd.DataFrame, q: float, fold_change: float, label: str, n: int
) -> None:
    """Write beside the most distinct points; limits and layout must be final."""
    rows, x, y = _points(part)
    side = _beyond(rows, q, fold_change)
    texts = [_label_text(value) for value in rows[label]]
    # Far from the origin, with both axes counting alike.
    span = np.ptp(ax.get_xlim()) / 2, np.ptp(ax.get_ylim())
    rank = np.argsort(-np.hypot(x / span[0], y / span[1]), kind="stable")
    # In turn from the left and from the right, so that neither takes all labels.
    sides = [[i for i in rank if side[i] == sign and texts[i]] for sign in (-1, 1)]
    turns = [i for pair in zip_longest(*sides) for i in pair]
    order = [i for i in turns if i is not None]
    label_points(ax, x, y, texts, order, n)


def _label_text(value: Any) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, float | np.floating):
        return f"{value:.4f}"
    return str(value)
