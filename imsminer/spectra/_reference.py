"""Reference peaks for alignment: strong, alone, and spread over the mass range."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import find_peaks

from imsminer._array import array_namespace, to_numpy
from imsminer.core.axis import MassAxis
from imsminer.core.chunk import SpectrumChunk, rows_as_chunk
from imsminer.core.engine import axis_statistics
from imsminer.core.spectra import Spectra
from imsminer.spectra._kernels.align_numba import match_rows

__all__ = [
    "array_references",
    "given_references",
    "mean_spectrum",
    "reference_peaks",
    "spectra_references",
]

#: As many peaks are taken, from as many segments of the range.
N_PEAKS = 100
N_SEGMENTS = 10
#: Peaks stand out by this many times the noise of the spectrum.
MIN_SNR = 5.0
#: A peak is alone when no other of this part of its height is near.
RIVAL = 0.3


def spectra_references(
    X: Spectra, ppm: float, n_jobs: int | None
) -> tuple[np.ndarray, SpectrumChunk]:
    """Return reference peaks of the mean of some Spectra, and that mean: one pass."""
    chunk = mean_spectrum(X, n_jobs)
    mz, mean = chunk.mz, chunk.intensity[0]
    found = reference_peaks(mz, mean, 1e-6 * ppm * mz)
    return found[found > 0], chunk


def mean_spectrum(X: Spectra, n_jobs: int | None) -> SpectrumChunk:
    """Return the mean of some Spectra as a chunk of one: one pass."""
    axis = None if X.mz is not None else MassAxis.estimate(X)
    # With the maxima, so that picking finds the pass in the cache where nothing moves.
    statistics = axis_statistics(X, axis, n_jobs=n_jobs)
    return rows_as_chunk(statistics.mean[None]).replace(mz=statistics.mz)


def array_references(X: Any, points: float) -> np.ndarray:
    """Return reference peaks of the mean row of an array, as positions."""
    mean = to_numpy(array_namespace(X).mean(X, axis=0)).astype(np.float64)
    position = np.arange(mean.size, dtype=np.float64)
    return reference_peaks(position, mean, np.full(mean.size, points))


def given_references(
    given: Any, of_other: Callable[[Spectra], np.ndarray]
) -> np.ndarray:
    """Return sorted, distinct reference peaks from whatever says them.

    Parameters
    ----------
    given : array-like, DataFrame, Spectra or fitted estimator
        m/z, a table with a column `mz`, another run, or what has `reference_`.
    of_other : callable
        Finds the reference peaks of another run.
    """
    if isinstance(given, Spectra):
        given = of_other(given)
    elif hasattr(given, "reference_"):
        given = to_numpy(given.reference_)
    elif hasattr(given, "get_params"):
        message = (
            f"MassAligner: reference is a {type(given).__name__} without reference_. "
            "Fit it first; and since cloning forgets that, pass its reference_ in "
            "pipelines."
        )
        raise ValueError(message)
    elif isinstance(given, pd.DataFrame):
        if "mz" not in given.columns:
            message = (
                "MassAligner: reference is a table without a column 'mz'; it has "
                f"{', '.join(map(str, given.columns[:8]))}."
            )
            raise ValueError(message)
        given = given["mz"]
    reference = np.unique(np.asarray(given, dtype=np.float64).ravel())
    if not np.all(np.isfinite(reference)):
        message = "MassAligner: reference must be finite m/z values."
        raise ValueError(message)
    return reference


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
