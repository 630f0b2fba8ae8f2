"""The maxima of a reference spectrum, and which of them are peaks."""

from typing import NamedTuple

import numpy as np
from scipy.signal import find_peaks

from imsminer.spectra._kernels import peaks_numba as kernels

__all__ = ["Apexes", "Maxima", "apex_positions", "find_maxima"]

#: A peak rises above its surroundings by this share of the smallest height, at least.
PROMINENCE = 0.5
#: … and by this share of its own height, which rounding alone does not reach.
RELATIVE_PROMINENCE = 1e-3
#: … and by this share of it when the noise of counting single ions is added.
COUNTING = 0.15
#: It is certain when it rises by this many standard deviations, counting included.
CERTAIN = 5.0


class Maxima(NamedTuple):
    """Local maxima above the level, each an array of shape (n_maxima,)."""

    bins: np.ndarray
    """Positions, int64, increasing; in the middle of a plateau."""
    height: np.ndarray
    """Height above the level."""
    prominence: np.ndarray
    """Height above the higher one of its valleys, up to the next higher sample."""
    top: float
    """Largest height of any bin."""


class Apexes(NamedTuple):
    """Local maxima that count as peaks, each an array of shape (n_peaks,)."""

    bins: np.ndarray
    """Positions, int64, increasing."""
    certain: np.ndarray
    """Whether the peak rises clearly above its valleys, beyond the noise of counting.
    """
    prominence: np.ndarray
    """Height above the higher one of its valleys, up to the next higher sample."""

    def keep(self, mask: np.ndarray) -> "Apexes":
        """Return those that a mask marks."""
        return Apexes(*(values[mask] for values in self))


def find_maxima(net: np.ndarray, *, closed: bool = False) -> Maxima:
    """Return the local maxima above 0, whatever their height.

    They depend on no parameter of the search, so that candidates share them.

    Parameters
    ----------
    net : ndarray of float64, shape (n_bins,)
        Spectrum above its level.
    closed : bool
        Whether the first and last bin can be maxima: centroids are zero beyond.
    """
    if closed:
        net = np.pad(net, 1)
    bins = find_peaks(net)[0]
    bins = bins[net[bins] > 0]
    prominence = np.empty(bins.size)
    kernels.prominences(net, bins, prominence)
    top = float(net.max(initial=0.0))
    return Maxima(bins - int(closed), net[bins], prominence, top)


def apex_positions(
    maxima: Maxima,
    noise: np.ndarray,
    *,
    loq: float,
    min_points: int,
    shot: float = 0.0,
) -> Apexes:
    """Return the local maxima that count as peaks.

    Parameters
    ----------
    maxima : Maxima
        The maxima of the spectrum.
    noise : ndarray of float64, shape (n_bins,)
        Standard deviation of its noise.
    loq : float
        Smallest height above the level, in units of the noise.
    min_points : int
        Smallest distance of two maxima in bins; the higher one stays.
    shot : float
        Variance per unit of height that counting adds to the noise.
    """
    noise = noise[maxima.bins]
    rounding = np.finfo(np.float64).eps * maxima.top
    high = np.flatnonzero(maxima.height >= np.maximum(loq * noise, rounding))
    noise, bins = noise[high], maxima.bins[high]
    height, prominence = maxima.height[high], maxima.prominence[high]
    apart = _highest_within(bins, height, max(min_points, 1))
    counted = np.sqrt(noise**2 + shot * height)
    least = np.maximum(PROMINENCE * loq * noise, RELATIVE_PROMINENCE * height)
    least = np.maximum(least, COUNTING * loq * counted)
    found = Apexes(bins, prominence >= CERTAIN * counted, prominence)
    return found.keep(apart & (prominence >= least))


def _highest_within(bins: np.ndarray, height: np.ndarray, distance: int) -> np.ndarray:
    """Mark the maxima that have no higher one closer than a distance in bins."""
    kept = np.ones(bins.size, bool)
    order = np.argsort(-height, kind="stable")
    reach = np.full(bins.size, float(distance))
    kernels.keep_highest(bins.astype(np.float64), order, reach, kept)
    return kept
