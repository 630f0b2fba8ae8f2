"""Peaks of single pixels, and the groups of those that are one ion."""

from dataclasses import dataclass

import joblib
import numpy as np

from imsminer._array import to_numpy
from imsminer._sklearn_compat import Parallel, delayed
from imsminer.core.engine import block_positions
from imsminer.core.spectra import Spectra
from imsminer.spectra._centroiding import centroids_of
from imsminer.spectra._kernels.peaks_group_numba import group_sorted

__all__ = ["PeakGroups", "group_peaks", "pixel_groups"]


@dataclass(frozen=True)
class PeakGroups:
    """Groups of peaks, in increasing order of m/z; arrays of shape (n_groups,).

    Attributes
    ----------
    mz, low, high : ndarray of float64
        Mean, smallest and largest m/z.
    count : ndarray of int64
        Number of pixels: each has one peak at most.
    """

    mz: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray

    def __getitem__(self, mask: np.ndarray) -> "PeakGroups":
        return PeakGroups(
            self.mz[mask], self.low[mask], self.high[mask], self.count[mask]
        )


def group_peaks(mz: np.ndarray, pixel: np.ndarray, tolerance: float) -> PeakGroups:
    """Group the peaks of all pixels by their m/z.

    All peaks, sorted by m/z, are one group at first. A group in which a pixel occurs
    twice, or a peak is farther than `tolerance` from the mean, is split at its largest
    gap, relative to m/z.

    Parameters
    ----------
    mz : ndarray of float64, shape (n_peaks,)
        Positive m/z, in any order.
    pixel : ndarray of int, shape (n_peaks,)
        Number of the pixel of each.
    tolerance : float
        In ppm of the mean.

    Returns
    -------
    PeakGroups

    References
    ----------
    Gibb, S., Strimmer, K. (2012), "MALDIquant: a versatile R package for the analysis
    of mass spectrometry data", Bioinformatics 28:2270.
    """
    if mz.size == 0:
        none = np.zeros(0)
        return PeakGroups(none, none, none, np.zeros(0, np.int64))
    # Of equal m/z the lower pixel goes first: rows may come in any order.
    order = np.lexsort((pixel, mz))
    mz, pixel = mz[order], pixel[order].astype(np.int64)
    start = np.zeros(mz.size, bool)
    group_sorted(mz, pixel, int(pixel.max()) + 1, 1e-6 * tolerance, start)
    first = np.flatnonzero(start)
    count = np.diff(np.append(first, mz.size))
    low, high = mz[first], mz[first + count - 1]
    mean = low + np.add.reduceat(mz - np.repeat(low, count), first) / count
    return PeakGroups(mean, low, high, count)


def pixel_groups(
    X: Spectra, loq: float, min_points: int, tolerance: float, n_jobs: int | None
) -> PeakGroups:
    """Pick the peaks of each pixel and group them: one pass over the data."""
    picked = centroids_of(X, loq=loq, min_points=min_points)
    blocks = block_positions(picked)
    parts = Parallel(n_jobs=joblib.effective_n_jobs(n_jobs), prefer="threads")(
        delayed(_points)(picked, rows) for rows in blocks
    )
    mz = np.concatenate([part[0] for part in parts])
    pixel = np.concatenate([part[1] for part in parts])
    return group_peaks(mz, pixel, tolerance)


def _points(spectra: Spectra, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return m/z of the peaks of some rows, and the pixel that each is of."""
    mz, pixel = [np.zeros(0)], [np.zeros(0, np.int64)]
    for chunk in spectra[rows].iter_chunks():
        points, y = to_numpy(chunk.mz), to_numpy(chunk.intensity)
        if chunk.indptr is None:
            row, column = np.nonzero(y > 0)
            points = points[column]
        else:
            row = np.repeat(
                np.arange(chunk.n_spectra), np.diff(to_numpy(chunk.indptr))
            )[y > 0]
            points = points[y > 0]
        mz.append(points)
        pixel.append(rows[chunk.rows[row]])
    return np.concatenate(mz), np.concatenate(pixel)
