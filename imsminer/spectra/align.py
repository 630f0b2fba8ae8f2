"""Mass alignment: the mass error of each spectrum, found and taken out."""

from __future__ import annotations

import numbers
import warnings
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from imsminer._array import (
    array_namespace,
    check_same_namespace,
    device_of,
    is_numpy_array,
)
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.chunk import SpectrumChunk, rows_as_chunk
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.spectra import Spectra
from imsminer.spectra._align_learning import (
    describe_matches,
    describe_values,
    judge,
    learn,
    learned,
    match_values,
    pixel_table,
    run_table,
    sample_pixels,
)
from imsminer.spectra._align_widths import mean_widths, row_widths, sampled_mean
from imsminer.spectra._aligning import AlignSpectra, require_unit, runs_of
from imsminer.spectra._frames import (
    SameColumns,
    check_values,
    empty_like,
    frame_like,
    map_values,
    take_rows,
)
from imsminer.spectra._massmodel import MassModel
from imsminer.spectra._polarity import warn_of_mixed_polarity
from imsminer.spectra._reference import (
    array_references,
    given_references,
    spectra_references,
)
from imsminer.spectra._runfit import reference_errors

__all__ = ["MassAligner"]

#: exp(-(x / width)²) is as wide as a peak where the width is this part of its FWHM.
SHAPE = 0.6


class MassAligner(SameColumns, SpectraTransformer):
    """Correct the mass error of each spectrum against common reference peaks.

    Each spectrum's highest maximum within `tolerance` of each reference peak is its
    match, of a profile where its correlation with a Gaussian of the width of the peaks
    is largest. A line, ppm error = a + b · u with u from -1 to 1 over the range of the
    reference peaks, is fitted to the errors by Tukey's biweight. It is drawn towards
    the line of the run, the more so the less the pixels of the run truly differ, and
    taken out of the spectrum: ragged spectra get new m/z and keep their intensities;
    on a shared axis they are resampled, each with its sum of intensities kept.

    `fit` makes two passes (one when `reference` is given, and one over 64 spectra,
    whose mean tells the width of peaks), and of more than 8,192 pixels a third one over
    that many; `transform` makes none (the step is queued).

    Parameters
    ----------
    reference : array-like, DataFrame, Spectra or fitted MassAligner, default=None
        m/z of reference peaks, at least `min_matches`; a table of peaks with a column
        `mz`; another run, or an aligner that was fitted to it, whose reference peaks to
        take. By default up to 100 strong peaks of the mean spectrum that stand alone,
        moved to the median of their places in the spectra: alignment is then relative.
    tolerance : float, default=20.0
        How far from a reference peak its match may lie, in ppm; more than the largest
        error, and less than half of the distance between peaks.
    model : {"linear", "shift", "piecewise"}, default="linear"
        Whether the error is a line, constant in ppm, or straight between up to 6 inner
        knots, which have as many reference peaks (12 or more) between them.
    method : {"landmarks", "grid"}, default="landmarks"
        ``"grid"`` searches the shift and the stretch with which Gaussians at the
        reference peaks correlate best with the spectrum, on a grid of 20 × 20 (more
        where Gaussians are narrow) that is refined, as msalign does. Lines stay within
        `tolerance` at both ends of the range. Nothing is drawn towards the run, and
        reference peaks of the mean spectrum stay where they are. It is there for
        comparisons: landmarks are quicker and no less accurate.
    width : float, default=None
        Of these Gaussians exp(−(x / width)²), in ppm; 0.6 of the median width of the
        reference peaks at half maximum when `None`, or half of `tolerance` where they
        have none.
    min_matches : int, default=10
        Matches that a pixel needs for a line of its own. With a slope, some have to lie
        in the lowest and some in the highest third of the range.
    max_shift : float, default=None
        Largest correction anywhere in the range, in ppm; `tolerance` when `None`.
    guard : bool, default=True
        Leave a run alone unless its alignment makes the errors of held-out reference
        peaks smaller.
    n_jobs : int, default=None
        Parts of the data at a time, as in joblib.

    Attributes
    ----------
    reference_ : array of float64, shape (n_references,)
        The reference peaks; empty when there were too few and nothing is aligned.
    report_ : DataFrame
        One row per pixel of `fit`: `run`, `matches`, `shift_ppm` (a), `stretch_ppm`
        (b), with ``model="piecewise"`` `bend_ppm` (largest distance from that line),
        `before_ppm` and `after_ppm` (median absolute error, each half of the
        reference peaks corrected by the other half), `accepted` (whether the pixel has
        a line of its own; else it gets that of its run).
    runs_ : DataFrame
        One row per run: `shift_ppm`, `stretch_ppm`, `spread_ppm` (standard deviation of
        a over the pixels, noise removed), `before_ppm`, `after_ppm`, `gain`,
        `n_accepted`, `aligned`.
    n_features_in_ : int
        Number of m/z values; not set when each pixel has an axis of its own.
    feature_names_in_ : ndarray of str
        Names of the columns, when they have names.

    Warns
    -----
    UserWarning
        When fewer than `min_matches` reference peaks are found: nothing is changed.
        When reference peaks are looked for in the mean of spectra of both polarities.
        When no pixel of a run has enough matches, or held-out errors of a run would get
        larger: that run is left alone. A run that needs no alignment is left alone
        without a warning.

    Notes
    -----
    Pixels that differ by noise only must not be corrected one by one: a pixel's line is
    as noisy as its peaks. The variance over the pixels is therefore the *covariance* of
    their lines from even and from odd reference peaks, in which noise drops out, and
    prior and data meet as in ridge regression. Pixels with too few matches, with
    matches that scatter as if by chance, or beyond `max_shift` get the line of their
    run.

    Of a large dataset the runs are learned from 8,192 pixels spread evenly over them;
    `report_` describes all.

    Rows of a run that `fit` did not see (in cross-validation by run) get the prior of
    all runs pooled. A pixel's line depends on its own spectrum and on what `fit`
    learned, never on its neighbours in a chunk. Centroids on a shared axis have nothing
    to align and stay as they are.

    For an array the axis is 0, 1, 2, …: errors, `tolerance` and `max_shift` are in
    *points*, and the columns of the reports end in `_points`.

    References
    ----------
    Resampling reads the piecewise parabolic integral of Colella, P., Woodward, P. R.
    (1984), "The piecewise parabolic method", J. Comput. Phys. 54:174. Alignment to
    reference peaks: He, Q. P. et al. (2011), "Self-calibrated warping for mass spectra
    alignment", Cancer Inform. 10:65.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import MassAligner, Spectra
    >>> peaks = np.linspace(500, 900, 30)
    >>> ppm = np.array([-4.0, -2.0, 0.0, 2.0, 4.0])
    >>> mz = (peaks * (1 + 1e-6 * ppm[:, None])).ravel()
    >>> spectra = Spectra.from_arrays(
    ...     np.ones(150), mz, indptr=np.arange(0, 151, 30), profile=False
    ... )
    >>> aligner = MassAligner(reference=peaks).fit(spectra)
    >>> aligner.report_["shift_ppm"].round(2).tolist()
    [-4.0, -2.0, 0.0, 2.0, 4.0]
    >>> bool(np.abs(aligner.transform(spectra)[0].mz - peaks).max() < 1e-5)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "reference": [None, "array-like", Spectra, BaseEstimator],
        "tolerance": [Interval(numbers.Real, 0, None, closed="neither")],
        "model": [StrOptions({"shift", "linear", "piecewise"})],
        "method": [StrOptions({"landmarks", "grid"})],
        "width": [None, Interval(numbers.Real, 0, None, closed="neither")],
        "min_matches": [Interval(numbers.Integral, 2, None, closed="left")],
        "max_shift": [None, Interval(numbers.Real, 0, None, closed="neither")],
        "guard": ["boolean"],
        "n_jobs": [None, numbers.Integral],
    }

    def __init__(
        self,
        *,
        reference: Any = None,
        tolerance: float = 20.0,
        model: str = "linear",
        method: str = "landmarks",
        width: float | None = None,
        min_matches: int = 10,
        max_shift: float | None = None,
        guard: bool = True,
        n_jobs: int | None = None,
    ) -> None:
        self.reference = reference
        self.tolerance = tolerance
        self.model = model
        self.method = method
        self.width = width
        self.min_matches = min_matches
        self.max_shift = max_shift
        self.guard = guard
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> MassAligner:
        """Learn the reference peaks, and the mass errors of each run.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            The spectra.
        y : None
            Ignored.

        Returns
        -------
        MassAligner
            The fitted estimator.
        """
        self._validate_params()
        if self.method == "grid" and self.model == "piecewise":
            message = (
                "MassAligner: method='grid' searches shifts and lines only; take "
                "model='linear' or 'shift', or method='landmarks'."
            )
            raise ValueError(message)
        self.__dict__.pop("_like", None)
        if isinstance(X, Spectra):
            values = self._check_spectra(X, reset=True)
            if self.reference is None:
                warn_of_mixed_polarity(self, X)
            reference, mean = self._references(X)
        else:
            values = check_values(self, X, reset=True)
            self._like = empty_like(values)
            reference, mean = self._column_references(values), None
        run_of_row, ppm = runs_of(values), isinstance(values, Spectra)
        if reference.size < self.min_matches:
            self._warn_few(reference.size)
            self._kernel = None
            self.reference_ = self._in_namespace(np.empty(0))
            self.report_ = pixel_table(None, run_of_row, ppm)
            self.runs_ = run_table(dict.fromkeys(run_of_row), ppm)
            return self
        tolerance = float(self.tolerance)
        model = MassModel.around(
            reference,
            ppm=ppm,
            tolerance=tolerance,
            max_shift=tolerance if self.max_shift is None else float(self.max_shift),
            min_matches=int(self.min_matches),
            linear=self.model != "shift",
            bent=self.model == "piecewise",
        )
        if not ppm:
            fwhm = row_widths(values, model, self.n_jobs)
        else:
            mean = sampled_mean(values, self.n_jobs) if mean is None else mean
            fwhm = mean_widths(mean, model)
        if self.method == "landmarks":
            model = replace(model, fwhm=fwhm)
        else:
            model = replace(model, grid=self._grid_width(model, fwhm))
        sample, run_of_match = sample_pixels(values, run_of_row), run_of_row
        sampled = values
        if sample is not None:
            sampled, run_of_match = take_rows(values, sample), run_of_row[sample]
        found = match_values(sampled, model, self.n_jobs)
        if self.reference is None and model.grid is None:
            bias = reference_errors(model, found)
            found = found._replace(errors=found.errors - bias)
            model = model.moved(bias)
        fits, pooled = learn(model, found, run_of_match)
        applied, messages = judge(fits, pooled, model, guard=bool(self.guard))
        for message in messages:
            warnings.warn(f"MassAligner: {message}", UserWarning, stacklevel=2)
        model = learned(model, fits, pooled, applied)
        self._kernel = AlignSpectra(model)
        self.reference_ = self._in_namespace(model.reference)
        if sample is None:
            facts = describe_matches(model, found, run_of_row)
        else:
            facts = describe_values(values, model, self.n_jobs)
        bent = self.model == "piecewise"
        self.report_ = pixel_table(facts, run_of_row, ppm, bent=bent)
        self.runs_ = run_table(fits, ppm)
        self.runs_["aligned"] = applied[:-1]
        self.runs_["n_accepted"] = [
            int(self.report_["accepted"][run_of_row == run].sum()) for run in fits
        ]
        return self

    def transform(self, X: Any) -> Any:
        """Take the mass error out of each spectrum.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            The spectra.

        Returns
        -------
        Spectra, array or DataFrame
            Of the type of `X`, with its dtype. Spectra are lazy.
        """
        check_is_fitted(self)
        if isinstance(X, Spectra):
            self._check_spectra(X, reset=False)
            if self._kernel is None or not self._kernel.model.applied.any():
                return X
            self._require_unit(ppm=True)
            return X.map(self._kernel)
        values = check_values(self, X, reset=False)
        check_same_namespace(self, "transform", getattr(self, "_like", values), values)
        if self._kernel is None or not self._kernel.model.applied.any():
            return frame_like(X, values)
        self._require_unit(ppm=False)

        def correct(block: Any) -> Any:
            return self._kernel(rows_as_chunk(block)).intensity

        return frame_like(X, map_values(correct, values, self.n_jobs))

    def report(self, X: Any) -> pd.DataFrame:
        """Return what `report_` says of the pixels of `fit`, for those of `X`.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            The spectra, before alignment. One pass.

        Returns
        -------
        DataFrame
            One row per pixel.
        """
        check_is_fitted(self)
        if isinstance(X, Spectra):
            values = self._check_spectra(X, reset=False)
        else:
            values = check_values(self, X, reset=False)
            like = getattr(self, "_like", values)
            check_same_namespace(self, "report", like, values)
        run_of_row, ppm = runs_of(values), isinstance(values, Spectra)
        if self._kernel is None:
            return pixel_table(None, run_of_row, ppm)
        self._require_unit(ppm=ppm)
        model = self._kernel.model
        facts = describe_values(values, model, self.n_jobs)
        return pixel_table(facts, run_of_row, ppm, bent=model.knots.size > 2)

    # Learning ------------------------------------------------------------------------

    def _references(self, X: Spectra) -> tuple[np.ndarray, SpectrumChunk | None]:
        """Return the reference peaks, and the mean spectrum where it was made."""
        if self.reference is None:
            return spectra_references(X, float(self.tolerance), self.n_jobs)
        low, high = X.source.mz_range()
        reference = given_references(self.reference, self._of_other)
        if reference.size and reference[0] <= 0:
            message = (
                f"MassAligner: reference m/z must be positive; got {reference[0]}."
            )
            raise ValueError(message)
        reference = reference[(reference >= low) & (reference <= high)]
        return reference, None

    def _column_references(self, values: Any) -> np.ndarray:
        if self.reference is None:
            return array_references(values, float(self.tolerance))
        reference = given_references(self.reference, self._of_other)
        return reference[(reference >= 0) & (reference <= values.shape[1] - 1)]

    def _grid_width(self, model: MassModel, fwhm: np.ndarray) -> float:
        """Return the width of the Gaussians of a search, in ppm or points."""
        if self.width is not None:
            return float(self.width)
        width = SHAPE * float(np.median(fwhm * model.unit))
        return width if width > 0 else 0.5 * float(self.tolerance)

    def _of_other(self, run: Spectra) -> np.ndarray:
        """Return the reference peaks that another run would be aligned to."""
        keywords = {"tolerance": self.tolerance, "min_matches": self.min_matches}
        other = MassAligner(**keywords, guard=False, n_jobs=self.n_jobs)
        return other.fit(run).reference_

    def _require_unit(self, *, ppm: bool) -> None:
        require_unit(self, fitted=self._kernel.model.ppm, ppm=ppm)

    def _warn_few(self, found: int) -> None:
        message = (
            f"MassAligner: {found} reference peaks were found, but min_matches="
            f"{self.min_matches} are needed; the spectra are left as they are. Give "
            "reference= within the mass range, change the tolerance (peaks that have a "
            "neighbour within twice of it are not used), or lower min_matches."
        )
        warnings.warn(message, UserWarning, stacklevel=3)

    def _in_namespace(self, array: np.ndarray) -> Any:
        like = getattr(self, "_like", None)
        if like is None or is_numpy_array(like):
            return array
        return array_namespace(like).asarray(array, device=device_of(like))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_kernel")
