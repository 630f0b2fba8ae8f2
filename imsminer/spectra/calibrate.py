"""Mass calibration: measured m/z moved to where reference masses say they are."""

from __future__ import annotations

import numbers
import warnings
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from imsminer._array import check_same_namespace
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.chunk import rows_as_chunk
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.spectra import Spectra
from imsminer.spectra._aligning import require_unit
from imsminer.spectra._calibration import (
    calibrate_runs,
    checked_references,
    enough_references,
    is_peak_table,
    measure_array,
    measure_spectra,
    measure_table,
)
from imsminer.spectra._calibration_pixels import learn_pixels, pixel_table
from imsminer.spectra._frames import (
    SameColumns,
    check_values,
    empty_like,
    frame_like,
    map_values,
)
from imsminer.spectra._massmodel import HARM

__all__ = ["MassCalibrator"]


class MassCalibrator(SameColumns, SpectraTransformer):
    """Correct measured m/z by reference masses.

    In each run the nearest peak within `tolerance` of each reference mass is looked
    for. Through the errors, (measured − theoretical) / theoretical · 10⁶, goes a
    polynomial in m/z. Wrong references do not move it: it starts from the least median
    of squares and is fitted by Tukey's biweight. Then it is taken out: ragged spectra
    get new m/z and keep their intensities, and so does the shared axis of a single run;
    several runs on one axis, and pixels with corrections of their own, are resampled
    onto it, each with its sum of intensities kept.

    `fit` makes one pass, two with ``per="pixel"``; `transform` none (the step is
    queued).

    Parameters
    ----------
    reference_mz : array-like of float, or DataFrame with a column `mz`
        Theoretical m/z of ions (not masses of molecules) that are known to be there.
    degree : int, default=1
        Degree of the polynomial, 0 to 5; 0 for a single lock mass.
    tolerance : float, default=20.0
        How far from a reference mass its peak may lie, in ppm.
    per : {"run", "pixel"}, default="run"
        Whether the pixels of a run share its polynomial, or each has a line of its own
        on top (a shift with ``degree=0``). With 6 reference masses or more, pixels are
        drawn towards their run, the more so the less they truly differ.
    guard : bool, default=True
        Leave a run alone when its errors at references that were left out of the fit
        are not smaller than without calibration.
    n_jobs : int, default=None
        Parts of the data at a time, as in joblib.

    Attributes
    ----------
    report_ : DataFrame
        One row per run and reference mass: `run`, `reference_mz`, `measured_mz`,
        `height` (in the run's mean spectrum), `before_ppm`, `after_ppm` (what the
        polynomial leaves), `loo_ppm` (what the polynomial through all *other*
        references leaves), `used` (found, and not rejected as an outlier).
    runs_ : DataFrame
        One row per run: `n_found`, `n_used`, `before_ppm`, `after_ppm`, `loo_ppm`
        (medians of the absolute errors of the references that are used), their 90th
        percentiles `before_p90_ppm` and `loo_p90_ppm`, `calibrated`.
    pixels_ : DataFrame or None
        With ``per="pixel"`` one row per pixel: `run`, `matches`, `shift_ppm` and
        `stretch_ppm` (the line on top of the run's polynomial, in the middle and from
        there to the ends of the reference masses), `accepted` (else it gets that of
        its run).
    n_features_in_ : int
        Number of m/z values; not set when each pixel has an axis of its own.
    feature_names_in_ : ndarray of str
        Names of the columns, when they have names.

    Raises
    ------
    ValueError
        When fewer than ``degree + 1`` reference masses are found in a run.

    Warns
    -----
    UserWarning
        When calibration would make a run worse, which takes two references more than
        its polynomial to tell: it is left alone. For arrays, also when
        too few references are found.

    Notes
    -----
    The polynomial holds for a quarter of the range of the reference masses beyond their
    ends; from there on the error stays what it is. A run that `fit` did not see gets
    the mean of the polynomials of all runs.

    In profiles, places are centroids above half height in the run's mean spectrum; in
    centroided runs, medians over the pixels of the highest point within `tolerance`.

    Tables of peaks (with a column `mz`) can be fitted and transformed, too; `left` and
    `right` move along. For an array the axis is 0, 1, 2, …: references, errors and
    `tolerance` are in *points*, columns end in `_points`.

    References
    ----------
    Wolski, W. E. et al. (2005), "Calibration of mass spectrometric peptide mass
    fingerprint data without specific external or internal calibrants", BMC
    Bioinformatics 6:203. Rousseeuw, P. J. (1984), "Least median of squares regression",
    J. Am. Stat. Assoc. 79:871.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import Spectra
    >>> from imsminer.spectra.calibrate import MassCalibrator
    >>> masses = np.linspace(500, 900, 12)
    >>> measured = masses * (1 + 1e-6 * (3 + 0.01 * (masses - 700)))
    >>> spectra = Spectra.from_arrays(
    ...     np.ones(12), measured, indptr=[0, 12], profile=False
    ... )
    >>> calibrator = MassCalibrator(masses).fit(spectra)
    >>> calibrator.report_["before_ppm"].round(1).tolist()[:3]
    [1.0, 1.4, 1.7]
    >>> bool(np.abs(calibrator.transform(spectra)[0].mz - masses).max() < 1e-5)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "reference_mz": ["array-like", None],
        "degree": [Interval(numbers.Integral, 0, 5, closed="both")],
        "tolerance": [Interval(numbers.Real, 0, None, closed="neither")],
        "per": [StrOptions({"run", "pixel"})],
        "guard": ["boolean"],
        "n_jobs": [None, numbers.Integral],
    }

    def __init__(
        self,
        reference_mz: Any = None,
        *,
        degree: int = 1,
        tolerance: float = 20.0,
        per: str = "run",
        guard: bool = True,
        n_jobs: int | None = None,
    ) -> None:
        self.reference_mz = reference_mz
        self.degree = degree
        self.tolerance = tolerance
        self.per = per
        self.guard = guard
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> MassCalibrator:
        """Find the reference masses and fit the error of each run.

        Parameters
        ----------
        X : Spectra, array-like of shape (n_pixels, n_mz) or DataFrame with `mz`
            The spectra, or a table of peaks.
        y : None
            Ignored.

        Returns
        -------
        MassCalibrator
            The fitted estimator.
        """
        self._validate_params()
        self.__dict__.pop("_like", None)
        table = is_peak_table(X)
        ppm = table or isinstance(X, Spectra)
        reference = checked_references(self.reference_mz, positive=ppm)
        width = (
            1e-6 * self.tolerance * (reference if ppm else np.full_like(reference, 1e6))
        )
        if isinstance(X, Spectra):
            values = self._check_spectra(X, reset=True)
            found = measure_spectra(X, reference, width, self.n_jobs)
            runs, counts = np.unique(X.pixels["run"].astype(str), return_counts=True)
            n_pixels = dict(zip(runs, counts, strict=True))
        elif table:
            self._forget_columns()
            values, found, n_pixels = (
                None,
                {"": measure_table(X, reference, width)},
                {"": 1},
            )
        else:
            values = check_values(self, X, reset=True)
            self._like = empty_like(values)
            found = {"": measure_array(values, reference, width)}
            n_pixels = {"": values.shape[0]}
        found = enough_references(
            reference, found, int(self.degree), float(self.tolerance), ppm=ppm
        )
        calibration = calibrate_runs(
            reference,
            found,
            n_pixels,
            ppm=ppm,
            degree=int(self.degree),
            tolerance=float(self.tolerance),
            guard=bool(self.guard),
        )
        self.report_, self.runs_ = calibration.report, calibration.runs
        self._kernel, self._ppm = calibration.kernel, ppm
        self._warn_harm()
        self.pixels_ = None
        if self.per == "pixel" and self._kernel is not None and values is not None:
            self._kernel = learn_pixels(self._kernel, values, self.n_jobs)
            self.pixels_ = self.pixel_report(X)
        return self

    def transform(self, X: Any) -> Any:
        """Take the mass error out.

        Parameters
        ----------
        X : Spectra, array-like of shape (n_pixels, n_mz) or DataFrame with `mz`
            The spectra, or a table of peaks.

        Returns
        -------
        Spectra, array or DataFrame
            Of the type of `X`, with its dtype. Spectra are lazy; peaks that they carry
            are moved along.
        """
        check_is_fitted(self)
        if isinstance(X, Spectra):
            self._check_spectra(X, reset=False)
            self._require_unit(ppm=True)
            if not self._kernel.model.applied.any():
                return X
            kernel = self._kernel
            if not kernel.pixels and len(X.runs) == 1:
                kernel = kernel.for_axis(str(X.runs.index[0]))
            moved = X.map(kernel)
            if X.peaks is None:
                return moved
            mean = self._kernel.mean_of(X.pixels["run"])
            return moved.with_peaks(mean.move_peaks(X.peaks, 0))
        if is_peak_table(X):
            return self.transform_peaks(X)
        values = check_values(self, X, reset=False)
        check_same_namespace(self, "transform", getattr(self, "_like", values), values)
        if self._kernel is None or not self._kernel.model.applied.any():
            return frame_like(X, values)
        self._require_unit(ppm=False)

        def correct(block: Any) -> Any:
            return self._kernel(rows_as_chunk(block)).intensity

        return frame_like(X, map_values(correct, values, self.n_jobs))

    def transform_peaks(self, peaks: pd.DataFrame, run: str | None = None) -> Any:
        """Correct a table of peaks by the polynomial of a run.

        Parameters
        ----------
        peaks : DataFrame
            With a column `mz`, and perhaps `left`, `right` and `run`.
        run : str, default=None
            The run of all peaks. By default that of the column `run`, or the only run
            of `fit`, or the mean over all runs.

        Returns
        -------
        DataFrame
            A copy with corrected m/z.

        Raises
        ------
        ValueError
            When there is no column `mz`, or `fit` has not seen the run.
        """
        check_is_fitted(self)
        if not is_peak_table(peaks):
            message = (
                "MassCalibrator.transform_peaks needs a DataFrame with a column 'mz'."
            )
            raise ValueError(message)
        self._require_unit(ppm=True)
        if run is None and "run" in peaks.columns:
            groups = peaks["run"].astype(str)
            parts = [
                self._kernel.move_peaks(part, self._run_number(str(name)))
                for name, part in peaks.groupby(groups, sort=False)
            ]
            return pd.concat(parts).loc[peaks.index] if parts else peaks.copy()
        number = 0 if len(self._kernel.model.runs) == 1 else -1
        if run is not None:
            number = self._run_number(run)
        return self._kernel.move_peaks(peaks, number)

    def mass_error(self, mz: Any, run: str | None = None) -> np.ndarray:
        """Return the fitted error at some m/z, in ppm.

        Parameters
        ----------
        mz : array-like of float
            Measured m/z.
        run : str, default=None
            The run; the mean over all runs by default.

        Returns
        -------
        ndarray of float64
            (measured − theoretical) / theoretical · 10⁶; in points for an array.
        """
        check_is_fitted(self)
        if self._kernel is None:
            return np.zeros(np.shape(mz))
        number = -1 if run is None else self._run_number(run)
        return self._kernel.error(np.asarray(mz, dtype=np.float64), number)

    def pixel_report(self, X: Any) -> pd.DataFrame:
        """Return what `pixels_` says of the pixels of `fit`, for those of `X`.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            The spectra, before calibration. One pass.

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
            check_same_namespace(self, "pixel_report", like, values)
        if self._kernel is not None:
            self._require_unit(ppm=isinstance(X, Spectra))
        unit = "ppm" if self._ppm else "points"
        return pixel_table(self._kernel, values, unit, self.n_jobs)

    # Checks --------------------------------------------------------------------------

    def _warn_harm(self) -> None:
        unit = "ppm" if self._ppm else "points"
        for name, row in self.runs_.iterrows():
            before, loo = row[f"before_{unit}"], row[f"loo_{unit}"]
            if not row["calibrated"] and loo > (1 + HARM) * before:
                message = (
                    f"MassCalibrator: run {name!r} is left as it is, because "
                    f"calibration would raise its median error at left-out "
                    f"references from {before:.3g} to {loo:.3g} {unit}. Look at "
                    "report_, lower the degree, or pass guard=False."
                )
                warnings.warn(message, UserWarning, stacklevel=3)

    def _run_number(self, run: str) -> int:
        runs = self._kernel.model.runs
        if run not in runs:
            message = (
                f"MassCalibrator was not fitted on run {run!r}, but on: "
                f"{', '.join(map(repr, runs))}."
            )
            raise ValueError(message)
        return runs.index(run)

    def _require_unit(self, *, ppm: bool) -> None:
        kinds = "Spectra or a table of peaks"
        require_unit(self, fitted=self._ppm, ppm=ppm, with_mz=kinds)

    def _forget_columns(self) -> None:
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_kernel")
