"""Regions typed as rows of a table."""

import re
from os import PathLike
from typing import Any

import pandas as pd

from imsminer.images._roi_shapes import ROI, Ellipse, Polygon, Rectangle

__all__ = ["rois_from_table"]

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_COLUMNS = {
    "rectangle": ("x0", "y0", "x1", "y1"),
    "ellipse": ("x", "y", "rx", "ry"),
    "polygon": ("vertices",),
}


def rois_from_table(table: pd.DataFrame | str | PathLike) -> list[ROI]:
    """Make regions from typed coordinates.

    Parameters
    ----------
    table : DataFrame or path-like
        One region per row, or a CSV file of them, with the columns ``name`` and
        ``shape``, and for each shape

        - ``"rectangle"``: ``x0``, ``y0``, ``x1``, ``y1``, two opposite corners;
        - ``"ellipse"``: ``x``, ``y``, ``rx``, ``ry`` and maybe ``angle``;
        - ``"polygon"``: ``vertices``, a sequence of pairs, or their numbers as text,
          such as ``"1 1; 5 1; 3 4"``.

        ``group`` and ``run`` may be there; empty cells stand for none.

    Returns
    -------
    list of Rectangle, Ellipse or Polygon
        In the order of the rows, in pixels.

    Raises
    ------
    ValueError
        When a column or a cell is missing or wrong; the message names the row.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer import rois_from_table
    >>> table = pd.DataFrame(
    ...     {"name": ["a"], "shape": ["polygon"], "vertices": ["0 0; 4 0; 4 4"]}
    ... )
    >>> rois_from_table(table)[0].vertices
    ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0))
    """
    what = "table"
    if not isinstance(table, pd.DataFrame):
        what = str(table)
        labels = dict.fromkeys(("name", "shape", "vertices", "group", "run"), str)
        table = pd.read_csv(table, dtype=labels, comment="#", skipinitialspace=True)
    missing = [name for name in ("name", "shape") if name not in table]
    if missing:
        message = (
            f"{what} has no column {' and no column '.join(missing)}; found "
            f"{', '.join(map(str, table.columns))}. Regions need name, shape and the "
            "coordinates of the shape."
        )
        raise ValueError(message)
    rois = []
    for number, row in enumerate(table.to_dict("records"), 1):
        try:
            rois.append(_from_row(row))
        except ValueError as error:
            message = f"{what}, row {number}: {error}"
            raise ValueError(message) from None
    return rois


def _from_row(row: dict[Any, Any]) -> ROI:
    shape = str(row["shape"]).strip().lower()
    if shape not in _COLUMNS:
        message = f"shape must be one of {', '.join(_COLUMNS)}; got {row['shape']!r}."
        raise ValueError(message)
    empty = [name for name in _COLUMNS[shape] if _is_empty(row.get(name))]
    if empty:
        message = f"a {shape} needs a value in {', '.join(empty)}."
        raise ValueError(message)
    labels = {name: _text(row.get(name)) for name in ("name", "group", "run")}
    if shape == "polygon":
        return Polygon(vertices=_vertices(row["vertices"]), **labels)
    values = {name: row[name] for name in _COLUMNS[shape]}
    if shape == "rectangle":
        return Rectangle(**values, **labels)
    angle = 0.0 if _is_empty(row.get("angle")) else row["angle"]
    return Ellipse(**values, angle=angle, **labels)


def _vertices(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    numbers = [float(number) for number in _NUMBER.findall(value)]
    rest = _NUMBER.sub("", value)
    if len(numbers) % 2 or re.search(r"[^\s,;()\[\]]", rest):
        message = (
            f"vertices must be pairs of numbers such as '1 1; 5 1; 3 4'; got {value!r}."
        )
        raise ValueError(message)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _is_empty(value: Any) -> bool:
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _text(value: Any) -> Any:
    if _is_empty(value):
        return None
    # A column of whole numbers with empty cells is one of floats.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
