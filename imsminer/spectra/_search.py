"""The search for peaks, from sums over pixels to the table."""

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from imsminer.spectra._noise import background_level, estimate_noise, range_noise
from imsminer.spectra._picking import apex_positions, peak_table

__all__ = ["References", "SearchSettings", "search"]


@dataclass(frozen=True)
class References:
    """What is known of a dataset along its axis, on the host, each (n_bins,) float64.

    Attributes
    ----------
    mean, maximum : ndarray
        Reference spectra.
    frequency : ndarray
        Share of the pixels with a value above 0.
    mz : ndarray
        Centres of the bins.
    n_pixels : int
        Number of pixels.
    centroided : bool
        Whether the spectra are centroids.
    """

    mean: np.ndarray
    maximum: np.ndarray
    frequency: np.ndarray
    mz: np.ndarray
    n_pixels: int
    centroided: bool


@dataclass(frozen=True)
class SearchSettings:
    """Parameters of :class:`imsminer.PeakPicker` that the search needs."""

    reference: str
    noise: Any
    z_threshold: float
    z_steps: int | None
    loq: float
    min_points: int
    rel_height: float | None


def search(
    references: References, settings: SearchSettings
) -> tuple[pd.DataFrame, float | np.ndarray]:
    """Return the table of peaks and the noise of the reference that was searched."""
    if settings.reference == "max":
        return _search_one(references, references.maximum, 0.0, settings)
    mean, frequency = references.mean, references.frequency
    # What a single pixel with a typical value adds to the mean.
    filled = frequency > 0
    typical = np.median(mean[filled] / frequency[filled]) if filled.any() else 0.0
    floor = max(float(typical), 0.0) / references.n_pixels
    peaks, noise = _search_one(references, mean, floor, settings)
    if settings.reference == "mean+max":
        more, _ = _search_one(references, references.maximum, 0.0, settings)
        peaks = _add_peaks(peaks, more, settings.min_points)
    return peaks, noise


def _search_one(
    references: References,
    spectrum: np.ndarray,
    floor: float,
    settings: SearchSettings,
) -> tuple[pd.DataFrame, float | np.ndarray]:
    level = background_level(spectrum, settings.z_threshold)
    noise: float | np.ndarray
    if isinstance(settings.noise, str):
        noise = estimate_noise(
            spectrum,
            level,
            references.frequency,
            references.n_pixels,
            settings.noise,
            floor=floor,
            z_threshold=settings.z_threshold,
            z_steps=settings.z_steps,
            min_points=settings.min_points,
        )
    elif isinstance(settings.noise, numbers.Real):
        noise = float(settings.noise)
    else:
        noise = range_noise(spectrum, references.mz, *map(float, settings.noise))
    along = np.broadcast_to(noise, spectrum.shape)
    apexes = apex_positions(
        spectrum,
        level,
        along,
        loq=settings.loq,
        min_points=settings.min_points,
        closed=references.centroided,
    )
    peaks = peak_table(
        spectrum,
        level,
        along,
        references.frequency,
        references.mz,
        apexes,
        rel_height=settings.rel_height,
        centroided=references.centroided,
    )
    return peaks, noise


def _add_peaks(
    peaks: pd.DataFrame, more: pd.DataFrame, min_points: int
) -> pd.DataFrame:
    """Add the peaks of a second table that are at no peak of the first.

    Bounds are cut where the two would overlap.
    """
    if peaks.empty or more.empty:
        return more if peaks.empty else peaks
    at = peaks["bin"].to_numpy()
    bins = more["bin"].to_numpy()
    right = np.clip(np.searchsorted(at, bins), 0, at.size - 1)
    nearest = np.minimum(np.abs(at[right] - bins), np.abs(at[right - 1] - bins))
    mz, ends = more["mz"].to_numpy(), peaks[["left", "right"]].to_numpy()
    inside = np.zeros(mz.size, bool)
    for low, high in ends:
        inside |= (mz >= low) & (mz <= high)
    added = more[(nearest >= min_points) & ~inside]
    table = pd.concat([peaks, added]).sort_values("mz", ignore_index=True)
    middle = 0.5 * (table["mz"].to_numpy()[1:] + table["mz"].to_numpy()[:-1])
    left, right = table["left"].to_numpy(copy=True), table["right"].to_numpy(copy=True)
    overlap = right[:-1] > left[1:]
    right[:-1] = np.where(overlap, np.minimum(right[:-1], middle), right[:-1])
    left[1:] = np.where(overlap, np.maximum(left[1:], middle), left[1:])
    return table.assign(left=left, right=right)
