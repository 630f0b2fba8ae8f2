"""Peak integration: the one step that leaves spectra for a feature matrix."""

from __future__ import annotations

import numbers
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted, validate_data

from imsminer._array import (
    check_same_namespace,
    device_of,
    is_numpy_array,
    namespace_of,
    to_numpy,
)
from imsminer._sklearn_compat import Interval, StrOptions, check_feature_names_in
from imsminer.core.chunk import rows_as_chunk
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.peaktable import feature_names
from imsminer.core.spectra import Spectra
from imsminer.core.study import pixel_index
from imsminer.core.windows import WindowReader
from imsminer.features._reading import (
    FeatureReader,
    Features,
    observed_table,
    read_features,
)
from imsminer.features._windows import (
    mobility_windows,
    split_in_mobility,
    split_overlaps,
)

__all__ = ["PeakIntegrator"]

#: Total width in FWHM: holds 98 % of a Gaussian.
FWHM_WIDTH = 2.0
#: Half width in ppm.
PPM_WIDTH = 10.0


class PeakIntegrator(SpectraTransformer):
    """Integrate picked peaks: from Spectra to features (n_pixels, n_peaks).

    Each peak's window is half-open; where two overlap they are split at the midpoint
    of the overlap, so that nothing is counted twice. One pass over the data, none for
    `fit` (with `observe` one, which `transform` of the same spectra shares).

    Parameters
    ----------
    peaks : DataFrame or array-like of float, default=None
        Peak table with `mz` and, for ``window="bounds"``, `left` and `right`; or m/z
        values (with ``window="ppm"``). `None` takes the peaks that X carries. With
        columns `mobility_left` and `mobility_right` only points whose ion mobility lies
        between them count (NaN: no limit).
    window : {"bounds", "fwhm", "ppm"}, default="bounds"
        Windows from the picked bounds, from each peak's FWHM, or from its m/z.
    width : float, default=None
        For ``"fwhm"`` the whole width in FWHM (2 when `None`, which holds 98 % of a
        Gaussian; 1 holds 76 %); for ``"ppm"`` the half width in ppm (10 when `None`).
        Not used by ``"bounds"``.
    method : {"auto", "area", "sum", "max", "mean"}, default="auto"
        `area` integrates the profile over m/z with the real spacing of its samples,
        in intensity × m/z; `sum` adds the points up. `auto` is `area` for profile
        spectra and `sum` for centroids, which have no width.
    observe : bool, default=False
        Whether `fit` observes at which m/z the peaks stand; see `observed_`.
    n_jobs : int, default=None
        Parts integrated at a time, as in joblib.

    Attributes
    ----------
    peaks_ : DataFrame
        The peaks, one row per feature, sorted by m/z.
    windows_ : array of shape (n_peaks, 2)
        Lower and upper m/z of each window, in the namespace of an array X; without
        rows where arrays pass unchanged.
    observed_ : DataFrame
        With `observe`, one row per feature: `mz`, `observed_mz` (mean m/z of the points
        in the window, weighted by intensity, over all pixels of `fit`), `ppm` (its
        distance from `mz`, in parts per million of it; NaN where no pixel has a signal)
        and `frequency` (share of the pixels with a signal).
    n_features_in_ : int
        Number of m/z values; not set when each pixel has an axis of its own.

    See Also
    --------
    imsminer.PeakPicker : Finds the peaks.

    Notes
    -----
    The area is Σ I · Δm, where Δm is the part of the sample's cell on the instrument's
    native grid that lies in the window. Instruments that leave zeros out of the file
    therefore give the same areas as those that store them; a trapezoid over the stored
    points would bridge the gaps and add up to half of a weak peak. Sums are float64,
    the features float32. A window outside the mass range gives 0.

    The observed m/z is drawn to the middle of the window by whatever else stands in it:
    noise, a baseline, a neighbour. Points below 0 have no weight.

    Windows that overlap in m/z but not in ion mobility keep their points. Read files
    with ``ImzMLReader(mobility="keep")`` for them: points that were summed over their
    mobilities count at the mean of these.

    An array stands for spectra on the axis 0, 1, 2, …; without `peaks` it passes
    through unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import PeakIntegrator, Spectra
    >>> mz = np.arange(500.0, 501.0, 0.01)
    >>> peak = np.exp(-0.5 * ((mz - 500.5) / 0.02) ** 2)
    >>> spectra = Spectra.from_arrays([peak, 2 * peak], mz=mz)
    >>> integrator = PeakIntegrator(peaks=[500.5], window="ppm", width=200)
    >>> integrator.fit_transform(spectra).round(4)
                  mz_500.5000
    run x y z
    run 1 1 1       0.0501
        2 1 1       0.1003
    """

    _parameter_constraints: ClassVar[dict] = {
        "peaks": [None, pd.DataFrame, "array-like"],
        "window": [StrOptions({"bounds", "fwhm", "ppm"})],
        "width": [None, Interval(numbers.Real, 0, None, closed="neither")],
        "method": [StrOptions({"auto", "area", "sum", "max", "mean"})],
        "observe": ["boolean"],
        "n_jobs": [None, numbers.Integral],
    }

    def __init__(
        self,
        *,
        peaks: Any = None,
        window: str = "bounds",
        width: float | None = None,
        method: str = "auto",
        observe: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.peaks = peaks
        self.window = window
        self.width = width
        self.method = method
        self.observe = observe
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> PeakIntegrator:
        """Learn the windows.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            The spectra.
        y : None
            Ignored.

        Returns
        -------
        PeakIntegrator
            The fitted estimator.

        Raises
        ------
        ValueError
            When there is no peak to integrate, or a column that the windows need is
            missing from the peak table.
        """
        self._validate_params()
        peaks = self.peaks
        self._from_spectra = isinstance(X, Spectra)
        if isinstance(X, Spectra):
            self._check_spectra(X, reset=True)
            peaks = X.peaks if peaks is None else peaks
            if peaks is None or len(peaks) == 0:
                raise ValueError(self._no_peaks(peaks))
        else:
            X = validate_data(self, X)
        if peaks is None:
            self.peaks_ = None
            windows = np.empty((0, 2))
        else:
            self.peaks_ = self._peak_table(peaks)
            windows = self._windows(self.peaks_)
        self.windows_ = windows if isinstance(X, Spectra) else _like(X, windows)
        self.__dict__.pop("observed_", None)
        if self.observe and self.peaks_ is not None:
            self.observed_ = observed_table(self._centers(), self._read(X, True))
        return self

    def transform(self, X: Any) -> Any:
        """Integrate every spectrum over the windows.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            The spectra.

        Returns
        -------
        DataFrame or array of shape (n_pixels, n_peaks)
            For Spectra on the host a float32 DataFrame indexed by
            ``(run, x, y, z)``; for Spectra on a device an array there. For an array an
            array of its dtype, unchanged when there are no peaks.
        """
        check_is_fitted(self)
        self._check_same_kind(X, from_spectra=self._from_spectra)
        X = self._checked(X, "transform")
        if self.peaks_ is None:
            return X
        return self._table(X, self._read(X, self.observe).values)

    def transform_and_observe(
        self, X: Spectra, columns: Any = None
    ) -> tuple[Any, pd.DataFrame]:
        """Integrate Spectra, and observe at which m/z peaks stand: one pass for both.

        Parameters
        ----------
        X : Spectra
            The spectra.
        columns : array-like of int, default=None
            Positions of the features whose m/z is observed; `None`: all of them.

        Returns
        -------
        features : DataFrame or array of shape (n_pixels, n_peaks)
            As :meth:`transform` returns them.
        observed : DataFrame of shape (n_pixels, n_columns)
            As :meth:`observed` does with `per_pixel`, of these features.

        Raises
        ------
        ValueError
            When there are no peaks, or X is an array.
        """
        check_is_fitted(self)
        if not isinstance(X, Spectra):
            message = (
                "PeakIntegrator: transform_and_observe takes Spectra, found "
                f"{type(X).__name__}. Call transform and observed for an array."
            )
            raise ValueError(message)
        self._check_same_kind(X, from_spectra=self._from_spectra)
        X = self._checked(X, "transform_and_observe")
        if self.peaks_ is None:
            raise ValueError(self._no_peaks(None))
        every = np.arange(len(self.peaks_))
        some = every if columns is None else every[np.asarray(columns, dtype=np.int64)]
        features = self._read(X, some)
        return self._table(X, features.values), self._found(X, features, some)

    def observed(self, X: Any, *, per_pixel: bool = False) -> pd.DataFrame:
        """Observe at which m/z the peaks stand; one pass over Spectra.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            The spectra.
        per_pixel : bool, default=False
            Whether to return the observed m/z of each pixel.

        Returns
        -------
        DataFrame
            As `observed_`, for the pixels of X; with `per_pixel` of shape (n_pixels,
            n_peaks), with the index and columns of the features: the weighted mean m/z
            of the points in the window, NaN where there is none above 0.

        Raises
        ------
        ValueError
            When there are no peaks.
        """
        check_is_fitted(self)
        self._check_same_kind(X, from_spectra=self._from_spectra)
        X = self._checked(X, "observed")
        if self.peaks_ is None:
            raise ValueError(self._no_peaks(None))
        features, mz = self._read(X, True), self._centers()
        if not per_pixel:
            return observed_table(mz, features)
        return self._found(X, features, slice(None))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features, such as ``"mz_773.5272"``.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the input columns; used only where arrays pass unchanged.

        Returns
        -------
        ndarray of str objects
        """
        check_is_fitted(self)
        if self.peaks_ is None:
            return check_feature_names_in(self, input_features)
        return np.asarray(feature_names(self.peaks_["mz"].to_numpy()), dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "windows_")

    def _checked(self, X: Any, method: str) -> Any:
        if isinstance(X, Spectra):
            return self._check_spectra(X, reset=False)
        check_same_namespace(self, method, self.windows_, X)
        xp = namespace_of(X)
        return validate_data(self, X, reset=False, dtype=[xp.float64, xp.float32])

    def _centers(self) -> np.ndarray:
        return self.peaks_["mz"].to_numpy(dtype=np.float64)

    def _table(self, X: Any, values: Any) -> Any:
        """Features as X asks for them."""
        if not isinstance(X, Spectra):
            return namespace_of(X).astype(values, X.dtype)
        if not is_numpy_array(values):
            return values
        columns = self.get_feature_names_out()
        return pd.DataFrame(values, index=pixel_index(X), columns=columns, copy=False)

    def _found(self, X: Any, features: Features, some: Any) -> pd.DataFrame:
        """Observed m/z of each pixel, of some of the features."""
        assert features.ppm is not None
        assert features.weight is not None
        mz = self._centers()[some]
        found = mz * (1 + 1e-6 * features.ppm.astype(np.float64))
        found[~(features.weight > 0)] = np.nan
        index = pixel_index(X) if isinstance(X, Spectra) else None
        names = self.get_feature_names_out()[some]
        return pd.DataFrame(found, index, names, copy=False)

    def _read(self, X: Any, observe: bool | np.ndarray) -> Features:
        method = self.method
        if method == "auto":
            profile = X.profile if isinstance(X, Spectra) else True
            method = "area" if profile else "sum"
        centers, ends = self._centers(), to_numpy(self.windows_).astype(np.float64)
        mobility = mobility_windows(self.peaks_)
        if isinstance(X, Spectra):
            options = {"mobility": mobility, "observe": observe, "n_jobs": self.n_jobs}
            return read_features(X, centers, ends, method, **options)
        chunk = rows_as_chunk(np.ascontiguousarray(X) if is_numpy_array(X) else X)
        windows = WindowReader(*np.ascontiguousarray(ends.T), method)
        return FeatureReader(windows, centers, mobility, observe).features(chunk)

    def _no_peaks(self, peaks: Any) -> str:
        if peaks is None:
            return (
                "PeakIntegrator: X carries no peaks. Put a PeakPicker before it, or "
                "give peaks=."
            )
        return (
            "PeakIntegrator: X carries 0 peaks, so there is nothing to integrate. "
            "Lower the PeakPicker's loq (peaks must reach loq × noise), or choose "
            "another noise estimator: look at noise_ and reference_spectrum_."
        )

    def _peak_table(self, peaks: Any) -> pd.DataFrame:
        if not isinstance(peaks, pd.DataFrame):
            peaks = pd.DataFrame({"mz": np.asarray(peaks, dtype=np.float64).ravel()})
        needed = {"bounds": ["mz", "left", "right"], "fwhm": ["mz", "fwhm"]}
        columns = needed.get(self.window, ["mz"])
        missing = [name for name in columns if name not in peaks.columns]
        if missing:
            message = (
                f"PeakIntegrator: window={self.window!r} needs the columns {columns} "
                f"in the peak table, but {missing} are missing. Use window='ppm', "
                "which needs `mz` only."
            )
            raise ValueError(message)
        values = peaks[columns].to_numpy(dtype=np.float64)
        if not np.all(np.isfinite(values)):
            message = (
                f"PeakIntegrator: the columns {columns} of the peak table must be "
                "finite numbers."
            )
            raise ValueError(message)
        return peaks.sort_values("mz", kind="stable", ignore_index=True)

    def _windows(self, peaks: pd.DataFrame) -> np.ndarray:
        mz = peaks["mz"].to_numpy(dtype=np.float64)
        if self.window == "bounds":
            low = peaks["left"].to_numpy(dtype=np.float64)
            high = peaks["right"].to_numpy(dtype=np.float64)
        elif self.window == "fwhm":
            width = FWHM_WIDTH if self.width is None else self.width
            half = 0.5 * width * peaks["fwhm"].to_numpy(dtype=np.float64)
            low, high = mz - half, mz + half
        else:
            half = mz * (PPM_WIDTH if self.width is None else self.width) * 1e-6
            low, high = mz - half, mz + half
        mobility = mobility_windows(peaks)
        if mobility is not None:
            return split_in_mobility(mz, low, high, mobility)
        return split_overlaps(mz, low, high)


def _like(X: Any, windows: np.ndarray) -> Any:
    """Return the windows in the namespace of an array, in its precision."""
    xp = namespace_of(X)
    dtype = X.dtype if xp.isdtype(X.dtype, "real floating") else xp.float64
    return xp.asarray(windows, dtype=dtype, device=device_of(X))
