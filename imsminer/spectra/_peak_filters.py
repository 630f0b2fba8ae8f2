"""Filters and given lists of peaks: frequency by label, targets, number."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_consistent_length

from imsminer._array import device_of, namespace_of, to_numpy
from imsminer.core.axis import MassAxis
from imsminer.core.engine import axis_statistics
from imsminer.core.peaktable import match_peaks
from imsminer.core.spectra import Spectra
from imsminer.spectra._noise import background_level
from imsminer.spectra._peak_references import References, array_references

__all__ = [
    "checked_targets",
    "label_frequency",
    "peak_frequency",
    "strongest",
    "with_targets",
]


def strongest(peaks: pd.DataFrame, max_peaks: int | None) -> pd.DataFrame:
    """Return the peaks with the highest S/N, in the same order."""
    if max_peaks is None or len(peaks) <= max_peaks:
        return peaks
    best = np.argsort(-peaks["snr"].to_numpy(), kind="stable")
    return peaks.iloc[np.sort(best[:max_peaks])].reset_index(drop=True)


def peak_frequency(
    peaks: pd.DataFrame, frequency: np.ndarray, mz: np.ndarray, *, add: bool
) -> np.ndarray:
    """Return the largest frequency within the FWHM of each peak, or their sum.

    Centroids of one ion fall into different bins, so that their shares add up.
    """
    half = 0.5 * peaks["fwhm"].to_numpy()
    bins = peaks["bin"].to_numpy()
    first = np.minimum(np.searchsorted(mz, mz[bins] - half), bins)
    last = np.maximum(np.searchsorted(mz, mz[bins] + half, side="right"), bins + 1)
    take = np.sum if add else np.max
    values = [take(frequency[a:b]) for a, b in zip(first, last, strict=True)]
    return np.minimum(np.array(values, dtype=np.float64), 1.0)


def label_frequency(
    X: Any,
    y: Any,
    peaks: pd.DataFrame,
    references: References,
    axis: MassAxis | None,
    n_jobs: int | None,
) -> np.ndarray | None:
    """Return the largest frequency of each peak among the pixels of one label.

    One more pass over the data. `None` where `y` holds no labels.
    """
    if y is None:
        return None
    labels = to_numpy(y)
    check_consistent_length(X, labels)
    if type_of_target(labels) not in ("binary", "multiclass"):
        return None
    best = np.zeros(len(peaks))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if isinstance(X, Spectra):
            frequency = axis_statistics(X[rows], axis, n_jobs=n_jobs).frequency
        else:
            xp = namespace_of(X)
            part = xp.take(X, xp.asarray(rows, device=device_of(X)), axis=0)
            frequency = array_references(part)[0].frequency
        found = peak_frequency(
            peaks, frequency, references.mz, add=references.centroided
        )
        best = np.maximum(best, found)
    return best


def checked_targets(targets: Any) -> np.ndarray:
    """Return a given list of m/z, sorted and without repeats."""
    values = np.asarray(targets, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all():
        message = (
            "PeakPicker: targets must be a one-dimensional list of finite m/z, at "
            f"least one; got shape {values.shape}. Leave targets at None to search."
        )
        raise ValueError(message)
    return np.unique(values)


def with_targets(
    peaks: pd.DataFrame,
    targets: np.ndarray,
    tolerance: float,
    references: References,
    spectrum: np.ndarray,
    noise: float | np.ndarray,
    z_threshold: float,
) -> pd.DataFrame:
    """Return one row per target: its peak, or what is within its tolerance.

    Targets beyond the axis are left out with a warning. `found` is 1 where a picked
    peak is within the tolerance (in ppm, one to one), `count` the number of pixels.
    """
    mz = references.mz
    inside = (targets >= mz[0]) & (targets <= mz[-1])
    if not inside.all():
        outside = ", ".join(f"{value:.4f}" for value in targets[~inside][:5])
        message = (
            f"PeakPicker: {np.count_nonzero(~inside)} of {targets.size} targets lie "
            f"outside of the m/z range {mz[0]:.4f} to {mz[-1]:.4f} and are left out: "
            f"{outside}."
        )
        warnings.warn(message, UserWarning, stacklevel=4)
    targets = targets[inside]
    table = _windows(targets, tolerance, references, spectrum, noise, z_threshold)
    index, matched = match_peaks(targets, peaks["mz"], tolerance)
    for name in peaks.columns:
        values = table[name].to_numpy(copy=True)
        values[index] = peaks[name].to_numpy()[matched]
        table[name] = values
    found = np.zeros(targets.size)
    found[index] = 1.0
    count = np.rint(table["frequency"].to_numpy() * references.n_pixels)
    return table.assign(target=targets, found=found, count=count)


def _windows(
    targets: np.ndarray,
    tolerance: float,
    references: References,
    spectrum: np.ndarray,
    noise: float | np.ndarray,
    z_threshold: float,
) -> pd.DataFrame:
    """Return what peaks' columns are for the windows around the targets."""
    mz = references.mz
    half = 1e-6 * tolerance * np.abs(targets)
    nearest = MassAxis.from_values(mz).edges[1:-1] if mz.size > 1 else np.zeros(0)
    nearest = np.searchsorted(nearest, targets, side="right")
    first = np.minimum(np.searchsorted(mz, targets - half), nearest)
    last = np.maximum(np.searchsorted(mz, targets + half, side="right"), nearest + 1)
    ends = list(zip(first, last, strict=True))
    bins = np.array([a + np.argmax(spectrum[a:b]) for a, b in ends], dtype=np.int64)
    take = np.sum if references.centroided else np.max
    seen = np.array([take(references.frequency[a:b]) for a, b in ends])
    net = spectrum[bins] - background_level(spectrum, z_threshold)[bins]
    sd = np.broadcast_to(noise, spectrum.shape)[bins]
    snr = np.divide(net, sd, out=np.zeros(net.size), where=sd > 0)
    zeros = np.zeros(targets.size)
    columns = {
        "mz": targets,
        "left": targets - half,
        "right": targets + half,
        "height": spectrum[bins],
        "snr": snr,
        "fwhm": 2 * half,
        "frequency": np.minimum(seen, 1.0),
        "bin": bins,
        "prominence": zeros,
        "left_valley": targets - half,
        "right_valley": targets + half,
        "resolving_power": zeros,
        "isotope_of": targets,
    }
    return pd.DataFrame(columns)
