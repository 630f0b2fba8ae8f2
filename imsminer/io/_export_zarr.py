"""Features as a plain Zarr group of version 3.

Text is stored as codes with the categories in the attributes: Zarr 3 has no type of
text that all of its libraries agree on.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer._optional import import_optional
from imsminer.core.progress import progress_bar
from imsminer.io._export_columns import plain_names, storable
from imsminer.io._export_json import decoded_extras, encoded_extras, saved_features
from imsminer.io._export_table import FeatureTable, SavedFeatures

__all__ = ["MARK", "read_zarr", "write_zarr"]

#: The file that makes a folder a group of Zarr 3.
MARK = "zarr.json"
#: A chunk is read whole: 1 MiB, and no more columns than a look at few ions wants.
_CHUNK_BYTES = 1 << 20
_CHUNK_COLUMNS = 64
#: A shard is a file: 1 GB takes about 16.
_SHARD_BYTES = 1 << 26


def write_zarr(table: FeatureTable, path: Path) -> None:
    """Write a group, shard by shard."""
    zarr = import_optional("zarr", purpose="Writing .zarr", extra="export")
    group = zarr.open_group(str(path), mode="w-", zarr_format=3)
    # NaN is no JSON, which attributes are.
    extras = json.loads(json.dumps(encoded_extras(table, peaks=False), default=str))
    group.attrs.update(extras)
    _write_features(zarr, group, table)
    coordinates = table.pixels[["x", "y", "z"]].to_numpy()
    array = _write_array(zarr, group, "coordinates", coordinates, ("pixel", "axis"))
    array.attrs["columns"] = ["x", "y", "z"]
    _write_column(zarr, group, "run", table.pixels["run"], "pixel")
    _write_array(zarr, group, "mz", table.mz, ("peak",))
    _write_columns(zarr, group, "pixels", table.pixels[table.user_columns], "pixel")
    _write_columns(zarr, group, "peaks", table.peaks.drop(columns="mz"), "peak")


def read_zarr(path: Path) -> SavedFeatures:
    """Read what :func:`write_zarr` wrote."""
    zarr = import_optional("zarr", purpose="Reading .zarr", extra="export")
    group = zarr.open_group(str(path), mode="r")
    extras = decoded_extras(dict(group.attrs), path)
    columns: dict[str, Any] = {"run": _read_column(group["run"])}
    columns |= dict(zip("xyz", group["coordinates"][:].T, strict=True))
    pixels = pd.DataFrame(columns | _read_columns(group["pixels"]))
    peaks = pd.DataFrame({"mz": group["mz"][:]} | _read_columns(group["peaks"]))
    return saved_features(group["features"][:], pixels, peaks, extras)


def _write_features(zarr: Any, group: Any, table: FeatureTable) -> None:
    n_pixels, n_features = table.values.shape
    chunks, shards = _layout(n_pixels, n_features)
    array = group.create_array(
        "features",
        shape=(n_pixels, n_features),
        dtype="float32",
        chunks=chunks,
        shards=shards,
        compressors=_compressor(zarr),
        fill_value=np.nan,
        dimension_names=("pixel", "peak"),
    )
    with progress_bar("Writing Zarr", n_pixels) as advance:
        for rows in table.row_blocks(shards[0]):
            for start in range(0, n_features, shards[1]):
                columns = slice(start, min(start + shards[1], n_features))
                array[rows, columns] = table.values[rows, columns]
            advance(rows.stop - rows.start)


def _layout(n_rows: int, n_columns: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the shapes of chunks and shards."""
    across = max(1, -(-n_columns // _CHUNK_COLUMNS))
    width = max(1, -(-n_columns // across))
    height = max(1, min(n_rows, _CHUNK_BYTES // (4 * width)))
    n_chunks = max(1, _SHARD_BYTES // (4 * height * width))
    wide = min(across, n_chunks)
    high = max(1, min(-(-n_rows // height), n_chunks // wide))
    return (height, width), (height * high, width * wide)


def _compressor(zarr: Any) -> Any:
    return zarr.codecs.ZstdCodec(level=3)


def _write_array(
    zarr: Any, group: Any, name: str, values: np.ndarray, dimensions: tuple[str, ...]
) -> Any:
    """Write a small array: one value or three per pixel or peak."""
    n_rows = max(1, len(values))
    row_bytes = values.dtype.itemsize * int(np.prod(values.shape[1:]))
    chunk = min(n_rows, _CHUNK_BYTES // row_bytes)
    shard = chunk * min(-(-n_rows // chunk), _SHARD_BYTES // (chunk * row_bytes))
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(chunk, *values.shape[1:]),
        shards=(shard, *values.shape[1:]),
        compressors=_compressor(zarr),
        dimension_names=dimensions,
    )
    array[...] = values
    return array


def _write_columns(
    zarr: Any, group: Any, name: str, columns: pd.DataFrame, dimension: str
) -> None:
    """Write a table as a group of arrays, which keeps the order of its columns."""
    inner = group.create_group(name)
    # Folders on some systems do not tell capitals from small letters.
    plain = plain_names(
        columns.columns, lambda c: c.isalnum() or c in "_-. ", fold=True
    )
    inner.attrs["columns"] = {new: old for old, new in plain.items()}
    for old, column in storable(columns).items():
        _write_column(zarr, inner, plain[str(old)], column, dimension)


def _write_column(
    zarr: Any, group: Any, name: str, column: pd.Series, dimension: str
) -> None:
    if not isinstance(column.dtype, pd.CategoricalDtype):
        _write_array(zarr, group, name, column.to_numpy(), (dimension,))
        return
    codes = column.cat.codes.to_numpy(np.int32)
    array = _write_array(zarr, group, name, codes, (dimension,))
    array.attrs["categories"] = [str(item) for item in column.cat.categories]


def _read_columns(group: Any) -> dict[str, Any]:
    names = dict(group.attrs)["columns"]
    return {old: _read_column(group[new]) for new, old in names.items()}


def _read_column(array: Any) -> Any:
    categories = dict(array.attrs).get("categories")
    if categories is None:
        return array[:]
    return pd.Categorical.from_codes(
        array[:], categories=np.array(categories, dtype=object)
    )
