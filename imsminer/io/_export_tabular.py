"""Features as Parquet and CSV, block by block."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from imsminer.core.progress import progress_bar
from imsminer.io._export_columns import storable
from imsminer.io._export_json import decoded_extras, encoded_extras, saved_features
from imsminer.io._export_table import FeatureTable, SavedFeatures

__all__ = ["read_parquet", "write_csv", "write_parquet"]

#: Rows are written in groups of about this size.
_GROUP_BYTES = 1 << 26
_KEY = b"imsminer"


def write_parquet(table: FeatureTable, path: Path) -> None:
    """Write pixels and features as columns, all else into the schema's metadata."""
    extras = json.dumps(encoded_extras(table, peaks=True), default=str)
    pixels = _pixel_arrays(table, text=False)
    schema = _schema(table, pixels).with_metadata({_KEY: extras.encode()})
    writer = pyarrow.parquet.ParquetWriter(
        path,
        schema,
        compression="zstd",
        # A dictionary of intensities, which hardly repeat, would only add to them.
        use_dictionary=list(pixels),
    )
    with writer:
        _write_blocks(table, pixels, schema, writer, "Writing Parquet")


def write_csv(table: FeatureTable, path: Path) -> None:
    """Write pixels and features as text.

    Each number gets the fewest digits that read back as the same number; NaN is an
    empty field.
    """
    pixels = _pixel_arrays(table, text=True)
    schema = _schema(table, pixels)
    with pyarrow.csv.CSVWriter(path, schema) as writer:
        _write_blocks(table, pixels, schema, writer, "Writing CSV", missing=True)


def read_parquet(path: Path) -> SavedFeatures:
    """Read what :func:`write_parquet` wrote."""
    # One file; as a dataset its folder's name would be parsed for columns.
    file = pyarrow.parquet.ParquetFile(path)
    metadata = file.schema_arrow.metadata or {}
    extras = decoded_extras(json.loads(metadata.get(_KEY, b"null")), path)
    names = extras["features"]
    columns = [name for name in file.schema_arrow.names if name not in set(names)]
    pixels = file.read(columns=columns).to_pandas()
    values = np.empty((file.metadata.num_rows, len(names)), dtype=np.float32)
    start = 0
    for group in range(file.num_row_groups):
        block = file.read_row_group(group, columns=names)
        stop = start + block.num_rows
        for i, name in enumerate(names):
            values[start:stop, i] = block.column(name).to_numpy()
        start = stop
    return saved_features(values, pixels, extras["peaks"], extras)


def _pixel_arrays(table: FeatureTable, *, text: bool) -> dict[str, pa.Array]:
    """Return the columns that describe pixels, text as such or as categories."""
    taken = set(table.names) & set(table.pixels.columns)
    if taken:
        message = (
            f"pixels and features both have the columns {sorted(taken)[:5]}. Rename "
            "those of pixels."
        )
        raise ValueError(message)
    arrays = {}
    for name, column in storable(table.pixels).items():
        array = pa.Array.from_pandas(column)
        if text and pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        arrays[str(name)] = array
    return arrays


def _schema(table: FeatureTable, pixels: dict[str, pa.Array]) -> pa.Schema:
    fields = [(name, array.type) for name, array in pixels.items()]
    return pa.schema([*fields, *((name, pa.float32()) for name in table.names)])


def _write_blocks(
    table: FeatureTable,
    pixels: dict[str, pa.Array],
    schema: pa.Schema,
    writer: Any,
    label: str,
    missing: bool = False,
) -> None:
    n_pixels, n_features = table.values.shape
    rows_at_once = max(1, _GROUP_BYTES // (4 * max(1, n_features)))
    with progress_bar(label, n_pixels) as advance:
        for rows in table.row_blocks(min(rows_at_once, 1 << 20)):
            # Columns of the block lie together, as Arrow wants them.
            block = np.asfortranarray(table.values[rows])
            n_rows = rows.stop - rows.start
            arrays = [array.slice(rows.start, n_rows) for array in pixels.values()]
            arrays += [
                pa.array(block[:, i], from_pandas=missing) for i in range(n_features)
            ]
            writer.write_table(
                pa.Table.from_arrays(arrays, schema=schema),
                **({} if missing else {"row_group_size": n_rows}),
            )
            advance(n_rows)
