"""Learn regions whose pixels are known, and find them elsewhere."""

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from imsminer._array import (
    check_same_namespace,
    device_of,
    is_numpy_array,
    namespace_of,
    to_numpy,
)
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.grid import coordinates_of
from imsminer.images._shrunken import (
    class_distances,
    class_probabilities,
    shrunken_centroids,
)
from imsminer.images._spatial_weights import spatial_weights

__all__ = ["ShrunkenCentroidClassifier"]


class ShrunkenCentroidClassifier(ClassifierMixin, BaseEstimator):
    """Classify pixels by spatial shrunken centroids.

    The centroid of each class is drawn towards the mean of all pixels, feature by
    feature, until only the features in which the class differs are left [1]_. A pixel
    goes to the class that is nearest to the pixels around it [2]_.

    Parameters
    ----------
    shrinkage : float, default=0.0
        Subtracted from the size of each t-statistic; a centroid takes the mean of all
        pixels where its t is smaller. 0 does not shrink.
    spatial_radius : int, default=0
        With 1 or more, distances are averaged over the pixel and its neighbours up to
        this many king's moves away. Neighbours never lie in another run, at another z,
        or across a gap. It needs to know where the pixels are.
    weights : {"gaussian", "adaptive"}, default="gaussian"
        How much a neighbour counts: by its distance in space (σ = (2·radius + 1)/4
        pixels), or less as well where its features differ [3]_, which keeps edges.
    priors : {"empirical", "uniform"} or array-like of shape (n_classes,), \
            default="empirical"
        Probability of each class before a pixel is seen: its share in ``fit``, the same
        for all, or given in the order of ``classes_`` (divided by their sum).

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Names of the classes, sorted.
    centroids_ : float64 array of shape (n_classes, n_features)
        Shrunken centroids.
    statistic_ : float64 array of shape (n_classes, n_features)
        t of each feature in each class, soft-thresholded; 0 where the class does not
        differ from the mean of all pixels. Large values mark the class.
    deviation_ : float64 array of shape (n_features,)
        Pooled standard deviation within classes.
    scale_ : float64 array of shape (n_features,)
        What differences are divided by: ``deviation_`` plus its median (where that is
        0, the median of those above 0; 1 where there is none).
    priors_ : float64 array of shape (n_classes,)
        Priors, with sum 1.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when X was a DataFrame with string column names.

    See Also
    --------
    InSituSegmenter : Finds segments without knowing any;
        ``method="shrunken_centroids"``.
    sklearn.neighbors.NearestCentroid : The same without neighbourhoods.

    Notes
    -----
    With the deviation s of a feature, the median s₀ of all, n_k of n pixels in class k
    and standard errors e = (s + s₀) · √(1/n_k - 1/n), the statistic is
    t = (x̄_k - x̄)/e; it is shrunken to t′ = sign(t) · max(\\|t\\| - shrinkage, 0), and
    the centroid is x̄ + e · t′. D_k is the weighted mean, over the neighbourhood, of the
    distances to centroid k in units of s + s₀, and the probability of class k is
    proportional to its prior times exp(-D_k²/2).

    It agrees with ``spatialShrunkenCentroids`` of Cardinal to rounding. Features are
    used as they are: normalise them first.

    Pixels of one sample are not independent of each other: judge the classifier on
    samples, or blocks of pixels, that it has not seen.

    References
    ----------
    .. [1] Tibshirani R. et al. (2003). Class prediction by nearest shrunken centroids,
       with applications to DNA microarrays. Statistical Science 18, 104.
    .. [2] Bemis K. D. et al. (2016). Probabilistic segmentation of mass spectrometry
       (MS) images helps select important ions and characterize confidence in the
       resulting segments. Molecular & Cellular Proteomics 15, 1761.
    .. [3] Alexandrov T., Kobarg J. H. (2011). Efficient spatial segmentation of large
       imaging mass spectrometry datasets with spatially aware clustering.
       Bioinformatics 27, i230.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import ShrunkenCentroidClassifier
    >>> X = np.array([[9.0, 1.0], [8.0, 1.0], [1.0, 7.0], [9.0, 2.0], [2.0, 9.0]])
    >>> y = ["stroma", "stroma", "epithelium", "stroma", "epithelium"]
    >>> model = ShrunkenCentroidClassifier(spatial_radius=1)
    >>> where = [[1, 1], [2, 1], [4, 1], [1, 2], [4, 2]]
    >>> model.fit(X, y, coordinates=where).predict([[2.0, 8.0]], coordinates=[[7, 7]])
    array(['epithelium'], dtype='<U10')
    >>> model.statistic_.round(1)
    array([[-5.6,  4.2],
           [ 5.6, -4.2]])
    """

    _parameter_constraints: ClassVar[dict] = {
        "shrinkage": [Interval(Real, 0, None, closed="left")],
        "spatial_radius": [Interval(Integral, 0, None, closed="left")],
        "weights": [StrOptions({"gaussian", "adaptive"})],
        "priors": [StrOptions({"empirical", "uniform"}), "array-like"],
    }

    def __init__(
        self,
        *,
        shrinkage=0.0,
        spatial_radius=0,
        weights="gaussian",
        priors="empirical",
    ):
        self.shrinkage = shrinkage
        self.spatial_radius = spatial_radius
        self.weights = weights
        self.priors = priors

    def _weights(self, X_given: Any, X: Any, coordinates: Any, runs: Any) -> Any:
        """Weights of the pixels around each pixel, or None."""
        if not self.spatial_radius:
            return None
        pixels = coordinates_of(X_given, coordinates, runs, estimator=self)
        values = X if self.weights == "adaptive" else None
        return spatial_weights(pixels, self.spatial_radius, values)

    def _learn_priors(self, count: np.ndarray) -> np.ndarray:
        """Priors of the classes, with sum 1."""
        if isinstance(self.priors, str):
            return (
                count / count.sum()
                if self.priors == "empirical"
                else (np.full(count.size, 1 / count.size))
            )
        priors = np.asarray(self.priors, dtype=np.float64)
        fits = priors.shape == count.shape
        if not fits or not np.isfinite(priors).all() or not (priors > 0).all():
            message = (
                f"{type(self).__name__}: priors must be one number above 0 for each of "
                f"the {count.size} classes, got {self.priors!r}."
            )
            raise ValueError(message)
        return priors / priors.sum()

    def fit(self, X, y, *, coordinates=None, runs=None):
        """Learn the centroids of the classes.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Features of pixels whose class is known. Finite.
        y : array-like of shape (n_pixels,)
            Class of each pixel: numbers or names.
        coordinates, runs : array-like, default=None
            Only looked at for errors: centroids do not depend on where pixels are. So
            that the same arguments serve :meth:`predict`.

        Returns
        -------
        self : ShrunkenCentroidClassifier

        Raises
        ------
        ValueError
            When y has numbers that are no classes, `priors` do not fit to the classes,
            or `spatial_radius` is set and nothing says where the pixels are.
        """
        self._validate_params()
        X_given, xp = X, namespace_of(X)
        X, y = validate_data(self, X, y, dtype=[xp.float64, xp.float32])
        check_classification_targets(y)
        if self.spatial_radius:
            coordinates_of(X_given, coordinates, runs, estimator=self)
        xp, device = namespace_of(X), device_of(X)
        classes, codes, count = np.unique(
            to_numpy(y), return_inverse=True, return_counts=True
        )
        found = shrunken_centroids(
            X, xp.asarray(codes, device=device), classes.size, self.shrinkage
        )
        self.classes_ = (
            classes if is_numpy_array(y) else xp.asarray(classes, device=device)
        )
        self.priors_ = xp.asarray(self._learn_priors(count), device=device)
        self.centroids_ = found.centers
        self.statistic_ = found.statistic
        self.deviation_ = found.deviation
        self.scale_ = found.scale
        return self

    def _distances(self, X: Any, coordinates: Any, runs: Any, method: str) -> Any:
        """Distances of the neighbourhoods to the centroids, float64."""
        check_is_fitted(self)
        check_same_namespace(self, method, self.centroids_, X)
        X_given, xp = X, namespace_of(X)
        X = validate_data(self, X, dtype=[xp.float64, xp.float32], reset=False)
        weights = self._weights(X_given, X, coordinates, runs)
        return class_distances(X, self.centroids_, self.scale_, weights)

    def predict_proba(self, X, *, coordinates=None, runs=None):
        """Probability of each class for each pixel.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Pixels of this or another run.
        coordinates : array-like of shape (n_pixels, 2 or 3), default=None
            Integer x, y and maybe z of the pixels. By default from the index of X.
            Neighbourhoods hold pixels of this X only.
        runs : array-like of shape (n_pixels,), default=None
            The run of each pixel. By default from the index of X, else a single run.

        Returns
        -------
        probability : float64 array of shape (n_pixels, n_classes)
            Rows sum to 1. They take the features of a pixel to be independent, and so
            are closer to 0 and 1 than they should be.
        """
        distance = self._distances(X, coordinates, runs, "predict_proba")
        return class_probabilities(distance, self.priors_)

    def predict(self, X, *, coordinates=None, runs=None):
        """Return the most probable class of each pixel.

        Parameters
        ----------
        X, coordinates, runs
            As in :meth:`predict_proba`.

        Returns
        -------
        classes : array of shape (n_pixels,)
        """
        distance = self._distances(X, coordinates, runs, "predict")
        xp = namespace_of(distance)
        # Scores, not probabilities: far from all classes these are 0 and 1 to rounding.
        score = distance * distance - 2 * xp.log(self.priors_)
        best = xp.argmin(score, axis=1)
        if is_numpy_array(self.classes_):
            return self.classes_[to_numpy(best)]
        return xp.take(self.classes_, best, axis=0)

    def score(self, X, y, sample_weight=None, *, coordinates=None, runs=None):
        """Accuracy: the share of pixels that get their class.

        Parameters
        ----------
        X, coordinates, runs
            As in :meth:`predict_proba`.
        y : array-like of shape (n_pixels,)
            True classes.
        sample_weight : array-like of shape (n_pixels,), default=None
            How much each pixel counts.

        Returns
        -------
        accuracy : float
        """
        check_is_fitted(self)
        check_same_namespace(self, "score", self.centroids_, X)
        found = self.predict(X, coordinates=coordinates, runs=runs)
        return float(accuracy_score(y, found, sample_weight=sample_weight))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags
