"""Columns of tables in types, and under names, that files of all kinds have."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["plain_names", "storable"]


def storable(table: pd.DataFrame) -> pd.DataFrame:
    """Bring columns into types that every format has.

    Numbers and bools stay as they are, or become float64 where some are missing.
    Everything else becomes a category of text in which a missing value stays missing:
    mixed types would be refused by one format and guessed at by another.
    """
    return pd.DataFrame(
        {name: _storable(table[name]) for name in table.columns}, index=table.index
    )


def _storable(column: pd.Series) -> Any:
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "buif":
        return column
    missing = column.isna()
    if pd.api.types.is_numeric_dtype(dtype) and dtype.kind in "buif":
        # Nullable numbers of pandas.
        plain = np.float64 if missing.any() else np.dtype(dtype.numpy_dtype)
        return column.astype(plain)
    text = column.astype(str).astype(object)
    text[missing] = None
    if isinstance(dtype, pd.CategoricalDtype):
        known = [str(item) for item in dtype.categories]
        if len(set(known)) == len(known):
            return pd.Categorical(text, categories=np.array(known, dtype=object))
    found = np.array(sorted(set(text[~missing])), dtype=object)
    return pd.Categorical(text, categories=found)


def plain_names(
    names: Iterable[str], allowed: Callable[[str], bool], fold: bool = False
) -> dict[str, str]:
    """Map each name to one in which characters that are not allowed are underscores.

    Parameters
    ----------
    names : iterable of str
        The names.
    allowed : callable
        Whether a character may stay.
    fold : bool, default=False
        Whether names that differ by case only collide.

    Raises
    ------
    ValueError
        When two names would become one.
    """
    plain: dict[str, str] = {}
    holder: dict[str, str] = {}
    for name in names:
        new = "".join(c if allowed(c) else "_" for c in name) or "_"
        key = new.casefold() if fold else new
        if key in holder:
            message = (
                f"the names {holder[key]!r} and {name!r} would both be stored as "
                f"{new!r}. Rename one."
            )
            raise ValueError(message)
        holder[key] = name
        plain[name] = new
    return plain
