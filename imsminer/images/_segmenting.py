"""The methods that find segments, and what they keep to find them again.

Each function clusters points and returns the labels with a model. A model assigns new
points to the segments, and measures their distances to them. Segments are ordered by
descending size.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    to_numpy,
)
from imsminer.images._kernels import kmeans_xp, shrunken_numba
from imsminer.images._kmeans import by_size, kmeans
from imsminer.images._neighbors import weighted_mean
from imsminer.images._shrunken import Centroids, class_distances, segment

__all__ = [
    "Segments",
    "by_kmeans",
    "by_mixture",
    "by_shrunken_centroids",
    "mixture_from",
]

#: Added to the variances of mixtures, as a share of the mean variance of the points:
#: features without signal leave covariances singular.
VARIANCE_FLOOR = 1e-3


class Segments(NamedTuple):
    """A segmentation and what assigns new pixels to it."""

    labels: Any
    """int32 array of shape (n_points,)."""
    centers: Any
    """Array of shape (n_segments, n_columns), the dtype of the points."""
    inertia: float
    n_iter: int
    model: Any
    """Has ``labels(points, weights)`` and ``distances(points, weights)``."""


class Nearest(NamedTuple):
    """The segment with the nearest centre."""

    centers: Any

    def labels(self, points: Any, weights: sparse.csr_array | None) -> Any:
        return device_kernels(points, kmeans_xp).nearest(points, self.centers)

    def distances(self, points: Any, weights: sparse.csr_array | None) -> Any:
        return device_kernels(points, kmeans_xp).distances(points, self.centers)


class Mixture(NamedTuple):
    """The most probable component; computed on the host by scikit-learn."""

    model: GaussianMixture

    def labels(self, points: Any, weights: sparse.csr_array | None) -> Any:
        labels = self.model.predict(to_numpy(points).astype(np.float64))
        return _back(labels.astype(np.int32), points)

    def distances(self, points: Any, weights: sparse.csr_array | None) -> Any:
        """Mahalanobis distances, by the covariance of each component."""
        host = to_numpy(points).astype(np.float64)
        means, roots = self.model.means_, self.model.precisions_cholesky_
        ones = np.ones(host.shape[1])
        found = np.empty((host.shape[0], means.shape[0]))
        if self.model.covariance_type == "tied":
            shrunken_numba.class_distances(host @ roots, means @ roots, ones, found)
            return _back(found, points)
        for k, root in enumerate(roots):
            difference = host - means[k]
            # One number, one per feature, or a matrix.
            difference = difference @ root if root.ndim == 2 else difference * root
            found[:, k] = np.linalg.norm(difference, axis=1)
        return _back(found, points)


class Shrunken(NamedTuple):
    """The nearest shrunken centroid, over the neighbourhood."""

    centroids: Centroids

    def labels(self, points: Any, weights: sparse.csr_array | None) -> Any:
        xp = array_namespace(points)
        nearest = xp.argmin(self._distances(points, weights), axis=1)
        return xp.astype(nearest, xp.int32)

    def distances(self, points: Any, weights: sparse.csr_array | None) -> Any:
        xp = array_namespace(points)
        return xp.astype(self._distances(points, weights), points.dtype)

    def _distances(self, points: Any, weights: sparse.csr_array | None) -> Any:
        c = self.centroids
        return class_distances(points, c.centers, c.scale, weights)


def by_kmeans(points: Any, n_clusters: int, **settings: Any) -> Segments:
    """k-means; `settings` are those of :func:`imsminer.images._kmeans.kmeans`."""
    found = kmeans(points, n_clusters, **settings)
    model = Nearest(found.centers)
    return Segments(found.labels, found.centers, found.inertia, found.n_iter, model)


def by_mixture(
    points: Any, n_clusters: int, covariance_type: str, **settings: Any
) -> Segments:
    """Fit a Gaussian mixture, begun at the segments of k-means.

    Parameters
    ----------
    points : float array of shape (n_points, n_columns)
        In any namespace; the mixture is fitted on the host, in float64.
    n_clusters : int
    covariance_type : {"tied", "full", "diag", "spherical"}
    **settings
        As for :func:`by_kmeans`.

    Returns
    -------
    Segments
        Components that are the most probable for no pixel come last.
    """
    start = to_numpy(kmeans(points, n_clusters, **settings).labels)
    host = to_numpy(points).astype(np.float64)
    model = mixture_from(
        host, start, n_clusters, covariance_type, settings["max_iter"], settings["tol"]
    )
    _, order = by_size(model.predict(host), n_clusters)
    model.weights_, model.means_ = model.weights_[order], model.means_[order]
    if covariance_type != "tied":
        for name in ("covariances_", "precisions_", "precisions_cholesky_"):
            setattr(model, name, getattr(model, name)[order])
    kept = Mixture(model)
    labels = kept.labels(points, None)
    xp = array_namespace(points)
    centers = xp.astype(_back(model.means_, points), points.dtype)
    return Segments(
        labels,
        centers,
        _inertia(kept.distances(points, None), labels),
        model.n_iter_,
        kept,
    )


def mixture_from(
    points: np.ndarray,
    labels: np.ndarray,
    n: int,
    covariance_type: str,
    max_iter: int,
    tol: float,
) -> GaussianMixture:
    """Fit a mixture of n Gaussians, begun at given clusters, on the host.

    Parameters
    ----------
    points : float64 ndarray of shape (n_points, n_columns)
    labels : integer ndarray of shape (n_points,)
        Cluster of each point, 0 to n - 1.
    n, covariance_type, max_iter, tol
        As for :class:`sklearn.mixture.GaussianMixture`.
    """
    floor = max(VARIANCE_FLOOR * float(points.var(axis=0).mean()), 1e-300)
    return GaussianMixture(
        n,
        covariance_type=covariance_type,
        max_iter=max_iter,
        tol=tol,
        reg_covar=floor,
        # Names what does not happen: all that it would begin with is given.
        init_params="random_from_data",
        **_start_of_mixture(points, labels, n, covariance_type, floor),
    ).fit(points)


def by_shrunken_centroids(
    points: Any,
    n_clusters: int,
    weights: sparse.csr_array | None,
    shrinkage: float,
    **settings: Any,
) -> Segments:
    """Spatial shrunken centroids, begun at k-means of means over neighbourhoods.

    Parameters
    ----------
    points : float array of shape (n_points, n_features)
        In any namespace.
    n_clusters : int
        Segments to begin with.
    weights : csr_array of shape (n_points, n_points) or None
        From :func:`spatial_weights`; `None` takes each pixel by itself.
    shrinkage : float
    **settings
        As for :func:`by_kmeans`.

    Returns
    -------
    Segments
        Maybe fewer than `n_clusters`.
    """
    xp = array_namespace(points)
    smooth = points if weights is None else weighted_mean(points, weights)
    start = to_numpy(kmeans(smooth, n_clusters, **settings).labels)
    max_iter = settings["max_iter"]
    found = segment(points, start, weights, shrinkage, max_iter)
    if not found.converged:
        message = (
            f"shrunken centroids: more than 1 % of the pixels still changed their "
            f"segment after max_iter={max_iter} iterations. Raise max_iter, or take "
            "fewer segments."
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=4)
    fitted, distance = found.centroids, found.distance
    nearest = to_numpy(xp.argmin(distance, axis=1))
    labels, order = by_size(nearest, fitted.centers.shape[0])
    place = xp.asarray(order, device=device_of(points))
    fitted = fitted._replace(
        centers=xp.take(fitted.centers, place, axis=0),
        statistic=xp.take(fitted.statistic, place, axis=0),
    )
    labels = _back(labels, points)
    return Segments(
        labels,
        xp.astype(fitted.centers, points.dtype),
        _inertia(xp.take(distance, place, axis=1), labels),
        found.n_iter,
        Shrunken(fitted),
    )


def _back(values: np.ndarray, like: Any) -> Any:
    """Move an array of the host to where another one is; floats take its dtype."""
    if values.dtype.kind == "f" and is_numpy_array(like):
        return values.astype(like.dtype, copy=False)
    if is_numpy_array(like):
        return values
    xp = array_namespace(like)
    moved = xp.asarray(values, device=device_of(like))
    return xp.astype(moved, like.dtype) if values.dtype.kind == "f" else moved


def _inertia(distance: Any, labels: Any) -> float:
    """Sum of squared distances of the points to their own segments."""
    host = to_numpy(distance).astype(np.float64)
    own = np.take_along_axis(host, to_numpy(labels)[:, None].astype(np.int64), axis=1)
    return float((own**2).sum())


def _start_of_mixture(
    points: np.ndarray, labels: np.ndarray, n: int, covariance_type: str, floor: float
) -> dict[str, np.ndarray]:
    """What GaussianMixture is told of given clusters: weights, means, precisions."""
    count = np.bincount(labels, minlength=n)
    mean = points.mean(axis=0)
    means = np.stack([points[labels == k].mean(axis=0) if count[k] else mean
                      for k in range(n)])  # fmt: skip
    residual = points - means[labels]
    # A cluster that k-means could not fill begins with a share of one point.
    share = np.maximum(count, 1) / np.maximum(count, 1).sum()
    start = {"weights_init": share, "means_init": means}
    if covariance_type in ("tied", "full"):
        eye = floor * np.eye(points.shape[1])
        groups = [residual]
        if covariance_type == "full":
            groups = [residual[labels == k] for k in range(n)]
        precisions = [np.linalg.inv(r.T @ r / max(len(r), 1) + eye) for r in groups]
        precisions = [(p + p.T) / 2 for p in precisions]
        whole = np.stack(precisions)
        return start | {
            "precisions_init": whole if covariance_type == "full" else whole[0]
        }
    variance = np.stack(
        [(residual[labels == k] ** 2).sum(axis=0) / max(count[k], 1) for k in range(n)]
    )
    if covariance_type == "spherical":
        variance = variance.mean(axis=1)
    return start | {"precisions_init": 1 / (variance + floor)}
