"""The pictures that ``imsminer run`` writes."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer.cli.output import common_pixel_size
from imsminer.cli.results import Results
from imsminer.plots import (
    cluster_images,
    ion_images,
    mean_spectrum,
    segment_profiles,
    segmentation,
)
from imsminer.plots._panels import panel_axes
from imsminer.plots.export import save
from imsminer.plots.heatmaps import heatmap
from imsminer.plots.statistics import box, volcano
from imsminer.statistics import aggregate

__all__ = ["write_pictures"]

#: Ion images on the contact sheet; ions with box plots; ions of the heatmap.
N_IMAGES, N_BOXES, N_HEATMAP = 20, 6, 60


def write_pictures(results: Results, folder: Path) -> dict[str, bytes]:
    """Draw the pictures and return what their files hold."""
    features, peaks, steps = results.features, results.peaks, results.steps
    picker, segmenter, clusterer = steps["pick"], steps["segment"], steps["cluster"]
    size = {"pixel_size": common_pixel_size(results.reader.runs)}
    order = np.argsort(-peaks["moran"].to_numpy(), kind="stable")[:N_IMAGES]
    # Titles of clusters name their first ions: the highest.
    highest = np.argsort(-peaks["height"].to_numpy(), kind="stable")
    pictures = {
        "mean_spectrum": mean_spectrum(
            picker.axis_.centers, picker.reference_spectrum_, peaks
        ),
        "ion_images": ion_images(features, features.columns[np.sort(order)], **size),
        "segmentation": segmentation(segmenter.labels_, features, **size),
        "segment_profiles": segment_profiles(
            segmenter.segment_profiles_, peaks["mz"].to_numpy()
        ),
        "cluster_images": cluster_images(
            clusterer.transform(features),
            features,
            clusterer.labels_[highest],
            mz=peaks["mz"].to_numpy()[highest],
            **size,
        ),
    }
    if results.comparison is not None:
        pictures |= _comparison(results)
    for name, axes in pictures.items():
        save(axes, folder / f"{name}.png")
    return {name: (folder / f"{name}.png").read_bytes() for name in pictures}


def _comparison(results: Results) -> dict[str, Any]:
    """Draw what differs between the groups; nothing where no ion was tested."""
    table = results.comparison
    assert table is not None
    group, unit = table.attrs["group"], table.attrs["unit"]
    columns = [group, *([unit] if isinstance(unit, str) else unit)]
    units = aggregate(results.features, results.reader.pixels, by=columns)
    best = (
        table.assign(size=table["log2_fold_change"].abs())
        .sort_values(["p", "size"], ascending=[True, False], na_position="last")
        .drop_duplicates("feature")["feature"]
    )
    shown = [*best.iloc[:N_HEATMAP], "n_pixels"]
    pictures: dict[str, Any] = {
        "heatmap": heatmap(units[shown], group),
        "boxes": _boxes(units, best.iloc[:N_BOXES], group, table),
    }
    if table["q"].notna().any():
        pictures["volcano"] = volcano(table)
    return pictures


def _boxes(
    units: pd.DataFrame, features: pd.Series, group: str, table: pd.DataFrame
) -> list[Any]:
    axes = panel_axes(len(features))
    for ax, feature in zip(axes, features, strict=True):
        box(units, feature, group, table=table, ax=ax)
    return axes
