"""Normalisation by a number that each spectrum gives by itself: TIC, RMS, …"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from imsminer.core.chunk import SpectrumChunk
from imsminer.core.engine import row_statistics
from imsminer.core.spectra import Spectra
from imsminer.spectra._normalizing import (
    DivideSpectra,
    _Normalizer,
    measure_points,
    sum_values,
)

__all__ = [
    "DivideByMaximum",
    "DivideByMedian",
    "DivideByRMS",
    "DivideByTotal",
    "MaxNormalizer",
    "MedianNormalizer",
    "RMSNormalizer",
    "TICNormalizer",
]


@dataclass(frozen=True)
class DivideByTotal(DivideSpectra):
    """Divide each spectrum by its total ion current over `scale`."""

    def measure(self, chunk: SpectrumChunk) -> Any:
        """Return the sum of each spectrum."""
        return sum_values(chunk)


@dataclass(frozen=True)
class DivideByRMS(DivideSpectra):
    """Divide each spectrum by its root mean square over `scale`."""

    def measure(self, chunk: SpectrumChunk) -> Any:
        """Return the root mean square of each spectrum, of ragged ones of the sum."""
        n_points = 1 if chunk.is_ragged else chunk.intensity.shape[1]
        return (measure_points("square_sums", chunk) / n_points) ** 0.5


@dataclass(frozen=True)
class DivideByMedian(DivideSpectra):
    """Divide each spectrum by the median of its values other than 0, over `scale`."""

    def measure(self, chunk: SpectrumChunk) -> Any:
        """Return the median of the values of each spectrum that are not 0."""
        return measure_points("medians", chunk)


@dataclass(frozen=True)
class DivideByMaximum(DivideSpectra):
    """Divide each spectrum by its base peak over `scale`."""

    def measure(self, chunk: SpectrumChunk) -> Any:
        """Return the largest value of each spectrum."""
        return measure_points("maxima", chunk)


class TICNormalizer(_Normalizer):
    r"""Divide each spectrum by its total ion current.

    .. math:: x' = x \cdot s / \sum_j x_j

    with one scale s for all pixels, so that intensities keep a readable unit. Before
    :class:`PeakIntegrator` the sum runs over the *whole* spectrum, after it over the
    features: the two differ, because picked peaks hold only a part of the ion current.
    `fit` makes one pass over Spectra, `transform` none (the step is queued).

    Parameters
    ----------
    scale : {"median", "mean", "none"} or float, default="median"
        The total ion current that each pixel gets: the median or mean of those of
        `fit` above 0, 1 (``"none"``), or a number.
    n_jobs : int, default=None
        Blocks of pixels at a time, as in joblib.

    Attributes
    ----------
    scale_ : float
        The total ion current of every pixel after `transform`; 1 when every pixel of
        `fit` is blank.
    factors_ : array of shape (n_pixels,), float64
        What each pixel of `fit` is divided by: its total over `scale_`. 0 marks a blank
        pixel.
    mask_ : array of shape (n_pixels,), bool
        Pixels of `fit` that are not blank.
    n_blank_ : int
        Number of blank pixels in `fit`.
    n_features_in_ : int
        Number of columns; not set when each pixel has an axis of its own.
    feature_names_in_ : ndarray of str
        Names of the columns, when they have names.

    See Also
    --------
    imsminer.RMSNormalizer, imsminer.MedianNormalizer, imsminer.MaxNormalizer
    imsminer.ReferenceNormalizer : By the intensity of one ion.
    imsminer.TrimmedTICNormalizer : Without the dominant peaks.
    imsminer.PQNNormalizer : By the median quotient to a median spectrum.

    Notes
    -----
    A pixel whose sum is 0 is blank and stays 0, never NaN. Negative values count in the
    sum with their sign; a pixel whose sum is not above 0 holds no ion current to divide
    by, is counted as blank and becomes 0.

    A DataFrame is answered with a DataFrame with the same index; float32 stays float32.

    References
    ----------
    Deininger, S.-O. et al. (2011), "Normalization in MALDI-TOF imaging datasets of
    proteins: practical considerations", Anal. Bioanal. Chem. 401:167.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import TICNormalizer
    >>> X = np.array([[1.0, 3.0], [10.0, 30.0], [2.0, 2.0], [0.0, 0.0]])
    >>> normalizer = TICNormalizer().fit(X)
    >>> normalizer.transform(X)
    array([[1., 3.],
           [1., 3.],
           [2., 2.],
           [0., 0.]])
    >>> normalizer.factors_
    array([ 1., 10.,  1.,  0.])
    """

    _measured = "total ion current"

    def __init__(
        self, *, scale: str | float = "median", n_jobs: int | None = None
    ) -> None:
        self.scale = scale
        self.n_jobs = n_jobs

    def _learn(self, X: Any) -> DivideSpectra:
        return DivideByTotal(1.0)

    def _measure_spectra(self, X: Spectra, kernel: DivideSpectra) -> np.ndarray:
        return row_statistics(X, n_jobs=self.n_jobs).total


class RMSNormalizer(_Normalizer):
    r"""Divide each spectrum by its root mean square.

    .. math:: x'_j = x_j \cdot s / \sqrt{\tfrac{1}{m} \sum_{k=1}^m x_k^2}

    Strong peaks weigh more than in the total ion current, noise and baseline less.
    `fit` makes one pass over Spectra, `transform` none (the step is queued).

    Parameters
    ----------
    scale : {"median", "mean", "none"} or float, default="median"
        The root mean square that each pixel gets: the median or mean of those of `fit`
        above 0, 1 (``"none"``), or a number.
    n_jobs : int, default=None
        Blocks of pixels at a time, as in joblib.

    Attributes
    ----------
    scale_ : float
        The root mean square of every pixel after `transform`; 1 when every pixel of
        `fit` is blank.
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

    Notes
    -----
    The mean runs over the m values of the shared axis, or the m features. Spectra that
    have an axis each store different numbers of points, because zeros are left out of
    many files; there m is 1, that is the root of the *sum* of squares is taken, which
    does not depend on zeros. With a scale from `fit` this makes no difference: m
    cancels.

    A pixel without a value other than 0 is blank and stays 0.

    References
    ----------
    Deininger, S.-O. et al. (2011), "Normalization in MALDI-TOF imaging datasets of
    proteins: practical considerations", Anal. Bioanal. Chem. 401:167.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import RMSNormalizer
    >>> X = np.array([[1.0, 7.0], [10.0, 70.0], [0.0, 0.0]])
    >>> RMSNormalizer(scale=5.0).fit_transform(X)
    array([[1., 7.],
           [1., 7.],
           [0., 0.]])
    """

    _measured = "root mean square"

    def __init__(
        self, *, scale: str | float = "median", n_jobs: int | None = None
    ) -> None:
        self.scale = scale
        self.n_jobs = n_jobs

    def _learn(self, X: Any) -> DivideSpectra:
        return DivideByRMS(1.0)

    def _measure_spectra(self, X: Spectra, kernel: DivideSpectra) -> np.ndarray:
        squares = row_statistics(X, n_jobs=self.n_jobs).squares
        return np.sqrt(squares / (1 if X.n_mz is None else X.n_mz))


class MedianNormalizer(_Normalizer):
    r"""Divide each spectrum by the median of its values other than 0.

    .. math:: x' = x \cdot s / \operatorname{median} \{ x_j : x_j \neq 0 \}

    Strong peaks do not weigh at all: the median of profile spectra is the level of
    their noise and baseline, and that of centroids or features is a typical peak.
    `fit` makes one pass over Spectra, `transform` none (the step is queued).

    Parameters
    ----------
    scale : {"median", "mean", "none"} or float, default="median"
        The median intensity that each pixel gets: the median or mean of those of `fit`
        above 0, 1 (``"none"``), or a number.
    n_jobs : int, default=None
        Blocks of pixels at a time, as in joblib.

    Attributes
    ----------
    scale_ : float
        The median intensity of every pixel after `transform`; 1 when every pixel of
        `fit` is blank.
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

    Notes
    -----
    Zeros that a file leaves out or stores make no difference. A negative value counts
    with its sign; a pixel whose median is not above 0, or that holds zeros only, is
    blank and becomes 0.

    References
    ----------
    Deininger, S.-O. et al. (2011), "Normalization in MALDI-TOF imaging datasets of
    proteins: practical considerations", Anal. Bioanal. Chem. 401:167.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import MedianNormalizer
    >>> X = np.array([[1.0, 2.0, 9.0], [0.0, 10.0, 30.0], [0.0, 0.0, 0.0]])
    >>> MedianNormalizer(scale="none").fit_transform(X)
    array([[0.5, 1. , 4.5],
           [0. , 0.5, 1.5],
           [0. , 0. , 0. ]])
    """

    _measured = "median intensity"

    def __init__(
        self, *, scale: str | float = "median", n_jobs: int | None = None
    ) -> None:
        self.scale = scale
        self.n_jobs = n_jobs

    def _learn(self, X: Any) -> DivideSpectra:
        return DivideByMedian(1.0)


class MaxNormalizer(_Normalizer):
    r"""Divide each spectrum by its largest value, the base peak.

    .. math:: x' = x \cdot s / \max_j x_j

    `fit` makes one pass over Spectra, `transform` none (the step is queued).

    Parameters
    ----------
    scale : {"median", "mean", "none"} or float, default="median"
        The base peak that each pixel gets: the median or mean of those of `fit` above
        0, 1 (``"none"``), or a number.
    n_jobs : int, default=None
        Blocks of pixels at a time, as in joblib.

    Attributes
    ----------
    scale_ : float
        The base peak of every pixel after `transform`; 1 when every pixel of `fit` is
        blank.
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

    Notes
    -----
    One value decides, and its noise goes into all others: prefer another normalisation
    unless the base peak is a standard. A pixel whose maximum is not above 0 is blank
    and becomes 0.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import MaxNormalizer
    >>> X = np.array([[1.0, 4.0], [10.0, 20.0], [0.0, 0.0]])
    >>> MaxNormalizer(scale=100).fit_transform(X)
    array([[ 25., 100.],
           [ 50., 100.],
           [  0.,   0.]])
    """

    _measured = "base peak"

    def __init__(
        self, *, scale: str | float = "median", n_jobs: int | None = None
    ) -> None:
        self.scale = scale
        self.n_jobs = n_jobs

    def _learn(self, X: Any) -> DivideSpectra:
        return DivideByMaximum(1.0)

    def _measure_spectra(self, X: Spectra, kernel: DivideSpectra) -> np.ndarray:
        return row_statistics(X, n_jobs=self.n_jobs).maximum
