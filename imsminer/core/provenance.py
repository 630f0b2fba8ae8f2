"""What a result was made of: files, version, parameters, pixels."""

import datetime
import itertools
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import imsminer
from imsminer.core.spectra import Spectra

__all__ = ["provenance"]

PACKAGES = ("numpy", "scipy", "scikit-learn", "numba", "pandas")


def provenance(spectra: Spectra, *estimators: Any, **facts: Any) -> dict[str, Any]:
    """Return, ready for JSON, what a result depends on.

    Parameters
    ----------
    spectra : Spectra
        The input.
    *estimators : estimators
        Whose parameters to record, in order.
    **facts : dict
        Further facts, such as ``n_peaks``.

    Returns
    -------
    dict
        Version, time, packages, input files with uuid and size, number of pixels used
        and dropped, parameters and `facts`.
    """
    skipped = getattr(spectra, "skipped", None)
    binary = _binary_files(spectra)
    return {
        "imsminer": imsminer.__version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "inputs": [
            _run_facts(name, row, binary.get(str(name)))
            for name, row in spectra.runs.iterrows()
        ],
        "pixels_used": len(spectra),
        "pixels_dropped": 0 if skipped is None else len(skipped),
        "spectra_fingerprint": spectra.fingerprint,
        "steps": [_parameters(estimator) for estimator in estimators],
        **{name: _plain(value) for name, value in facts.items()},
    }


def _binary_files(spectra: Spectra) -> dict[str, str]:
    """Return the path of the binary file of each run that has one."""
    sources = getattr(spectra.source, "sources", (spectra.source,))
    names = iter(spectra.runs.index)
    found = {}
    for source in sources:
        for name in itertools.islice(names, len(source.runs)):
            if hasattr(source, "ibd"):
                found[str(name)] = source.ibd
    return found


def _run_facts(name: Any, row: Any, binary: str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {"run": str(name)}
    path = row.get("path")
    if isinstance(path, str | Path) and Path(path).exists():
        facts["file"] = Path(path).name
        facts["size_bytes"] = Path(path).stat().st_size
        if binary is not None and Path(binary).exists():
            facts["ibd_size_bytes"] = Path(binary).stat().st_size
    facts["uuid"] = row.get("uuid")
    facts["polarity"] = row.get("polarity")
    facts["n_pixels"] = row.get("n_pixels")
    facts["pixel_size_um"] = _pixel_size(row)
    return {key: _plain(value) for key, value in facts.items()}


def _pixel_size(row: Any) -> list[float] | None:
    sizes = [row.get("pixel_size_x"), row.get("pixel_size_y")]
    return None if pd.isna(sizes).any() else [float(size) for size in sizes]


def _parameters(estimator: Any) -> dict[str, Any]:
    parameters = estimator.get_params(deep=False)
    return {
        "step": type(estimator).__name__,
        "parameters": {name: _plain(value) for name, value in parameters.items()},
    }


def _plain(value: Any) -> Any:
    """Turn a value into what JSON can hold; what it cannot is written as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    try:
        json.dumps(value)
    except TypeError:
        return str(value)
    return value
