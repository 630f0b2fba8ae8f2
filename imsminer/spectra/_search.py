"""The search for peaks, from sums over pixels to the table."""

import numbers
from dataclasses import replace

import numpy as np
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
    Columns,
    measure_peaks,
    ratio,
    select,
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
) -> tuple[Columns, float | np.ndarray]:
    """Return the peaks and the noise of the reference that was searched.

    Candidates of a search for parameters ask for some of these more than once: they
    are not to be changed.
    """
    state = tuple(vars(settings).values())
    return compute_once(
        references, "peaks", state, lambda: _search_all(references, settings)
    )


def _search_all(
    references: References, settings: SearchSettings
) -> tuple[Columns, float | np.ndarray]:
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
    heads = peaks["mz"]
    # Columns of an array have no m/z that isotopes could be apart by.
    if references.has_mz:
        heads = monoisotopic(heads, peaks["prominence"], peaks["fwhm"])
    return peaks | {"isotope_of": heads}, noise


def measure_groups(
    references: References, settings: SearchSettings, groups: PeakGroups
) -> tuple[Columns, float | np.ndarray]:
    """Return the peaks that were grouped over pixels, and the noise.

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
    peaks = measure_peaks(
        ground,
        np.broadcast_to(noise, ground.net.shape),
        references,
        Apexes(bins, certain, ground.net[bins]),
        rel_height=settings.rel_height,
    )
    at = kept[np.searchsorted(bins, peaks["bin"])]
    peaks |= {
        "mz": groups.mz[at],
        "frequency": groups.count[at] / references.n_pixels,
        "left": np.minimum(peaks["left"], groups.low[at]),
        "right": np.maximum(peaks["right"], np.nextafter(groups.high[at], np.inf)),
    }
    peaks = _by_mz(peaks)
    heads = monoisotopic(peaks["mz"], peaks["height"], peaks["fwhm"])
    return peaks | {"isotope_of": heads}, noise


def _search_one(
    which: str,
    references: References,
    counting: Counting,
    settings: SearchSettings,
) -> tuple[Columns, float | np.ndarray]:
    """Search one reference spectrum; that of centroids is smoothed as it needs it."""
    arguments = (which, references, counting)
    if not references.centroided:
        if settings.smoothing is None:
            return _search_smoothed(0.0, *arguments, settings)
        return _search_matched(*arguments, settings)
    chosen = replace(settings, loq=BANDWIDTH_LOQ)
    width, number = 0.0, _number(_search_smoothed(0.0, *arguments, chosen)[0])
    before = np.inf
    widest = _widest_smoothing(references)
    for wider in 2.0 ** np.arange(MAX_DOUBLINGS):
        if wider > widest:
            break
        found = _number(_search_smoothed(wider, *arguments, chosen)[0])
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
        peaks = _add_peaks(peaks, select(more, ~near), settings.min_points)
        wider *= 2
    return peaks, noise


def _search_few(references: References, settings: SearchSettings) -> Columns:
    """Find what some pixels share, and most do not, in the standard deviation of these.

    The maximum of many pixels rises with the highest of their noise. The sum of
    squares does not, but adds up the pixels of a small region. That over the square of
    the maximum is how many pixels it is made of: noise in a single one makes no peak.
    Only profiles have a standard deviation that is no matter of counting.
    """
    none = references.spread[:0]
    counted = references.centroided or counting_noise(references).shot > 0
    if counted or isinstance(settings.noise, numbers.Real):
        return dict.fromkeys(COLUMNS, none)
    peaks, _ = _search_smoothed(0.0, "spread", references, UNCOUNTED, settings)
    level = background("spread", 0.0, references, UNCOUNTED, settings)[0].level
    at = peaks["bin"]
    squares = references.n_pixels * (references.spread**2 - level**2)[at]
    highest = references.maximum[at]
    # Intensities that vary below 0 are no peak.
    kept = (highest > 0) & (squares >= FEWEST * highest**2)
    return select(peaks | {"height": highest}, kept)


def _search_matched(
    which: str,
    references: References,
    counting: Counting,
    settings: SearchSettings,
) -> tuple[Columns, float | np.ndarray]:
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
        fwhm = np.zeros(1)
        if _number(sure):
            fwhm = sure["fwhm"] / np.gradient(references.mz)[sure["bin"]]
        width = float(np.median(fwhm)) / FWHM_PER_SD
    if width <= 0:
        return _search_smoothed(0.0, *arguments, settings)
    width = float(width)
    found, _ = _search_smoothed(width, *arguments, settings)
    height = _restored(width, found, sure, *arguments, settings)
    ground, _ = background(which, 0.0, references, counting, settings)
    along = np.broadcast_to(noise, ground.net.shape)
    snr = ratio(height, along[found["bin"]])
    found = select(found | {"snr": snr}, snr >= settings.loq)
    # The highest sample near each maximum of the smoothed profile.
    reach, at = max(int(np.rint(width)), 1), found["bin"]
    near = np.clip(at[:, None] + np.arange(-reach, reach + 1), 0, along.size - 1)
    best = near[np.arange(at.size), ground.spectrum[near].argmax(axis=1)]
    bins, first = np.unique(best, return_index=True)
    seen = ground.net[bins] > 0
    bins, first = bins[seen], first[seen]
    certain = np.ones(bins.size, bool)
    peaks = measure_peaks(
        ground,
        along,
        references,
        Apexes(bins, certain, found["prominence"][first]),
        rel_height=settings.rel_height,
    )
    # Place and height of a weak peak are better where noise was smoothed.
    smoothed = first[np.searchsorted(bins, peaks["bin"])]
    better = {name: found[name][smoothed] for name in ("mz", "snr")}
    return _by_mz(peaks | better), noise


def _restored(
    width: float,
    found: Columns,
    sure: Columns,
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
    at = found["bin"]
    step = np.gradient(references.mz)[at]
    peaks = sure if _number(sure) else found
    fwhm = usual_width(peaks["mz"], peaks["fwhm"], at=references.mz[at])
    sd = fwhm / step / FWHM_PER_SD
    if not _number(sure):
        sd = np.sqrt(np.maximum(sd**2 - width**2, 0.0))
    kept = sd / np.hypot(sd, width)
    net = found["height"] - level[at]
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
) -> tuple[Columns, float | np.ndarray]:
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
    peaks = measure_peaks(
        ground,
        along,
        references,
        apexes,
        rel_height=settings.rel_height,
        resolution=RESOLVED * references.resolution,
    )
    if counting.rate > 0 or shot > 0:
        peaks = select(peaks, _agreed(counting.rate, references, peaks))
    return peaks, noise


def _agreed(rate: float, references: References, peaks: Columns) -> np.ndarray:
    """Mark the peaks on which more pixels agree than chance brings together.

    Chance fills a bin as a Poisson number does. Centroids are looked for within a
    FWHM wherever it lies: clusters of k among windows of mean r are about k - r times
    as many as among windows that do not overlap (Aldous 1989, "Probability
    approximations via the Poisson clumping heuristic"). No more than half of the
    pixels are asked to agree.
    """
    seen = np.rint(peaks["frequency"] * references.n_pixels)
    n_places, clumps, mean = references.mz.size, 1.0, rate
    if references.centroided and _number(peaks):
        width = np.gradient(references.mz)[peaks["bin"]]
        bins = np.maximum(peaks["fwhm"] / width, 1.0)
        mean = rate * bins
        n_places, clumps = n_places / bins, np.maximum(seen - mean, 1.0)
    chance = n_places * clumps * pdtrc(np.maximum(seen - 1, 0), mean)
    enough = (seen >= LEAST_PIXELS) & (chance < CHANCE)
    return enough | (seen >= references.n_pixels / 2)


def _is_near(mz: np.ndarray, reach: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mark the m/z that have any of the others, which are sorted, within reach."""
    first = np.searchsorted(others, mz - reach)
    return np.searchsorted(others, mz + reach, side="right") > first


def _number(peaks: Columns) -> int:
    return peaks["mz"].size


def _by_mz(peaks: Columns) -> Columns:
    return select(peaks, np.argsort(peaks["mz"], kind="stable"))


def _add_peaks(peaks: Columns, more: Columns, min_points: int) -> Columns:
    """Add peaks that are at no peak of the first ones.

    Bounds are cut where the two would overlap.
    """
    if not (_number(peaks) and _number(more)):
        return peaks if _number(peaks) else more
    at, bins = peaks["bin"], more["bin"]
    right = np.clip(np.searchsorted(at, bins), 0, at.size - 1)
    nearest = np.minimum(np.abs(at[right] - bins), np.abs(at[right - 1] - bins))
    order = np.argsort(peaks["left"], kind="stable")
    before = np.searchsorted(peaks["left"][order], more["mz"], side="right")
    reach = np.maximum.accumulate(np.append(-np.inf, peaks["right"][order]))
    inside = more["mz"] <= reach[before]
    added = select(more, (nearest >= min_points) & ~inside)
    both = {name: np.concatenate([peaks[name], added[name]]) for name in COLUMNS}
    both = _by_mz(both)
    middle = 0.5 * (both["mz"][1:] + both["mz"][:-1])
    left, right = both["left"], both["right"]
    overlap = right[:-1] > left[1:]
    right[:-1] = np.where(overlap, np.minimum(right[:-1], middle), right[:-1])
    left[1:] = np.where(overlap, np.maximum(left[1:], middle), left[1:])
    return both
