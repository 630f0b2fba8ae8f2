"""Image stacks as .npz, one array per run and plane."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from imsminer.core.progress import progress_bar
from imsminer.io._export_images import Share, all_planes, plane_blocks
from imsminer.io._export_table import FeatureTable

__all__ = ["write_npz"]


def write_npz(table: FeatureTable, path: Path) -> None:
    """Write a stack per plane, block by block, which numpy.savez cannot."""
    planes = [p for of_run in all_planes(table, ".npz").values() for p in of_run]
    n_pixels, n_features = table.values.shape
    unknown = (np.nan, np.nan)
    facts: dict[str, Any] = {
        "mz": table.mz,
        "names": np.array(table.names),
        "run": np.array([plane.run for plane in planes]),
        "z": np.array([plane.z for plane in planes]),
        "offset": np.array([plane.offset for plane in planes]),
        "pixel_size": np.array([table.pixel_size(p.run) or unknown for p in planes]),
        "provenance": np.array(table.provenance_json),
    }
    with (
        progress_bar("Writing images", n_pixels) as advance,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        share = Share(advance, n_pixels, n_features * len(planes))
        for i, plane in enumerate(planes):
            header = {
                "descr": "<f4",
                "fortran_order": False,
                "shape": (n_features, *plane.shape),
            }
            with archive.open(f"images_{i}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, header)
                for block in plane_blocks(table.values, plane):
                    file.write(block.astype("<f4", copy=False).data)
                    share(len(block))
        for name, value in facts.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, value, allow_pickle=False)
