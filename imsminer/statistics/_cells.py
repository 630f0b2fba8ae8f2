"""From pixels to one value per cell: the pixels of one region, replicate, …"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from imsminer._array import to_numpy

__all__ = [
    "STATISTICS",
    "Cells",
    "Table",
    "as_features",
    "cells_of",
    "pseudo_counts",
    "reduce_pixels",
]

#: What a cell may be summed up by, and the scale of the result.
STATISTICS = {
    "mean_log": "log2",
    "log_mean": "log2",
    "mean": "linear",
    "median": "linear",
    "frequency": "share",
}
#: Features that are held in float64 at once.
BLOCK = 256
#: Quantile of an ion's positive values that stands for its limit of detection.
LIMIT_QUANTILE = 0.05
#: From this share of zeros on the pseudo-count is half the limit of detection.
FULL_SHARE = 0.05
#: What results say of the pseudo-count that is taken from the data.
PSEUDO_COUNT_RULE = (
    "half of the 5 % quantile of the ion's positive pixels, less in proportion where "
    "less than 5 % of its pixels are 0"
)


class Table(NamedTuple):
    """Features on the host."""

    values: np.ndarray
    """Shape (n_pixels, n_features), the dtype of the input."""
    names: list[Any]


class Cells(NamedTuple):
    """Which cell each pixel belongs to."""

    keys: pd.DataFrame
    """One row per cell, one column per name; sorted."""
    codes: np.ndarray
    """Row of `keys` of each pixel that is used."""
    used: np.ndarray
    """bool, shape (n_pixels,)."""
    left_out: dict[str, int]
    """Pixels without a value, by the first column that lacks one."""


def as_features(features: Any, pixels: Any, caller: str) -> Table:
    """Check that features and the table of pixels belong together.

    Raises
    ------
    TypeError
        When `pixels` is no DataFrame.
    ValueError
        When shapes or pixels differ, or a feature is not finite.
    """
    if not isinstance(pixels, pd.DataFrame):
        message = (
            f"{caller}: pixels must be a DataFrame with one row per pixel and columns "
            f"such as roi, condition and replicate (Spectra.pixels); got "
            f"{type(pixels).__name__}."
        )
        raise TypeError(message)
    if isinstance(features, pd.DataFrame):
        values, names = features.to_numpy(), list(features.columns)
    else:
        values = to_numpy(features)
        names = list(range(values.shape[1])) if values.ndim == 2 else []
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        message = (
            f"{caller}: features must be a table of numbers, (n_pixels, n_features); "
            f"got shape {values.shape} and dtype {values.dtype}."
        )
        raise ValueError(message)
    if len(pixels) != len(values):
        message = (
            f"{caller}: features has {len(values)} pixels and pixels {len(pixels)}. "
            "Select the same rows of both."
        )
        raise ValueError(message)
    _check_same_pixels(features, pixels, caller)
    bad = [
        name
        for name, column in zip(names, values.T, strict=True)
        if not np.all(np.isfinite(column))
    ]
    if bad:
        message = (
            f"{caller}: {len(bad)} of {len(names)} features hold NaN or infinity, the "
            f"first is {bad[0]!r}. Drop these features, or replace the values."
        )
        raise ValueError(message)
    return Table(values, names)


def _check_same_pixels(features: Any, pixels: pd.DataFrame, caller: str) -> None:
    index = getattr(features, "index", None)
    if not isinstance(index, pd.MultiIndex):
        return
    for name in ("run", "x", "y", "z"):
        if name not in index.names or name not in pixels:
            continue
        here, there = np.asarray(index.get_level_values(name)), np.asarray(pixels[name])
        different = np.flatnonzero(here != there)
        if different.size:
            row = different[0]
            message = (
                f"{caller}: features and pixels are in another order: row {row} has "
                f"{name} = {here[row]!r} in features and {there[row]!r} in pixels. "
                "Bring them into the same order."
            )
            raise ValueError(message)


def cells_of(pixels: pd.DataFrame, columns: Sequence[str], caller: str) -> Cells:
    """Find the cells that the values of `columns` make.

    Pixels without a value (NaN, None or an empty name) in one of them are left out.

    Raises
    ------
    ValueError
        When a column does not exist, or no pixel is left.
    """
    missing = [name for name in columns if name not in pixels]
    if missing:
        message = (
            f"{caller}: pixels has no column {missing[0]!r}; it has "
            f"{', '.join(map(repr, pixels.columns))}. Add it, one value per pixel."
        )
        raise ValueError(message)
    used = np.ones(len(pixels), bool)
    left_out = {}
    for name in columns:
        column = pixels[name]
        empty = column.isna().to_numpy(bool)
        if column.dtype.kind not in "fiubM":
            empty = empty | (column.astype(str).str.strip() == "").to_numpy(bool)
        left_out[name] = int(np.sum(used & empty))
        used &= ~empty
    if not used.any():
        message = (
            f"{caller}: no pixel has a value in all of {', '.join(columns)}: "
            + ", ".join(f"{n} lack {name!r}" for name, n in left_out.items() if n)
            + "."
        )
        raise ValueError(message)
    chosen = pixels.loc[used, list(columns)].reset_index(drop=True)
    groups = chosen.groupby(list(columns), sort=True, observed=True)
    codes = groups.ngroup().to_numpy()
    first = np.unique(codes, return_index=True)[1]
    keys = chosen.take(first).reset_index(drop=True)
    return Cells(keys, codes, used, left_out)


def pseudo_counts(
    table: Table, used: np.ndarray, pseudo_count: Any, caller: str
) -> np.ndarray:
    """What is added to each feature before its logarithm, float64, (n_features,).

    A pseudo-count shrinks fold changes, so a feature that is never 0 has none, and a
    single zero makes next to no difference.

    Raises
    ------
    ValueError
        When a given one is negative, not finite or of another length.
    """
    n = len(table.names)
    if pseudo_count is not None:
        given = np.asarray(pseudo_count, dtype=np.float64)
        if given.shape not in ((), (n,)) or not np.all((given >= 0) & (given < np.inf)):
            message = (
                f"{caller}: pseudo_count must be None, a number of 0 or more, or one "
                f"for each of the {n} features; got {pseudo_count!r}."
            )
            raise ValueError(message)
        return np.broadcast_to(given, (n,)).astype(np.float64)
    result = np.ones(n)
    for k in range(n):
        column = table.values[used, k]
        positive = column[column > 0]
        if positive.size:
            limit = np.quantile(positive.astype(np.float64), LIMIT_QUANTILE)
            empty = 1 - positive.size / column.size
            result[k] = 0.5 * limit * min(1.0, empty / FULL_SHARE)
    return result


def reduce_pixels(
    table: Table, cells: Cells, statistic: str, pseudo: np.ndarray | None, caller: str
) -> np.ndarray:
    """One value per cell and feature, float64, (n_cells, n_features).

    `pseudo` may be None where no logarithm is taken.

    Raises
    ------
    ValueError
        When a logarithm of nothing, or of a negative number, would be needed.
    """
    n_cells, n_features = len(cells.keys), len(table.names)
    size = np.bincount(cells.codes, minlength=n_cells)[:, None]
    rows = np.flatnonzero(cells.used)
    member = sparse.csr_array(
        (np.ones(rows.size), (cells.codes, np.arange(rows.size))),
        shape=(n_cells, rows.size),
    )
    result = np.empty((n_cells, n_features))
    for start in range(0, n_features, BLOCK):
        part = slice(start, start + BLOCK)
        values = table.values[rows, part].astype(np.float64)
        if statistic == "frequency":
            values = (values > 0).astype(np.float64)
        elif statistic == "mean_log":
            assert pseudo is not None
            values = _log2(values + pseudo[part], table.names[part], caller)
        if statistic == "median":
            result[:, part] = pd.DataFrame(values).groupby(cells.codes).median()
        else:
            result[:, part] = (member @ values) / size
    if statistic == "log_mean":
        assert pseudo is not None
        result = _log2(result + pseudo, table.names, caller)
    return result


def _log2(values: np.ndarray, names: list[Any], caller: str) -> np.ndarray:
    lowest = values.min(axis=0)
    if not np.all(lowest > 0):
        k = int(np.argmin(lowest))
        message = (
            f"{caller}: the logarithm of feature {names[k]!r} needs values above 0; "
            f"with the pseudo-count the smallest is {lowest[k]:g}. Pass a larger "
            "pseudo_count, or take no logarithm."
        )
        raise ValueError(message)
    return np.log2(values)
