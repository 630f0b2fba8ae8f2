"""Tables of molecules: which columns they have, and neutral monoisotopic masses."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from imsminer.features._formulas import parse_formula, plain_masses
from imsminer.features._text_tables import find_column, read_text_table

__all__ = ["Database", "read_database"]

MASSES = (
    "mass",
    "exact mass",
    "monoisotopic mass",
    "neutral mass",
    "monisotopic molecular weight",
    "monoisotopic molecular weight",
)
FORMULAS = (
    "formula",
    "molecular formula",
    "sum formula",
    "chemical formula",
    "mol formula",
)
NAMES = (
    "name",
    "common name",
    "abbreviation",
    "species name",
    "species",
    "compound",
    "analyte",
    "molecule",
    "systematic name",
)
CLASSES = (
    "analyte class",
    "class",
    "lipid class",
    "main class",
    "Lipid.Maps.Main.Class",
    "category",
    "super class",
)
ION_TYPES = ("ion type",)
#: Rows whose mass is compared with that of their formula.
SAMPLE = 200
#: Masses and formulas of one row may differ by rounding.
ROUNDING = 0.005


@dataclass(frozen=True)
class Database:
    """Molecules sorted by mass.

    Attributes
    ----------
    mass : ndarray of float64, shape (n,)
        Neutral monoisotopic masses, increasing.
    charge : ndarray of int64, shape (n,)
        Of the molecules themselves.
    rows : ndarray of int64, shape (n,)
        Their rows in `table`.
    table : DataFrame
        `name`, `formula`, `analyte_class` and `ion_type` (where known), then the other
        columns.
    n_ions : int
        Different formulas (masses, where there are no formulas).
    """

    mass: np.ndarray
    charge: np.ndarray
    rows: np.ndarray
    table: pd.DataFrame
    n_ions: int


def read_database(
    database: pd.DataFrame | str | PathLike,
    mass: str | None = None,
    where: Mapping[str, Any] | None = None,
) -> Database:
    """Read molecules from a file or a table.

    Parameters
    ----------
    database : DataFrame or path-like
        One molecule a row.
    mass : str or None
        Column of neutral monoisotopic masses, or of formulas; None looks for the usual
        names.
    where : mapping or None
        Values, or lists of values, that columns must have.

    Raises
    ------
    ValueError
        When a column is missing, `where` leaves nothing, or nothing has a mass.
    """
    if isinstance(database, pd.DataFrame):
        what, table = "the database", database
    else:
        what = str(database)
        table = read_text_table(
            database, "a database: CSV or TSV with a column of masses or formulas"
        )
    table = _chosen(table, where, what).reset_index(drop=True)
    formulas = find_column(table.columns, FORMULAS)
    source = mass
    if source is None:
        source = find_column(table.columns, MASSES)
        source = formulas if source is None else source
    if source is None or source not in table.columns:
        message = (
            f"annotate: {what} has no column {mass!r}; "
            if mass is not None
            else f"annotate: {what} has no column of masses or formulas; "
        ) + (
            f"found {', '.join(map(str, table.columns))}. Name the column of neutral "
            "monoisotopic masses or of formulas with mass=."
        )
        raise ValueError(message)
    numeric = pd.api.types.is_numeric_dtype(table[source])
    if not numeric:
        formulas = source
    charge = np.zeros(len(table), np.int64)
    known = formulas is not None
    if numeric:
        values = table[source].to_numpy(dtype=np.float64, na_value=np.nan)
        if known:
            _compare(values, table[formulas], source, formulas, what)
            charge = _charges(table[formulas])
    else:
        values, charge = _masses(table[source], what)
    usable = np.flatnonzero(np.isfinite(values) & (values > 0))
    if usable.size == 0:
        message = (
            f"annotate: no row of {what} has a mass above 0 in column {source!r}. "
            "Expected neutral monoisotopic masses or formulas."
        )
        raise ValueError(message)
    # Not stable, which is twice as quick: ties are sorted among the hits.
    order = usable[np.argsort(values[usable])]
    if known:
        # Rows are gathered only where some are left out.
        column = table[formulas]
        whole = usable.size == len(column)
        n_ions = (column if whole else column.iloc[usable]).nunique()
    else:
        n_ions = 1 + np.count_nonzero(np.diff(values[order]))
    return Database(
        values[order],
        charge[order],
        order,
        _arranged(table, formulas),
        int(n_ions),
    )


def _chosen(
    table: pd.DataFrame, where: Mapping[str, Any] | None, what: str
) -> pd.DataFrame:
    """Return the rows whose columns have the values that are asked for."""
    keep = np.ones(len(table), bool)
    for column, wanted in (where or {}).items():
        if column not in table.columns:
            message = (
                f"annotate: where names the column {column!r}, but {what} has "
                f"{', '.join(map(str, table.columns))}."
            )
            raise ValueError(message)
        single = isinstance(wanted, str) or not np.iterable(wanted)
        values = [wanted] if single else list(wanted)
        found = table[column].isin(values)
        if not found.any():
            some = ", ".join(map(repr, pd.unique(table[column].dropna())[:10]))
            message = (
                f"annotate: no row of {what} has {column} in {values!r}; it holds "
                f"{some or 'nothing'}."
            )
            raise ValueError(message)
        keep &= found.to_numpy()
    if not keep.any():
        message = f"annotate: no row of {what} has all of {dict(where or {})!r}."
        raise ValueError(message)
    return table if keep.all() else table[keep]


def _masses(column: pd.Series, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Return masses and charges of formulas."""
    masses, charges = plain_masses(column), np.zeros(len(column), np.int64)
    odd = np.flatnonzero(np.isnan(masses) & column.notna().to_numpy())
    codes, texts = pd.factorize(column.iloc[odd])
    mass = np.full(len(texts), np.nan)
    charge = np.zeros(len(texts), np.int64)
    failed = []
    for k, text in enumerate(texts):
        try:
            formula = parse_formula(str(text))
        except ValueError:
            failed.append(k)
            continue
        mass[k], charge[k] = formula.mass, formula.charge
    masses[odd], charges[odd] = mass[codes], charge[codes]
    if failed:
        n = int(np.isin(codes, failed).sum())
        message = (
            f"annotate: {n} rows of {what} are left out, as their formulas are not "
            f"understood; the first is {texts[failed[0]]!r}."
        )
        warnings.warn(message, UserWarning, stacklevel=4)
    return masses, charges


def _charges(column: pd.Series) -> np.ndarray:
    """Return the charges that formulas end with."""
    codes, texts = pd.factorize(column)
    charge = np.zeros(len(texts) + 1, np.int64)
    text = pd.Series(texts, dtype=object).astype(str)
    for k in np.flatnonzero(text.str.contains(r"[+-]\)?$").to_numpy(dtype=bool)):
        try:
            charge[k] = parse_formula(str(texts[k])).charge
        except ValueError:
            continue
    return charge[codes]


def _compare(
    mass: np.ndarray, column: pd.Series, source: str, formulas: str, what: str
) -> None:
    """Warn when masses are not the monoisotopic ones of the formulas."""
    rows = np.flatnonzero(np.isfinite(mass) & column.notna().to_numpy())
    rows = rows[np.linspace(0, rows.size - 1, min(SAMPLE, rows.size)).astype(int)]
    seen = wrong = 0
    for row in rows:
        try:
            exact = parse_formula(str(column.iloc[row])).mass
        except ValueError:
            continue
        seen += 1
        wrong += abs(mass[row] - exact) > ROUNDING
    if wrong > 0.05 * seen:
        message = (
            f"annotate: in {wrong} of {seen} rows of {what} that were looked at, the "
            f"column {source!r} is not the monoisotopic mass of the column "
            f"{formulas!r}. Give mass={formulas!r} to compute masses."
        )
        warnings.warn(message, UserWarning, stacklevel=4)


def _arranged(table: pd.DataFrame, formulas: str | None) -> pd.DataFrame:
    """Return the table with the columns that are known under one name first."""
    sources = {
        "name": find_column(table.columns, NAMES),
        "formula": formulas,
        "analyte_class": find_column(table.columns, CLASSES),
        "ion_type": find_column(table.columns, ION_TYPES),
    }
    renamed = {old: new for new, old in sources.items() if old is not None}
    first = {new: table[old] for old, new in renamed.items()}
    rest = {str(n): table[n] for n in table.columns if n not in renamed}
    return pd.DataFrame({**first, **{k: v for k, v in rest.items() if k not in first}})
