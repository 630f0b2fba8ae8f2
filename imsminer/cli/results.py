"""What ``imsminer run`` computes and writes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer.cli.output import MARK, common_pixel_size
from imsminer.cli.pipeline import through
from imsminer.core.moran import moran_i
from imsminer.core.provenance import provenance
from imsminer.core.spectra import Spectra
from imsminer.io.export import write_features
from imsminer.plots import (
    cluster_images,
    ion_images,
    mean_spectrum,
    segment_profiles,
    segmentation,
)
from imsminer.plots.export import save

__all__ = ["Results", "compute", "write_pictures", "write_tables"]

SPECTRAL_STEPS = ("baseline", "align", "normalize", "pick", "integrate")
TABLE, SEGMENTS = "features.parquet", "segments.csv"
#: Ion images on the contact sheet.
N_IMAGES = 20


@dataclass(frozen=True)
class Results:
    """Everything that one run of the pipeline found."""

    reader: Spectra
    steps: dict[str, Any]
    features: pd.DataFrame
    peaks: pd.DataFrame

    def summary(self, seconds: float) -> str:
        """Say in one line what came out."""
        n_runs = len(self.reader.runs)
        runs = f" of {n_runs} runs" if n_runs > 1 else ""
        n_skipped = len(getattr(self.reader, "skipped", ()))
        skipped = f" ({n_skipped:,} left out)" if n_skipped else ""
        return (
            f"{len(self.features):,} pixels{skipped}{runs}: {len(self.peaks):,} peaks, "
            f"{self.steps['segment'].n_clusters} segments, "
            f"{self.peaks['cluster'].nunique()} ion clusters, in {seconds:.1f} s"
        )


def compute(reader: Spectra, steps: dict[str, Any]) -> Results:
    """Take `reader` through the steps.

    Three passes over the data with the default steps (ion current, reference spectrum,
    integration), and one each more for alignment.
    """
    spectral = {name: steps[name] for name in SPECTRAL_STEPS if name in steps}
    features = through(reader, spectral)
    steps["segment"].fit(features)
    steps["cluster"].fit(features)
    peaks = steps["pick"].peaks_.assign(
        moran=np.asarray(moran_i(features)), cluster=steps["cluster"].labels_
    )
    return Results(reader, steps, features, peaks)


def write_tables(results: Results, folder: Path) -> dict[str, Any]:
    """Write the tables and the provenance, which is returned."""
    results.peaks.to_csv(folder / "peaks.csv", index=False, float_format="%.8g")
    pixels = results.features.index.to_frame(index=False)
    segments = pixels.assign(segment=results.steps["segment"].labels_)
    segments.to_csv(folder / SEGMENTS, index=False)
    record = provenance(
        results.reader,
        *results.steps.values(),
        n_peaks=len(results.peaks),
        noise=results.steps["pick"].noise_,
    )
    write_features(
        results.features,
        folder / TABLE,
        pixels=results.reader.pixels,
        peaks=results.peaks,
        runs=results.reader.runs,
        provenance=record,
    )
    text = json.dumps(record, indent=2) + "\n"
    (folder / MARK).write_text(text, encoding="utf-8")
    return record


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
    for name, axes in pictures.items():
        save(axes, folder / f"{name}.png")
    return {name: (folder / f"{name}.png").read_bytes() for name in pictures}
