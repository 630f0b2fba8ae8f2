"""Group the ions whose images look alike."""

import warnings
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import AgglomerativeClustering
from sklearn.utils.validation import check_is_fitted, validate_data

from imsminer._array import (
    check_same_namespace,
    device_of,
    is_numpy_array,
    namespace_of,
    to_numpy,
)
from imsminer._sklearn_compat import Interval, Options, StrOptions
from imsminer.images._kmeans import by_size, kmeans
from imsminer.images._names import NumberedColumns
from imsminer.images._similarity import (
    SIMILARITIES,
    column_norms,
    image_filter,
    unit_images,
)

__all__ = ["ImageClusterer"]


class ImageClusterer(NumberedColumns, TransformerMixin, BaseEstimator):
    """Cluster ion images: which ions are found in the same places.

    Like :class:`sklearn.cluster.FeatureAgglomeration` it clusters *features*, and
    reduces them to one mean image per cluster. Clusters are numbered by descending size
    (of equals, the one that holds the first feature comes first).

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters. With fewer features, each becomes a cluster of its own,
        with a warning.
    similarity : {"thresholded_cosine", "cosine", "pearson", "spearman"}, \
            default="thresholded_cosine"
        Between images. ``"thresholded_cosine"`` sets what lies below an image's median
        to 0, applies a median filter, and takes the cosine: of the measures compared
        in [1]_ it agreed best with the judgement of experts. Images without any
        variation (without any signal, for the cosines) are similar to none.
    method : {"kmeans", "average"}, default="kmeans"
        ``"kmeans"`` on the images scaled to unit norm, or ``"average"`` linkage on
        1 - similarity.
    median_filter : {"auto", 0, 3}, default="auto"
        Width of the median filter of ``"thresholded_cosine"``, in pixels; no other
        similarity filters. Windows reach into no other run, plane or gap. 3 needs to
        know where the pixels are; 0 does not filter; ``"auto"`` is 3 where the pixels
        have coordinates, in the index of X or as an argument, and 0 where nothing says
        where they are. ``median_filter_`` says which it was.
    n_init : int, default=10
        How many random starts of k-means; the best is kept.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same clusters at each fit.

    Attributes
    ----------
    labels_ : int32 array of shape (n_features,)
        The cluster of each feature, from 0.
    n_clusters_ : int
        Number of clusters: `n_clusters`, or the number of features if that is less.
    similarity_ : array of shape (n_features, n_features)
        Similarity of each pair of images, -1 to 1.
    scale_ : array of shape (n_features,)
        Root mean square of each image of ``fit``; 1 for an empty one.
    median_filter_ : int
        Width of the filter that was applied; 0 for none.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when X was a DataFrame with string column names.

    See Also
    --------
    InSituSegmenter : Groups the pixels by their spectra.

    Notes
    -----
    k-means sees the images only through their inner products. So it runs on an exact
    factor of the Gram matrix, (n_features, n_features) instead of (n_features,
    n_pixels): the same clusters, at a cost that does not grow with the pixels.

    References
    ----------
    .. [1] Ovchinnikova K. et al. (2020). ColocML: machine learning quantifies
       co-localization between mass spectrometry images. Bioinformatics 36, 3215.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import ImageClusterer
    >>> left, right = np.array([5.0, 4, 0, 0]), np.array([0.0, 0, 3, 5])
    >>> X = np.stack([left, right, 2 * left, 9 * left], axis=1)
    >>> clusterer = ImageClusterer(n_clusters=2, random_state=0).fit(X)
    >>> clusterer.labels_
    array([0, 1, 0, 0], dtype=int32)
    >>> clusterer.transform(X).round(2)
    array([[1.56, 0.  ],
           [1.25, 0.  ],
           [0.  , 1.03],
           [0.  , 1.71]])
    """

    _prefix = "imagecluster"

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "similarity": [StrOptions(set(SIMILARITIES))],
        "method": [StrOptions({"kmeans", "average"})],
        "median_filter": [StrOptions({"auto"}), Options(Integral, {0, 3})],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters=8,
        *,
        similarity="thresholded_cosine",
        method="kmeans",
        median_filter="auto",
        n_init=10,
        random_state=None,
    ):
        self.n_clusters = n_clusters
        self.similarity = similarity
        self.method = method
        self.median_filter = median_filter
        self.n_init = n_init
        self.random_state = random_state

    def fit(self, X, y=None, *, coordinates=None, runs=None):
        """Find the clusters.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Features, as PeakIntegrator returns them: each column is an ion image.
        y : Ignored
            For scikit-learn's sake.
        coordinates : array-like of shape (n_pixels, 2 or 3), default=None
            Integer x, y and maybe z of the pixels. By default from the index of X.
        runs : array-like of shape (n_pixels,), default=None
            The run of each pixel. By default from the index of X, else a single run.

        Returns
        -------
        self : ImageClusterer

        Raises
        ------
        ValueError
            When ``median_filter=3`` and nothing says where the pixels are.
        """
        self._validate_params()
        X_given = X
        xp = namespace_of(X)
        X = validate_data(self, X, dtype=[xp.float64, xp.float32])
        xp = namespace_of(X)
        filtered = image_filter(
            X_given,
            self.similarity,
            self.median_filter,
            coordinates,
            runs,
            estimator=self,
        )
        n_features = X.shape[1]
        self.n_clusters_ = min(self.n_clusters, n_features)
        if self.n_clusters_ < self.n_clusters:
            message = (
                f"{type(self).__name__}: n_clusters={self.n_clusters}, but X has only "
                f"{n_features} features: each becomes a cluster of its own."
            )
            warnings.warn(message, UserWarning, stacklevel=2)
        self.median_filter_ = 0 if filtered is None else 3
        images = unit_images(X, self.similarity, filtered)
        self.similarity_ = xp.clip(images.T @ images, -1, 1)
        if self.method == "kmeans":
            self.labels_ = kmeans(
                _gram_factor(self.similarity_, images),
                self.n_clusters_,
                n_init=self.n_init,
                max_iter=300,
                # Until no image moves: a tolerance on the shift of the centres would
                # depend on the number of columns that describe an image.
                tol=0,
                random_state=self.random_state,
            ).labels
        else:
            self.labels_ = _average_linkage(self.similarity_, self.n_clusters_)
        scale = column_norms(X) / X.shape[0] ** 0.5
        self.scale_ = xp.where(scale > 0, scale, xp.ones_like(scale))
        return self

    def transform(self, X):
        """Mean image of each cluster.

        Each ion is first divided by its root mean square in ``fit`` (``scale_``), so
        that all ions of a cluster count alike, whatever their intensities.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Pixels of this or another run.

        Returns
        -------
        images : array of shape (n_pixels, n_clusters)
            1 means the ions' typical (root mean square) intensity in ``fit``.
        """
        check_is_fitted(self)
        check_same_namespace(self, "transform", self.scale_, X)
        xp = namespace_of(X)
        X = validate_data(self, X, dtype=[xp.float64, xp.float32], reset=False)
        xp = namespace_of(X)
        clusters = xp.arange(
            self.n_clusters_, dtype=self.labels_.dtype, device=device_of(X)
        )
        member = xp.astype(self.labels_[:, None] == clusters[None, :], X.dtype)
        size = xp.sum(member, axis=0)
        size = xp.where(size > 0, size, xp.ones_like(size))
        scale = xp.astype(self.scale_, X.dtype, copy=False)
        return X @ (member / (scale[:, None] * size[None, :]))

    def fit_transform(self, X, y=None, *, coordinates=None, runs=None):
        """Find the clusters and return their mean images.

        Parameters
        ----------
        X, y, coordinates, runs
            As in :meth:`fit`.

        Returns
        -------
        images : array of shape (n_pixels, n_clusters)
            As in :meth:`transform`.
        """
        return self.fit(X, y, coordinates=coordinates, runs=runs).transform(X)

    @property
    def _n_columns(self):
        return self.n_clusters_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _gram_factor(gram: Any, images: Any) -> Any:
    """Points, one a row, with the inner products of the images.

    With fewer pixels than images the images themselves are smaller than a factor.
    """
    if images.shape[0] <= images.shape[1]:
        return images.T
    xp = namespace_of(gram)
    values, vectors = xp.linalg.eigh(gram)
    values = xp.where(values > 0, values, xp.zeros_like(values))
    return vectors * xp.sqrt(values)


def _average_linkage(similarity: Any, n_clusters: int) -> Any:
    """Labels of average linkage on 1 - similarity, by descending size."""
    if similarity.shape[0] == 1:
        labels = np.zeros(1, dtype=np.int64)
    else:
        distance = 1 - to_numpy(similarity).astype(np.float64)
        np.fill_diagonal(distance, 0)
        labels = AgglomerativeClustering(
            n_clusters, metric="precomputed", linkage="average"
        ).fit_predict((distance + distance.T) / 2)
    renamed, _ = by_size(labels, n_clusters)
    if is_numpy_array(similarity):
        return renamed
    return namespace_of(similarity).asarray(renamed, device=device_of(similarity))
