"""Divide the pixels into segments of similar spectra."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from imsminer._array import (
    check_same_namespace,
    device_of,
    is_numpy_array,
    namespace_of,
)
from imsminer._sklearn_compat import Interval, StrOptions, check_feature_names_in
from imsminer.core.grid import Pixels, coordinates_of
from imsminer.images._kernels.kmeans_xp import distances, nearest
from imsminer.images._kmeans import kmeans
from imsminer.images._neighbors import mean_over_neighbors

__all__ = ["InSituSegmenter"]


class InSituSegmenter(ClusterMixin, TransformerMixin, BaseEstimator):
    """Segment an image: cluster its pixels by their spectra.

    The features of a pixel are scaled, optionally joined with those of its
    neighbourhood, and clustered by k-means. Segments are numbered by descending size
    (of equals, the one that holds the first pixel comes first).

    Parameters
    ----------
    n_clusters : int, default=8
        Number of segments.
    method : {"kmeans"}, default="kmeans"
        How to cluster.
    metric : {"euclidean", "correlation"}, default="euclidean"
        Of the scaled features. ``"correlation"`` compares the shapes of spectra: each
        pixel is centred on its own mean and divided by its Euclidean norm, before
        Euclidean k-means. A pixel that is constant over its features, an empty one for
        instance, has no shape: it stays at the origin, and goes to the segment whose
        centre is nearest to it.
    spatial_radius : int, default=0
        With 1 or more, each pixel is described by its own features *and* by their
        Gaussian-weighted mean over its neighbours, up to this many king's moves away
        (σ = (2·radius + 1)/4 pixels). Neighbours never lie in another run, at
        another z, or across a gap. It needs to know where the pixels are.
    scaling : {"max", "std", "l2", "max+l2", "std+l2"} or None, default="max+l2"
        What is done to the features first. ``"max"`` divides each feature by its
        largest absolute value and ``"std"`` by its standard deviation, both learnt in
        ``fit``, so that strong and weak ions count alike. ``"l2"`` divides each pixel
        by its Euclidean norm, so that only proportions count; an empty pixel stays 0.
        ``"max+l2"`` does one after the other: the column and row scaling of [1]_.
    n_init : int, default=10
        How many random starts; the one with the smallest inertia is kept.
    max_iter : int, default=300
        Most iterations per start.
    tol : float, default=1e-4
        Stop when the centres move less, relative to the variance of the features.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same segments at each fit.

    Attributes
    ----------
    labels_ : int32 array of shape (n_pixels,)
        The segment of each pixel of ``fit``, from 0.
    cluster_centers_ : array of shape (n_clusters, n_features)
        Centres in the space of scaled features; (n_clusters, 2 · n_features) with
        `spatial_radius`, the neighbourhood's after the pixel's own.
    segment_profiles_ : array or DataFrame of shape (n_clusters, n_features)
        Mean spectrum of each segment in the units of X; NaN for a segment without
        pixels. A DataFrame when X was one.
    scale_ : array of shape (n_features,)
        What ``fit`` learnt to divide each feature by; ones where `scaling` leaves the
        features alone.
    inertia_ : float
        Sum of squared distances of the pixels to their centres, in scaled features.
    n_iter_ : int
        Iterations of the best start.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when X was a DataFrame with string column names.

    See Also
    --------
    ImageClusterer : Groups the ions by their images.

    Notes
    -----
    X follows scikit-learn's ``array_api_dispatch``: attributes and results live in the
    namespace of X. NumPy arrays are clustered by scikit-learn's ``KMeans``, others by
    Lloyd's iterations in their own namespace from the same starts.

    References
    ----------
    .. [1] Lin Y. T., Bao H., Scoggins T., Prentice B. (2024). iMSminer: a data
       processing and machine learning package for imaging mass spectrometry.
       ChemRxiv, doi:10.26434/chemrxiv-2024-kxjgg.
    .. [2] Prasad M. et al. (2022). Evaluation and comparison of unsupervised methods
       for the extraction of spatial patterns from mass spectrometry imaging data.
       Scientific Reports 12, 15687.
    .. [3] Singhal V. et al. (2024). BANKSY unifies cell typing and tissue domain
       segmentation for scalable spatial omics data analysis. Nature Genetics 56, 431.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import InSituSegmenter
    >>> X = np.array([[9.0, 1.0], [8.0, 1.0], [1.0, 7.0], [18.0, 2.0], [1.0, 9.0]])
    >>> segmenter = InSituSegmenter(n_clusters=2, random_state=0).fit(X)
    >>> segmenter.labels_
    array([0, 0, 1, 0, 1], dtype=int32)
    >>> segmenter.segment_profiles_.round(1)
    array([[11.7,  1.3],
           [ 1. ,  8. ]])

    Coordinates come with a DataFrame's index, or as an argument:

    >>> spatial = InSituSegmenter(n_clusters=2, spatial_radius=1, random_state=0)
    >>> spatial.fit_predict(X, coordinates=[[1, 1], [2, 1], [4, 1], [1, 2], [4, 2]])
    array([0, 0, 1, 0, 1], dtype=int32)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions({"kmeans"})],
        "metric": [StrOptions({"euclidean", "correlation"})],
        "spatial_radius": [Interval(Integral, 0, None, closed="left")],
        "scaling": [StrOptions({"max", "std", "l2", "max+l2", "std+l2"}), None],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters=8,
        *,
        method="kmeans",
        metric="euclidean",
        spatial_radius=0,
        scaling="max+l2",
        n_init=10,
        max_iter=300,
        tol=1e-4,
        random_state=None,
    ):
        self.n_clusters = n_clusters
        self.method = method
        self.metric = metric
        self.spatial_radius = spatial_radius
        self.scaling = scaling
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def _pixels(self, X: Any, coordinates: Any, runs: Any) -> Pixels | None:
        """Where the pixels are, when it matters. Looks at X before its validation."""
        if not self.spatial_radius:
            return None
        return coordinates_of(X, coordinates, runs, estimator=self)

    def _check_array(self, X: Any, *, reset: bool) -> Any:
        xp = namespace_of(X)
        return validate_data(self, X, dtype=[xp.float64, xp.float32], reset=reset)

    def _learn_scale(self, X: Any) -> Any:
        """Divisor of each feature; 1 for one that does not vary or exist."""
        xp = namespace_of(X)
        scaling = self.scaling or ""
        if scaling.startswith("max"):
            scale = xp.max(xp.abs(X), axis=0)
        elif scaling.startswith("std"):
            scale = _column_deviations(X, xp)
        else:
            return xp.ones(X.shape[1], dtype=X.dtype, device=device_of(X))
        return xp.where(scale > 0, scale, xp.ones_like(scale))

    def _points(self, X: Any, pixels: Pixels | None) -> Any:
        """Describe each pixel as a point in the space in which distance is measured."""
        xp = namespace_of(X)
        points = X / self.scale_
        if self.scaling is not None and self.scaling.endswith("l2"):
            points = points / _norms(points, xp)
        if self.metric == "correlation":
            points = _centred(points, xp)
            points = points / _norms(points, xp)
        if pixels is not None:
            around = mean_over_neighbors(points, pixels, self.spatial_radius)
            points = xp.concat([points, around], axis=1)
        return points

    def fit(self, X, y=None, *, coordinates=None, runs=None):
        """Find the segments.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Features, as PeakIntegrator returns them. Finite.
        y : Ignored
            For scikit-learn's sake.
        coordinates : array-like of shape (n_pixels, 2 or 3), default=None
            Integer x, y and maybe z of the pixels. By default from the index of X.
        runs : array-like of shape (n_pixels,), default=None
            The run of each pixel. By default from the index of X, else a single run.

        Returns
        -------
        self : InSituSegmenter

        Raises
        ------
        ValueError
            When X has fewer pixels than `n_clusters`, or `spatial_radius` is set and
            nothing says where the pixels are.
        """
        self._validate_params()
        frame = X if isinstance(X, pd.DataFrame) else None
        X_given = X
        X = self._check_array(X, reset=True)
        if X.shape[0] < self.n_clusters:
            message = (
                f"{type(self).__name__}: n_samples={X.shape[0]} should be >= "
                f"n_clusters={self.n_clusters}. Ask for fewer segments."
            )
            raise ValueError(message)
        pixels = self._pixels(X_given, coordinates, runs)
        self.scale_ = self._learn_scale(X)
        found = kmeans(
            self._points(X, pixels),
            self.n_clusters,
            n_init=self.n_init,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=self.random_state,
        )
        self.labels_ = found.labels
        self.cluster_centers_ = found.centers
        self.inertia_ = found.inertia
        self.n_iter_ = found.n_iter
        profiles = _mean_by_label(X, found.labels, self.n_clusters)
        if frame is not None:
            index = pd.RangeIndex(self.n_clusters, name="segment")
            profiles = pd.DataFrame(profiles, index=index, columns=frame.columns)
        self.segment_profiles_ = profiles
        return self

    def predict(self, X, *, coordinates=None, runs=None):
        """Assign each pixel to the segment with the nearest centre.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Pixels of this or another run.
        coordinates, runs : array-like, default=None
            As in :meth:`fit`. Neighbourhoods hold pixels of this X only.

        Returns
        -------
        labels : int32 array of shape (n_pixels,)
        """
        points = self._points_of_new(X, coordinates, runs, "predict")
        return nearest(points, self.cluster_centers_)

    def transform(self, X, *, coordinates=None, runs=None):
        """Distances of each pixel to the centres of the segments.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Pixels of this or another run.
        coordinates, runs : array-like, default=None
            As in :meth:`fit`.

        Returns
        -------
        distances : array of shape (n_pixels, n_clusters)
            Euclidean, in the space of scaled features.
        """
        points = self._points_of_new(X, coordinates, runs, "transform")
        return distances(points, self.cluster_centers_)

    def fit_predict(self, X, y=None, *, coordinates=None, runs=None):
        """Find the segments and return the labels of the pixels.

        Parameters
        ----------
        X, y, coordinates, runs
            As in :meth:`fit`.

        Returns
        -------
        labels : int32 array of shape (n_pixels,)
        """
        return self.fit(X, y, coordinates=coordinates, runs=runs).labels_

    def fit_transform(self, X, y=None, *, coordinates=None, runs=None):
        """Find the segments and return the distances to their centres.

        Parameters
        ----------
        X, y, coordinates, runs
            As in :meth:`fit`.

        Returns
        -------
        distances : array of shape (n_pixels, n_clusters)
        """
        self.fit(X, y, coordinates=coordinates, runs=runs)
        points = self._points_of_new(X, coordinates, runs, "fit_transform")
        return distances(points, self.cluster_centers_)

    def get_feature_names_out(self, input_features=None):
        """Names of the columns that :meth:`transform` returns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Must equal ``feature_names_in_`` where there are such names.

        Returns
        -------
        names : ndarray of shape (n_clusters,)
            ``"segment0"``, ``"segment1"``, …
        """
        check_is_fitted(self)
        check_feature_names_in(self, input_features)
        n_segments = self.cluster_centers_.shape[0]
        return np.asarray([f"segment{k}" for k in range(n_segments)], dtype=object)

    def _points_of_new(self, X: Any, coordinates: Any, runs: Any, method: str) -> Any:
        check_is_fitted(self)
        check_same_namespace(self, method, self.cluster_centers_, X)
        pixels = self._pixels(X, coordinates, runs)
        return self._points(self._check_array(X, reset=False), pixels)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _column_deviations(X: Any, xp: Any) -> Any:
    """Standard deviation of each column; finite for extreme values too."""
    largest = xp.max(xp.abs(X), axis=0)
    safe = xp.where(largest > 0, largest, xp.ones_like(largest))
    if is_numpy_array(X):
        # NumPy would add up float32 one by one, and lose digits.
        relative = (X / safe).std(axis=0, dtype=np.float64).astype(X.dtype)
    else:
        relative = xp.std(X / safe, axis=0)
    # What rounding leaves of a constant column is not variation.
    flat = relative <= 8 * xp.finfo(X.dtype).eps
    return xp.where(flat, xp.zeros_like(relative), relative) * safe


def _norms(points: Any, xp: Any) -> Any:
    """Euclidean norm of each row, as a column; 1 where it is 0."""
    # Dividing by the largest first keeps the squares of extreme values finite.
    largest = xp.max(xp.abs(points), axis=1, keepdims=True)
    safe = xp.where(largest > 0, largest, xp.ones_like(largest))
    relative = points / safe
    norm = xp.sqrt(xp.sum(relative * relative, axis=1, keepdims=True)) * safe
    return xp.where(norm > 0, norm, xp.ones_like(norm))


def _centred(points: Any, xp: Any) -> Any:
    """Subtract each row's mean; rows that are constant but for rounding become 0."""
    mean = xp.mean(points, axis=1, keepdims=True)
    centred = points - mean
    spread = xp.max(xp.abs(centred), axis=1, keepdims=True)
    noise = 8 * xp.finfo(points.dtype).eps * xp.max(xp.abs(points), axis=1)[:, None]
    return xp.where(spread > noise, centred, xp.zeros_like(centred))


def _mean_by_label(X: Any, labels: Any, n_clusters: int) -> Any:
    """Mean row of X per label, accumulated in float64 where the namespace has it."""
    xp = namespace_of(X)
    if is_numpy_array(X):
        order = np.argsort(labels, kind="stable")
        bounds = np.searchsorted(labels[order], np.arange(n_clusters + 1))
        profiles = np.full((n_clusters, X.shape[1]), np.nan, dtype=X.dtype)
        for k in range(n_clusters):
            rows = order[bounds[k] : bounds[k + 1]]
            if rows.size:
                profiles[k] = X[rows].mean(axis=0, dtype=np.float64)
        return profiles
    codes = xp.arange(n_clusters, dtype=labels.dtype, device=device_of(X))
    member = xp.astype(labels[:, None] == codes[None, :], X.dtype)
    return (member.T @ X) / xp.sum(member, axis=0)[:, None]
