"""Centroiding: each profile becomes the list of its peaks."""

from __future__ import annotations

import numbers
from functools import partial
from typing import Any, ClassVar

from sklearn.utils.validation import check_is_fitted

from imsminer._array import check_same_namespace
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.spectra import Spectra
from imsminer.spectra._centroiding import (
    KINDS,
    PickCentroids,
    centroids_of,
    pick_columns,
)
from imsminer.spectra._frames import (
    SameColumns,
    check_values,
    empty_like,
    frame_like,
    map_values,
)

__all__ = ["CentroidSpectra"]


class CentroidSpectra(SameColumns, SpectraTransformer):
    r"""Turn profile spectra into centroids: a list of peaks for each pixel.

    A peak of a spectrum is a sample that is higher than all within ``min_points - 1``
    samples and rises above the spectrum's level by `loq` times its noise. Each becomes
    one point, so that data shrink to what later steps need. `fit` reads at most 10
    spectra, for the grid of the samples where each pixel has an axis of its own;
    `transform` makes no pass, it queues the step.

    Parameters
    ----------
    loq : float, default=3
        Smallest height above the level, in units of the noise of the spectrum.
    noise : float, default=None
        Standard deviation of the noise in single spectra, for all of them. `None`
        estimates it in each; see Notes. 0 takes every maximum.
    min_points : int, default=6
        Smallest distance between two maxima in samples; the higher one stays.
    intensity : {"height", "area", "sum"}, default="height"
        Intensity of a centroid: the highest sample; the integral over m/z; the sum of
        the samples. Area and sum reach to where the peak falls to the noise or to the
        valley before its neighbour, and no farther than the samples are joined.
    n_jobs : int, default=None
        Blocks of pixels of an array at a time, as in joblib. Passes over Spectra take
        theirs from the step that makes them.

    Attributes
    ----------
    n_features_in_ : int
        Number of m/z values; not set when each pixel has an axis of its own.
    feature_names_in_ : ndarray of str
        Names of the columns, when they have names.

    Raises
    ------
    ValueError
        When spectra are read that have intensities that are not finite, or an ion
        mobility for each point.

    See Also
    --------
    imsminer.PeakPicker : Finds peaks that many pixels share.

    Notes
    -----
    The m/z of a centroid is the vertex of a parabola through the logarithms of the
    samples above half height (three at least), which is exact for a Gaussian; their
    mean, weighted by height, where there is no such vertex.

    The level and the noise of a spectrum are the median of its samples and 1.4826 times
    their median absolute deviation, both without zeros, of at most 4,096 samples that
    are evenly spaced. Where more than half of the
    grid's samples are zeros or not stored, the instrument has cut most of the noise
    off. The level is then 0 and the noise is q / z: q is the 10 % quantile of what is
    left, a share f of all samples, and normal noise exceeds z standard deviations with
    probability 0.9 · f.

    In spectra with an axis each, samples that are not stored count as 0: an isolated
    sample is a peak. Centroids that are there already stay as they are, without zeros.
    Heights, areas and sums hold what lies under the peak, too: subtract a baseline
    before.

    Of an array, the columns nearest to the centroids keep values and all others become
    0.

    References
    ----------
    Windowed maxima above the noise: Gibb, S., Strimmer, K. (2012), "MALDIquant: a
    versatile R package for the analysis of mass spectrometry data", Bioinformatics
    28:2270.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import Spectra
    >>> from imsminer.spectra.centroid import CentroidSpectra
    >>> mz = np.arange(500, 510, 0.01)
    >>> shape = np.exp(-0.5 * ((mz - 503.5012) / 0.03) ** 2)
    >>> noise = np.random.default_rng(0).normal(size=(50, mz.size))
    >>> spectra = Spectra.from_arrays(1e3 * shape + noise, mz)
    >>> centroids = CentroidSpectra(loq=5).fit_transform(spectra)
    >>> centroids
    <Spectra: 50 pixels; own m/z axes; queued: PickCentroids>
    >>> centroids[0].mz.round(4), centroids[0].intensity.round()
    (array([503.5012]), array([998.]))
    """

    _parameter_constraints: ClassVar[dict] = {
        "loq": [Interval(numbers.Real, 0, None, closed="left")],
        "noise": [None, Interval(numbers.Real, 0, None, closed="left")],
        "min_points": [Interval(numbers.Integral, 1, None, closed="left")],
        "intensity": [StrOptions(set(KINDS))],
        "n_jobs": [None, numbers.Integral],
    }

    def __init__(
        self,
        *,
        loq: float = 3.0,
        noise: float | None = None,
        min_points: int = 6,
        intensity: str = "height",
        n_jobs: int | None = None,
    ) -> None:
        self.loq = loq
        self.noise = noise
        self.min_points = min_points
        self.intensity = intensity
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> CentroidSpectra:
        """Check parameters and spectra; there is nothing to learn.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            Profile spectra.
        y : None
            Ignored.

        Returns
        -------
        CentroidSpectra
            The fitted estimator.
        """
        self._validate_params()
        self.__dict__.pop("_like", None)
        if isinstance(X, Spectra):
            self._check_spectra(X, reset=True)
        else:
            self._like = empty_like(check_values(self, X, reset=True))
        self._is_fitted = True
        return self

    def transform(self, X: Any) -> Any:
        """Pick the peaks of each spectrum.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            Profile spectra.

        Returns
        -------
        Spectra, array or DataFrame
            Lazy Spectra of centroids, with an m/z axis each; centroids as they are.
            Of an array the same shape and dtype, 0 beside the peaks.
        """
        check_is_fitted(self)
        if isinstance(X, Spectra):
            self._check_spectra(X, reset=False)
            return centroids_of(
                X,
                loq=self.loq,
                noise=None if self.noise is None else float(self.noise),
                min_points=self.min_points,
                intensity=self.intensity,
            )
        values = check_values(self, X, reset=False)
        check_same_namespace(self, "transform", getattr(self, "_like", values), values)
        pick = partial(pick_columns, kernel=PickCentroids(*self._settings()))
        return frame_like(X, map_values(pick, values, self.n_jobs))

    def _settings(self) -> tuple[float, float | None, int, str]:
        width = int(self.min_points) - 1
        noise = None if self.noise is None else float(self.noise)
        return float(self.loq), noise, width, self.intensity

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_is_fitted")
