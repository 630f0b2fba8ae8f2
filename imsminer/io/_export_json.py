"""Small tables and provenance as JSON, which travels in the metadata of files."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from imsminer.io._export_columns import storable
from imsminer.io._export_table import FeatureTable, SavedFeatures

__all__ = ["FORMAT", "decoded_extras", "encoded_extras", "saved_features"]

FORMAT = {"format": "imsminer features", "version": 1}


def encoded_extras(table: FeatureTable, *, peaks: bool) -> dict[str, Any]:
    """Return all but features and pixels, as JSON holds it."""
    extras = FORMAT | {
        "features": table.names,
        "n_not_finite": table.n_not_finite,
        "runs": _encoded(table.runs),
        "provenance": json.loads(table.provenance_json),
    }
    return extras | ({"peaks": _encoded(table.peaks)} if peaks else {})


def decoded_extras(extras: Any, path: Any) -> dict[str, Any]:
    """Undo :func:`encoded_extras`, or say that the file is none of ours."""
    if not isinstance(extras, dict) or extras.get("format") != FORMAT["format"]:
        message = (
            f"{path} was not written by write_features: it lacks the mark "
            f"{FORMAT['format']!r}. Read it with the library of its format."
        )
        raise ValueError(message)
    if extras["version"] > FORMAT["version"]:
        message = (
            f"{path} was written by a newer imsminer, in version {extras['version']}; "
            f"this one reads up to {FORMAT['version']}. Update imsminer."
        )
        raise ValueError(message)
    decoded = dict(extras)
    for name in ("runs", "peaks"):
        if name in extras:
            decoded[name] = _decoded(extras[name])
    decoded["runs"].index.name = "run"
    return decoded


def saved_features(
    values: np.ndarray,
    pixels: pd.DataFrame,
    peaks: pd.DataFrame,
    extras: dict[str, Any],
) -> SavedFeatures:
    """Put together what a file held."""
    index = pd.MultiIndex.from_frame(
        pixels[["run", "x", "y", "z"]].astype({"run": object})
    )
    features = pd.DataFrame(
        values, index=index, columns=extras["features"], dtype=np.float32, copy=False
    )
    return SavedFeatures(features, pixels, peaks, extras["runs"], extras["provenance"])


def _encoded(table: pd.DataFrame) -> dict[str, Any]:
    columns = {}
    for name, column in storable(table).items():
        kind = column.dtype.name
        columns[name] = {"dtype": kind, "values": [_plain(v) for v in column.tolist()]}
    return {"index": [_plain(item) for item in table.index], "columns": columns}


def _decoded(encoded: dict[str, Any]) -> pd.DataFrame:
    columns = {}
    for name, column in encoded["columns"].items():
        values, dtype = column["values"], column["dtype"]
        if dtype == "category":
            columns[name] = pd.Categorical(pd.Series(values, dtype=object))
        elif dtype.startswith("float"):
            numbers = [math.nan if value is None else float(value) for value in values]
            columns[name] = np.array(numbers, dtype=dtype)
        else:
            columns[name] = np.array(values, dtype=dtype)
    return pd.DataFrame(columns, index=encoded["index"])


def _plain(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: null, and text that `float` reads."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
