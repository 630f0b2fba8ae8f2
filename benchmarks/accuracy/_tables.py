"""Tables that print as plain text or as reStructuredText."""

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

    def text(self, *, rst: bool = False) -> str:
        """Return the table: padded, or as a simple table of reStructuredText."""
        shown = [[cell if cell or not k else "–" for k, cell in enumerate(row)]
                 for row in self.rows] if rst else self.rows  # fmt: skip
        # A reason for skipping spans columns; it must not widen its own.
        cells = [row for row in shown if rst or not row[1].startswith("skipped")]
        widths = [max(len(row[k]) for row in cells) for k in range(len(shown[0]))]
        lines = []
        for row in shown:
            name, rest = row[0].ljust(widths[0]), zip(row[1:], widths[1:], strict=True)
            lines.append("  ".join([name, *(c.rjust(w) for c, w in rest)]).rstrip())
        if not rst:
            return "\n".join([self.title, *lines])
        rule = "  ".join("=" * width for width in widths)
        body = ["", rule, lines[0], rule, *lines[1:], rule]
        indented = [f"   {line}".rstrip() for line in body]
        return "\n".join([f".. table:: {self.title}", *indented])


def show(tables: Iterable[Table]) -> None:
    """Print tables; as reStructuredText if the script was called with ``--rst``."""
    rst = "--rst" in sys.argv[1:]
    for table in tables:
        print(table.text(rst=rst), end="\n\n", flush=True)
