"""Normalisation by the intensity of one ion: an internal standard."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from imsminer._array import array_namespace
from imsminer._sklearn_compat import Interval
from imsminer.core.chunk import SpectrumChunk
from imsminer.core.spectra import Spectra
from imsminer.spectra._normalizing import DivideSpectra, _Normalizer
from imsminer.spectra._normalizing_windows import (
    column_mz,
    column_windows,
    ppm_windows,
    require_in_range,
    require_mz,
    window_sums,
)

__all__ = ["DivideByReference", "ReferenceNormalizer"]


@dataclass(frozen=True)
class DivideByReference(DivideSpectra):
    """Divide each spectrum by its signal in a window, over `scale`."""

    low: float
    high: float
    limit: float

    def measure(self, chunk: SpectrumChunk) -> Any:
        """Return the sum over the window, 0 where it is not above the limit."""
        ends = np.array([self.low]), np.array([self.high])
        signal = window_sums(chunk, *ends)[:, 0]
        xp = array_namespace(signal)
        return xp.where(signal <= self.limit, xp.zeros_like(signal), signal)


class ReferenceNormalizer(_Normalizer):
    r"""Divide each spectrum by the intensity of a reference ion.

    .. math:: x' = x \cdot s / \sum_{|m_j / m_0 - 1| \le t} x_j

    The reference is an internal standard that was applied evenly, or a matrix ion.
    `fit` makes one pass over Spectra, `transform` none (the step is queued).

    Parameters
    ----------
    mz : float, default=None
        m/z of the reference. Of Spectra the points within `ppm` are summed. Of a
        DataFrame with columns such as ``mz_773.5272`` the nearest column is taken, of
        an array the columns stand at m/z 0, 1, 2, … Either `mz` or `column` is needed.
    column : int or str, default=None
        The reference by its number or name among the columns, or by its number on the
        shared axis of Spectra.
    ppm : float, default=10
        Largest distance from `mz` in parts per million.
    detection_limit : float, default=0
        Signal up to which the reference counts as not detected, in the unit of X.
    scale : {"median", "mean", "none"} or float, default="median"
        The reference signal that each pixel gets: the median or mean of those of `fit`
        above 0, 1 (``"none"``), or a number.
    n_jobs : int, default=None
        Blocks of pixels at a time, as in joblib.

    Attributes
    ----------
    window_ : tuple of float or None
        Lowest and highest m/z of the reference in Spectra; `None` for arrays.
    column_ : int or None
        Column of the reference; `None` when Spectra were fitted by m/z.
    scale_ : float
        The reference signal of every pixel after `transform`.
    factors_ : array of shape (n_pixels,), float64
        What each pixel of `fit` is divided by. 0 where the reference is not detected.
    mask_ : array of shape (n_pixels,), bool
        Pixels of `fit` with the reference; of other pixels ``factors(X) > 0``.
    n_blank_ : int
        Number of pixels without the reference in `fit`.
    n_features_in_ : int
        Number of columns; not set when each pixel has an axis of its own.
    feature_names_in_ : ndarray of str
        Names of the columns, when they have names.

    Raises
    ------
    ValueError
        When neither or both of `mz` and `column` are given, when the reference lies
        outside of the mass range or no column or m/z is within `ppm`, and when no pixel
        of `fit` shows it.

    Notes
    -----
    A pixel whose reference signal is not above `detection_limit` becomes 0 as a whole,
    never infinity: nothing is known of its factor. `mask_` tells such pixels from those
    that hold no analyte.

    The noise of the reference goes into all other ions: its relative error per pixel is
    the least that theirs can have.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import ReferenceNormalizer
    >>> X = np.array([[1.0, 2.0], [2.0, 8.0], [3.0, 0.0]])
    >>> normalizer = ReferenceNormalizer(column=1, scale="none").fit(X)
    >>> normalizer.transform(X)
    array([[0.5 , 1.  ],
           [0.25, 1.  ],
           [0.  , 0.  ]])
    >>> normalizer.mask_
    array([ True,  True, False])
    """

    _measured = "reference signal"
    _same_kind = True

    _parameter_constraints: ClassVar[dict] = {
        **_Normalizer._parameter_constraints,
        "mz": [None, Interval(numbers.Real, 0, None, closed="left")],
        "column": [None, numbers.Integral, str],
        "ppm": [Interval(numbers.Real, 0, None, closed="neither")],
        "detection_limit": [Interval(numbers.Real, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        mz: float | None = None,
        column: int | str | None = None,
        ppm: float = 10.0,
        detection_limit: float = 0.0,
        scale: str | float = "median",
        n_jobs: int | None = None,
    ) -> None:
        self.mz = mz
        self.column = column
        self.ppm = ppm
        self.detection_limit = detection_limit
        self.scale = scale
        self.n_jobs = n_jobs

    def _learn(self, X: Any) -> DivideSpectra:
        if (self.mz is None) == (self.column is None):
            message = (
                "ReferenceNormalizer needs either mz or column, got "
                f"mz={self.mz!r} and column={self.column!r}."
            )
            raise ValueError(message)
        self.window_ = self.column_ = None
        if isinstance(X, Spectra):
            low, high = self._spectra_window(X)
            self.window_ = low, high
        else:
            self.column_ = self._array_column(X.shape[1])
            low, high = map(float, column_windows(self.column_))
        return DivideByReference(1.0, low, high, float(self.detection_limit))

    def _spectra_window(self, X: Spectra) -> tuple[float, float]:
        axis = X.mz
        if self.column is None:
            require_mz(self, "mz", self.mz)
            require_in_range(self, "mz", self.mz, self.ppm, X)
            low, high = map(float, ppm_windows(self.mz, self.ppm))
            if axis is not None:
                self._require_near(axis, "m/z value of the axis")
            return low, high
        if axis is None:
            message = (
                "ReferenceNormalizer: each spectrum of X has an m/z axis of its own, "
                f"so there is no column {self.column!r}. Give mz."
            )
            raise ValueError(message)
        self.column_ = self._number(axis.size)
        point = float(axis[self.column_])
        return point, float(np.nextafter(point, np.inf))

    def _array_column(self, n_columns: int) -> int:
        if self.column is None:
            return self._require_near(column_mz(self, n_columns), "column")
        if isinstance(self.column, str):
            names = [str(name) for name in getattr(self, "feature_names_in_", [])]
            if self.column not in names:
                known = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
                message = (
                    f"ReferenceNormalizer: X has no column {self.column!r}; it has "
                    f"{known or 'no names'}. Give a name of a DataFrame, or a number."
                )
                raise ValueError(message)
            return names.index(self.column)
        return self._number(n_columns)

    def _number(self, n_columns: int) -> int:
        if isinstance(self.column, str) or not 0 <= self.column < n_columns:
            message = (
                f"ReferenceNormalizer: column must be from 0 to {n_columns - 1}, as X "
                f"has {n_columns} columns, got {self.column!r}."
            )
            raise ValueError(message)
        return int(self.column)

    def _require_near(self, mz: np.ndarray, what: str) -> int:
        nearest = int(np.argmin(np.abs(mz - self.mz)))
        distance = abs(mz[nearest] - self.mz)
        if distance > self.mz * self.ppm * 1e-6:
            away = f"{1e6 * distance / self.mz:.3g} ppm" if self.mz > 0 else "farther"
            message = (
                f"ReferenceNormalizer: no {what} is within ppm={self.ppm:g} of "
                f"mz={self.mz:g}; the nearest, at {mz[nearest]:.6g}, is {away} away. "
                "Raise ppm, or correct mz."
            )
            raise ValueError(message)
        return nearest

    def _choose_scale(self, measure: np.ndarray) -> float:
        if not np.any(measure > 0):
            where = (
                f"within {self.ppm:g} ppm of m/z {self.mz:g}"
                if self.column is None
                else f"in column {self.column!r}"
            )
            message = (
                f"ReferenceNormalizer: none of the {measure.size} pixels has a signal "
                f"above detection_limit={self.detection_limit:g} {where}, so nothing "
                "could be divided. Choose another reference, or a larger ppm."
            )
            raise ValueError(message)
        return super()._choose_scale(measure)
