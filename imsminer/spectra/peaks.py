"""Peak picking on the reference spectrum of a dataset."""

from __future__ import annotations

import numbers
import warnings
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted, validate_data

from imsminer._array import (
    check_same_namespace,
    device_of,
    namespace_of,
)
from imsminer._sklearn_compat import Interval, StrOptions, check_feature_names_in
from imsminer.core.axis import MassAxis
from imsminer.core.binning import sample_cells
from imsminer.core.cache import cache
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.grid import known_coordinates
from imsminer.core.peaktable import feature_names
from imsminer.core.spectra import Spectra
from imsminer.spectra._noise import ESTIMATORS
from imsminer.spectra._search import (
    References,
    SearchSettings,
    array_references,
    picking_steps,
    search,
    spectra_references,
)
from imsminer.spectra._structure import with_structure

__all__ = ["PeakPicker"]


class PeakPicker(SpectraTransformer):
    """Find peaks in the mean or maximum spectrum of all pixels.

    One pass over the data in `fit`, none in `transform`.

    Parameters
    ----------
    reference : {"mean", "max", "mean+max"}, default="mean"
        Spectrum to search: the mean over pixels, the maximum ("skyline", which shows
        what only a few pixels hold), or both: the peaks of the mean, and those of the
        maximum that are at none of them.
    noise : {"zscore", "mad", "windowed_mad", "difference", "quantile"}, float or \
tuple of two floats, default="zscore"
        Standard deviation of the reference's noise; see Notes. A number is the noise
        itself, a pair ``(low, high)`` an m/z range without signal in which it is
        measured.
    z_threshold : float, default=3
        z-score up to which points count as noise, for ``"zscore"`` and for the level
        of the spectrum without peaks.
    z_steps : int, default=None
        How often ``"zscore"`` leaves out points and starts again; until nothing
        changes when `None`. 1 is the paper's definition, in which the largest peaks
        set the noise.
    loq : float, default=10
        Limit of quantification: smallest height above the level, in units of the
        noise.
    min_points : int, default=6
        Smallest distance between two maxima in bins; the higher one stays.
    rel_height : float, default=None
        Bounds of a peak lie where it has fallen by this share of its height (0.98
        keeps 99.5 % of a Gaussian), or at the valley before. `None` puts them where
        the peak is lost in the noise, between 0.85 and 2 FWHM from its maximum.
    axis : MassAxis, default=None
        Axis on which the spectra are added up. `None` takes the shared axis, or
        :meth:`MassAxis.estimate` of the whole source.
    min_frequency : float, default=0
        Smallest share of the pixels with signal at the peak.
    min_moran : float, default=None
        Smallest Moran's I of the peak's image, which is 0 for an image without
        spatial structure; one more pass over the data. Needs the coordinates of the
        pixels, which Spectra and the features of a `PeakIntegrator` carry.
    max_peaks : int, default=None
        Keep this many peaks, those with the highest ratio of signal to noise.
    n_jobs : int, default=None
        Blocks of pixels read at a time, as in joblib.

    Attributes
    ----------
    peaks_ : DataFrame
        One row per peak, sorted by m/z. `mz`: centroid. `left`, `right`: bounds.
        `height`: reference spectrum at the maximum. `snr`: height above the level, in
        units of the noise. `fwhm`: full width at half maximum, in m/z. `frequency`:
        share of the pixels with signal in the peak's most frequent bin. `bin`: index
        of the maximum on the axis. With `min_moran` also `moran`.
    reference_spectrum_ : array of shape (n_bins,)
        The spectrum that was searched (for ``"mean+max"`` the mean), in X's namespace.
    frequency_ : array of shape (n_bins,)
        Share of the pixels with signal in each bin, in X's namespace.
    axis_ : MassAxis or None
        Axis of the reference spectrum; `None` for an array with one column.
    noise_ : float, or array of shape (n_bins,)
        Noise of the reference spectrum.
    n_features_in_ : int
        Number of m/z values; not set when each pixel has an axis of its own.

    See Also
    --------
    imsminer.PeakIntegrator : Integrates the peaks in every pixel.
    imsminer.model_selection.peak_reproducibility_score : Chooses `loq` without labels.

    Notes
    -----
    A peak is a local maximum whose height above the level is at least ``loq * noise``
    and which rises above both of its valleys by half of that. Of maxima within one
    usual FWHM, only the highest stays: a peak is never picked twice.

    With y the reference above its level, the noise is

    - ``"zscore"``: the standard deviation of the points with ``|z| < z_threshold``,
      repeated until nothing changes [1]_;
    - ``"mad"``: 1.4826 · median \\|y − median y\\|;
    - ``"windowed_mad"``: the same for y minus its moving average, in overlapping
      windows of the axis, interpolated between them: it follows noise that changes
      with m/z;
    - ``"difference"``: 1.4826 · median \\|Δy\\| / √2, for noise that is independent
      from bin to bin;
    - ``"quantile"``: the 84 % quantile of y, which is one standard deviation of
      normal noise.

    Instruments threshold: most bins of sparse data are empty in most pixels, and all
    estimators would collapse there. So each of them is the larger of two values, over
    all bins and over those that at least 2 % of the pixels fill (if these are a
    quarter of the axis or more), and never less than the noise of counting: what one
    pixel with a typical intensity adds to the mean, times the square root of how many
    such pixels a bin without a peak gets. Where a typical bin is empty in most pixels,
    prominences must exceed that noise at the height of the peak, too, and as many
    pixels must hold the peak as chance would not bring together (3 at least).

    The reference of centroids is smoothed, as far as that changes the number of peaks:
    weak ions scatter over many bins. Ions closer than spectra tell centroids apart,
    which is seen in at most 10 of them, are one peak.

    References
    ----------
    .. [1] Lin Y. T., Bao H., Scoggins T., Prentice B. (2024). iMSminer: a data
       processing and machine learning package for imaging mass spectrometry.
       ChemRxiv, doi:10.26434/chemrxiv-2024-kxjgg.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import PeakPicker, Spectra
    >>> mz = np.arange(500, 510, 0.01)
    >>> shape = np.exp(-0.5 * ((mz - 503.5) / 0.03) ** 2)
    >>> noise = np.random.default_rng(0).normal(size=(50, mz.size))
    >>> spectra = Spectra.from_arrays(1e3 * shape + noise, mz)
    >>> picker = PeakPicker().fit(spectra)
    >>> picker.peaks_[["mz", "fwhm", "frequency"]].round(3)
          mz   fwhm  frequency
    0  503.5  0.071        1.0
    >>> picker.transform(spectra)
    <Spectra: 50 pixels; 1,000 m/z values; 1 peaks>
    """

    _parameter_constraints: ClassVar[dict] = {
        "reference": [StrOptions({"mean", "max", "mean+max"})],
        "noise": [
            StrOptions(set(ESTIMATORS)),
            Interval(numbers.Real, 0, None, closed="left"),
            tuple,
            list,
        ],
        "z_threshold": [Interval(numbers.Real, 0, None, closed="neither")],
        "z_steps": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "loq": [Interval(numbers.Real, 0, None, closed="left")],
        "min_points": [Interval(numbers.Integral, 1, None, closed="left")],
        "rel_height": [Interval(numbers.Real, 0, 1, closed="neither"), None],
        "axis": [MassAxis, None],
        "min_frequency": [Interval(numbers.Real, 0, 1, closed="both")],
        "min_moran": [Interval(numbers.Real, -1, 1, closed="both"), None],
        "max_peaks": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "n_jobs": [numbers.Integral, None],
    }

    def __init__(
        self,
        *,
        reference: str = "mean",
        noise: Any = "zscore",
        z_threshold: float = 3.0,
        z_steps: int | None = None,
        loq: float = 10.0,
        min_points: int = 6,
        rel_height: float | None = None,
        axis: MassAxis | None = None,
        min_frequency: float = 0.0,
        min_moran: float | None = None,
        max_peaks: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.reference = reference
        self.noise = noise
        self.z_threshold = z_threshold
        self.z_steps = z_steps
        self.loq = loq
        self.min_points = min_points
        self.rel_height = rel_height
        self.axis = axis
        self.min_frequency = min_frequency
        self.min_moran = min_moran
        self.max_peaks = max_peaks
        self.n_jobs = n_jobs

    # Reference spectra -------------------------------------------------------------

    def _check_noise(self) -> None:
        if not isinstance(self.noise, tuple | list):
            return
        numeric = all(isinstance(value, numbers.Real) for value in self.noise)
        if len(self.noise) != 2 or not numeric or not self.noise[0] < self.noise[1]:
            message = (
                "PeakPicker: noise must be an estimator's name, a number, or an m/z "
                f"range (low, high) with low < high; got {self.noise!r}."
            )
            raise ValueError(message)

    def _resolve_axis(self, X: Spectra) -> MassAxis | None:
        if self.axis is not None:
            return self.axis.resolve(*X.source.mz_range())
        if X.mz is not None:
            return MassAxis.from_values(X.mz) if X.mz.size > 1 else None
        # Facts of the whole source only, so that all subsets of its rows agree, found
        # once. Of profiles it is the axis that adding them up needs anyway.
        if X.run_profile.any():
            return sample_cells(X)
        moved = any(kernel.moves_mz for kernel in X.queue)
        key = ("default axis", X.source.identity, moved, picking_steps(X))
        return cache.get(key, lambda: MassAxis.estimate(X))

    def _references(self, X: Any) -> tuple[References, Any, Any]:
        """Return what the search needs on the host, and the two public spectra."""
        if isinstance(X, Spectra):
            found = spectra_references(X, self.axis_, self.n_jobs)
        else:
            found = array_references(X)
        references, mean, maximum, frequency = found
        return references, maximum if self.reference == "max" else mean, frequency

    def _search(
        self, references: References, loq: float
    ) -> tuple[pd.DataFrame, float | np.ndarray]:
        settings = SearchSettings(
            reference=self.reference,
            noise=self.noise,
            z_threshold=self.z_threshold,
            z_steps=self.z_steps,
            loq=loq,
            min_points=self.min_points,
            rel_height=self.rel_height,
        )
        peaks, noise = search(references, settings)
        peaks = peaks[peaks["frequency"] >= self.min_frequency]
        return peaks.reset_index(drop=True), noise

    def _strongest(self, peaks: pd.DataFrame) -> pd.DataFrame:
        """Return the `max_peaks` peaks with the highest S/N, in the same order."""
        if self.max_peaks is None or len(peaks) <= self.max_peaks:
            return peaks
        best = np.argsort(-peaks["snr"].to_numpy(), kind="stable")
        return peaks.iloc[np.sort(best[: self.max_peaks])].reset_index(drop=True)

    # Estimator ---------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> PeakPicker:
        """Add the spectra up and find peaks: one pass over the data.

        Parameters
        ----------
        X : Spectra or array of shape (n_pixels, n_bins)
            The spectra. An array stands for spectra on the axis 0, 1, 2, …
        y : None
            Ignored.

        Returns
        -------
        PeakPicker
            The fitted picker. It warns when there is no peak.
        """
        self._validate_params()
        self._check_noise()
        pixels = None
        if self.min_moran is not None:
            places = X.pixels if isinstance(X, Spectra) else None
            pixels = known_coordinates(X, places)
        if isinstance(X, Spectra):
            self._check_spectra(X, reset=True)
            self.axis_ = self._resolve_axis(X)
        else:
            if self.axis is not None:
                message = (
                    "PeakPicker: axis needs Spectra; the columns of an array are the "
                    "axis 0, 1, 2, … already. Leave axis at None, or use "
                    "Spectra.from_arrays(X, mz=...)."
                )
                raise ValueError(message)
            xp = namespace_of(X)
            X = validate_data(self, X, dtype=[xp.float64, xp.float32])
            n_bins = X.shape[1]
            self.axis_ = MassAxis.from_values(np.arange(n_bins)) if n_bins > 1 else None
        self._from_spectra = isinstance(X, Spectra)
        self._fitted, reference, frequency = self._references(X)
        peaks, noise = self._search(self._fitted, self.loq)
        if self.min_moran is not None:
            peaks = with_structure(X, pixels, peaks, self.min_moran, n_jobs=self.n_jobs)
        self.peaks_ = self._strongest(peaks)
        self.reference_spectrum_ = reference
        self.frequency_ = frequency
        self.noise_ = noise if np.ndim(noise) == 0 else _like(noise, reference)
        if self.peaks_.empty:
            message = (
                f"PeakPicker: no peak is {self.loq:g} times higher than the noise "
                f"({np.median(noise):.3g}); features will be empty. Lower loq, or give "
                "noise as a number or as an m/z range without signal."
            )
            warnings.warn(message, UserWarning, stacklevel=2)
        return self

    def transform(self, X: Any) -> Any:
        """Attach the peaks to Spectra, or select the columns of an array.

        Parameters
        ----------
        X : Spectra or array of shape (n_pixels, n_bins)
            The spectra.

        Returns
        -------
        Spectra or array of shape (n_pixels, n_peaks)
            The same Spectra with `peaks`; of an array the columns of the maxima.
        """
        check_is_fitted(self)
        self._check_same_kind(X, from_spectra=self._from_spectra)
        if isinstance(X, Spectra):
            self._check_spectra(X, reset=False)
            return X.with_peaks(self.peaks_)
        check_same_namespace(self, "transform", self.reference_spectrum_, X)
        xp = namespace_of(X)
        X = validate_data(self, X, dtype=[xp.float64, xp.float32], reset=False)
        return xp.take(X, self._bins(X), axis=1)

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
        """
        check_is_fitted(self)
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
        peaks, _ = self._search(references, self.loq if loq is None else loq)
        return self._strongest(peaks)

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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "peaks_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.array_api_support = True
        return tags

    def _bins(self, X: Any) -> Any:
        bins = self.peaks_["bin"].to_numpy()
        return namespace_of(X).asarray(bins, device=device_of(X))


def _like(values: np.ndarray, array: Any) -> Any:
    """Return host values in the namespace and precision of an array."""
    xp = namespace_of(array)
    return xp.asarray(values, dtype=array.dtype, device=device_of(array))
