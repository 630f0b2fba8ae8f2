"""Reference peaks for alignment: strong, alone, and spread over the mass range."""

import numpy as np
from scipy.signal import find_peaks

from imsminer.spectra._kernels.align_numba import match_rows

__all__ = ["reference_peaks"]

#: As many peaks are taken, from as many segments of the range.
N_PEAKS = 100
N_SEGMENTS = 10
#: Peaks stand out by this many times the noise of the spectrum.
MIN_SNR = 5.0
#: A peak is alone when no other of this part of its height is near.
RIVAL = 0.3


def reference_peaks(mz: np.ndarray, mean: np.ndarray, width: np.ndarray) -> np.ndarray:
    """Choose peaks of a mean spectrum that can be told from their neighbours.

    Parameters
    ----------
    mz, mean : ndarray of float64, shape (n,)
        Axis and mean spectrum.
    width : ndarray of float64, shape (n,)
        Tolerance at each m/z: peaks are matched within it.

    Returns
    -------
    ndarray of float64
        At most 100 m/z of maxima, increasing, between samples where they lie there.
    """
    apex, properties = find_peaks(mean, prominence=0)
    prominence = properties["prominences"]
    noise = (
        1.4826 * np.median(np.abs(np.diff(mean))) / np.sqrt(2) if mean.size > 1 else 0
    )
    keep = prominence > max(MIN_SNR * noise, 1e-4 * mean.max(initial=0.0))
    apex, prominence = apex[keep], prominence[keep]
    if apex.size == 0:
        return np.empty(0)
    alone = _alone(mz[apex], prominence, 2 * width[apex])
    apex, prominence = apex[alone], prominence[alone]
    apex = np.sort(apex[_spread(mz[apex], prominence)])
    spacing = 0.5 * (mz[apex + 1] - mz[apex - 1])
    offset, height = np.empty((1, apex.size)), np.empty((1, apex.size))
    rows = (mean[None], mz, mz[apex], spacing, np.ones(apex.size))
    match_rows(*rows, True, offset, height)
    return mz[apex] + np.where(height[0] > 0, offset[0], 0.0)


def _alone(mz: np.ndarray, height: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Whether no rival of a peak lies within its reach."""
    first = np.searchsorted(mz, mz - reach)
    last = np.searchsorted(mz, mz + reach, side="right")
    alone = np.ones(mz.size, bool)
    for k in np.flatnonzero(last - first > 1):
        near = height[first[k] : last[k]].copy()
        near[k - first[k]] = 0
        alone[k] = near.max() < RIVAL * height[k]
    return alone


def _spread(mz: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Return the most prominent peaks of each segment, then of all of them."""
    if mz.size <= N_PEAKS:
        return np.arange(mz.size)
    edges = np.linspace(mz[0], mz[-1], N_SEGMENTS + 1)[1:-1]
    segment = np.searchsorted(edges, mz)
    order = np.argsort(-height, kind="stable")
    rank = np.empty(mz.size, np.int64)
    for number in range(N_SEGMENTS):
        inside = order[segment[order] == number]
        rank[inside] = np.arange(inside.size)
    first = order[rank[order] < N_PEAKS // N_SEGMENTS]
    rest = order[rank[order] >= N_PEAKS // N_SEGMENTS]
    return np.concatenate([first, rest])[:N_PEAKS]
