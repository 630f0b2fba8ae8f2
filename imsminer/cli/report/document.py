"""An HTML page that holds everything it shows."""

import base64
import html
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer.plots.export import as_png

__all__ = ["Document"]

PACKAGE = "imsminer.cli.report"
#: Points of the zoomable spectrum; of more, the extremes of each column are kept.
MAX_POINTS = 200_000
#: Rows of a table; the files beside the report hold all of them.
MAX_ROWS = 2000
#: Columns of peaks that hold m/z.
MZ_COLUMNS = frozenset(
    ("mz", "left", "right", "left_valley", "right_valley", "isotope_of", "target")
)


class Document:
    """Collects the sections of a report and writes them as one page.

    Parameters
    ----------
    title : str
        Heading of the page and of the window.
    subtitle : str
        A line below it.

    Examples
    --------
    >>> page = Document("Kidney", "342 pixels")
    >>> page.section("Parameters")
    >>> page.facts({"loq": 10})
    >>> "<dt>loq</dt><dd>10</dd>" in page.text()
    True
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._sections: list[tuple[str, list[str]]] = []

    def section(self, title: str) -> None:
        """Begin a section; what is added next belongs to it."""
        self._sections.append((title, []))

    def add(self, markup: str) -> None:
        """Add markup as it is."""
        self._sections[-1][1].append(markup)

    def text_block(self, text: str, *, kind: str = "p") -> None:
        """Add a paragraph; ``kind="h3"`` makes a heading of it."""
        self.add(f"<{kind}>{html.escape(text)}</{kind}>")

    def picture(self, axes: Any, caption: str, *, dpi: float = 130) -> None:
        """Add a figure of :mod:`imsminer.plots` as a picture, and close it."""
        self.image(as_png(axes, dpi=dpi), caption)

    def image(self, png: bytes, caption: str) -> None:
        """Add the bytes of a PNG file."""
        data = base64.b64encode(png).decode()
        text = html.escape(caption)
        self.add(
            f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
            f"<figcaption>{text}</figcaption></figure>"
        )

    def facts(self, values: Mapping[str, Any]) -> None:
        """Add names and values."""
        rows = "".join(
            f"<dt>{html.escape(str(name))}</dt><dd>{html.escape(_text(value))}</dd>"
            for name, value in values.items()
        )
        self.add(f'<dl class="facts">{rows}</dl>')

    def table(self, table: pd.DataFrame, caption: str, *, file: str = "") -> None:
        """Add a table whose columns sort by a click, with a field to search it.

        Parameters
        ----------
        table : DataFrame
            Its columns are shown, not its index. Of more than 2,000 rows the first.
        caption : str
            What it shows.
        file : str
            Name of the file that holds the whole table.
        """
        shown = table.iloc[:MAX_ROWS]
        note = f"{len(table):,} rows"
        if len(shown) < len(table):
            note = f"the first {len(shown):,} of {len(table):,} rows"
        if file:
            note += f"; all of them are in {file}"
        head = "".join(_heading(shown[name]) for name in shown.columns)
        columns = [_cells(shown[name]) for name in shown.columns]
        rows = "".join(f"<tr>{''.join(row)}</tr>" for row in zip(*columns, strict=True))
        text = html.escape(caption)
        self.add(
            f'<div class="table"><div class="bar"><span>{text} ({html.escape(note)})'
            f'</span><input type="search" placeholder="Search" aria-label="Search: '
            f'{text}"></div><div class="scroll"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div></div>"
        )

    def spectrum(
        self, mz: np.ndarray, intensity: np.ndarray, peaks: pd.DataFrame, caption: str
    ) -> None:
        """Add a spectrum to zoom into, with its peaks marked.

        Parameters
        ----------
        mz, intensity : ndarray of shape (n_points,)
            The spectrum; m/z are shown to float32 precision (0.1 ppm).
        peaks : DataFrame
            Columns `mz` and `height`; all others are shown at a peak under the pointer.
        caption : str
            What it shows.
        """
        kept = _visible(np.asarray(intensity, np.float64))
        data = {
            "mz": _packed(np.asarray(mz)[kept]),
            "intensity": _packed(np.asarray(intensity)[kept]),
            "peaks": json.loads(peaks.to_json(orient="split", index=False)),
        }
        # A closing tag inside of a script would end it.
        text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
        self.add(
            '<figure class="spectrum"><canvas tabindex="0" role="img" aria-label="'
            f'{html.escape(caption)}"></canvas><output></output>'
            f'<script type="application/json">{text}</script>'
            f"<figcaption>{html.escape(caption)} Scroll to zoom, drag to move, "
            "double-click to see all; arrow keys and +/− do the same.</figcaption>"
            "</figure>"
        )

    def text(self) -> str:
        """Return the page."""
        parts, links = [], []
        for number, (title, body) in enumerate(self._sections):
            name = html.escape(title)
            links.append(f'<a href="#section-{number}">{name}</a>')
            parts.append(
                f'<section id="section-{number}"><h2>{name}</h2>{"".join(body)}'
                "</section>"
            )
        files = resources.files(PACKAGE)
        style = (files / "report.css").read_text(encoding="utf-8")
        script = (files / "report.js").read_text(encoding="utf-8")
        title = html.escape(self.title)
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>{style}</style></head><body>"
            f"<header><h1>{title}</h1><p>{html.escape(self.subtitle)}</p>"
            f"<nav>{''.join(links)}</nav></header><main>{''.join(parts)}</main>"
            f"<script>{script}</script></body></html>\n"
        )

    def write(self, path: Path) -> None:
        """Write the page."""
        path.write_text(self.text(), encoding="utf-8")


def _text(value: Any) -> str:
    """Write a value as people do: few digits, lists with commas."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "–"
    return str(value)


def _is_number(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and column.dtype != bool


def _heading(column: pd.Series) -> str:
    kind = ' class="number"' if _is_number(column) else ""
    name = html.escape(str(column.name))
    return f'<th scope="col"{kind}><button type="button">{name}</button></th>'


def _cells(column: pd.Series) -> list[str]:
    """Return the cells of a column; numbers carry the value they are sorted by."""
    if not _is_number(column):
        return [f"<td>{html.escape(_text(v))}</td>" for v in column.tolist()]
    digits = _number_format(str(column.name))
    return [
        f'<td class="number" data-value="{value!r}">{html.escape(digits(value))}</td>'
        for value in column.tolist()
    ]


def _number_format(name: str) -> Any:
    """Return how numbers of a column are written: m/z with 4 decimals."""
    is_mz = name in MZ_COLUMNS or name.endswith("_mz")

    def written(value: float) -> str:
        if value != value:
            return "–"
        if isinstance(value, int):
            return str(value)
        if is_mz:
            return f"{value:.4f}"
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"

    return written


def _packed(values: np.ndarray) -> str:
    """Return float32 values as base64, little-endian."""
    return base64.b64encode(np.asarray(values, "<f4").tobytes()).decode()


def _visible(intensity: np.ndarray) -> np.ndarray:
    """Return which points a line needs: not those inside of a flat stretch."""
    if intensity.size < 3:
        return np.arange(intensity.size)
    step = np.diff(intensity) != 0
    kept = np.ones(intensity.size, bool)
    kept[1:-1] = step[1:] | step[:-1]
    found = np.flatnonzero(kept)
    if found.size <= MAX_POINTS:
        return found
    # The lowest and the highest of each group of neighbours.
    size = -(-2 * found.size // MAX_POINTS)
    groups = np.arange(0, found.size, size)
    values = intensity[found]
    order = np.lexsort((values, np.arange(found.size) // size))
    ends = np.append(groups[1:], found.size) - 1
    return found[np.unique(np.concatenate([order[groups], order[ends]]))]
