"""Tables in text files of other programs: comments, separators, line numbers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["TextTable", "find_column", "read_rows", "read_text_table"]

SEPARATORS = ",;\t"


@dataclass(frozen=True)
class TextTable:
    """Head of a text file: what precedes the rows.

    Attributes
    ----------
    path : Path
        The file.
    comments : list of str
        Lines that start with #, without it.
    names : list of str
        Names of the columns.
    line : int
        Number of the line of names, from 1.
    separator : str
        What stands between cells.
    encoding : str
        Of the text.
    trailing : int
        Separators at the end of the line of names, which rows end with as well.
    """

    path: Path
    comments: list[str]
    names: list[str]
    line: int
    separator: str
    encoding: str
    trailing: int


def read_text_table(path: str | PathLike, expected: str) -> pd.DataFrame:
    """Read a large table; columns become numbers where all cells are.

    Parameters
    ----------
    path : path-like
        CSV, TSV or with semicolons; lines that start with # may precede it.
    expected : str
        What it should be, for errors.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is not such a table.
    """
    head = _read_head(Path(path), expected)
    try:
        table = pd.read_csv(
            head.path,
            sep=head.separator,
            skiprows=head.line - 1,
            encoding=head.encoding,
            low_memory=False,
            index_col=False,
        )
    except (ValueError, pd.errors.ParserError) as error:
        message = f"{path} cannot be read as {expected}: {error}"
        raise ValueError(message) from error
    table.columns = [str(name).strip() for name in table.columns]
    unnamed = [n for n in table.columns if n.startswith("Unnamed:")]
    return table.drop(columns=[n for n in unnamed if table[n].isna().all()])


def read_rows(
    path: str | PathLike, expected: str, spill: str | None = None
) -> tuple[TextTable, pd.DataFrame]:
    """Read a small table cell by cell, as text, with the numbers of its lines.

    Parameters
    ----------
    path : path-like
        The file.
    expected : str
        What it should be, for errors.
    spill : str or None
        Name of a column of free text: where a row has too many cells, the separator
        stood in that text, and they are joined again.

    Returns
    -------
    head : TextTable
    table : DataFrame of str
        Indexed by the number of the line in the file.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a row has another number of cells than there are names.
    """
    head = _read_head(Path(path), expected)
    n = len(head.names)
    at = next((i for i, c in enumerate(head.names) if c.lower() == spill), None)
    rows, lines = [], []
    with open(head.path, encoding=head.encoding, newline="") as file:
        reader = csv.reader(file, delimiter=head.separator)
        for cells in reader:
            line = reader.line_num
            if line <= head.line or not any(cell.strip() for cell in cells):
                continue
            if cells[0].lstrip().startswith("#"):
                continue
            end = cells[-head.trailing :] if head.trailing and len(cells) > n else ["x"]
            if not any(cell.strip() for cell in end):
                cells = cells[: -head.trailing]
            surplus = len(cells) - n
            if surplus > 0 and at is not None:
                text = head.separator.join(cells[at : at + surplus + 1])
                cells = [*cells[:at], text, *cells[at + surplus + 1 :]]
            if len(cells) != n:
                message = (
                    f"{path}, line {line}: {len(cells)} cells, but {n} columns are "
                    f"named ({', '.join(head.names)}). Expected {expected}."
                )
                raise ValueError(message)
            rows.append([cell.strip() for cell in cells])
            lines.append(line)
    table = pd.DataFrame(rows, columns=head.names, index=lines, dtype=object)
    return head, table


def find_column(names: Sequence[Any], known: Sequence[str]) -> Any:
    """Return the first of the known names that a table has, or None.

    Upper case, spaces, points and underscores do not matter.
    """
    plain = {plain_name(name): name for name in reversed(list(names))}
    return next((plain[n] for n in map(plain_name, known) if n in plain), None)


def plain_name(name: Any) -> str:
    """Return a name without what spellings differ in."""
    return "".join(c for c in str(name).lower() if c.isalnum() or c == "/")


def _read_head(path: Path, expected: str) -> TextTable:
    """Find comments, names and separator."""
    if not path.is_file():
        message = f"There is no file {path}. Expected {expected}."
        raise FileNotFoundError(message)
    for encoding in ("utf-8-sig", "utf-16", "latin-1"):
        try:
            with open(path, encoding=encoding) as file:
                return _scan_head(file, path, expected, encoding)
        except UnicodeError:
            continue
    raise AssertionError


def _scan_head(file: Any, path: Path, expected: str, encoding: str) -> TextTable:
    comments: list[str] = []
    for line, text in enumerate(file, start=1):
        stripped = text.strip()
        if stripped.startswith("#"):
            comments.append(stripped.lstrip("#").strip())
        elif stripped:
            separator = max(SEPARATORS, key=stripped.count)
            names = next(csv.reader([text.rstrip("\r\n")], delimiter=separator))
            names = [name.strip() for name in names]
            n_cells = len(names)
            while len(names) > 1 and not names[-1]:
                names.pop()
            trailing = n_cells - len(names)
            return TextTable(path, comments, names, line, separator, encoding, trailing)
    message = f"{path} has no line of column names. Expected {expected}."
    raise ValueError(message)
