"""Normalisation by the total ion current without the dominant peaks."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from imsminer._sklearn_compat import Interval
from imsminer.core.axis import MassAxis
from imsminer.core.chunk import SpectrumChunk
from imsminer.core.engine import axis_statistics
from imsminer.core.spectra import Spectra
from imsminer.core.windows import cell_edges
from imsminer.spectra._normalizing import DivideSpectra, _Normalizer
from imsminer.spectra._normalizing_windows import (
    column_mz,
    column_windows,
    mean_columns,
    merge_windows,
    other_windows,
    place_like,
    ppm_windows,
    require_in_range,
    require_mz,
    window_totals,
)

__all__ = [
    "DivideByTrimmedTotal",
    "TrimmedTICNormalizer",
    "dominant_columns",
    "peak_bins",
]


@dataclass(frozen=True)
class DivideByTrimmedTotal(DivideSpectra):
    """Divide each spectrum by its ion current inside of windows, over `scale`."""

    low: np.ndarray
    high: np.ndarray

    def measure(self, chunk: SpectrumChunk) -> Any:
        """Return the sum of each spectrum over all windows.

        What is left out is never subtracted from the total: the rest of a pixel that
        holds nothing else would be rounding instead of 0.
        """
        return window_totals(chunk, self.low, self.high)


def dominant_columns(mean: np.ndarray, trim: float) -> np.ndarray:
    """Return the fewest columns that hold a share `trim` of the mean ion current.

    Parameters
    ----------
    mean : ndarray of float64, shape (n_columns,)
        Mean intensities; negative ones count as 0.
    trim : float
        Share, from 0 to below 1.

    Returns
    -------
    ndarray of int
        Columns in increasing order; one with ion current is always left.
    """
    mean = np.maximum(mean, 0.0)
    total = mean.sum()
    if trim == 0 or total == 0:
        return np.empty(0, np.int64)
    order = np.argsort(-mean, kind="stable")
    number = int(np.searchsorted(np.cumsum(mean[order]), trim * total)) + 1
    return np.sort(order[: min(number, int(np.sum(mean > 0)) - 1)])


def peak_bins(mean: np.ndarray, *, split: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cut a mean spectrum at its valleys.

    A peak goes as a whole: its flanks rise and fall with it, so what the few bins
    around the maximum leave of a strong peak would still rule the rest.

    Parameters
    ----------
    mean : ndarray of float64, shape (n_bins,)
        Mean spectrum.
    split : bool
        Whether each bin is a peak of its own.

    Returns
    -------
    first, last : ndarray of int64, shape (n_peaks,)
        Bins ``first:last`` of each peak; together they are all bins.
    """
    starts = np.ones(mean.size, bool)
    if not split:
        inner = mean[1:-1]
        starts[1:-1] = (inner <= mean[:-2]) & (inner < mean[2:])
        starts[-1:] = mean.size == 1
    first = np.flatnonzero(starts)
    return first, np.append(first[1:], mean.size)


def _filled(mean: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """Narrow a range of bins to those from the first to the last above 0."""
    filled = first + np.flatnonzero(mean[first:last] > 0)
    return int(filled[0]), int(filled[-1]) + 1


class TrimmedTICNormalizer(_Normalizer):
    r"""Divide each spectrum by its ion current without the dominant peaks.

    .. math:: x' = x \cdot s / \sum_{j \notin D} x_j

    The total ion current of a pixel with one very strong ion is that ion's; to divide
    by it makes all others look weak there. So the strongest peaks of the mean spectrum
    of `fit`, the same for all pixels, are left out of the sum (not of the result).
    `fit` makes two passes over Spectra (one when ``trim=0``), `transform` none (the
    step is queued).

    Parameters
    ----------
    trim : float, default=0.5
        Share of the mean ion current to leave out, from 0 to below 1: the fewest
        columns that hold it, or of Spectra the fewest peaks, each from valley to valley
        of the mean spectrum. 0 leaves out `exclude` only.
    exclude : array-like of float, default=None
        m/z of further ions to leave out. Of Spectra the points within `ppm`; of a
        DataFrame with columns such as ``mz_773.5272`` the columns within `ppm`; the
        columns of an array stand at m/z 0, 1, 2, …
    ppm : float, default=10
        Half width of the windows of `exclude` in parts per million.
    scale : {"median", "mean", "none"} or float, default="median"
        The remaining ion current that each pixel gets: the median or mean of those of
        `fit` above 0, 1 (``"none"``), or a number.
    n_jobs : int, default=None
        Blocks of pixels at a time, as in joblib.

    Attributes
    ----------
    excluded_ : array of shape (n_windows, 2)
        Half-open windows of m/z that are left out; of arrays, of column numbers.
    scale_ : float
        The remaining ion current of every pixel after `transform`; 1 when every pixel
        of `fit` is blank.
    factors_ : array of shape (n_pixels,), float64
        What each pixel of `fit` is divided by. 0 marks a blank pixel.
    mask_ : array of shape (n_pixels,), bool
        Pixels of `fit` that are not blank.
    n_blank_ : int
        Number of blank pixels in `fit`.
    n_features_in_ : int
        Number of columns; not set when each pixel has an axis of its own.
    feature_names_in_ : ndarray of str
        Names of the columns, when they have names.

    Raises
    ------
    ValueError
        When an m/z of `exclude` lies outside of the mass range or at no column, and
        when nothing is left.

    Notes
    -----
    A pixel that holds nothing but what is left out is blank and becomes 0. Spectra
    with an axis each are added up on :meth:`MassAxis.estimate` to find the dominant
    peaks.

    References
    ----------
    Deininger, S.-O. et al. (2011), "Normalization in MALDI-TOF imaging datasets of
    proteins: practical considerations", Anal. Bioanal. Chem. 401:167.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import TrimmedTICNormalizer
    >>> X = np.array([[2.0, 1.0, 90.0], [2.0, 1.0, 0.0], [4.0, 2.0, 30.0]])
    >>> TrimmedTICNormalizer(scale=3.0).fit_transform(X)
    array([[ 2.,  1., 90.],
           [ 2.,  1.,  0.],
           [ 2.,  1., 15.]])
    """

    _measured = "trimmed ion current"
    _same_kind = True

    _parameter_constraints: ClassVar[dict] = {
        **_Normalizer._parameter_constraints,
        "trim": [Interval(numbers.Real, 0, 1, closed="left")],
        "exclude": [None, "array-like"],
        "ppm": [Interval(numbers.Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        trim: float = 0.5,
        exclude: Any = None,
        ppm: float = 10.0,
        scale: str | float = "median",
        n_jobs: int | None = None,
    ) -> None:
        self.trim = trim
        self.exclude = exclude
        self.ppm = ppm
        self.scale = scale
        self.n_jobs = n_jobs

    def _learn(self, X: Any) -> DivideSpectra:
        mz = require_mz(self, "exclude", [] if self.exclude is None else self.exclude)
        if isinstance(X, Spectra):
            require_in_range(self, "exclude", mz, self.ppm, X)
            parts = [ppm_windows(mz, self.ppm), self._dominant_bins(X)]
        else:
            columns = np.concatenate(
                [
                    self._named_columns(mz, X.shape[1]),
                    dominant_columns(mean_columns(X), self.trim),
                ]
            )
            if np.unique(columns).size == X.shape[1]:
                message = (
                    "TrimmedTICNormalizer: exclude and trim leave out all "
                    f"{X.shape[1]} columns. Lower trim, or exclude less."
                )
                raise ValueError(message)
            parts = [column_windows(columns)]
        low, high = merge_windows(
            np.concatenate([low for low, _ in parts]),
            np.concatenate([high for _, high in parts]),
        )
        self.excluded_ = place_like(X, np.column_stack([low, high]))
        return DivideByTrimmedTotal(1.0, *other_windows(low, high))

    def _dominant_bins(self, X: Spectra) -> tuple[np.ndarray, np.ndarray]:
        if self.trim == 0:
            return np.empty(0), np.empty(0)
        axis = None if X.mz is not None else MassAxis.estimate(X)
        edges = cell_edges(X.mz) if axis is None else axis.edges
        mean = axis_statistics(X, axis, full=False, n_jobs=self.n_jobs).mean
        # Points of a shared axis that are centroids are one peak each.
        is_split = axis is None and not X.profile
        first, last = peak_bins(mean, split=is_split)
        sums = np.add.reduceat(np.maximum(mean, 0.0), first)
        peaks = dominant_columns(sums, self.trim)
        inside = [_filled(mean, first[k], last[k]) for k in peaks]
        ends = np.array(inside, dtype=np.int64).reshape(-1, 2)
        return edges[ends[:, 0]], edges[ends[:, 1]]

    def _named_columns(self, mz: np.ndarray, n_columns: int) -> np.ndarray:
        found = column_mz(self, n_columns)
        near = np.abs(found - mz[:, None]) <= (mz * self.ppm * 1e-6)[:, None]
        alone = np.flatnonzero(~near.any(axis=1))
        if alone.size:
            message = (
                f"TrimmedTICNormalizer: no column is within ppm={self.ppm:g} of m/z "
                f"{mz[alone[0]]:g} in exclude. Raise ppm, or correct exclude."
            )
            raise ValueError(message)
        return np.flatnonzero(near.any(axis=0))
