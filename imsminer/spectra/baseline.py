"""Baselines: what lies under the peaks of profile spectra, and its removal."""

from __future__ import annotations

import numbers
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from imsminer._array import (
    array_namespace,
    check_same_namespace,
    to_numpy,
)
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.binning import sample_cells
from imsminer.core.engine import axis_statistics
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.spectra import Spectra
from imsminer.spectra._baseline import (
    METHODS,
    PREFIX,
    WHY,
    Method,
    SubtractBaseline,
    SubtractCurve,
    SubtractSnip,
    external_names,
    subtract_curve,
)
from imsminer.spectra._frames import (
    SameColumns,
    check_values,
    empty_like,
    frame_like,
    map_values,
)
from imsminer.spectra._gridded import SampleGrid, Width, require_profile, spacing_of

__all__ = ["BaselineSubtractor"]


class BaselineSubtractor(SameColumns, SpectraTransformer):
    r"""Subtract the baseline of each profile spectrum.

    The result is on the same axis and, unless `clip` is off, never negative. `fit`
    learns nothing and makes no pass, unless ``reference="mean"``: then it finds one
    curve in one pass. `transform` queues the step.

    Parameters
    ----------
    method : str, default="snip"
        How the baseline is found; formulas are in the user guide.

        - ``"snip"``: peaks narrower than the window are clipped, in compressed
          intensities.
        - ``"tophat"``: the opening, the moving maximum of the moving minimum.
        - ``"median"``: the running median.
        - ``"local_minima"``: straight lines between the lowest points of windows.
        - ``"polynomial"``: a polynomial of m/z through the low points.
        - ``"noise"``: `factor` times the noise of the spectrum, at every m/z.
        - ``"pybaselines:<name>"``: a method of the package pybaselines, such as
          ``"pybaselines:arpls"``; the extra ``baselines`` brings it.
    half_window : float, default=40
        Half of the window of the first four methods: at least the width of a peak at
        its base. A whole number for points.
    unit : {"points", "ppm"}, default="points"
        Of `half_window`. Points are samples of the profile; ppm follow the m/z axis,
        and need Spectra.
    degree : int, default=2
        Of the polynomial.
    factor : float, default=3
        Of ``"noise"``: how many times the noise is subtracted. Of ``"polynomial"``:
        points this many standard deviations above the fit are not low.
    level : {"middle", "lower"}, default="middle"
        The baselines of ``"snip"``, ``"tophat"`` and ``"local_minima"`` run along the
        lower edge of the noise, 2 to 3 standard deviations below its middle.
        ``"lower"`` leaves them there; ``"middle"`` lifts them to the middle of the
        noise, so that no offset is left under the peaks.
    clip : bool, default=True
        Whether what lies below the baseline becomes 0. Noise that is cut in half has a
        mean above 0, and the faintest ions lose part of their contrast when pixels are
        averaged: `False` keeps the lower half, which has neither error, but negative
        intensities, which imzML files and pictures of logarithms do not expect.
    scale : {"lls", "linear"}, default="lls"
        Intensities that ``"snip"`` clips: log-log-square-root, or as they are.
    reference : {"mean"} or None, default=None
        `None` finds a baseline for each spectrum. ``"mean"`` finds that of the mean
        spectrum in `fit`, and subtracts it from all.
    options : dict, default=None
        Keywords for a method of pybaselines.
    n_jobs : int, default=None
        Blocks of pixels at a time, as in joblib: of arrays, and of the pass for the
        mean. Passes over Spectra take theirs from the step that makes them.

    Attributes
    ----------
    baseline_ : array of shape (n_mz,) or None
        The curve of ``reference="mean"``; `None` otherwise.
    mz_ : ndarray of float64, shape (n_mz,), or None
        Its m/z; those of the samples' own grid where each pixel has an axis of its own.
        `None` without a curve, and for arrays, which have no m/z.
    n_features_in_ : int
        Number of m/z values; not set when each pixel has an axis of its own.
    feature_names_in_ : ndarray of str
        Names of the columns, when they have names.

    Raises
    ------
    ValueError
        By `fit` and `transform`, when spectra are centroided: they have no baseline.
        When a parameter is wrong, or a method of pybaselines fails.
    OptionalDependencyError
        When pybaselines is wanted and not installed.

    Notes
    -----
    Sparse profiles (files that leave out zeros, with an m/z axis for each pixel) get
    the baseline that they would have with the zeros in place: windows count points of
    the instrument's grid, and a grid point that is not stored is 0. So an isolated
    narrow peak keeps all of its intensity.

    On a GPU (``Spectra.to(cupy)``) sparse profiles are taken as they are stored, all
    spectra of a chunk at a time; but ``"polynomial"`` and the methods of pybaselines
    go through them one by one, and the latter compute on the host.

    Near both ends of the axis the windows of ``"snip"`` and ``"median"`` are as wide as
    fits on both sides, and the outermost points become 0. Negative intensities count as
    0. Data of Fourier-transform instruments usually have no baseline.

    The middle of the noise is the median of what is left above the lower edge, in
    windows of 32 half windows, without what lies above twice the median, and at most 4
    standard deviations of the second differences: smooth signals and sparse profiles,
    which show no noise, are not lifted.

    References
    ----------
    Ryan, C. G. et al. (1988), "SNIP, a statistics-sensitive background treatment for
    the quantitative analysis of PIXE spectra", Nucl. Instrum. Methods B 34:396.
    Morháč, M. et al. (1997), "Background elimination methods for multidimensional
    coincidence γ-ray spectra", Nucl. Instrum. Methods A 401:113.
    Lieber, C. A. and Mahadevan-Jansen, A. (2003), "Automated method for subtraction of
    fluorescence from biological Raman spectra", Appl. Spectrosc. 57:1363.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import BaselineSubtractor
    >>> x = np.arange(200)
    >>> peak = 100 * np.exp(-0.5 * ((x - 100) / 3) ** 2)
    >>> spectrum = peak + 50 - 0.1 * x
    >>> clean = BaselineSubtractor(half_window=20).fit_transform(spectrum[None, :])
    >>> clean[0, [20, 100, 180]].round().tolist()
    [0.0, 100.0, 0.0]
    """

    _parameter_constraints: ClassVar[dict] = {
        "method": [str],
        "half_window": [Interval(numbers.Real, 0, None, closed="neither")],
        "unit": [StrOptions({"points", "ppm"})],
        "degree": [Interval(numbers.Integral, 0, 30, closed="both")],
        "factor": [Interval(numbers.Real, 0, None, closed="left")],
        "level": [StrOptions({"middle", "lower"})],
        "clip": ["boolean"],
        "scale": [StrOptions({"lls", "linear"})],
        "reference": [StrOptions({"mean"}), None],
        "options": [dict, None],
        "n_jobs": [None, numbers.Integral],
    }

    def __init__(
        self,
        *,
        method: str = "snip",
        half_window: float = 40,
        unit: str = "points",
        degree: int = 2,
        factor: float = 3.0,
        level: str = "middle",
        clip: bool = True,
        scale: str = "lls",
        reference: str | None = None,
        options: dict | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.method = method
        self.half_window = half_window
        self.unit = unit
        self.degree = degree
        self.factor = factor
        self.level = level
        self.clip = clip
        self.scale = scale
        self.reference = reference
        self.options = options
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> BaselineSubtractor:
        """Check parameters and spectra; find the curve of ``reference="mean"``.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            Profile spectra.
        y : None
            Ignored.

        Returns
        -------
        BaselineSubtractor
            The fitted estimator.
        """
        self._validate_params()
        self.__dict__.pop("_like", None)
        self._check_method()
        self.baseline_, self.mz_ = None, None
        if isinstance(X, Spectra):
            require_profile(
                "BaselineSubtractor", self._check_spectra(X, reset=True), WHY
            )
            if self.reference is not None:
                self._fit_spectra(X)
        else:
            values = self._check_array(X, reset=True)
            self._like = empty_like(values)
            if self.reference is not None:
                self._fit_array(values)
        self._from_spectra = isinstance(X, Spectra)
        self._is_fitted = True
        return self

    def transform(self, X: Any) -> Any:
        """Subtract the baseline of each spectrum.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            Profile spectra.

        Returns
        -------
        Spectra, array or DataFrame
            Of the type of `X`, with its dtype, at least 0. Spectra are lazy.
        """
        check_is_fitted(self)
        if self.baseline_ is not None:
            self._check_same_kind(X, from_spectra=self._from_spectra)
        if isinstance(X, Spectra):
            require_profile(
                "BaselineSubtractor", self._check_spectra(X, reset=False), WHY
            )
            return X.map(self._kernel(X))
        values = self._check_array(X, reset=False)
        check_same_namespace(self, "transform", getattr(self, "_like", values), values)
        if self.baseline_ is not None:
            return frame_like(X, subtract_curve(values, self.baseline_, self.clip))
        method, mz = self._method(), np.arange(values.shape[1], dtype=np.float64)
        reach = method.width.reach(mz, mz)
        widest = int(self.half_window)
        rest = map_values(
            lambda block: method.rest(block, mz, reach, widest), values, self.n_jobs
        )
        return frame_like(X, rest)

    def _method(self) -> Method:
        return Method(
            self.method,
            Width(self.half_window, self.unit),
            self.degree,
            self.factor,
            self.level,
            self.scale == "linear",
            bool(self.clip),
            self.options,
        )

    def _kernel(self, X: Spectra) -> SubtractBaseline | SubtractCurve:
        if self.baseline_ is not None:
            return SubtractCurve(self.mz_, self.baseline_, bool(self.clip))
        kernel = SubtractSnip if self.method == "snip" else SubtractBaseline
        return kernel(self._method(), SampleGrid.of(X))

    def _fit_spectra(self, X: Spectra) -> None:
        """Find the baseline of the mean spectrum: one pass."""
        axis = sample_cells(X) if X.mz is None else None
        found = axis_statistics(X, axis, full=False, n_jobs=self.n_jobs)
        mz, mean = np.asarray(to_numpy(found.mz), np.float64), found.mean
        filled = np.flatnonzero(mean)
        if axis is not None and filled.size:
            # The 0 of bins beyond all samples would draw the curve down.
            inside = slice(filled[0], filled[-1] + 1)
            mz, mean = mz[inside], mean[inside]
        method = self._method()
        reach = method.width.reach(mz, spacing_of(mz))
        mean = mean[None, :]
        rest = method.rest(mean, mz, reach, int(reach.max(initial=1)))
        self.baseline_, self.mz_ = (np.maximum(mean, 0) - rest)[0], mz

    def _fit_array(self, X: Any) -> None:
        xp = array_namespace(X)
        mz = np.arange(X.shape[1], dtype=np.float64)
        method = self._method()
        mean = xp.mean(xp.astype(X, xp.float64), axis=0)[None, :]
        reach = method.width.reach(mz, mz)
        rest = method.rest(mean, mz, reach, int(self.half_window))
        curve = xp.clip(mean, 0.0, None) - rest
        self.baseline_, self.mz_ = xp.astype(curve[0, :], X.dtype), None

    def _check_method(self) -> None:
        external = self.method.startswith(PREFIX)
        names = external_names() if external else METHODS
        if self.method.removeprefix(PREFIX if external else "") not in names:
            allowed = ", ".join(repr(name) for name in names)
            rest = "" if external else f", or '{PREFIX}<name>'"
            message = (
                "The 'method' parameter of BaselineSubtractor must be one of "
                f"{PREFIX if external else ''}{allowed}{rest}. Got {self.method!r}."
            )
            raise ValueError(message)
        if self.options and not external:
            message = (
                "BaselineSubtractor: options are for methods of pybaselines; "
                f"method={self.method!r} takes half_window, degree, factor, level and "
                "scale. Leave options out."
            )
            raise ValueError(message)
        if self.unit == "points" and self.half_window != round(self.half_window):
            message = (
                "BaselineSubtractor: half_window must be a whole number of points; got "
                f"{self.half_window!r}. Use unit='ppm' for a width in m/z."
            )
            raise ValueError(message)

    def _check_array(self, X: Any, *, reset: bool) -> Any:
        if self.unit == "ppm":
            message = (
                "BaselineSubtractor: unit='ppm' needs m/z values, which an array does "
                "not have. Pass Spectra (Spectra.from_arrays(X, mz=...)), or give the "
                "half window in points."
            )
            raise ValueError(message)
        return check_values(self, X, reset=reset)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_is_fitted")
