"""Other tools, called in the same form; those not installed raise `Missing`.

pyopenms and pybaselines are imported. iMSminer 1.1.1 and msalign 0.2.0 need older
libraries than imsminer, hence an environment of their own (Python 3.11; the guide's
page on accuracy lists its packages), whose interpreter is named by the environment
variable ``IMSMINER_ORIGINAL``.
"""

import importlib
import os
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import maximum_filter1d
from scipy.signal import find_peaks

__all__ = [
    "Missing",
    "bin_peaks",
    "maldiquant_maxima",
    "msalign",
    "openms_areas",
    "openms_calibrated",
    "openms_normalized",
    "openms_picked",
    "openms_tophat",
    "original",
    "scipy_picked",
    "snip",
]

VARIABLE = "IMSMINER_ORIGINAL"


class Missing(ImportError):
    """A rival is not installed."""


def optional(name: str) -> Any:
    """Import a package, or say that it is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        message = f"{name} is not installed"
        raise Missing(message) from error


# In another environment ------------------------------------------------------------


def original(task: str, **arguments: Any) -> dict[str, np.ndarray]:
    """Run a task of `_original` in the environment of iMSminer 1.1.1."""
    python = os.environ.get(VARIABLE)
    if not python:
        message = f"no interpreter with iMSminer 1.1.1 in {VARIABLE}"
        raise Missing(message)
    with tempfile.TemporaryDirectory() as folder:
        given, results = Path(folder) / "given.npz", Path(folder) / "results.npz"
        np.savez(given, **arguments)
        script = Path(__file__).with_name("_original.py")
        done = subprocess.run(
            [python, script, task, given, results],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            message = f"iMSminer 1.1.1, {task}: {done.stderr[-2000:]}"
            raise RuntimeError(message)
        with np.load(results) as stored:
            return dict(stored)


def msalign(
    x: np.ndarray, X: np.ndarray, peaks: np.ndarray, width: float, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return shift and scale of each row, from here or from the other environment."""
    arguments = {"x": x, "X": X, "peaks": peaks, "width": width, "reach": reach}
    try:
        optional("msalign")
    except Missing:
        found = original("align", **arguments)
    else:
        found = importlib.import_module("_original").align(**arguments)
    return found["shift"].astype(np.float64), found["scale"].astype(np.float64)


# pyopenms --------------------------------------------------------------------------


def _openms(mz: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    oms = optional("pyopenms")
    spectrum = oms.MSSpectrum()
    # Copies: it cannot take read-only arrays.
    spectrum.set_peaks((np.array(mz, np.float64), np.array(y, np.float32)))
    return oms, spectrum


def _with(tool: Any, **parameters: Any) -> Any:
    values = tool.getDefaults()
    for key, value in parameters.items():
        values.setValue(key.replace("__", ":"), value)
    tool.setParameters(values)
    return tool


def openms_tophat(mz: np.ndarray, X: np.ndarray, width: float) -> np.ndarray:
    """Subtract the opening over `width` Thomson from each row."""
    oms, rows = optional("pyopenms"), []
    tool = _with(oms.MorphologicalFilter(), struc_elem_length=float(width))
    for y in np.atleast_2d(X):
        _, spectrum = _openms(mz, y)
        tool.filter(spectrum)
        rows.append(spectrum.get_peaks()[1])
    return np.asarray(rows, dtype=np.float64).reshape(np.shape(X))


def openms_normalized(mz: np.ndarray, X: np.ndarray, method: str) -> np.ndarray:
    """Normalise each row."""
    oms, rows = optional("pyopenms"), []
    tool = _with(oms.Normalizer(), method=method)
    for y in X:
        _, spectrum = _openms(mz, y)
        tool.filterSpectrum(spectrum)
        rows.append(spectrum.get_peaks()[1])
    return np.asarray(rows, dtype=np.float64)


def openms_picked(mz: np.ndarray, y: np.ndarray, snr: float) -> np.ndarray:
    """Return the m/z that PeakPickerHiRes finds above an S/N of its own definition."""
    oms, spectrum = _openms(mz, y)
    tool = _with(
        oms.PeakPickerHiRes(),
        signal_to_noise=float(snr),
        SignalToNoise__win_len=float(0.2 * (mz[-1] - mz[0])),
        SignalToNoise__write_log_messages="false",
    )
    found = oms.MSSpectrum()
    tool.pick(spectrum, found)
    return np.asarray(found.get_peaks()[0])


def openms_areas(mz: np.ndarray, y: np.ndarray, windows: np.ndarray) -> list[float]:
    """Return the trapezoids of PeakIntegrator in some windows, shape (n, 2)."""
    oms, spectrum = _openms(mz, y)
    tool = _with(oms.PeakIntegrator(), integration_type="trapezoid")
    return [
        tool.integratePeak(spectrum, float(low), float(high)).area
        for low, high in windows
    ]


def openms_calibrated(
    mz: np.ndarray,
    height: np.ndarray,
    reference: np.ndarray,
    tolerance: float,
    at: np.ndarray,
    *,
    ransac: bool,
) -> np.ndarray:
    """Return what InternalCalibration with a quadratic model makes of the m/z `at`."""
    oms, spectrum = _openms(mz, height)
    oms.LogConfigHandler.getInstance().setLogLevel("ERROR")
    spectrum.setMSLevel(1)
    spectrum.setRT(0.0)
    run = oms.MSExperiment()
    run.addSpectrum(spectrum)
    masses = [oms.InternalCalibration_LockMass(float(m), 1, 1) for m in reference]
    tool = oms.InternalCalibration()
    tool.fillCalibrants(run, masses, float(tolerance), False, False, False)
    model = oms.MZTrafoModel()
    kinds = oms.MZTrafoModel.MODELTYPE
    if ransac:
        # Outliers are beyond 3 ppm; a third of the points makes a model.
        model.setRANSACParams(oms.RANSACParam(10, 500, 3.0, len(masses) // 3, False))
        model.setRANSACSeed(0)
    if not model.train(tool.getCalibrationPoints(), kinds.QUADRATIC, ransac):
        return np.full(at.shape, np.nan)
    return np.array([model.predict(float(m)) for m in at])


# Methods ---------------------------------------------------------------------------


def snip(X: np.ndarray, half_window: int, **options: Any) -> np.ndarray:
    """Subtract the SNIP of pybaselines from each row, cut off at 0."""
    Baseline = optional("pybaselines").Baseline
    rows = np.atleast_2d(X)
    fitter = Baseline(np.arange(rows.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base = np.array([fitter.snip(y, half_window, **options)[0] for y in rows])
    return np.maximum(rows - base, 0).reshape(np.shape(X))


def occupied(y: np.ndarray) -> tuple[float, float]:
    """Return the median and 1.4826 times the median distance to it, of values above 0.

    Where most values are 0, the median distance of all is 0.
    """
    held = y[y > 1e-12 * y.max()]
    middle = np.median(held)
    return float(middle), float(1.4826 * np.median(np.abs(held - middle)))


def scipy_picked(y: np.ndarray, loq: float, distance: int) -> np.ndarray:
    """Return maxima of find_peaks that stand out by `loq` times the MAD."""
    middle, noise = occupied(y)
    return find_peaks(
        y, height=middle + loq * noise, prominence=loq * noise, distance=distance
    )[0]


def maldiquant_maxima(y: np.ndarray, snr: float, half_window: int) -> np.ndarray:
    """Return the points that are highest in their window and above `snr` × MAD."""
    highest = maximum_filter1d(y, 2 * half_window + 1) == y
    found = np.flatnonzero(highest & (y > snr * occupied(y)[1]) & (y > 0))
    # Of equal neighbours the first.
    return found[np.diff(found, prepend=-half_window - 1) > half_window]


def bin_peaks(
    mz: np.ndarray, pixel: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Group the peaks of many spectra; return mean m/z and number of each group.

    Sorted peaks are split at the largest gap until no spectrum occurs twice in a group
    and none of its m/z is farther than `tolerance` (relative) from the mean.
    """
    order = np.argsort(mz, kind="stable")
    mz, pixel = mz[order], pixel[order]
    means, counts, waiting = [], [], [(0, mz.size)]
    while waiting:
        start, stop = waiting.pop()
        if start == stop:
            continue
        part, owners = mz[start:stop], pixel[start:stop]
        mean = part.mean()
        far = np.abs(part - mean).max() / mean > tolerance
        if not far and np.unique(owners).size == owners.size:
            means.append(mean)
            counts.append(part.size)
        else:
            split = start + 1 + int(np.argmax(np.diff(part)))
            waiting += [(start, split), (split, stop)]
    rank = np.argsort(means)
    return np.asarray(means)[rank], np.asarray(counts)[rank]
