"""The search for peaks, from sums over pixels to the table."""

import numbers
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d
from scipy.special import pdtrc

from imsminer.core.cache import cache
from imsminer.spectra._grouping import PeakGroups
from imsminer.spectra._isotopes import monoisotopic
from imsminer.spectra._noise import background_level, estimate_noise, range_noise
from imsminer.spectra._peak_references import References
from imsminer.spectra._picking import Apexes, apex_positions, peak_table

__all__ = ["SearchSettings", "measure_groups", "search"]

#: Centroids of weak ions scatter over many bins, and their reference falls apart. It is
#: smoothed until doubling the width changes the number of peaks by no more than this,
UNSTABLE = 0.03
#: counted at this height, whatever the `loq` is.
BANDWIDTH_LOQ = 10.0
MAX_DOUBLINGS = 8
FWHM_PER_SD = 2.3548200450309493
#: Two ions of the reference are apart by this share of the distance at which spectra
#: still tell ions apart; closer ones share a centroid that moves between them.
RESOLVED = 0.9
#: Above this share of filled bins, the spread of their values says what the noise is.
FILLED = 0.95
#: Where a typical bin is empty in most pixels, so many of them must agree on a peak,
LEAST_PIXELS = 3
#: and so many that fewer peaks than this come about by chance.
CHANCE = 0.5


@dataclass(frozen=True)
class _Background:
    """Level and noise, as the cache keeps them."""

    level: np.ndarray
    noise: float | np.ndarray


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
    smoothing: Any = None


def search(
    references: References, settings: SearchSettings
) -> tuple[pd.DataFrame, float | np.ndarray]:
    """Return the table of peaks and the noise of the reference that was searched."""
    spectra = {
        "mean": (references.mean, _counting(references)),
        "max": (references.maximum, _Counting(0.0, 0.0, 0.0)),
    }
    first, *others = settings.reference.split("+")
    peaks, noise = _search_one(first, references, *spectra[first], settings)
    for name in others:
        more, _ = _search_one(name, references, *spectra[name], settings)
        peaks = _add_peaks(peaks, more, settings.min_points)
    columns = (peaks[name].to_numpy() for name in ("mz", "prominence", "fwhm"))
    # Columns of an array have no m/z that isotopes could be apart by.
    heads = monoisotopic(*columns) if references.has_mz else peaks["mz"].to_numpy()
    return peaks.assign(isotope_of=heads), noise


def measure_groups(
    references: References, settings: SearchSettings, groups: PeakGroups
) -> tuple[pd.DataFrame, float | np.ndarray]:
    """Return the table of peaks that were grouped over pixels, and the noise.

    What the groups do not know is measured where they are highest in the reference. Of
    groups within one FWHM there the highest stays for all.
    """
    name = settings.reference.split("+")[0]
    spectrum = references.maximum if name == "max" else references.mean
    floor = _counting(references).floor if name == "mean" else 0.0
    level, noise = _background(name, 0.0, references, spectrum, floor, settings)
    first = np.searchsorted(references.mz, groups.low)
    first = np.minimum(np.maximum(first - 1, 0), references.mz.size - 1)
    last = np.searchsorted(references.mz, groups.high, side="right") + 1
    ends = zip(first, np.maximum(last, first + 1), strict=True)
    bins = [int(a + np.argmax(spectrum[a:b])) for a, b in ends]
    # Groups that meet in one bin cannot be told apart: the larger one stays.
    order = np.lexsort((-groups.count, bins))
    bins = np.array(bins, np.int64)[order]
    kept = order[np.append(True, np.diff(bins) > 0)] if bins.size else order
    bins = np.unique(bins)
    # What the reference does not show above its level has no height to measure.
    seen = (spectrum - level)[bins] > 0
    bins, kept = bins[seen], kept[seen]
    sure = np.ones(bins.size, bool)
    peaks = peak_table(
        spectrum,
        level,
        np.broadcast_to(noise, spectrum.shape),
        references.frequency,
        references.mz,
        Apexes(bins, sure, np.maximum(spectrum - level, 0.0)[bins]),
        rel_height=settings.rel_height,
        centroided=references.centroided,
    )
    at = kept[np.searchsorted(bins, peaks["bin"].to_numpy())]
    peaks = peaks.assign(
        mz=groups.mz[at], frequency=groups.count[at] / references.n_pixels
    )
    wide = {
        "left": np.minimum(peaks["left"], groups.low[at]),
        "right": np.maximum(peaks["right"], np.nextafter(groups.high[at], np.inf)),
    }
    peaks = peaks.assign(**wide).sort_values("mz", ignore_index=True)
    columns = (peaks[column].to_numpy() for column in ("mz", "height", "fwhm"))
    return peaks.assign(isotope_of=monoisotopic(*columns)), noise


@dataclass(frozen=True)
class _Counting:
    """The noise of a mean of few values."""

    floor: float
    """Standard deviation in a bin without a peak."""
    shot: float
    """How its variance grows with height."""
    rate: float
    """Values that a bin without a peak gets from all pixels."""


def _counting(references: References) -> _Counting:
    """Take values as events that fall into bins at random.

    What one of them adds to the mean is known from the bins that got any, and how many
    there are from the share of bins that got none. Where all pixels fill a bin that is
    filled at all, nothing is left to chance.
    """
    filled = references.frequency > 0
    if not filled.any():
        return _Counting(0.0, 0.0, 0.0)
    frequency = references.frequency[filled]
    event = max(float(np.median(references.mean[filled] / frequency)), 0.0)
    event /= references.n_pixels
    empty = 1.0 - float(np.median(frequency))
    share = filled.mean()
    rate = float(-np.log(1.0 - share)) if share < FILLED else 0.0
    floor = event * np.sqrt(min(rate, 1.0) * empty)
    sparse = empty > 0.5
    return _Counting(floor, event * empty if sparse else 0.0, rate if sparse else 0.0)


def _search_one(
    which: str,
    references: References,
    spectrum: np.ndarray,
    counting: _Counting,
    settings: SearchSettings,
) -> tuple[pd.DataFrame, float | np.ndarray]:
    """Search one reference spectrum; that of centroids is smoothed as it needs it."""
    arguments = (which, references, spectrum, counting)
    if not references.centroided:
        if settings.smoothing is None:
            return _search_smoothed(0.0, *arguments, settings)
        return _search_matched(*arguments, settings)
    chosen = replace(settings, loq=BANDWIDTH_LOQ)
    width, number = 0.0, len(_search_smoothed(0.0, *arguments, chosen)[0])
    before = np.inf
    widest = min(spectrum.size / 16, max(_widest_smoothing(references), 1.0))
    for wider in 2.0 ** np.arange(MAX_DOUBLINGS):
        if wider > widest:
            break
        found = len(_search_smoothed(wider, *arguments, chosen)[0])
        change = abs(found - number)
        # Fragments merge less and less; where it is more again, ions begin to merge.
        if change <= UNSTABLE * max(found, number) or change > before:
            break
        width, number, before = wider, found, change
    return _search_smoothed(width, *arguments, settings)


def _search_matched(
    which: str,
    references: References,
    spectrum: np.ndarray,
    counting: _Counting,
    settings: SearchSettings,
) -> tuple[pd.DataFrame, float | np.ndarray]:
    """Find peaks in the smoothed profile; measure them in the profile itself."""
    arguments = (which, references, spectrum, counting)
    plain = replace(settings, loq=BANDWIDTH_LOQ)
    sure, noise = _search_smoothed(0.0, *arguments, plain)
    width = settings.smoothing
    if width == "matched":
        bins = np.gradient(references.mz)[sure["bin"]] if len(sure) else np.ones(1)
        fwhm = sure["fwhm"].to_numpy() / bins if len(sure) else np.zeros(1)
        width = float(np.median(fwhm)) / FWHM_PER_SD
    if width <= 0:
        return _search_smoothed(0.0, *arguments, settings)
    found, _ = _search_smoothed(float(width), *arguments, settings)
    # The highest sample near each maximum of the smoothed profile.
    reach, at = max(int(np.rint(width)), 1), found["bin"].to_numpy()
    near = np.clip(at[:, None] + np.arange(-reach, reach + 1), 0, spectrum.size - 1)
    best = near[np.arange(at.size), spectrum[near].argmax(axis=1)]
    bins, first = np.unique(best, return_index=True)
    level, _ = _background(which, 0.0, references, spectrum, counting.floor, settings)
    seen = (spectrum - level)[bins] > 0
    bins, first = bins[seen], first[seen]
    peaks = peak_table(
        spectrum,
        level,
        np.broadcast_to(noise, spectrum.shape),
        references.frequency,
        references.mz,
        Apexes(
            bins,
            np.ones(bins.size, bool),
            found["prominence"].to_numpy()[first],
        ),
        rel_height=settings.rel_height,
    )
    # The centroid of a weak peak is better where noise was smoothed.
    smoothed = pd.Series(found["mz"].to_numpy()[first], index=bins)
    peaks = peaks.assign(mz=smoothed.loc[peaks["bin"]].to_numpy())
    return peaks.sort_values("mz", ignore_index=True), noise


def _widest_smoothing(references: References) -> float:
    """Return the standard deviation, in bins, that keeps apart what spectra do."""
    if references.resolution <= 0 or references.mz.size < 2:
        return np.inf
    step = float(np.median(np.diff(references.mz) / references.mz[1:]))
    return references.resolution / (FWHM_PER_SD * step)


def _search_smoothed(
    width: float,
    which: str,
    references: References,
    spectrum: np.ndarray,
    counting: _Counting,
    settings: SearchSettings,
) -> tuple[pd.DataFrame, float | np.ndarray]:
    """Search a spectrum after smoothing by a Gaussian of this many bins (sd)."""
    floor, shot = counting.floor, counting.shot
    if width > 0:
        spectrum = gaussian_filter1d(spectrum, width, mode="constant")
        # The sum of the kernel's squares is what is left of a variance.
        left = 1 / (2 * np.sqrt(np.pi) * width)
        floor, shot = floor * np.sqrt(left), shot * left
    level, noise = _background(which, width, references, spectrum, floor, settings)
    along = np.broadcast_to(noise, spectrum.shape)
    apexes = apex_positions(
        spectrum,
        level,
        along,
        loq=settings.loq,
        min_points=settings.min_points,
        shot=shot,
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
        resolution=RESOLVED * references.resolution,
    )
    if shot > 0:
        seen = np.rint(peaks["frequency"] * references.n_pixels)
        least = _least_pixels(counting.rate, references, peaks)
        peaks = peaks[seen >= least].reset_index(drop=True)
    return peaks, noise


def _least_pixels(rate: float, references: References, peaks: pd.DataFrame) -> float:
    """Return how many pixels must agree on a peak, so that chance makes less than one.

    No more than half of the pixels are asked to.
    """
    n_places = references.mz.size
    if references.centroided and len(peaks):
        # Centroids are looked for within a FWHM, not in a single bin.
        width = np.gradient(references.mz)[peaks["bin"]]
        bins = max(float(np.median(peaks["fwhm"] / width)), 1.0)
        n_places, rate = n_places / bins, rate * bins
    number = np.arange(LEAST_PIXELS, 1000)
    chance = n_places * pdtrc(number - 1, rate)
    likely = number[chance >= CHANCE]
    least = likely[-1] + 1 if likely.size else LEAST_PIXELS
    return min(float(least), references.n_pixels / 2)


def _background(
    which: str,
    width: float,
    references: References,
    spectrum: np.ndarray,
    floor: float,
    settings: SearchSettings,
) -> tuple[np.ndarray, float | np.ndarray]:
    """Return level and noise, which a search for the best `loq` needs only once."""

    def measure() -> tuple[np.ndarray, float | np.ndarray]:
        level = background_level(spectrum, settings.z_threshold)
        if not isinstance(settings.noise, str):
            return level, _given_noise(references, spectrum, settings.noise)
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
        return level, noise

    if references.key is None:
        return measure()
    state = (settings.noise, settings.z_threshold, settings.z_steps)
    state = (which, width, *state, settings.min_points)
    key = ("background", references.key, joblib.hash(state))
    found = cache.get(key, lambda: _Background(*measure()))
    return found.level, found.noise


def _given_noise(references: References, spectrum: np.ndarray, noise: Any) -> float:
    if isinstance(noise, numbers.Real):
        return float(noise)
    return range_noise(spectrum, references.mz, *map(float, noise))


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
