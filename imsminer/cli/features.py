"""Features and spectra for ``imsminer convert``."""

from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from imsminer.cli.pipeline import build_steps, read_config, through
from imsminer.cli.results import SEGMENTS, TABLE
from imsminer.cli.targets import read_targets
from imsminer.core.provenance import provenance
from imsminer.core.spectra import Spectra
from imsminer.core.study import concatenate
from imsminer.core.windows import ion_images
from imsminer.io.export import SavedFeatures, read_features
from imsminer.io.imzml import ImzMLReader

__all__ = ["as_spectra", "load_features", "make_features", "processed_spectra"]

#: Steps that change spectra. Unless peaks are picked, they run only when asked for.
CHANGES = ("baseline", "align", "normalize")
#: Endings of what :func:`read_features` reads; folders with a TABLE are results.
ENDINGS = (".parquet", ".zarr", ".h5ad")
#: What a run is known by besides its spectra.
KNOWN = ("polarity", "instrument", "pixel_size_x", "pixel_size_y")


def load_features(source: Path) -> SavedFeatures | None:
    """Read results of ``imsminer run`` or a table of features; `None` for raw data."""
    if source.suffix.lower() in ENDINGS:
        return read_features(source)
    if not (source / TABLE).is_file():
        return None
    saved = read_features(source / TABLE)
    segments = pd.read_csv(source / SEGMENTS)["segment"].to_numpy()
    return saved._replace(pixels=saved.pixels.assign(segment=segments))


def make_features(source: Path, options: dict[str, Any]) -> SavedFeatures:
    """Make features of raw files: of picked peaks, or of the ions that are given."""
    reader = ImzMLReader(source, on_error=options["on_error"])
    steps = _steps(options)
    if options["masses"] or options["targets"]:
        peaks = read_targets(options["masses"], options["targets"])
        steps = _asked(steps, options)
        features = ion_images(
            through(reader, steps),
            peaks["mz"].to_numpy(),
            options["ppm"],
            n_jobs=options["jobs"],
        )
    else:
        names = (*CHANGES, "pick", "integrate")
        steps = {name: steps[name] for name in names if name in steps}
        features = through(reader, steps)
        peaks = steps["pick"].peaks_
    record = provenance(reader, *steps.values(), n_features=features.shape[1])
    return SavedFeatures(features, reader.pixels, peaks, reader.runs, record)


def processed_spectra(source: Path, options: dict[str, Any]) -> Spectra:
    """Return raw spectra behind the steps that were asked for."""
    reader = ImzMLReader(source, on_error=options["on_error"])
    return through(reader, _asked(_steps(options), options))


def as_spectra(saved: SavedFeatures) -> Spectra:
    """Return features as centroid spectra, on the axis of their m/z."""
    mz = saved.peaks["mz"].to_numpy(np.float64)
    order = np.argsort(mz, kind="stable")
    if np.isnan(mz).any() or (np.diff(mz[order]) <= 0).any():
        message = "features need an m/z each, and no two the same, to become imzML."
        raise click.UsageError(message)
    values = saved.features.to_numpy()[:, order]
    places = saved.pixels[["x", "y", "z"]].to_numpy(np.int64)
    parts = []
    runs = saved.pixels["run"].astype("str")
    for name in runs.unique():
        own = (runs == name).to_numpy()
        part = Spectra.from_arrays(
            values[own], mz[order], places[own], run=name, profile=False
        )
        for fact in KNOWN:
            if fact in saved.runs:
                part.runs[fact] = [saved.runs.loc[name, fact]]
        parts.append(part)
    return parts[0] if len(parts) == 1 else concatenate(parts)


def _asked(steps: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the changing steps that an option or the configuration names."""
    config = read_config(options["config"])
    return {
        name: steps[name]
        for name in CHANGES
        if name in steps and (options[name] or name in config)
    }


def _steps(options: dict[str, Any]) -> dict[str, Any]:
    jobs = {"n_jobs": options["jobs"]}
    return build_steps(
        read_config(options["config"]),
        {
            "baseline": {"enabled": options["baseline"]},
            "align": {"enabled": options["align"], **jobs},
            "normalize": {"enabled": options["normalize"], **jobs},
            "pick": {"loq": options["loq"], **jobs},
            "integrate": jobs,
        },
    )
