"""Features as AnnData."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer._optional import import_optional
from imsminer.io._export_columns import plain_names, storable
from imsminer.io._export_table import POSITION, FeatureTable, SavedFeatures

__all__ = ["build_anndata", "read_h5ad", "spatial_positions", "write_h5ad"]


def build_anndata(table: FeatureTable) -> Any:
    """Return the table as AnnData that can be written as it is."""
    anndata = import_optional("anndata", purpose="to_anndata", extra="export")
    # Behind pandas' copy-on-write the values cannot be written to, but scanpy does.
    writeable = table.values.flags.writeable
    values = table.values if writeable else table.values.copy()
    positions, unit = spatial_positions(table)
    pixels = _described(table.pixels)
    pixels.index = pd.Index(_pixel_names(table.pixels), dtype=object)
    peaks = _described(table.peaks)
    peaks.index = pd.Index(table.names, dtype=object)
    uns: dict[str, Any] = {
        "spatial_unit": unit,
        "n_not_finite": table.n_not_finite,
        "runs": _described(table.runs),
    }
    if table.provenance is not None:
        uns["provenance"] = _nested(table.provenance)
        uns["provenance_json"] = table.provenance_json
    return anndata.AnnData(
        X=values, obs=pixels, var=peaks, uns=uns, obsm={"spatial": positions}
    )


def write_h5ad(table: FeatureTable, path: Path) -> None:
    """Write AnnData's file; gzip, which every HDF5 library reads."""
    build_anndata(table).write_h5ad(path, compression="gzip", compression_opts=1)


def read_h5ad(path: Path) -> SavedFeatures:
    """Read what :func:`write_h5ad` wrote."""
    anndata = import_optional("anndata", purpose="Reading .h5ad", extra="export")
    adata = anndata.read_h5ad(path)
    if "spatial_unit" not in adata.uns or not {*POSITION} <= {*adata.obs.columns}:
        message = (
            f"{path} was not written by write_features. Read it with anndata.read_h5ad."
        )
        raise ValueError(message)
    pixels = adata.obs.reset_index(drop=True)
    index = pd.MultiIndex.from_frame(pixels[[*POSITION]].astype({"run": object}))
    return SavedFeatures(
        features=pd.DataFrame(
            adata.X, index=index, columns=adata.var_names.tolist(), copy=False
        ),
        pixels=pixels,
        peaks=adata.var.reset_index(drop=True),
        runs=adata.uns["runs"].rename_axis("run"),
        provenance=json.loads(adata.uns.get("provenance_json", "null")),
    )


def spatial_positions(table: FeatureTable) -> tuple[np.ndarray, str]:
    """Return the centres of the pixels, and their unit.

    One unit for all: µm when the pixel size of every run is known, else pixels.
    """
    positions = table.pixels[["x", "y"]].to_numpy(np.float64)
    sizes = [table.pixel_size(run) for run in table.run_names]
    known = [size for size in sizes if size is not None]
    if not known or len(known) < len(sizes):
        return positions, "pixel"
    return positions * np.array(known)[table.pixels["run"].cat.codes], "micrometer"


def _pixel_names(pixels: pd.DataFrame) -> np.ndarray:
    """Return a name per pixel, such as ``kidney_12_7_1``."""
    run, x, y, z = (pixels[name].astype(str).astype(object) for name in POSITION)
    names = run + "_" + x + "_" + y + "_" + z
    # The last three parts are numbers, so a mark behind them meets no other name.
    again = names.groupby(names, sort=False).cumcount().to_numpy()
    for i in np.flatnonzero(again):
        names.iat[i] = f"{names.iat[i]}#{again[i] + 1}"
    return names.to_numpy(dtype=object)


def _described(columns: pd.DataFrame) -> pd.DataFrame:
    """Bring a table into types and names that AnnData stores."""
    # A slash would open a group in the file.
    names = plain_names(columns.columns, lambda character: character != "/")
    return storable(columns).rename(columns=names)


def _nested(value: Any) -> Any:
    """Bring provenance into what AnnData stores in every version: no None, no list.

    Lists of numbers or of text become arrays, others a dict by position. What is None
    is left out; ``provenance_json`` holds it all.
    """
    if isinstance(value, dict):
        kept = {
            str(k).replace("/", "_"): _nested(v)
            for k, v in value.items()
            if v is not None
        }
        return kept
    if isinstance(value, list | tuple):
        if value and all(isinstance(item, str) for item in value):
            return np.array(value, dtype=object)
        if value and all(isinstance(item, bool | int | float) for item in value):
            return np.array(value)
        return _nested({str(i): item for i, item in enumerate(value)})
    if isinstance(value, bool | int | float | str | np.generic | np.ndarray):
        return value
    return str(value)
