"""The table of a comparison: tests run, pair by pair."""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imsminer.core.peaktable import feature_mz
from imsminer.statistics._design import Design
from imsminer.statistics._linear import (
    Contrasts,
    analysis_of_variance,
    tukey_p,
    tukey_reach,
)
from imsminer.statistics._mixed import mixed_model
from imsminer.statistics._pairwise import (
    Result,
    area_under_curve,
    mann_whitney,
    paired,
    varies,
    welch,
)

__all__ = ["Comparison", "adjusted", "comparison_table"]

#: Fewest units per group for a p-value, and for one without a warning.
LEAST, FEW = 2, 3
TWO_GROUPS = {"welch": welch, "paired": paired, "mannwhitney": mann_whitney}

NO_PAIR = "no unit in both groups"
TOO_FEW = "fewer than 2 units in a group"
NO_ERROR = "no degrees of freedom left"
CONSTANT = "values do not vary"


class Comparison(NamedTuple):
    """What is compared, and how."""

    design: Design
    test: str
    names: list[Any]
    """Groups in order."""
    pairs: list[tuple[int, int]]
    units: tuple[pd.DataFrame, np.ndarray]
    """Keys and values of units (of blocks, where there are any)."""
    repeats: tuple[pd.DataFrame, np.ndarray]
    """The same before repeats are averaged."""
    transform: str | None
    pseudo: np.ndarray
    confidence: float


class _Arms(NamedTuple):
    """Values of the two groups of a pair, (n, n_features) each."""

    a: np.ndarray
    b: np.ndarray


def comparison_table(
    comparison: Comparison, features: list[Any], inference: str
) -> pd.DataFrame:
    """Make the table that :func:`compare` returns, without its ``attrs``."""
    arms = [_arms(comparison, pair) for pair in comparison.pairs]
    if all(len(arm.a) == 0 for arm in arms):
        columns = ", ".join(comparison.design.block)
        message = (
            f"compare: test='paired' found no value of {columns} in both groups of any "
            "pair. Name the column that pairs them with block=, or use 'welch'."
        )
        raise ValueError(message)
    _warn_of_few(comparison, arms)
    if comparison.test in TWO_GROUPS:
        results, omnibus = [_two_groups(comparison, arm) for arm in arms], None
    else:
        results, omnibus = _model(comparison, arms)
    mz = feature_mz(features)
    tables = []
    for pair, arm, (result, note, estimate) in zip(
        comparison.pairs, arms, results, strict=True
    ):
        means, fold, difference = _effect(comparison, arm, estimate)
        varied = varies(arm.a, arm.b) if len(arm.a) else np.zeros(len(mz), bool)
        notes = np.full(len(mz), note, dtype=object)
        # Constant in this pair; a model may still know the error from other groups.
        notes[~varied & np.isnan(result.p) & (note == "")] = CONSTANT
        # Of a difference without any variation behind it, t would be infinite.
        notes[varied & np.isnan(result.p) & (note == "")] = "no variation within groups"
        tables.append(
            pd.DataFrame(
                {
                    "feature": features,
                    "mz": mz,
                    "group_a": comparison.names[pair[0]],
                    "group_b": comparison.names[pair[1]],
                    "mean_a": means[0],
                    "mean_b": means[1],
                    "log2_fold_change": fold,
                    "difference": difference,
                    "ci_low": result.low,
                    "ci_high": result.high,
                    "statistic": result.statistic,
                    "df": result.df,
                    "p": result.p,
                    "q": adjusted(result.p),
                    "auc": _auc(arm, len(mz)),
                    "n_a": len(arm.a),
                    "n_b": len(arm.b),
                    "test": comparison.test,
                    "inference": inference,
                    "pseudo_count": comparison.pseudo,
                    "note": notes,
                    **_omnibus_columns(omnibus),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _arms(comparison: Comparison, pair: tuple[int, int]) -> _Arms:
    keys, values = comparison.units
    group = comparison.design.group
    rows = [
        np.flatnonzero((keys[group] == comparison.names[k]).to_numpy(bool))
        for k in pair
    ]
    if comparison.test == "paired":
        block = list(comparison.design.block)
        a, b = (keys.iloc[r][block].assign(_row=r) for r in rows)
        both = a.merge(b, on=block, suffixes=("_a", "_b"))
        rows = [both["_row_a"].to_numpy(int), both["_row_b"].to_numpy(int)]
    return _Arms(values[rows[0]], values[rows[1]])


def _warn_of_few(comparison: Comparison, arms: list[_Arms]) -> None:
    fewest = np.array([min(len(arm.a), len(arm.b)) for arm in arms])
    for number, consequence in (
        (fewest < LEAST, "there is no p-value, only fold change and AUC"),
        ((fewest >= LEAST) & (fewest < FEW), "a p-value says little"),
    ):
        if number.any():
            i, j = comparison.pairs[int(np.argmax(number))]
            limit = LEAST if "no p" in consequence else FEW
            what = "pairs" if comparison.test == "paired" else "units in a group"
            message = (
                f"compare: {number.sum()} of {len(arms)} comparisons have fewer than "
                f"{limit} {what} (the first: {comparison.names[i]!r} and "
                f"{comparison.names[j]!r}): {consequence}."
            )
            warnings.warn(message, UserWarning, stacklevel=4)


def _two_groups(
    comparison: Comparison, arm: _Arms
) -> tuple[Result, str, np.ndarray | None]:
    if min(len(arm.a), len(arm.b)) < LEAST:
        note = NO_PAIR if len(arm.a) == 0 else TOO_FEW
        return _no_result(arm.a.shape[1]), note, None
    test: Callable[..., Result] = TWO_GROUPS[comparison.test]
    return test(arm.a, arm.b, comparison.confidence), "", None


def _no_result(n_features: int) -> Result:
    return Result(*np.full((5, n_features), np.nan))


def _model(
    comparison: Comparison, arms: list[_Arms]
) -> tuple[list[tuple[Result, str, np.ndarray | None]], Contrasts | None]:
    """Fit all groups that have enough units at once, and take the pairs from it."""
    keys, values = comparison.units
    design = comparison.design
    count = keys[design.group].value_counts()
    kept = [k for k, name in enumerate(comparison.names) if count[name] >= LEAST]
    nothing = _no_result(values.shape[1]), TOO_FEW, None
    if len(kept) < 2:
        return [nothing] * len(arms), None
    nested = comparison.test == "mixed" and not design.block
    if nested:
        keys, values = comparison.repeats
    position = {comparison.names[k]: i for i, k in enumerate(kept)}
    rows = keys[design.group].isin(list(position)).to_numpy(bool)
    keys, values = keys[rows], values[rows]
    groups = keys[design.group].map(position).to_numpy(int)
    pairs = [
        (position[comparison.names[i]], position[comparison.names[j]])
        for i, j in comparison.pairs
        if i in kept and j in kept
    ]
    levels = None
    if design.block or nested:
        columns = [design.group, *design.unit] if nested else list(design.block)
        levels = keys.groupby(columns, observed=True).ngroup().to_numpy()
    wanted = np.array(pairs, dtype=int).reshape(-1, 2)
    if comparison.test == "anova":
        fit = analysis_of_variance(values, groups, levels, wanted)
    else:
        assert levels is not None
        _require_repeats(design, levels)
        fit = mixed_model(values, groups, levels, wanted)
    found = iter(range(len(pairs)))
    results: list[tuple[Result, str, np.ndarray | None]] = []
    for i, j in comparison.pairs:
        if i not in kept or j not in kept:
            results.append(nothing)
            continue
        k = next(found)
        result = _tukey(fit, k, len(kept), comparison.confidence)
        note = "" if fit.df[k] > 0 else NO_ERROR
        results.append((result, note, fit.difference[k]))
    return results, fit


def _require_repeats(design: Design, levels: np.ndarray) -> None:
    if np.bincount(levels).max() < 2:
        columns = design.technical if not design.block else design.block
        message = (
            f"compare: test='mixed' needs units with several values, but no unit has "
            f"two of {', '.join(columns)}. Use 'anova'."
        )
        raise ValueError(message)


def _tukey(fit: Contrasts, k: int, n_groups: int, confidence: float) -> Result:
    df, error, difference = float(fit.df[k]), fit.error[k], fit.difference[k]
    if df <= 0:
        return _no_result(error.size)
    statistic = difference / error
    reach = tukey_reach(confidence, n_groups, df) * error
    return Result(
        statistic,
        np.where(np.isnan(error), np.nan, df),
        tukey_p(statistic, n_groups, df),
        difference - reach,
        difference + reach,
    )


def _effect(
    comparison: Comparison, arm: _Arms, estimate: np.ndarray | None
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Means as intensities, log2 fold change, and the difference that is tested."""
    n_features = arm.a.shape[1]
    if len(arm.a) == 0 or len(arm.b) == 0:
        nan = np.full(n_features, np.nan)
        return [nan, nan], nan, nan
    means = [values.mean(axis=0) for values in arm]
    # A model weights its values; where all blocks are complete this is the same.
    difference = means[1] - means[0] if estimate is None else estimate
    if comparison.transform == "log2":
        shown = [2.0**mean - comparison.pseudo for mean in means]
        return shown, difference, difference
    above = [mean + comparison.pseudo for mean in means]
    usable = (above[0] > 0) & (above[1] > 0)
    fold = np.full(n_features, np.nan)
    fold[usable] = np.log2(above[1][usable] / above[0][usable])
    return means, fold, difference


def _auc(arm: _Arms, n_features: int) -> np.ndarray:
    if len(arm.a) == 0 or len(arm.b) == 0:
        return np.full(n_features, np.nan)
    return area_under_curve(arm.a, arm.b)


def _omnibus_columns(fit: Contrasts | None) -> dict[str, Any]:
    if fit is None:
        return {}
    return {
        "omnibus_statistic": fit.statistic,
        "omnibus_df": fit.statistic_df[0],
        "omnibus_df_error": fit.statistic_df[1],
        "omnibus_p": fit.p,
        "omnibus_q": adjusted(fit.p),
    }


def adjusted(p: np.ndarray) -> np.ndarray:
    """q-values of Benjamini and Hochberg; NaN stay NaN and do not count."""
    from scipy.stats import false_discovery_control

    q = np.full(p.shape, np.nan)
    known = ~np.isnan(p)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return q
