"""What all normalisers share: a number for each spectrum, and the division by it."""

from __future__ import annotations

import dataclasses
import math
import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_array, check_is_fitted

from imsminer._array import (
    array_namespace,
    check_same_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    namespace_of,
    to_numpy,
)
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.chunk import (
    ChunkKernel,
    SpectrumChunk,
    kernel_fingerprint,
    rows_as_chunk,
)
from imsminer.core.engine import map_rows, raise_not_finite
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.spectra import Spectra
from imsminer.spectra._frames import (
    SameColumns,
    check_values,
    frame_like,
    map_chunks,
    map_values,
)
from imsminer.spectra._kernels import normalize_numba, normalize_xp

__all__ = ["DivideSpectra", "measure_points", "sum_values"]

#: A smaller factor could not be inverted: dividing by it would give infinities.
SMALLEST = 1e-300


@dataclass(frozen=True)
class DivideSpectra(ChunkKernel):
    """Divide each spectrum by a measure of its size over `scale`."""

    scale: float

    def measure(self, chunk: SpectrumChunk) -> Any:
        """Return the size of each spectrum, shape (n,), float64."""
        raise NotImplementedError

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        factors = factors_of(self.measure(chunk), self.scale)
        intensity, indptr = chunk.intensity, chunk.indptr
        arrays = (intensity,) if indptr is None else (intensity, indptr)
        name = "divide_rows" if indptr is None else "divide_points"
        if not is_numpy_array(intensity):
            kernels = device_kernels(intensity, normalize_xp)
            result = getattr(kernels, name)(*arrays, factors)
        else:
            result = np.empty_like(intensity)
            getattr(normalize_numba, name)(*arrays, factors, result)
        return chunk.replace(intensity=result)


@dataclass(frozen=True)
class _MeasureRows:
    """The measure of a kernel as a column, for a pass over chunks."""

    kernel: DivideSpectra

    def __call__(self, chunk: SpectrumChunk) -> Any:
        return self.kernel.measure(chunk)[:, None]


def factors_of(measure: Any, scale: float) -> Any:
    """Return measure / scale, and 0 for blank spectra: those not above 0."""
    xp = array_namespace(measure)
    factors = measure / scale
    factors = xp.where(factors <= SMALLEST, xp.zeros_like(factors), factors)
    # Values over an infinite factor would be 0 in silence.
    return xp.where(xp.isinf(factors), xp.full_like(factors, xp.nan), factors)


def sum_values(chunk: SpectrumChunk) -> Any:
    """Return the sum of each spectrum, float64."""
    if chunk.indptr is not None:
        return measure_points("sum_points", chunk)
    if not is_numpy_array(chunk.intensity):
        return device_kernels(chunk.intensity, normalize_xp).sum_rows(chunk.intensity)
    total = np.empty(chunk.n_spectra)
    normalize_numba.sum_rows(chunk.intensity, total)
    return total


def measure_points(name: str, chunk: SpectrumChunk) -> Any:
    """Run a kernel that takes spectra one after the other; float64, shape (n,)."""
    intensity, indptr = chunk.intensity, chunk.indptr
    if indptr is None:
        xp, (n_rows, n_columns) = array_namespace(intensity), intensity.shape
        indptr = xp.arange(n_rows + 1, dtype=xp.int64, device=device_of(intensity))
        indptr, intensity = indptr * n_columns, xp.reshape(intensity, (-1,))
    if not is_numpy_array(intensity):
        kernels = device_kernels(intensity, normalize_xp)
        return getattr(kernels, name)(intensity, indptr)
    out = np.empty(chunk.n_spectra)
    getattr(normalize_numba, name)(intensity, indptr, out)
    return out


class _Normalizer(SameColumns, SpectraTransformer):
    """Base of the estimators that divide each spectrum by a number of its own.

    A subclass says which by the class of its kernel, and learns its further fields in
    `_learn`.
    """

    _measured = "measure"
    _same_kind = False

    _parameter_constraints: ClassVar[dict] = {
        "scale": [
            StrOptions({"median", "mean", "none"}),
            Interval(numbers.Real, 0, None, closed="neither"),
        ],
        "n_jobs": [None, numbers.Integral],
    }

    scale: Any
    n_jobs: int | None

    def _learn(self, X: Any) -> DivideSpectra:
        """Return the kernel with scale 1; X is Spectra or a checked array."""
        raise NotImplementedError

    def _learn_and_measure(self, X: Any) -> tuple[DivideSpectra, Any]:
        """Return this kernel, and the measure of each pixel."""
        kernel = self._learn(X)
        return kernel, self._measures(X, kernel)

    def _measure_spectra(self, X: Spectra, kernel: DivideSpectra) -> np.ndarray:
        """Return the measure of each pixel; one pass."""
        key = ("measure", kernel_fingerprint(dataclasses.replace(kernel, scale=1.0)))
        column = map_rows(
            X, _MeasureRows(kernel), key, n_jobs=self.n_jobs, label="Normalization"
        )
        return to_numpy(column)[:, 0]

    def fit(self, X: Any, y: Any = None) -> Any:
        """Learn the scale, and what the spectra are compared with.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_features)
            Spectra or features.
        y : None
            Ignored.

        Returns
        -------
        estimator
            The fitted estimator.
        """
        self._validate_params()
        self._from_spectra = isinstance(X, Spectra)
        values = self._values(X, reset=True)
        kernel, measure = self._learn_and_measure(values)
        self.scale_ = self._choose_scale(to_numpy(measure))
        self._kernel = dataclasses.replace(kernel, scale=self.scale_)
        self.factors_ = factors_of(measure, self.scale_)
        self.mask_ = self.factors_ > 0
        self.n_blank_ = int(np.sum(~to_numpy(self.mask_)))
        return self

    def transform(self, X: Any) -> Any:
        """Divide each pixel by its factor.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_features)
            Spectra or features.

        Returns
        -------
        Spectra, array or DataFrame
            Of the type of `X`, with its dtype. Spectra are lazy.

        Raises
        ------
        ValueError
            When a factor is so small beside the values of its pixel that they overflow.
        """
        check_is_fitted(self)
        values = self._values(X, reset=False)
        kernel = self._kernel
        if isinstance(X, Spectra):
            return values.map(kernel)
        check_same_namespace(self, "transform", self.factors_, values)

        def divide(block: Any) -> Any:
            return self._finite(kernel(rows_as_chunk(block)).intensity)

        return frame_like(X, map_values(divide, values, self.n_jobs))

    def factors(self, X: Any) -> Any:
        """Return what `transform` divides each pixel of `X` by.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_features)
            Spectra (one pass) or features.

        Returns
        -------
        array of shape (n_pixels,), float64
            0 for a blank pixel.
        """
        check_is_fitted(self)
        values = self._values(X, reset=False)
        if not isinstance(X, Spectra):
            check_same_namespace(self, "factors", self.factors_, values)
        return factors_of(self._measures(values, self._kernel), self.scale_)

    def inverse_transform(self, X: Any, *, factors: Any = None) -> Any:
        """Multiply back what `transform` has divided.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_features)
            What `transform` returned. Arrays may have other columns than those of
            `fit`: features of normalised spectra are multiplied back as well.
        factors : array-like of shape (n_pixels,), default=None
            What the pixels were divided by, as `factors(X)` of the original X returns
            it; `factors_` when `None`. For arrays only.

        Returns
        -------
        Spectra, array or DataFrame
            The original values up to rounding; blank pixels are 0. Of Spectra the
            queued division is taken away, which is exact.

        Raises
        ------
        ValueError
            When the number of factors is not that of the pixels, factors are negative
            or not finite, or the last step of Spectra is not this normalisation.
        """
        check_is_fitted(self)
        if isinstance(X, Spectra):
            return self._without_last_step(X, factors)
        xp = namespace_of(X)
        values = check_array(X, dtype=[xp.float64, xp.float32])
        given = self.factors_ if factors is None else factors
        check_same_namespace(self, "inverse_transform", self.factors_, values)
        keywords = {} if is_numpy_array(values) else {"device": device_of(values)}
        given = xp.asarray(given, dtype=xp.float64, **keywords)
        self._check_factors(given, values.shape[0], is_own=factors is None)
        result = xp.astype(values, xp.float64) * given[:, None]
        return frame_like(X, self._finite(xp.astype(result, values.dtype)))

    # Parts -------------------------------------------------------------------------

    def _values(self, X: Any, *, reset: bool) -> Any:
        """Return Spectra, or an array of floats, checked."""
        if self._same_kind and not reset:
            self._check_same_kind(X, from_spectra=self._from_spectra)
        if isinstance(X, Spectra):
            return self._check_spectra(X, reset=reset)
        return check_values(self, X, reset=reset)

    def _measures(self, values: Any, kernel: DivideSpectra) -> Any:
        if isinstance(values, Spectra):
            measure = self._measure_spectra(values, kernel)
            if not np.all(np.isfinite(measure)):
                raise_not_finite(values)
            return measure
        return map_chunks(kernel.measure, values, self.n_jobs)

    def _choose_scale(self, measure: np.ndarray) -> float:
        # In order, so that the mean does not depend on the order of the pixels.
        positive = np.sort(measure[~(measure <= SMALLEST)])
        if not np.all(np.isfinite(positive)):
            self._raise_overflow(f"the {self._measured} overflows float64")
        if isinstance(self.scale, numbers.Real):
            return float(self.scale)
        if self.scale == "none" or positive.size == 0:
            return 1.0
        chosen = np.median(positive) if self.scale == "median" else positive.mean()
        if not math.isfinite(chosen):
            self._raise_overflow(f"the {self._measured} overflows float64")
        return float(chosen)

    def _finite(self, values: Any) -> Any:
        # Maxima keep NaN and infinity, and are quicker than a mask of them.
        xp = array_namespace(values)
        if not math.isfinite(xp.max(values)) or not math.isfinite(xp.min(values)):
            self._raise_overflow("values overflow, so far from 1 is a factor")
        return values

    def _raise_overflow(self, what: str) -> None:
        message = (
            f"{type(self).__name__}: {what}. Scale X, or leave out the pixels whose "
            f"{self._measured} is out of all proportion to their values."
        )
        raise ValueError(message)

    def _check_factors(self, factors: Any, n_pixels: int, *, is_own: bool) -> None:
        name = f"{type(self).__name__}.inverse_transform"
        if factors.shape != (n_pixels,):
            hint = (
                "factors=None stands for the pixels of fit; give factors=factors(X) of "
                "the X before it was normalised."
                if is_own
                else "Give one number for each pixel."
            )
            message = (
                f"{name}: factors have the shape {tuple(factors.shape)}, but X has "
                f"{n_pixels} pixels. {hint}"
            )
            raise ValueError(message)
        found = to_numpy(factors)
        bad = np.flatnonzero(~(np.isfinite(found) & (found >= 0)))
        if bad.size:
            message = (
                f"{name}: factors[{bad[0]}] is {found[bad[0]]}; factors must be finite "
                "and at least 0 (0 marks a blank pixel)."
            )
            raise ValueError(message)

    def _without_last_step(self, X: Spectra, factors: Any) -> Spectra:
        name = f"{type(self).__name__}.inverse_transform"
        if factors is not None:
            message = (
                f"{name}: factors= is for arrays of features. Spectra lose the queued "
                "step instead; leave factors at None."
            )
            raise ValueError(message)
        own = kernel_fingerprint(self._kernel)
        if not X.queue or kernel_fingerprint(X.queue[-1]) != own:
            last = type(X.queue[-1]).__name__ if X.queue else "none"
            message = (
                f"{name}: the last queued step of X must be this normalisation "
                f"({type(self._kernel).__name__}), but it is {last}. Undo the steps in "
                "reverse order, or integrate and multiply the features back with "
                "factors=factors(X) of the X before it was normalised."
            )
            raise ValueError(message)
        return Spectra(X.source, X.rows, X.queue[:-1], pixels=X.pixels, peaks=X.peaks)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "scale_")
