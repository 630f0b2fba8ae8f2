"""Which features a list of m/z, hits or MS2 precursors speaks of."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from imsminer.features._text_tables import find_column, read_text_table

__all__ = [
    "closest",
    "count_hits",
    "near_any",
    "near_hits",
    "read_ms2",
    "select_hits",
    "with_mz",
]

PRECURSORS = ("precursor mz", "precursor m/z", "mz", "m/z", "precursor", "pepmass")


def closest(
    mz: np.ndarray, targets: np.ndarray, ppm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the closest feature of each target.

    Parameters
    ----------
    mz : ndarray of float64, shape (n_features,)
        m/z of features; NaN where it is not known.
    targets : ndarray of float64, shape (n_targets,)
        m/z to look for.
    ppm : float
        Largest distance, in parts per million of the target.

    Returns
    -------
    column : ndarray of int64, shape (n_targets,)
        Position of the feature, -1 where none is that close.
    error : ndarray of float64, shape (n_targets,)
        Feature minus target, in ppm; NaN where there is none.
    """
    order = np.argsort(mz, kind="stable")[: int(np.isfinite(mz).sum())]
    if order.size == 0:
        return np.full(targets.size, -1), np.full(targets.size, np.nan)
    right = np.minimum(np.searchsorted(mz[order], targets), order.size - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.abs(mz[order[left]] - targets) <= np.abs(mz[order[right]] - targets)
    column = order[np.where(nearer, left, right)]
    error = 1e6 * (mz[column] - targets) / targets
    # Names of features have four digits.
    near = np.abs(error) <= ppm + 1e6 * 5e-5 / targets
    return np.where(near, column, -1), np.where(near, error, np.nan)


def with_mz(mz: np.ndarray, what: str) -> np.ndarray:
    """Return m/z of the features, or say that names do not tell them."""
    if np.isnan(mz).all() and mz.size:
        message = (
            f"AnalyteFilter: {what} are compared by m/z, but no column of X is named "
            "like mz_885.5499. Pass features as a DataFrame, as PeakIntegrator returns "
            "them."
        )
        raise ValueError(message)
    return mz


def near_any(mz: np.ndarray, targets: np.ndarray, ppm: float) -> np.ndarray:
    """Return which features lie within `ppm` of a target: bool, (n_features,)."""
    near = np.isfinite(mz)
    near[near] = closest(targets, mz[near], ppm)[0] >= 0
    return near


def near_hits(hits: pd.DataFrame, mz: np.ndarray, ppm: float) -> pd.DataFrame:
    """Return the hits that have a feature within `ppm`, with its position."""
    target = hits["mz"].to_numpy(dtype=np.float64) if len(hits) else np.empty(0)
    column, _ = closest(mz, target, ppm)
    known = column >= 0
    return hits[known].assign(column=column[known])


def count_hits(hits: pd.DataFrame, n_features: int) -> np.ndarray:
    """Return the number of rows that speak of each feature."""
    return np.bincount(hits["column"].to_numpy(), minlength=n_features)


def select_hits(
    hits: pd.DataFrame,
    *,
    analyte_class: Any,
    ion_type: Any,
    max_fdr: float | None,
) -> pd.DataFrame:
    """Return the hits of some classes and ion types, up to an FDR.

    Raises
    ------
    ValueError
        When a column is missing, or no hit has a class or ion type that is asked for.
    """
    keep = np.ones(len(hits), bool)
    ions = ["ion_type", "adduct"]
    for name, wanted, columns in (
        ("analyte_class", analyte_class, ["analyte_class"]),
        ("ion_type", ion_type, ions),
    ):
        if wanted is None:
            continue
        values = [wanted] if isinstance(wanted, str) else list(wanted)
        column = _column(hits, columns, name)
        found = hits[column].isin(values).to_numpy(dtype=bool)
        unknown = [v for v in values if not (hits[column] == v).any()]
        if unknown and len(hits):
            some = ", ".join(map(repr, pd.unique(hits[column].dropna())[:10]))
            message = (
                f"AnalyteFilter: no hit has {name} {unknown[0]!r}; the column {column} "
                f"holds {some or 'nothing'}."
            )
            raise ValueError(message)
        keep &= found
    if max_fdr is not None:
        rate = hits[_column(hits, ["fdr"], "max_fdr")].to_numpy(dtype=np.float64)
        # NaN (no formula, no score) is never accepted.
        keep &= rate <= max_fdr
    return hits[keep]


def read_ms2(ms2: Any, mz: np.ndarray, ppm: float) -> pd.DataFrame:
    """Join an MS2 table to features.

    Parameters
    ----------
    ms2 : DataFrame, path-like or array-like of float
        Precursors.
    mz : ndarray of float64, shape (n_features,)
        m/z of the features.
    ppm : float
        Largest distance.

    Returns
    -------
    DataFrame
        Rows with a feature within `ppm`: `column`, `ppm`, and the table's columns.

    Raises
    ------
    ValueError
        When there is no column of precursors, or it holds other than m/z.
    """
    if isinstance(ms2, pd.DataFrame):
        table = ms2
    elif isinstance(ms2, str | PathLike):
        table = read_text_table(ms2, "an MS2 table with a column of precursor m/z")
    else:
        table = pd.DataFrame({"mz": np.asarray(ms2, dtype=np.float64).ravel()})
    source = find_column(table.columns, PRECURSORS)
    if source is None:
        message = (
            "AnalyteFilter: the MS2 table needs a column precursor_mz or mz; found "
            f"{', '.join(map(str, table.columns))}."
        )
        raise ValueError(message)
    targets = pd.to_numeric(table[source], errors="coerce").to_numpy(np.float64)
    if not (np.isfinite(targets) & (targets > 0)).all():
        row = int(np.flatnonzero(~(np.isfinite(targets) & (targets > 0)))[0])
        message = (
            f"AnalyteFilter: column {source!r} of the MS2 table must hold m/z above 0; "
            f"row {row} has {table[source].iloc[row]!r}."
        )
        raise ValueError(message)
    column, error = closest(mz, targets, ppm)
    known = column >= 0
    rest = table[known].rename(columns={"ppm": "ms2_ppm", "column": "ms2_column"})
    rest = rest.reset_index(drop=True)
    rest.insert(0, "column", column[known])
    rest.insert(1, "ppm", error[known])
    return rest


def _column(hits: pd.DataFrame, names: Iterable[str], parameter: str) -> str:
    names = list(names)
    found = [name for name in names if name in hits.columns]
    if not found:
        message = (
            f"AnalyteFilter: {parameter} needs the column {' or '.join(names)} in "
            f"hits; found {', '.join(map(str, hits.columns))}."
            + (" score_isotopes adds it." if parameter == "max_fdr" else "")
        )
        raise ValueError(message)
    return found[0]
