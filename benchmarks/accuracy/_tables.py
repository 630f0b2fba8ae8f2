"""Tables that print as plain text or as reStructuredText."""

import re
import sys
from collections.abc import Iterable
from typing import Any

__all__ = ["Table", "show"]


class Table:
    """Rows of cells under a header.

    Parameters
    ----------
    title : str
        What the figures are; the caption.
    columns : iterable of str
        Headers; the first is that of the rows' names.
    """

    def __init__(self, title: str, columns: Iterable[str]) -> None:
        self.title = title
        self.rows = [[str(column) for column in columns]]

    def add(self, *cells: Any) -> None:
        """Append a row of as many cells as there are columns."""
        row = [str(cell) for cell in cells]
        if len(row) != len(self.rows[0]):
            message = f"{self.title}: {len(row)} cells in {len(self.rows[0])} columns"
            raise ValueError(message)
        self.rows.append(row)

    def skip(self, name: str, reason: Any) -> None:
        """Append a row that says why a rival did not run."""
        self.add(name, f"skipped: {reason}", *[""] * (len(self.rows[0]) - 2))

    def text(self) -> str:
        """Return the table, padded."""
        # A reason for skipping must not widen its column.
        kept = [row for row in self.rows if not row[1].startswith("skipped")]
        return "\n".join([self.title, *_padded(self.rows, _widths(kept))])

    def rst(self) -> str:
        """Return a simple table of reStructuredText, with the title as its caption."""
        rows = [[_escaped(cell or "–") for cell in row] for row in self.rows]
        widths = _widths(rows)
        rule = "  ".join("=" * width for width in widths)
        header, *lines = _padded(rows, widths)
        body = "\n".join(f"   {line}" for line in (rule, header, rule, *lines, rule))
        return f".. table:: {_escaped(self.title)}\n\n{body}"


def _escaped(text: str) -> str:
    """Take the meaning of markup from a text."""
    return re.sub(r"([\\*|`]|_(?!\w))", r"\\\1", text)


def _widths(rows: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _padded(rows: list[list[str]], widths: list[int]) -> list[str]:
    lines = []
    for name, *cells in rows:
        right = [c.rjust(w) for c, w in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *right]).rstrip())
    return lines


def show(tables: Iterable[Table]) -> None:
    """Print tables; as reStructuredText if the script was called with ``--rst``."""
    rst = "--rst" in sys.argv[1:]
    for table in tables:
        print(table.rst() if rst else table.text(), end="\n\n", flush=True)
