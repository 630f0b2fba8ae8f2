"""Features as SpatialData: images, pixels as rectangles, and a table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer._optional import import_optional
from imsminer.io._export_anndata import build_anndata, spatial_positions
from imsminer.io._export_columns import plain_names
from imsminer.io._export_images import Plane, all_planes, fill_stack
from imsminer.io._export_table import FeatureTable

__all__ = ["build_spatialdata", "write_spatialdata"]

ELEMENT, INSTANCE = "element", "instance_id"


def build_spatialdata(table: FeatureTable) -> Any:
    """Return the table as SpatialData, with a coordinate system per run and plane."""
    purpose, extra = "to_spatialdata", "spatialdata"
    spatialdata = import_optional("spatialdata", purpose=purpose, extra=extra)
    models = import_optional("spatialdata.models", purpose=purpose, extra=extra)
    taken = {name.casefold() for name in table.user_columns} & {ELEMENT, INSTANCE}
    if taken:
        message = (
            f"pixels has the columns {sorted(taken)}, by which SpatialData links the "
            "table to its shapes. Rename them."
        )
        raise ValueError(message)
    systems = _systems(all_planes(table, "SpatialData"))
    positions, unit = spatial_positions(table)
    images, shapes = {}, {}
    elements = np.empty(len(table.pixels), dtype=object)
    for system, plane in systems.items():
        size = table.pixel_size(plane.run) if unit == "micrometer" else None
        width, height = size or (1.0, 1.0)
        images[f"{system}_image"] = models.Image2DModel.parse(
            fill_stack(table.values, plane, np.nan),
            dims=("c", "y", "x"),
            c_coords=table.names,
            transformations={system: _to_system(plane, width, height)},
        )
        shapes[f"{system}_pixels"] = models.ShapesModel.parse(
            _rectangles(positions[plane.rows], width, height, plane.rows),
            transformations={system: _identity()},
        )
        elements[plane.rows] = f"{system}_pixels"
    return spatialdata.SpatialData(
        images=images,
        shapes=shapes,
        tables={"features": _table(table, models, elements, list(shapes))},
        attrs={"spatial_unit": unit},
    )


def write_spatialdata(table: FeatureTable, path: Path) -> None:
    """Write SpatialData's folder."""
    build_spatialdata(table).write(path)


def _systems(runs: dict[str, list[Plane]]) -> dict[str, Plane]:
    """Name the coordinate systems: as the run, and its z where it has several."""
    planes = {}
    for run, of_run in runs.items():
        for plane in of_run:
            planes[run if len(of_run) == 1 else f"{run}_z{plane.z}"] = plane
    names = plain_names(planes, _may_stay, fold=True)
    return {_led(names[name]): plane for name, plane in planes.items()}


def _may_stay(character: str) -> bool:
    """Whether SpatialData allows a character in names."""
    return character.isalnum() or character in "_-."


def _led(name: str) -> str:
    """Two underscores at the start are SpatialData's own."""
    return name if not name.startswith("__") else "run" + name


def _to_system(plane: Plane, width: float, height: float) -> Any:
    """From the image's pixels, whose first corner is 0, to the run's coordinates.

    The centre of pixel (x, y) lies at (x · width, y · height), as in
    ``obsm["spatial"]``.
    """
    transformations = import_optional(
        "spatialdata.transformations", purpose="to_spatialdata", extra="spatialdata"
    )
    x, y = plane.offset
    corner = [(x - 0.5) * width, (y - 0.5) * height]
    return transformations.Sequence(
        [
            transformations.Scale([width, height], axes=("x", "y")),
            transformations.Translation(corner, axes=("x", "y")),
        ]
    )


def _identity() -> Any:
    transformations = import_optional(
        "spatialdata.transformations", purpose="to_spatialdata", extra="spatialdata"
    )
    return transformations.Identity()


def _rectangles(
    centres: np.ndarray, width: float, height: float, rows: np.ndarray
) -> Any:
    """Return the pixels as rectangles, which leave no gap as circles would."""
    purpose, extra = "to_spatialdata", "spatialdata"
    geopandas = import_optional("geopandas", purpose=purpose, extra=extra)
    shapely = import_optional("shapely", purpose=purpose, extra=extra)
    half = np.array([width, height]) / 2
    boxes = shapely.box(*(centres - half).T, *(centres + half).T)
    return geopandas.GeoDataFrame({"geometry": boxes}, index=rows)


def _table(
    table: FeatureTable, models: Any, elements: np.ndarray, regions: list[str]
) -> Any:
    """Return the AnnData that annotates the shapes; its names are SpatialData's."""
    adata = build_anndata(table)
    adata.obs = adata.obs.rename(columns=_table_names(adata.obs))
    adata.var = adata.var.rename(columns=_table_names(adata.var))
    adata.obs[ELEMENT] = pd.Categorical(elements, categories=regions)
    adata.obs[INSTANCE] = np.arange(len(elements))
    return models.TableModel.parse(
        adata, region=regions, region_key=ELEMENT, instance_key=INSTANCE
    )


def _table_names(columns: pd.DataFrame) -> dict[str, str]:
    return plain_names(columns.columns, _may_stay, fold=True)
