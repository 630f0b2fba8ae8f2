"""The search for peaks, from sums over pixels to the table."""

import numbers
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import pdtrc

from imsminer.spectra._apexes import Apexes, apex_positions
from imsminer.spectra._grouping import PeakGroups
from imsminer.spectra._isotopes import monoisotopic
from imsminer.spectra._peak_background import (
    UNCOUNTED,
    Counting,
    SearchSettings,
    background,
    compute_once,
    counting_noise,
)
from imsminer.spectra._peak_references import References
from imsminer.spectra._picking import (
    COLUMNS,
    peak_table,
    ratio,
    usual_width,
)

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
#: Where a typical bin is empty in most pixels, so many of them must agree on a peak,
LEAST_PIXELS = 3
#: and so many that fewer peaks than this come about by chance.
CHANCE = 0.5
#: Pixels that share a peak which is in the standard deviation alone.
FEWEST = 2.0


def search(
    references: References, settings: SearchSettings
) -> tuple[pd.DataFrame, float | np.ndarray]:
    """Return the table of peaks and the noise of the reference that was searched.

    Candidates of a search for parameters ask for some of these more than once.
    """
    state = tuple(vars(settings).values())
    peaks, noise = compute_once(
        references, "peaks", state, lambda: _search_all(references, settings)
    )
    # What estimators give away is the user's to change.
    return peaks.copy(), noise if np.ndim(noise) == 0 else np.array(noise)


def _search_all(
    references: References, settings: SearchSettings
) -> tuple[pd.DataFrame, float | np.ndarray]:
    counting = counting_noise(references)
    # Single centroids are high in the maximum wherever they fall.
    few = replace(UNCOUNTED, rate=counting.rate if references.centroided else 0.0)
    counted = {"mean": counting, "max": few}
    first, *others = settings.reference.split("+")
    peaks, noise = _search_one(first, references, counted[first], settings)
    for name in others:
        more, _ = _search_one(name, references, counted[name], settings)
        peaks = _add_peaks(peaks, more, settings.min_points)
    if others:
        peaks = _add_peaks(
            peaks, _search_few(references, settings), settings.min_points
        )
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
    counting = counting_noise(references) if name == "mean" else UNCOUNTED
    ground, noise = background(name, 0.0, references, counting, settings)
    first = np.searchsorted(references.mz, groups.low)
    first = np.minimum(np.maximum(first - 1, 0), references.mz.size - 1)
    last = np.searchsorted(references.mz, groups.high, side="right") + 1
    ends = zip(first, np.maximum(last, first + 1), strict=True)
    bins = [int(a + np.argmax(ground.spectrum[a:b])) for a, b in ends]
    # Groups that meet in one bin cannot be told apart: the larger one stays.
    order = np.lexsort((-groups.count, bins))
    bins = np.array(bins, np.int64)[order]
    kept = order[np.append(True, np.diff(bins) > 0)] if bins.size else order
    bins = np.unique(bins)
    # What the reference does not show above its level has no height to measure.
    seen = ground.net[bins] > 0
    bins, kept = bins[seen], kept[seen]
    certain = np.ones(bins.size, bool)
    peaks = peak_table(
        ground,
        np.broadcast_to(noise, ground.net.shape),
        references,
        Apexes(bins, certain, ground.net[bins]),
        rel_height=settings.rel_height,
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


def _search_one(
    which: str,
    references: References,
    counting: Counting,
    settings: SearchSettings,
) -> tuple[pd.DataFrame, float | np.ndarray]:
    """Search one reference spectrum; that of centroids is smoothed as it needs it."""
    arguments = (which, references, counting)
    if not references.centroided:
        if settings.smoothing is None:
            return _search_smoothed(0.0, *arguments, settings)
        return _search_matched(*arguments, settings)
    chosen = replace(settings, loq=BANDWIDTH_LOQ)
    width, number = 0.0, len(_search_smoothed(0.0, *arguments, chosen)[0])
    before = np.inf
    widest = _widest_smoothing(references)
    for wider in 2.0 ** np.arange(MAX_DOUBLINGS):
        if wider > widest:
            break
        found = len(_search_smoothed(wider, *arguments, chosen)[0])
        change = abs(found - number)
        # Fragments merge less and less; where it is more again, ions begin to merge.
        if change <= UNSTABLE * max(found, number) or change > before:
            break
        width, number, before = wider, found, change
    peaks, noise = _search_smoothed(width, *arguments, settings)
    # Centroids of weak ions scatter farther than those of strong ones.
    wider = max(2 * width, 1.0)
    while wider <= widest:
        more, _ = _search_smoothed(wider, *arguments, settings)
        apart = np.maximum(more["fwhm"], RESOLVED * references.resolution * more["mz"])
        near = _is_near(more["mz"], apart, peaks["mz"])
        peaks = _add_peaks(peaks, more[~near], settings.min_points)
        wider *= 2
    return peaks, noise


def _search_few(references: References, settings: SearchSettings) -> pd.DataFrame:
    """Find what some pixels share, and most do not, in the standard deviation of these.

    The maximum of many pixels rises with the highest of their noise. The sum of
    squares does not, but adds up the pixels of a small region. That over the square of
    the maximum is how many pixels it is made of: noise in a single one makes no peak.
    Only profiles have a standard deviation that is no matter of counting.
    """
    none = references.spread[:0]
    counted = references.centroided or counting_noise(references).shot > 0
    if counted or isinstance(settings.noise, numbers.Real):
        return pd.DataFrame({name: none for name in COLUMNS})
    peaks, _ = _search_smoothed(0.0, "spread", references, UNCOUNTED, settings)
    level = background("spread", 0.0, references, UNCOUNTED, settings)[0].level
    at = peaks["bin"].to_numpy()
    squares = references.n_pixels * (references.spread**2 - level**2)[at]
    highest = references.maximum[at]
    # Intensities that vary below 0 are no peak.
    kept = (highest > 0) & (squares >= FEWEST * highest**2)
    return peaks.assign(height=highest)[kept]


def _search_matched(
    which: str,
    references: References,
    counting: Counting,
    settings: SearchSettings,
) -> tuple[pd.DataFrame, float | np.ndarray]:
    """Find peaks in the smoothed profile; measure them in the profile itself.

    A Gaussian of standard deviation s that is smoothed by one of w keeps
    s / √(s² + w²) of its height, which is given back to each maximum: its height is
    that of a peak in the profile, and must reach `loq` times the profile's noise. It
    must reach `loq` times the noise of the smoothed profile, too, which is larger
    than smoothing would leave where bins vary together.
    """
    arguments = (which, references, counting)
    plain = replace(settings, loq=BANDWIDTH_LOQ)
    sure, noise = _search_smoothed(0.0, *arguments, plain)
    width = settings.smoothing
    if width == "matched":
        bins = np.gradient(references.mz)[sure["bin"]] if len(sure) else np.ones(1)
        fwhm = sure["fwhm"].to_numpy() / bins if len(sure) else np.zeros(1)
        width = float(np.median(fwhm)) / FWHM_PER_SD
    if width <= 0:
        return _search_smoothed(0.0, *arguments, settings)
    width = float(width)
    found, _ = _search_smoothed(width, *arguments, settings)
    height = _restored(width, found, sure, *arguments, settings)
    ground, _ = background(which, 0.0, references, counting, settings)
    along = np.broadcast_to(noise, ground.net.shape)
    snr = ratio(height, along[found["bin"]])
    found = found.assign(snr=snr)[snr >= settings.loq]
    # The highest sample near each maximum of the smoothed profile.
    reach, at = max(int(np.rint(width)), 1), found["bin"].to_numpy()
    near = np.clip(at[:, None] + np.arange(-reach, reach + 1), 0, along.size - 1)
    best = near[np.arange(at.size), ground.spectrum[near].argmax(axis=1)]
    bins, first = np.unique(best, return_index=True)
    seen = ground.net[bins] > 0
    bins, first = bins[seen], first[seen]
    certain = np.ones(bins.size, bool)
    peaks = peak_table(
        ground,
        along,
        references,
        Apexes(bins, certain, found["prominence"].to_numpy()[first]),
        rel_height=settings.rel_height,
    )
    # Place and height of a weak peak are better where noise was smoothed.
    smoothed = found.iloc[first].set_axis(bins).loc[peaks["bin"]]
    better = {name: smoothed[name].to_numpy() for name in ("mz", "snr")}
    return peaks.assign(**better).sort_values("mz", ignore_index=True), noise


def _restored(
    width: float,
    found: pd.DataFrame,
    sure: pd.DataFrame,
    which: str,
    references: References,
    counting: Counting,
    settings: SearchSettings,
) -> np.ndarray:
    """Return the heights above the level that maxima had before they were smoothed.

    Their widths are those that the sure peaks of the profile usually have at this m/z,
    or what smoothing added to, where there are none.
    """
    level = background(which, width, references, counting, settings)[0].level
    at = found["bin"].to_numpy()
    step = np.gradient(references.mz)[at]
    peaks = sure if len(sure) else found
    fwhm = usual_width(
        peaks["mz"].to_numpy(), peaks["fwhm"].to_numpy(), at=references.mz[at]
    )
    sd = fwhm / step / FWHM_PER_SD
    if not len(sure):
        sd = np.sqrt(np.maximum(sd**2 - width**2, 0.0))
    kept = sd / np.hypot(sd, width)
    net = found["height"].to_numpy() - level[at]
    return net / np.where(kept > 0, kept, 1.0)


def _widest_smoothing(references: References) -> float:
    """Return the standard deviation, in bins, that keeps apart what spectra do."""
    widest = min(references.mz.size / 16, 2.0 ** (MAX_DOUBLINGS - 1))
    if references.resolution <= 0 or references.mz.size < 2:
        return widest
    step = float(np.median(np.diff(references.mz) / references.mz[1:]))
    return min(widest, max(references.resolution / (FWHM_PER_SD * step), 1.0))


def _search_smoothed(
    width: float,
    which: str,
    references: References,
    counting: Counting,
    settings: SearchSettings,
) -> tuple[pd.DataFrame, float | np.ndarray]:
    """Search a spectrum after smoothing by a Gaussian of this many bins (sd)."""
    ground, noise = background(which, width, references, counting, settings)
    shot = counting.smoothed(width).shot
    along = np.broadcast_to(noise, ground.net.shape)
    apexes = apex_positions(
        ground.maxima,
        along,
        loq=settings.loq,
        min_points=settings.min_points,
        shot=shot,
    )
    peaks = peak_table(
        ground,
        along,
        references,
        apexes,
        rel_height=settings.rel_height,
        resolution=RESOLVED * references.resolution,
    )
    if counting.rate > 0 or shot > 0:
        agreed = _agreed(counting.rate, references, peaks)
        if not agreed.all():
            peaks = peaks[agreed].reset_index(drop=True)
    return peaks, noise


def _agreed(rate: float, references: References, peaks: pd.DataFrame) -> np.ndarray:
    """Mark the peaks on which more pixels agree than chance brings together.

    Chance fills a bin as a Poisson number does. Centroids are looked for within a
    FWHM wherever it lies: clusters of k among windows of mean r are about k - r times
    as many as among windows that do not overlap (Aldous 1989, "Probability
    approximations via the Poisson clumping heuristic"). No more than half of the
    pixels are asked to agree.
    """
    seen = np.rint(peaks["frequency"].to_numpy() * references.n_pixels)
    n_places, clumps, mean = references.mz.size, 1.0, rate
    if references.centroided and len(peaks):
        width = np.gradient(references.mz)[peaks["bin"]]
        bins = np.maximum(peaks["fwhm"].to_numpy() / width, 1.0)
        mean = rate * bins
        n_places, clumps = n_places / bins, np.maximum(seen - mean, 1.0)
    chance = n_places * clumps * pdtrc(np.maximum(seen - 1, 0), mean)
    enough = (seen >= LEAST_PIXELS) & (chance < CHANCE)
    return enough | (seen >= references.n_pixels / 2)


def _is_near(mz: pd.Series, reach: pd.Series, others: pd.Series) -> np.ndarray:
    """Mark the m/z that have any of the others, which are sorted, within reach."""
    first = np.searchsorted(others, mz - reach)
    return np.searchsorted(others, mz + reach, side="right") > first


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
    mz, ends = more["mz"].to_numpy(), peaks[["left", "right"]].sort_values("left")
    before = np.searchsorted(ends["left"], mz, side="right")
    reach = np.maximum.accumulate(np.append(-np.inf, ends["right"]))
    inside = mz <= reach[before]
    added = more[(nearest >= min_points) & ~inside]
    table = pd.concat([peaks, added]).sort_values("mz", ignore_index=True)
    middle = 0.5 * (table["mz"].to_numpy()[1:] + table["mz"].to_numpy()[:-1])
    left, right = table["left"].to_numpy(copy=True), table["right"].to_numpy(copy=True)
    overlap = right[:-1] > left[1:]
    right[:-1] = np.where(overlap, np.minimum(right[:-1], middle), right[:-1])
    left[1:] = np.where(overlap, np.maximum(left[1:], middle), left[1:])
    return table.assign(left=left, right=right)
