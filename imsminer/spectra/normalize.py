"""Normalisation: each spectrum divided by a number of its own."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from imsminer._array import (
    array_namespace,
    check_same_namespace,
    is_numpy_array,
    to_numpy,
)
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.engine import row_statistics
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.spectra import Spectra
from imsminer.spectra._frames import SameColumns, check_values, frame_like, map_blocks
from imsminer.spectra._kernels import normalize_numba, normalize_xp

__all__ = ["DivideByTotal", "TICNormalizer"]


@dataclass(frozen=True)
class DivideByTotal(ChunkKernel):
    """Divide each spectrum by its total ion current over `scale`."""

    scale: float

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        intensity, indptr = chunk.intensity, chunk.indptr
        if indptr is None:
            result = divide_rows(intensity, total_factors(row_sums(intensity), self))
            return chunk.replace(intensity=result)
        if not is_numpy_array(intensity):
            total = normalize_xp.sum_points(intensity, indptr)
            factors = total_factors(total, self)
            result = normalize_xp.divide_points(intensity, indptr, factors)
            return chunk.replace(intensity=result)
        total = np.empty(chunk.n_spectra)
        normalize_numba.sum_points(intensity, indptr, total)
        result = np.empty_like(intensity)
        factors = total_factors(total, self)
        normalize_numba.divide_points(intensity, indptr, factors, result)
        return chunk.replace(intensity=result)


def row_sums(X: Any) -> Any:
    """Return the sum of each row, float64, in the namespace of `X`."""
    if not is_numpy_array(X):
        return normalize_xp.sum_rows(X)
    total = np.empty(X.shape[0])
    normalize_numba.sum_rows(X, total)
    return total


def divide_rows(X: Any, factors: Any) -> Any:
    """Return the rows of `X` over their factors; a factor of 0 gives 0."""
    if not is_numpy_array(X):
        return normalize_xp.divide_rows(X, factors)
    result = np.empty_like(X)
    normalize_numba.divide_rows(X, factors, result)
    return result


def total_factors(total: Any, kernel: DivideByTotal) -> Any:
    """Return total / scale, and 0 for blank spectra.

    A total so small that a factor could not be inverted is blank as well: dividing
    by it would give infinities.
    """
    xp = array_namespace(total)
    factors = total / kernel.scale
    return xp.where(factors <= 1e-300, xp.zeros_like(factors), factors)


class TICNormalizer(SameColumns, SpectraTransformer):
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
    n_blank_ : int
        Number of blank pixels in `fit`.
    n_features_in_ : int
        Number of columns; not set when each pixel has an axis of its own.
    feature_names_in_ : ndarray of str
        Names of the columns, when they have names.

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

    _parameter_constraints: ClassVar[dict] = {
        "scale": [
            StrOptions({"median", "mean", "none"}),
            Interval(numbers.Real, 0, None, closed="neither"),
        ],
        "n_jobs": [None, numbers.Integral],
    }

    def __init__(
        self, *, scale: str | float = "median", n_jobs: int | None = None
    ) -> None:
        self.scale = scale
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> TICNormalizer:
        """Learn the scale.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_features)
            Spectra or features.
        y : None
            Ignored.

        Returns
        -------
        TICNormalizer
            The fitted estimator.
        """
        self._validate_params()
        total = self._totals(X, reset=True)
        self.scale_ = self._choose_scale(to_numpy(total))
        self.factors_ = total_factors(total, DivideByTotal(self.scale_))
        self.n_blank_ = int(np.sum(to_numpy(self.factors_) == 0))
        return self

    def transform(self, X: Any) -> Any:
        """Divide each pixel by its total ion current.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_features)
            Spectra or features.

        Returns
        -------
        Spectra, array or DataFrame
            Of the type of `X`, with its dtype. Spectra are lazy.
        """
        check_is_fitted(self)
        kernel = DivideByTotal(self.scale_)
        if isinstance(X, Spectra):
            return self._check_spectra(X, reset=False).map(kernel)
        values = check_values(self, X, reset=False)
        check_same_namespace(self, "transform", self.factors_, values)

        def divide(block: Any) -> Any:
            return divide_rows(block, total_factors(row_sums(block), kernel))

        parts = map_blocks(divide, values, self.n_jobs)
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return frame_like(X, whole)

    def factors(self, X: Any) -> Any:
        """Return what `transform` divides each pixel of `X` by.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_features)
            Spectra (one pass) or features.

        Returns
        -------
        array of shape (n_pixels,), float64
            Total ion current over `scale_`; 0 for a blank pixel.
        """
        check_is_fitted(self)
        total = self._totals(X, reset=False)
        return total_factors(total, DivideByTotal(self.scale_))

    def _totals(self, X: Any, *, reset: bool) -> Any:
        if isinstance(X, Spectra):
            self._check_spectra(X, reset=reset)
            return row_statistics(X, n_jobs=self.n_jobs).total
        values = check_values(self, X, reset=reset)
        parts = map_blocks(row_sums, values, self.n_jobs)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _choose_scale(self, total: np.ndarray) -> float:
        if isinstance(self.scale, numbers.Real):
            return float(self.scale)
        positive = total[total > 0]
        if self.scale == "none" or positive.size == 0:
            return 1.0
        chosen = np.median(positive) if self.scale == "median" else positive.mean()
        if not math.isfinite(chosen):
            message = (
                "TICNormalizer: the total ion currents overflow float64. Scale X down."
            )
            raise ValueError(message)
        return float(chosen)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "scale_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.array_api_support = True
        return tags
