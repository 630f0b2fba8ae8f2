"""Features as OME-TIFF: a series per run, a channel per feature."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import imsminer
from imsminer._optional import import_optional
from imsminer.core.progress import progress_bar
from imsminer.io._export_images import Plane, Share, all_planes, plane_blocks
from imsminer.io._export_table import FeatureTable

__all__ = ["write_ome_tiff"]

#: Classic TIFF addresses 4 GiB; compressed data may be a little larger than raw.
_CLASSIC_LIMIT = 7 << 29
_NAMESPACE = "imsminer/features"


def write_ome_tiff(table: FeatureTable, path: Path) -> None:
    """Write the images of all runs, plane by plane."""
    tifffile = import_optional("tifffile", purpose="OME-TIFF", extra="export")
    runs = all_planes(table, "OME-TIFF")
    n_features = len(table.names)
    areas = [len(planes) * np.prod(planes[0].shape) for planes in runs.values()]
    big = 4 * n_features * int(sum(areas)) > _CLASSIC_LIMIT
    n_pixels = len(table.pixels)
    with (
        progress_bar("Writing OME-TIFF", n_pixels) as advance,
        tifffile.TiffWriter(path, bigtiff=big, ome=True) as file,
    ):
        share = Share(advance, n_pixels, n_features * sum(map(len, runs.values())))
        for run, planes in runs.items():
            height, width = planes[0].shape
            levels = (len(planes),) if len(planes) > 1 else ()
            file.write(
                _images(table.values, planes, share),
                shape=(n_features, *levels, height, width),
                dtype=np.float32,
                photometric="minisblack",
                compression="zlib",
                software=f"imsminer {imsminer.__version__}",
                metadata=_metadata(table, run, planes),
                **_resolution(table.pixel_size(run)),
            )


def _images(
    values: np.ndarray, planes: list[Plane], share: Share
) -> Iterator[np.ndarray]:
    """Yield images: all z of the first feature, then of the next."""
    side_by_side = (plane_blocks(values, plane, len(planes)) for plane in planes)
    for blocks in zip(*side_by_side, strict=True):
        for images in zip(*blocks, strict=True):
            yield from images
            share(len(images))


def _metadata(table: FeatureTable, run: str, planes: list[Plane]) -> dict[str, Any]:
    """What tifffile turns into OME-XML."""
    x, y = planes[0].offset
    facts = {
        "Namespace": _NAMESPACE,
        "run": run,
        "x of the first column": x,
        "y of the first row": y,
        "z of the planes": json.dumps([plane.z for plane in planes]),
        "m/z of the channels": json.dumps(
            [None if np.isnan(mz) else mz for mz in table.mz.tolist()]
        ),
        "values that are not finite, of all runs": table.n_not_finite,
    }
    if table.provenance is not None:
        facts["provenance"] = table.provenance_json
    metadata: dict[str, Any] = {
        "axes": "CYX" if len(planes) == 1 else "CZYX",
        "Creator": f"imsminer {imsminer.__version__}",
        "Name": run,
        "Description": (
            f"Imaging mass spectrometry, {len(table.names)} ion images. NaN where no "
            "pixel was measured."
        ),
        "Channel": {"Name": table.names},
        "MapAnnotation": facts,
    }
    size = table.pixel_size(run)
    if size is not None:
        metadata |= {
            "PhysicalSizeX": size[0],
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": size[1],
            "PhysicalSizeYUnit": "µm",
        }
    return metadata


def _resolution(size: tuple[float, float] | None) -> dict[str, Any]:
    """The tags of plain TIFF, for programs that do not read OME-XML."""
    if size is None:
        return {}
    per_centimetre = (1e4 / size[0], 1e4 / size[1])
    return {"resolution": per_centimetre, "resolutionunit": "CENTIMETER"}
