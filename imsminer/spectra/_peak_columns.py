"""What a fitted picker answers: other peaks, columns of an array, an axis."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted, validate_data

from imsminer._array import check_same_namespace, device_of, namespace_of
from imsminer._sklearn_compat import check_feature_names_in
from imsminer.core.axis import MassAxis
from imsminer.core.peaktable import feature_names
from imsminer.core.spectra import Spectra
from imsminer.spectra._peak_filters import strongest
from imsminer.spectra._resolution import fit_resolving_power

__all__ = ["PeakColumns"]


class PeakColumns:
    """Methods of a fitted :class:`imsminer.PeakPicker`."""

    def pick(self, X: Any = None, *, loq: float | None = None) -> pd.DataFrame:
        """Pick peaks in other spectra, or at another `loq`, on the fitted axis.

        One pass over `X`, none when it is `None`.

        Parameters
        ----------
        X : Spectra or array of shape (n_pixels, n_bins), default=None
            The spectra; those of `fit` when `None`.
        loq : float, default=None
            Smallest height in units of the noise (of the noise in `X`); the
            parameter's value when `None`.

        Returns
        -------
        DataFrame
            As `peaks_`, which stays as it is; `min_moran` is not applied.

        Raises
        ------
        ValueError
            When `X` is `None` and `mode` is ``"pixel"``: pixels are not kept.
        """
        check_is_fitted(self)
        if X is None and self.mode == "pixel" and self._from_spectra:
            message = (
                "PeakPicker.pick: mode='pixel' picks in spectra, which are not kept: "
                "pass X, or use mode='reference'."
            )
            raise ValueError(message)
        if X is not None:
            self._check_same_kind(X, from_spectra=self._from_spectra)
        references = self._fitted
        if isinstance(X, Spectra):
            references, _, _ = self._references(self._check_spectra(X, reset=False))
        elif X is not None:
            check_same_namespace(self, "pick", self.reference_spectrum_, X)
            xp = namespace_of(X)
            X = validate_data(self, X, dtype=[xp.float64, xp.float32], reset=False)
            references, _, _ = self._references(X)
        peaks, _ = self._search(X, references, self.loq if loq is None else loq)
        return strongest(peaks, self.max_peaks)

    def inverse_transform(self, X: Any) -> Any:
        """Put the columns of the maxima back in their places, zeros elsewhere.

        Parameters
        ----------
        X : array of shape (n_pixels, n_peaks)
            As `transform` returns it for an array.

        Returns
        -------
        array of shape (n_pixels, n_bins)
        """
        check_is_fitted(self)
        check_same_namespace(self, "inverse_transform", self.reference_spectrum_, X)
        xp = namespace_of(X)
        X = X if hasattr(X, "dtype") and hasattr(X, "ndim") else np.asarray(X)
        n_peaks, n_bins = len(self.peaks_), self.reference_spectrum_.shape[0]
        if X.ndim != 2 or X.shape[1] != n_peaks:
            message = (
                f"PeakPicker.inverse_transform: X needs shape (n_pixels, {n_peaks}), "
                f"one column per peak; got {tuple(X.shape)}."
            )
            raise ValueError(message)
        # A column of zeros behind the peaks is what all other bins take.
        zeros = xp.zeros((X.shape[0], 1), dtype=X.dtype, device=device_of(X))
        source = np.full(n_bins, n_peaks, np.int64)
        source[self.peaks_["bin"]] = np.arange(n_peaks)
        index = xp.asarray(source, device=device_of(X))
        return xp.take(xp.concat([X, zeros], axis=1), index, axis=1)

    def get_support(self, indices: bool = False) -> np.ndarray:
        """Return which bins of the axis hold a peak's maximum.

        Parameters
        ----------
        indices : bool, default=False
            Return positions instead of a mask.

        Returns
        -------
        ndarray of bool, shape (n_bins,), or of int, shape (n_peaks,)
        """
        check_is_fitted(self)
        bins = self.peaks_["bin"].to_numpy()
        if indices:
            return bins
        support = np.zeros(self.reference_spectrum_.shape[0], bool)
        support[bins] = True
        return support

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the peaks.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns, when an array was fitted.

        Returns
        -------
        ndarray of str objects
            For Spectra such as ``"mz_773.5272"``, for arrays the selected columns.
        """
        check_is_fitted(self)
        if self._from_spectra:
            names = feature_names(self.peaks_["mz"].to_numpy())
            return np.asarray(names, dtype=object)
        return check_feature_names_in(self, input_features)[self.get_support()]

    def resolving_power_axis(self, bins_per_fwhm: float = 4.0) -> MassAxis:
        """Return an axis that follows the widths of the picked peaks.

        The resolving power R(m) = a + b · m is fitted to those of the peaks with a
        signal-to-noise ratio of at least 20, by the median of the slopes of all pairs.
        Picking on this axis again is regression binning in two passes.

        Parameters
        ----------
        bins_per_fwhm : float, default=4.0
            Bins per peak width.

        Returns
        -------
        MassAxis
            :meth:`MassAxis.regression`, with slope 0 for fewer than 10 peaks or a
            narrow range of m/z.

        Raises
        ------
        ValueError
            When the picker was fitted on an array or on centroids, which have no width,
            or has no peaks.
        """
        check_is_fitted(self)
        if not self._fitted.has_mz or self._fitted.centroided:
            message = (
                "PeakPicker.resolving_power_axis needs profile spectra: the width of "
                "peaks on columns, or of centroids, is no resolving power. Give "
                "MassAxis.resolving_power(r, at_mz)."
            )
            raise ValueError(message)
        ends = self._fitted.mz[0], self._fitted.mz[-1]
        line = fit_resolving_power(self.peaks_, *map(float, ends))
        return MassAxis.regression(*line, bins_per_fwhm=bins_per_fwhm)
