"""From the maxima of a reference spectrum to peaks with places, bounds and widths."""

from typing import NamedTuple

import numpy as np
from scipy.signal import peak_widths

from imsminer.spectra._apexes import Apexes
from imsminer.spectra._kernels import peaks_numba as kernels
from imsminer.spectra._noise import sorted_median
from imsminer.spectra._peak_background import Ground
from imsminer.spectra._peak_references import References

__all__ = [
    "COLUMNS",
    "Columns",
    "measure_peaks",
    "ratio",
    "select",
    "usual_width",
]

#: What is known of peaks: arrays of shape (n_peaks,) by the names of `COLUMNS`, in
#: increasing order of m/z.
Columns = dict[str, np.ndarray]

COLUMNS = (
    "mz",
    "left",
    "right",
    "height",
    "snr",
    "fwhm",
    "frequency",
    "bin",
    "prominence",
    "left_valley",
    "right_valley",
    "resolving_power",
)

#: Maxima closer than this share of the usual FWHM are one peak.
MERGE = 0.8
#: Centroids scatter less than their profiles are wide. Up to this many of their usual
#: FWHM apart, the lower of two maxima must rise clearly.
CLOSE = 2.5
#: Profiles are no wider than this many FWHM of their centroids' scatter.
WIDEST = 25.0
#: Bounds in FWHM: no closer to the apex (± 2 sd of a Gaussian) and no farther.
CLOSEST, FARTHEST = 0.85, 2.0
#: Bounds end where the signal is lost in the noise, or falls to this share.
TAIL = 0.005


def measure_peaks(
    ground: Ground,
    noise: np.ndarray,
    references: References,
    found: Apexes,
    *,
    rel_height: float | None = None,
    resolution: float = 0.0,
) -> Columns:
    """Measure peaks; those within one FWHM of a higher one are left out.

    Parameters
    ----------
    ground : Ground
        The spectrum with its level.
    noise : ndarray of float64, shape (n_bins,)
        Its noise.
    references : References
        The axis, the share of the pixels in each bin, and whether the spectra are
        centroids, whose peaks have no shape.
    found : Apexes
        The maxima.
    rel_height : float or None
        Bounds where the peak has fallen by this share of its height; where it is lost
        in the noise when `None`.
    resolution : float
        Smallest distance of two peaks of centroids, as a part of their m/z.

    Returns
    -------
    Columns
    """
    mz, centroided = references.mz, references.centroided
    while True:
        apexes = found.bins
        valleys = _valleys(ground.net, apexes)
        half = _half_widths(ground, mz, apexes, valleys)
        reach = np.full(apexes.size, MERGE) * half.usual
        if centroided:
            reach = np.where(found.certain, reach, CLOSE * half.usual)
            apart = np.minimum(resolution * mz[apexes], WIDEST * half.usual)
            reach = np.maximum(reach, apart)
        kept = _merge(mz[apexes], ground.net[apexes], reach)
        if kept.all():
            break
        found = found.keep(kept)
    apex, height, sd = mz[apexes], ground.net[apexes], noise[apexes]
    if rel_height is None:
        target = np.maximum(np.minimum(sd, height / 2), 0.0)
        target = np.maximum(target, TAIL * height)
    else:
        target = (1.0 - rel_height) * height
    left, right = (
        _mz_at(mz, ends) for ends in _crossings(ground, apexes, valleys, target)
    )
    low_valley, high_valley = (_mz_at(mz, bins) for bins in valleys)
    if rel_height is None:
        near, far = CLOSEST * half.fwhm, FARTHEST * half.fwhm
        left = np.maximum(np.clip(left, apex - far, apex - near), low_valley)
        right = np.minimum(np.clip(right, apex + near, apex + far), high_valley)
    centres = _centroids(ground.net, mz, apexes, half, centroided)
    return {
        "mz": centres,
        "left": left,
        "right": right,
        "height": ground.spectrum[apexes],
        "snr": ratio(height, sd),
        "fwhm": half.fwhm,
        "frequency": _occupancy(references.frequency, half, centroided),
        "bin": apexes,
        "prominence": found.prominence,
        "left_valley": np.maximum(low_valley, mz[0] if mz.size else 0.0),
        "right_valley": np.minimum(high_valley, mz[-1] if mz.size else 0.0),
        "resolving_power": np.divide(
            centres, half.fwhm, out=np.zeros(centres.size), where=half.fwhm > 0
        ),
    }


def select(peaks: Columns, which: np.ndarray) -> Columns:
    """Return the peaks of a mask, or at given positions."""
    return {name: values[which] for name, values in peaks.items()}


class _Half(NamedTuple):
    """Positions of the half-height crossings in bins, and widths in m/z."""

    left: np.ndarray
    right: np.ndarray
    fwhm: np.ndarray
    usual: np.ndarray
    """What peaks of this m/z usually have."""


def ratio(height: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return heights in units of the noise, infinite where there is none."""
    result = np.full(height.shape, np.inf)
    return np.divide(height, noise, out=result, where=noise > 0)


def _mz_at(mz: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Return the m/z at fractional bins; half a bin beyond the ends is allowed."""
    if mz.size < 2:
        return np.full(np.shape(position), mz[0]) + position
    start = np.minimum(np.maximum(position.astype(np.int64), 0), mz.size - 2)
    return mz[start] + (position - start) * (mz[start + 1] - mz[start])


def _valleys(net: np.ndarray, apexes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest bin between neighbouring peaks, to the left and the right."""
    left, right = np.empty_like(apexes), np.empty_like(apexes)
    kernels.valleys(net, apexes, left, right)
    return left, right


def _crossings(
    ground: Ground,
    apexes: np.ndarray,
    valleys: tuple[np.ndarray, np.ndarray],
    target: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return where each peak falls to `target`, valleys at the latest."""
    if apexes.size == 0:
        return np.zeros(0), np.zeros(0)
    left, right = valleys
    measured = peak_widths(
        ground.padded,
        apexes + 1,
        rel_height=1.0,
        prominence_data=(ground.net[apexes] - target, left + 1, right + 1),
    )
    # Half a bin beyond the axis there is nothing any more.
    low, high = measured[2] - 1, measured[3] - 1
    return np.maximum(low, -0.5), np.minimum(high, ground.net.size - 0.5)


def _half_widths(
    ground: Ground,
    mz: np.ndarray,
    apexes: np.ndarray,
    valleys: tuple[np.ndarray, np.ndarray],
) -> _Half:
    """Measure FWHM; where a neighbour hides one side, the other side counts twice."""
    half = ground.net[apexes] / 2
    left, right = _crossings(ground, apexes, valleys, half)
    low, high = _mz_at(mz, left), _mz_at(mz, right)
    hidden_left, hidden_right = (ground.padded[bins + 1] > half for bins in valleys)
    apex = mz[apexes]
    fwhm = high - low
    fwhm = np.where(hidden_left & ~hidden_right, 2 * (high - apex), fwhm)
    fwhm = np.where(hidden_right & ~hidden_left, 2 * (apex - low), fwhm)
    hidden = hidden_left & hidden_right
    usual = usual_width(apex, np.where(hidden, np.nan, fwhm))
    return _Half(left, right, np.where(hidden, usual, fwhm), usual)


def usual_width(
    mz: np.ndarray, fwhm: np.ndarray, at: np.ndarray | None = None
) -> np.ndarray:
    """Return the width that peaks usually have at each m/z: a power law, robustly.

    Where they were measured, or `at` other m/z.
    """
    at = mz if at is None else at
    known = np.isfinite(fwhm) & (fwhm > 0) & (mz > 0)
    if not known.any():
        return np.zeros(at.shape)
    x, y = np.log(mz[known]), np.log(fwhm[known])
    if x.size < 10 or np.ptp(x) < 0.1:
        return np.full(at.shape, np.median(fwhm[known]))
    for _ in range(10):
        centre, middle = x.mean(), y.mean()
        around = x - centre
        slope = (around @ y) / (around @ around)
        rest = np.abs(y - middle - slope * around)
        inside = rest <= max(3 * 1.4826 * sorted_median(np.sort(rest)), 1e-12)
        n_inside = np.count_nonzero(inside)
        if n_inside == x.size or n_inside < 5:
            break
        x, y = x[inside], y[inside]
    return np.exp(middle + slope * (np.log(np.where(at > 0, at, 1.0)) - centre))


def _merge(mz: np.ndarray, height: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Mark the peaks that have no higher one within their reach."""
    kept = np.ones(mz.size, bool)
    kernels.keep_highest(mz, np.argsort(-height, kind="stable"), reach, kept)
    return kept


def _centroids(
    net: np.ndarray, mz: np.ndarray, apexes: np.ndarray, half: _Half, centroided: bool
) -> np.ndarray:
    """Return each peak's m/z.

    The vertex of a parabola through the logarithms of the points above half height,
    which is exact for a Gaussian; for centroids, which have no shape, their mean.
    """
    result = np.empty(apexes.size)
    fit = not centroided
    kernels.centroids(net, mz, apexes, half.left, half.right, fit, result)
    return result


def _occupancy(frequency: np.ndarray, half: _Half, centroided: bool) -> np.ndarray:
    """Return the largest share of pixels in any bin above half height.

    Centroids of one ion fall into different bins, so that their shares add up.
    """
    result = np.empty(half.left.size)
    kernels.occupancy(frequency, half.left, half.right, centroided, result)
    return result
