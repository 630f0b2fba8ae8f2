"""What ``imsminer run`` computes and writes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer._array import to_numpy
from imsminer.cli.output import MARK
from imsminer.cli.pipeline import through
from imsminer.cli.report.quality import mass_errors, tracers
from imsminer.cli.study import annotate_peaks, score_hits
from imsminer.core.moran import moran_i
from imsminer.core.provenance import provenance
from imsminer.core.spectra import Spectra
from imsminer.io.export import write_features
from imsminer.statistics import compare

__all__ = ["Results", "compute", "write_tables"]

SPECTRAL_STEPS = ("baseline", "align", "normalize", "pick")
TABLE, SEGMENTS = "features.parquet", "segments.csv"


@dataclass(frozen=True)
class Results:
    """Everything that one run of the pipeline found."""

    reader: Spectra
    steps: dict[str, Any]
    features: pd.DataFrame
    peaks: pd.DataFrame
    mass_error: np.ndarray
    """Median error of each pixel in ppm; NaN where it has none of the peaks."""
    n_tracers: int
    """Of how many peaks it is."""
    comparison: pd.DataFrame | None = None
    hits: pd.DataFrame | None = None

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


def compute(
    reader: Spectra,
    steps: dict[str, Any],
    comparison: dict[str, Any] | None = None,
    search: dict[str, Any] | None = None,
    scoring: dict[str, Any] | None = None,
) -> Results:
    """Take `reader` through the steps, compare groups and search for molecules.

    Three passes over the data with the default steps (ion current, reference spectrum,
    integration), and one each more for alignment and for the scores of hits.
    """
    spectral = {name: steps[name] for name in SPECTRAL_STEPS if name in steps}
    spectra = through(reader, spectral)
    integrator = steps["integrate"].fit(spectra)
    chosen = tracers(integrator.peaks_)
    features, observed = integrator.transform_and_observe(spectra, chosen)
    error = mass_errors(observed, integrator.peaks_["mz"].to_numpy()[chosen])
    steps["segment"].fit(features)
    steps["cluster"].fit(features)
    peaks = steps["pick"].peaks_.assign(
        moran=np.asarray(moran_i(features)), cluster=steps["cluster"].labels_
    )
    table = compare(features, reader.pixels, **comparison) if comparison else None
    hits = annotate_peaks(peaks, reader.runs, search) if search else None
    if hits is not None and scoring:
        hits = score_hits(hits, spectra, **scoring)
    return Results(reader, steps, features, peaks, error, len(chosen), table, hits)


def write_tables(results: Results, folder: Path) -> dict[str, Any]:
    """Write the tables and the provenance, which is returned."""
    results.peaks.to_csv(folder / "peaks.csv", index=False, float_format="%.8g")
    pixels = results.features.index.to_frame(index=False)
    segments = pixels.assign(segment=results.steps["segment"].labels_)
    segments.to_csv(folder / SEGMENTS, index=False)
    facts = {"n_peaks": len(results.peaks), "noise": _range(results)}
    for name, table in (
        ("comparison", results.comparison),
        ("annotations", results.hits),
    ):
        if table is not None:
            table.to_csv(folder / f"{name}.csv", index=False, float_format="%.8g")
            facts[name] = table.attrs
    record = provenance(
        results.reader,
        *results.steps.values(),
        **facts,
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


def _range(results: Results) -> Any:
    """Return the noise, or the range of one that changes along the axis."""
    noise = np.asarray(to_numpy(results.steps["pick"].noise_))
    if noise.ndim == 0:
        return float(noise)
    middle = float(np.median(noise))
    return {"smallest": noise.min(), "median": middle, "largest": noise.max()}
