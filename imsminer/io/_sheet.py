"""Sample sheets: which files make a study, and what is known of each."""

from os import PathLike
from pathlib import Path

import pandas as pd

from imsminer.core.source import RUN_FACTS

__all__ = ["read_sheet"]

RESERVED = frozenset(("x", "y", "z", *RUN_FACTS)) - {"path"}


def read_sheet(
    sheet: str | PathLike | pd.DataFrame,
) -> tuple[list[Path], list[Path] | None, pd.DataFrame]:
    """Read a sample sheet.

    Parameters
    ----------
    sheet : path-like or DataFrame
        See :meth:`ImzMLReader.from_sample_sheet`.

    Returns
    -------
    paths : list of Path
        The imzML files.
    ibd : list of Path or None
        Their binary files, where the sheet has a column for them.
    annotations : DataFrame
        The other columns, one row a file; its index is named ``"run"`` where the sheet
        names the runs.

    Raises
    ------
    ValueError
        When a column is missing, repeated or has a reserved name, or a cell that is
        needed is empty or repeated.
    """
    if isinstance(sheet, pd.DataFrame):
        what, folder, table = "the sample sheet", Path(), sheet.reset_index(drop=True)
    else:
        what, folder, table = str(sheet), Path(sheet).parent, _read_text(Path(sheet))
    names = [str(name).strip() for name in table.columns]
    special = {name.lower() for name in names} & {"path", "ibd", "run"}
    table.columns = [n.lower() if n.lower() in special else n for n in names]
    _check_columns(table, what)
    paths = _files(table, "path", folder, what)
    ibd = _files(table, "ibd", folder, what) if "ibd" in table else None
    annotations = table.drop(columns=["path", "ibd"], errors="ignore")
    if "run" in annotations:
        annotations = annotations.set_index(_run_names(table["run"], what))
        annotations = annotations.drop(columns="run")
    return paths, ibd, annotations


def _read_text(path: Path) -> pd.DataFrame:
    """Read text, whatever separates its cells; numbers stay exact or stay text."""
    if not path.is_file():
        message = (
            f"There is no sample sheet {path}. Expected a CSV file with a column path "
            "and one row per imzML file."
        )
        raise FileNotFoundError(message)
    try:
        with open(path, encoding="utf-8-sig") as file:
            head = file.readline()
        table = pd.read_csv(
            path,
            sep=max(",;\t", key=head.count),
            dtype=str,
            encoding="utf-8-sig",
            skipinitialspace=True,
        )
    except ValueError as error:
        # Bad UTF-8 and what pandas cannot parse are both a ValueError.
        message = f"{path} cannot be read as a CSV file in UTF-8: {error}"
        raise ValueError(message) from error
    return table.apply(_numbers_where_exact)


def _numbers_where_exact(column: pd.Series) -> pd.Series:
    """Turn text into numbers, unless it is an identifier such as 007."""
    text = column.dropna().str.strip()
    numbers = pd.to_numeric(text, errors="coerce")
    if text.empty or numbers.isna().any() or text.str.match(r"[+-]?0\d").any():
        return column.str.strip()
    return pd.to_numeric(column)


def _check_columns(table: pd.DataFrame, what: str) -> None:
    names = list(table.columns)
    found = f"found {', '.join(map(repr, names)) or 'no columns'}"
    if "path" not in names:
        message = f"{what} needs a column path, with one imzML file a row; {found}."
        raise ValueError(message)
    twice = sorted({name for name in names if names.count(name) > 1})
    reserved = sorted(set(names) & RESERVED)
    if twice or reserved:
        message = (
            f"{what}: the columns {twice} occur more than once; {found}."
            if twice
            else f"{what}: the columns {reserved} have names that the files' own facts "
            f"have; rename them, to sample_{reserved[0]} for example."
        )
        raise ValueError(message)
    if table.empty:
        message = f"{what} has no rows. Expected one row per imzML file."
        raise ValueError(message)


def _files(table: pd.DataFrame, column: str, folder: Path, what: str) -> list[Path]:
    """Return the files of a column; relative ones lie beside the sheet."""
    missing = table.index[table[column].isna() | (table[column].astype(str) == "")]
    if len(missing):
        message = f"{what}: row {missing[0] + 1} has no {column}."
        raise ValueError(message)
    files = [folder / str(path) for path in table[column]]
    seen: dict[Path, int] = {}
    for row, path in enumerate(files, start=1):
        resolved = path.resolve()
        if resolved in seen:
            message = f"{what}: rows {seen[resolved]} and {row} are one file, {path}."
            raise ValueError(message)
        seen[resolved] = row
        if column == "path" and path.is_dir():
            message = (
                f"{what}: {path}, in row {row}, is a folder; give each imzML file a "
                "row of its own."
            )
            raise ValueError(message)
    return files


def _run_names(column: pd.Series, what: str) -> pd.Index:
    names = column.astype("str").where(column.notna(), "")
    wrong = names[(names == "") | names.duplicated()]
    if len(wrong):
        message = (
            f"{what}: the names in column run must be given and differ; row "
            f"{wrong.index[0] + 1} has {wrong.iloc[0]!r}."
        )
        raise ValueError(message)
    return pd.Index(names, name="run")
