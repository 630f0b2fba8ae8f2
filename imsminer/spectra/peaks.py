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
    moved_like,
    namespace_of,
)
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.axis import MassAxis
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.grid import known_coordinates
from imsminer.core.spectra import Spectra
from imsminer.spectra._grouping import pixel_groups
from imsminer.spectra._noise import ESTIMATORS, check_noise
from imsminer.spectra._peak_background import SearchSettings
from imsminer.spectra._peak_columns import PeakColumns
from imsminer.spectra._peak_filters import (
    checked_targets,
    label_frequency,
    strongest,
    with_targets,
)
from imsminer.spectra._peak_references import (
    References,
    array_references,
    picking_axis,
    spectra_references,
)
from imsminer.spectra._polarity import warn_of_mixed_polarity
from imsminer.spectra._search import measure_groups, search
from imsminer.spectra._structure import with_structure

__all__ = ["PeakPicker"]

_POSITIVE = Interval(numbers.Real, 0, None, closed="left")


class PeakPicker(PeakColumns, SpectraTransformer):
    """Find peaks in the mean or maximum spectrum of all pixels.

    One pass over the data in `fit`, none in `transform`.

    Parameters
    ----------
    reference : {"mean", "max", "mean+max"}, default="mean"
        Spectrum to search: the mean over pixels, the maximum ("skyline", which shows
        what only a few pixels hold), or both: the peaks of the mean, and those of the
        maximum that are at none of them; for small regions, see Notes.
    noise : {"zscore", "mad", "windowed_mad", "difference", "quantile", \
"residual_sd", "residual_mad", "residual_quantile"}, float or \
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
    mode : {"reference", "pixel"}, default="reference"
        Search the reference spectrum, or each pixel's own (with `loq` times the noise
        there), and group what is found by m/z: one more pass over Spectra. Combine it
        with `min_frequency`. Arrays have nothing to group and are searched as ever.
    targets : array-like of float, default=None
        m/z that are to be the peaks: each gets the picked peak within `tolerance`, or
        else the window of that half width around it.
    smoothing : "matched" or float, default=None
        Smooth the reference of profiles by a Gaussian before maxima are looked for: of
        this standard deviation in bins, or of the usual width of peaks, which finds
        weak ones best. `loq` keeps its meaning: a maximum's height, with what smoothing
        took from a peak of usual width given back, is `snr` times the noise of the
        reference itself. It must reach `loq` times the smoothed noise as well.
    tolerance : float, default=10
        Largest distance to a target, and of a pixel's peak to the mean of its group, in
        ppm.
    n_jobs : int, default=None
        Blocks of pixels read at a time, as in joblib.

    Attributes
    ----------
    peaks_ : DataFrame
        One row per peak, sorted by m/z. `mz`: centroid. `left`, `right`: bounds.
        `height`: reference spectrum at the maximum. `snr`: height above the level, in
        units of the noise. `fwhm`: full width at half maximum, in m/z. `frequency`:
        share of the pixels with signal in the peak's most frequent bin. `bin`: index
        of the maximum on the axis. `prominence`: height above the higher valley.
        `left_valley`, `right_valley`: lowest points between neighbours.
        `resolving_power`: mz / fwhm. `isotope_of`: m/z of the monoisotopic peak of its
        pattern, its own where it is that or stands alone. With `min_moran` also
        `moran`; with labels also `label_frequency`; with `targets` also `target`,
        `found` (1, or 0 where no peak was picked) and `count`, a number of pixels.
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
    - ``"residual_sd"``, ``"residual_mad"``, ``"residual_quantile"``: the standard
      deviation, the MAD or the 95 % quantile of \\|y − smooth(y)\\|, as Cardinal takes
      them, in units of normal noise. Peaks are part of the first and the last.

    Instruments threshold: most bins of sparse data are empty in most pixels, and all
    estimators would collapse there. So each of them is the larger of two values, over
    all bins and over those that at least 2 % of the pixels fill (if these are a
    quarter of the axis or more), and never less than the noise of counting: what one
    pixel with a typical intensity adds to the mean, times the square root of how many
    such pixels a bin without a peak gets. Where a typical bin is empty in most pixels,
    prominences must exceed that noise at the height of the peak, too, and as many
    pixels must hold the peak as chance would not bring together (3 at least).

    The maximum rises with the noise of many pixels. So ``"mean+max"`` searches the
    standard deviation over pixels of profiles, too, where small regions add up: their
    sum of squares must be twice that of the maximum, whose height is given.

    The reference of centroids is smoothed, as far as that changes the number of peaks:
    weak ions scatter over many bins, and are looked for at wider scales, too. Ions
    closer than spectra tell centroids apart, which is seen in at most 10 of them, are
    one peak.

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
        "noise": [StrOptions(set(ESTIMATORS)), _POSITIVE, tuple, list],
        "z_threshold": [Interval(numbers.Real, 0, None, closed="neither")],
        "z_steps": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "loq": [Interval(numbers.Real, 0, None, closed="left")],
        "min_points": [Interval(numbers.Integral, 1, None, closed="left")],
        "rel_height": [Interval(numbers.Real, 0, 1, closed="neither"), None],
        "axis": [MassAxis, None],
        "smoothing": [StrOptions({"matched"}), _POSITIVE, None],
        "min_frequency": [Interval(numbers.Real, 0, 1, closed="both")],
        "min_moran": [Interval(numbers.Real, -1, 1, closed="both"), None],
        "max_peaks": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "mode": [StrOptions({"reference", "pixel"})],
        "targets": ["array-like", None],
        "tolerance": [Interval(numbers.Real, 0, None, closed="neither")],
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
        mode: str = "reference",
        targets: Any = None,
        smoothing: float | str | None = None,
        tolerance: float = 10.0,
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
        self.mode = mode
        self.targets = targets
        self.smoothing = smoothing
        self.tolerance = tolerance
        self.n_jobs = n_jobs

    # Reference spectra -------------------------------------------------------------

    def _references(self, X: Any) -> tuple[References, Any, Any]:
        """Return what the search needs on the host, and what is public of it."""
        if isinstance(X, Spectra):
            references = spectra_references(X, self.axis_, self.n_jobs)
            mean, maximum = references.mean, references.maximum
            frequency = references.frequency
        else:
            references, mean, maximum, frequency = array_references(X)
        return references, maximum if self.reference == "max" else mean, frequency

    def _search(
        self, X: Any, references: References, loq: float, y: Any = None
    ) -> tuple[pd.DataFrame, float | np.ndarray]:
        """Return the peaks that are frequent enough, and the noise."""
        settings = SearchSettings(
            reference=self.reference,
            noise=tuple(noise) if isinstance(noise := self.noise, list) else noise,
            z_threshold=self.z_threshold,
            z_steps=self.z_steps,
            loq=loq,
            min_points=self.min_points,
            rel_height=self.rel_height,
            smoothing=self.smoothing,
        )
        if self.mode == "pixel" and self._from_spectra:
            picking = loq, self.min_points, self.tolerance, self.n_jobs
            groups = pixel_groups(X, *picking)
            found, noise = measure_groups(references, settings, groups)
        else:
            found, noise = search(references, settings)
        # Copies: what estimators give away is the user's to change.
        peaks = pd.DataFrame(found)
        noise = noise if np.ndim(noise) == 0 else np.array(noise)
        if self.targets is not None:
            maximum = self.reference == "max"
            peaks = with_targets(
                peaks,
                checked_targets(self.targets),
                self.tolerance,
                references,
                references.maximum if maximum else references.mean,
                noise,
                self.z_threshold,
            )
        if self.min_frequency > 0 and len(peaks):
            frequency = peaks["frequency"].to_numpy()
            shares = label_frequency(X, y, peaks, references, self.axis_, self.n_jobs)
            if shares is not None:
                peaks = peaks.assign(label_frequency=shares)
                frequency = shares
            peaks = peaks[frequency >= self.min_frequency].reset_index(drop=True)
        return peaks, noise

    # Estimator ---------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> PeakPicker:
        """Add the spectra up and find peaks: one pass over the data.

        Parameters
        ----------
        X : Spectra or array of shape (n_pixels, n_bins)
            The spectra. An array stands for spectra on the axis 0, 1, 2, …
        y : array-like of shape (n_pixels,), default=None
            Labels of the pixels: `min_frequency` then asks for a share of the pixels of
            any one label, at the cost of one more pass. Without `min_frequency`, and
            where they are no labels but numbers, they are ignored.

        Returns
        -------
        PeakPicker
            The fitted picker. It warns when there is no peak.
        """
        self._validate_params()
        check_noise(self.noise)
        pixels = None
        if self.min_moran is not None:
            places = X.pixels if isinstance(X, Spectra) else None
            pixels = known_coordinates(X, places)
        if isinstance(X, Spectra):
            self._check_spectra(X, reset=True)
            warn_of_mixed_polarity(self, X)
            self.axis_ = picking_axis(X, self.axis)
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
        peaks, noise = self._search(X, self._fitted, self.loq, y)
        if self.min_moran is not None:
            peaks = with_structure(X, pixels, peaks, self.min_moran, n_jobs=self.n_jobs)
        self.peaks_ = strongest(peaks, self.max_peaks)
        if self._from_spectra:
            # Other estimators search the same references; a copy is the user's own.
            reference, frequency = reference.copy(), frequency.copy()
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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "peaks_")

    def _bins(self, X: Any) -> Any:
        return moved_like(self.peaks_["bin"].to_numpy(), X)


def _like(values: np.ndarray, array: Any) -> Any:
    """Return host values in the namespace and precision of an array."""
    xp = namespace_of(array)
    return xp.asarray(values, dtype=array.dtype, device=device_of(array))
