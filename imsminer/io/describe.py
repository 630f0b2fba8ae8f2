"""What a person wants to know of an imzML file before working with it."""

import os
import warnings
from os import PathLike
from typing import Any

import numpy as np

from imsminer.core.summary import run_statistics
from imsminer.exceptions import ImzMLWarning
from imsminer.io._find import find_files
from imsminer.io._index import open_run
from imsminer.io.imzml import ImzMLReader

__all__ = ["describe"]


def describe(
    path: str | PathLike,
    *,
    ibd: str | PathLike | None = None,
    checksum: bool = False,
    statistics: bool = False,
) -> dict[str, Any]:
    """Describe an imzML file: its size, raster, spectra, and what is odd about it.

    Reads the XML, and of the ``.ibd`` only the first and last m/z of each spectrum.

    Parameters
    ----------
    path : path-like
        The ``.imzML`` file.
    ibd : path-like, default=None
        Its binary file, where that has another name.
    checksum : bool, default=False
        Compare the ``.ibd`` with the checksum in the imzML file; reads all of it.
    statistics : bool, default=False
        Add ion currents and intensities, which reads all spectra once.

    Returns
    -------
    dict
        Ready for JSON; lengths in µm, `None` for what the file does not say:
        `path`, `ibd`, `xml_bytes`, `ibd_bytes`, `uuid`, `checksums`, `mode`,
        `spectrum_type`, `polarity`, `instrument`, `mobility`, `stored`, `n_pixels`,
        `n_skipped`, `n_empty`, `raster` (columns, rows, planes), `x`, `y` and `z`
        (first and last), `filled` (the part of the raster that has pixels),
        `pixel_size`, `points` (smallest, median, largest number of a spectrum),
        `mz_range`, `skipped` (number of spectra by reason), `oddities` (a sentence
        each), and `statistics` where asked for.

    Raises
    ------
    ImzMLError
        When nothing of the file can be read.

    Examples
    --------
    >>> from imsminer.datasets import load_kidney
    >>> from imsminer.io.describe import describe
    >>> facts = describe(load_kidney())
    >>> facts["n_pixels"], facts["raster"], facts["polarity"]
    (342, [19, 18, 1], 'negative')
    """
    ((xml, binary),) = find_files([path], ibd)
    index = open_run(xml, binary, on_error="skip", mapped=True, checksum=checksum)
    with warnings.catch_warnings():
        # They are among what is returned.
        warnings.simplefilter("ignore", ImzMLWarning)
        reader = ImzMLReader(xml, ibd=binary, on_error="skip")
    facts, lengths = index.facts, index.lengths
    low, high = index.coordinates.min(axis=0), index.coordinates.max(axis=0)
    raster = (high - low + 1).tolist()
    n_positions = np.unique(index.coordinates, axis=0).shape[0]
    size = (facts.pixel_size_x, facts.pixel_size_y)
    reasons = index.skipped["reason"].str.replace(r"\d+", "…", regex=True)
    result = {
        "path": index.path,
        "ibd": index.ibd,
        "xml_bytes": os.path.getsize(index.path),
        "ibd_bytes": os.path.getsize(index.ibd),
        "uuid": facts.uuid,
        "checksums": dict(facts.checksums),
        "mode": reader.runs["mode"].item(),
        "spectrum_type": reader.runs["spectrum_type"].item(),
        "polarity": facts.polarity,
        "instrument": facts.instrument,
        "mobility": reader.runs.get("mobility", np.array([None])).item(),
        "stored": index.reader.storage,
        "n_pixels": len(reader),
        "n_skipped": len(index.skipped),
        "n_empty": int((lengths == 0).sum()),
        "raster": raster,
        **{name: [int(low[axis]), int(high[axis])] for axis, name in enumerate("xyz")},
        "filled": n_positions / float(np.prod(raster, dtype=np.float64)),
        "pixel_size": list(size) if np.isfinite(size).all() else None,
        "points": [int(lengths.min()), float(np.median(lengths)), int(lengths.max())],
        "mz_range": [None if np.isnan(m) else m for m in reader.source.mz_range()],
        "skipped": reasons.value_counts().to_dict(),
        # What is skipped is told above.
        "oddities": [
            text.removeprefix(f"{index.path}: ")
            for text in index.warnings
            if "skipped table" not in text
        ],
    }
    if statistics:
        row = run_statistics(reader).iloc[0]
        result["statistics"] = {
            name: None if np.isnan(row[name]) else float(row[name])
            for name in ("n_empty", "points", "tic", "tic_cv", "max_intensity")
        }
    return result
