"""Divide the pixels into segments of similar spectra."""

from numbers import Integral, Real
from typing import Any, ClassVar

import pandas as pd
from sklearn.base import BaseEstimator, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from imsminer._array import check_same_namespace, namespace_of
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.grid import Pixels, coordinates_of
from imsminer.images._names import NumberedColumns
from imsminer.images._neighbors import mean_over_neighbors
from imsminer.images._scaling import learn_scale, mean_by_label, scaled_points
from imsminer.images._segmenting import (
    by_kmeans,
    by_mixture,
    by_shrunken_centroids,
)
from imsminer.images._spatial_weights import spatial_weights

__all__ = ["InSituSegmenter"]


class InSituSegmenter(NumberedColumns, ClusterMixin, TransformerMixin, BaseEstimator):
    """Segment an image: cluster its pixels by their spectra.

    The features of a pixel are scaled, joined with those of its neighbourhood if
    wanted, and clustered. Segments are numbered by descending size (of equals, the one
    that holds the first pixel comes first).

    Parameters
    ----------
    n_clusters : int, default=8
        Number of segments. ``"shrunken_centroids"`` begins with so many, and drops
        those that lose all of their pixels: ``n_clusters_`` are left.
    method : {"kmeans", "gmm", "shrunken_centroids"}, default="kmeans"
        How to cluster. ``"gmm"`` is a mixture of Gaussians, fitted to the segments of
        k-means. ``"shrunken_centroids"`` [4]_ begins there too; it compares a
        neighbourhood with centroids that keep only the features in which a segment
        differs from the mean.
    metric : {"euclidean", "correlation"}, default="euclidean"
        Of the scaled features. ``"correlation"`` compares the shapes of spectra: each
        pixel is centred on its own mean and divided by its Euclidean norm, before
        Euclidean distances are taken. A pixel that is constant over its features, an
        empty one for instance, has no shape: it stays at the origin.
    spatial_radius : int, default=0
        With 1 or more, the neighbours of a pixel count, up to this many king's moves
        away. k-means and mixtures describe each pixel by its own features *and* by
        their weighted mean over its neighbours; shrunken centroids average distances
        over the pixel and its neighbours. Neighbours never lie in another run, at
        another z, or across a gap. It needs to know where the pixels are.
    weights : {"gaussian", "adaptive"}, default="gaussian"
        How much a neighbour counts: by its distance in space (σ = (2·radius + 1)/4
        pixels), or less as well where its scaled features differ [5]_, which keeps
        edges.
    neighbor_share : float, default=0.8
        Of k-means and mixtures with `spatial_radius`: the part, 0 to 1, of the squared
        distance between two pixels that comes from their neighbourhoods; the default
        is that of [3]_ for domains of a tissue. The pixel's own features are multiplied
        by √(2 · (1 - share)) and those of its neighbourhood by √(2 · share).
    shrinkage : float, default=2.0
        Of ``"shrunken_centroids"``: subtracted from the t-statistics of each centroid.
        Features whose t is smaller take the mean of all pixels. 0 does not shrink.
    covariance_type : {"tied", "full", "diag", "spherical"}, default="tied"
        Of ``"gmm"``, as in :class:`sklearn.mixture.GaussianMixture`. All but ``"tied"``
        let noisy pixels gather in a component of their own, and need many more pixels
        than features.
    scaling : {"max", "std", "l2", "max+l2", "std+l2"} or None, default="max+l2"
        What is done to the features first. ``"max"`` divides each feature by its
        largest absolute value and ``"std"`` by its standard deviation, both learnt in
        ``fit``, so that strong and weak ions count alike. ``"l2"`` divides each pixel
        by its Euclidean norm, so that only proportions count; an empty pixel stays 0.
        ``"max+l2"`` does one after the other: the column and row scaling of [1]_.
    n_init : int, default=10
        How many random starts of k-means; the one with the smallest inertia is kept.
    max_iter : int, default=300
        Most iterations per start, and of what follows k-means.
    tol : float, default=1e-4
        Stop when the centres move less, relative to the variance of the features; for
        ``"gmm"``, when the mean log-likelihood grows less. ``"shrunken_centroids"``
        stops when at most 1 % of the pixels change their segment.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same segments at each fit.

    Attributes
    ----------
    labels_ : int32 array of shape (n_pixels,)
        The segment of each pixel of ``fit``, from 0.
    n_clusters_ : int
        Number of segments: `n_clusters`, or fewer for ``"shrunken_centroids"``.
    cluster_centers_ : array of shape (n_segments, n_features)
        Centres in the space of scaled features; (n_segments, 2 · n_features) for
        k-means and mixtures with `spatial_radius`, the neighbourhood's after the
        pixel's own.
    statistic_ : float64 array of shape (n_segments, n_features)
        Only for ``"shrunken_centroids"``: the shrunken t of each centre; 0 where it is
        the mean of all pixels.
    segment_profiles_ : array or DataFrame of shape (n_segments, n_features)
        Mean spectrum of each segment in the units of X; NaN for a segment without
        pixels. A DataFrame when X was one.
    scale_ : array of shape (n_features,)
        What ``fit`` learnt to divide each feature by; ones where `scaling` leaves the
        features alone.
    inertia_ : float
        Sum of squared distances, those of :meth:`transform`, of the pixels to their
        segments.
    n_iter_ : int
        Iterations of the best start of k-means, or of what follows it.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when X was a DataFrame with string column names.

    See Also
    --------
    ShrunkenCentroidClassifier : Learns regions that are known for some pixels.
    ImageClusterer : Groups the ions by their images.

    Notes
    -----
    X follows scikit-learn's ``array_api_dispatch``: attributes and results live in the
    namespace of X. NumPy arrays are clustered by scikit-learn's ``KMeans``, CuPy arrays
    by cuML's where it is installed, others by Lloyd's iterations in their own namespace
    from starts drawn in the same way. Mixtures are fitted on the host.

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
    .. [4] Bemis K. D. et al. (2016). Probabilistic segmentation of mass spectrometry
       (MS) images helps select important ions and characterize confidence in the
       resulting segments. Molecular & Cellular Proteomics 15, 1761.
    .. [5] Alexandrov T., Kobarg J. H. (2011). Efficient spatial segmentation of large
       imaging mass spectrometry datasets with spatially aware clustering.
       Bioinformatics 27, i230.

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

    _prefix = "segment"

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions({"kmeans", "gmm", "shrunken_centroids"})],
        "metric": [StrOptions({"euclidean", "correlation"})],
        "spatial_radius": [Interval(Integral, 0, None, closed="left")],
        "weights": [StrOptions({"gaussian", "adaptive"})],
        "neighbor_share": [Interval(Real, 0, 1, closed="both")],
        "shrinkage": [Interval(Real, 0, None, closed="left")],
        "covariance_type": [StrOptions({"tied", "full", "diag", "spherical"})],
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
        weights="gaussian",
        neighbor_share=0.8,
        shrinkage=2.0,
        covariance_type="tied",
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
        self.weights = weights
        self.neighbor_share = neighbor_share
        self.shrinkage = shrinkage
        self.covariance_type = covariance_type
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

    def _describe(self, X: Any, pixels: Pixels | None) -> tuple[Any, Any]:
        """Points, and the weights of a neighbourhood that counts behind them."""
        points = scaled_points(X, self.scale_, self.scaling, self.metric)
        if pixels is None:
            return points, None
        adaptive = self.weights == "adaptive"
        radius = self.spatial_radius
        if self.method == "shrunken_centroids":
            return points, spatial_weights(pixels, radius, points if adaptive else None)
        around = mean_over_neighbors(points, pixels, radius, adaptive=adaptive)
        own, share = (2 * (1 - self.neighbor_share)) ** 0.5, self.neighbor_share
        joined = [own * points, (2 * share) ** 0.5 * around]
        return namespace_of(X).concat(joined, axis=1), None

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
        self.scale_ = learn_scale(X, self.scaling)
        points, weights = self._describe(X, pixels)
        n_clusters, settings = (
            self.n_clusters,
            {
                name: getattr(self, name)
                for name in ("n_init", "max_iter", "tol", "random_state")
            },
        )
        vars(self).pop("statistic_", None)
        if self.method == "kmeans":
            found = by_kmeans(points, n_clusters, **settings)
        elif self.method == "gmm":
            found = by_mixture(points, n_clusters, self.covariance_type, **settings)
        else:
            found = by_shrunken_centroids(
                points, n_clusters, weights, self.shrinkage, **settings
            )
            self.statistic_ = found.model.centroids.statistic
        self._model = found.model
        self.labels_ = found.labels
        self.cluster_centers_ = found.centers
        self.n_clusters_ = int(found.centers.shape[0])
        self.inertia_ = found.inertia
        self.n_iter_ = found.n_iter
        profiles = mean_by_label(X, found.labels, self.n_clusters_)
        if frame is not None:
            index = pd.RangeIndex(self.n_clusters_, name="segment")
            profiles = pd.DataFrame(profiles, index=index, columns=frame.columns)
        self.segment_profiles_ = profiles
        return self

    def predict(self, X, *, coordinates=None, runs=None):
        """Assign each pixel to a segment, as `method` does.

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
        new = self._new(X, coordinates, runs, "predict")
        return self._model.labels(*new)

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
        distances : array of shape (n_pixels, n_segments)
            In the space of scaled features: Euclidean for k-means, Mahalanobis for a
            mixture (:meth:`predict` weighs them by the sizes of the segments), and for
            shrunken centroids Euclidean in units of the standard deviation within
            segments, averaged over the neighbourhood.
        """
        new = self._new(X, coordinates, runs, "transform")
        return self._model.distances(*new)

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
        distances : array of shape (n_pixels, n_segments)
        """
        self.fit(X, y, coordinates=coordinates, runs=runs)
        new = self._new(X, coordinates, runs, "fit_transform")
        return self._model.distances(*new)

    @property
    def _n_columns(self):
        return self.n_clusters_

    def _new(self, X: Any, coordinates: Any, runs: Any, method: str) -> Any:
        check_is_fitted(self)
        check_same_namespace(self, method, self.cluster_centers_, X)
        pixels = self._pixels(X, coordinates, runs)
        return self._describe(self._check_array(X, reset=False), pixels)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
