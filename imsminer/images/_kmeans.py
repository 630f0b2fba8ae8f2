"""Which k-means runs: chosen by where the points live.

NumPy arrays go to scikit-learn's KMeans. Any other namespace goes to Lloyd's iterations
in that namespace, started from the very centres that scikit-learn would draw, so that
both give the same clusters to rounding.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from imsminer._array import array_namespace, device_of, is_numpy_array, to_numpy
from imsminer.images._kernels.kmeans_xp import lloyd, nearest

__all__ = ["Clusters", "by_size", "kmeans"]


class Clusters(NamedTuple):
    """A clustering, its clusters ordered by descending size."""

    labels: Any
    """int32 array of shape (n_points,)."""
    centers: Any
    """Array of shape (n_clusters, n_features)."""
    inertia: float
    n_iter: int


def kmeans(
    points: Any,
    n_clusters: int,
    *,
    n_init: int,
    max_iter: int,
    tol: float,
    random_state: Any,
) -> Clusters:
    """Cluster points by k-means; the best of `n_init` starts.

    Parameters
    ----------
    points : float array of shape (n_points, n_features)
        In any namespace.
    n_clusters, n_init, max_iter, tol, random_state
        As in :class:`sklearn.cluster.KMeans`.

    Returns
    -------
    Clusters
        Arrays in the namespace of `points`.
    """
    if is_numpy_array(points):
        model = KMeans(
            n_clusters,
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
            random_state=random_state,
        ).fit(points)
        centers, inertia, n_iter = model.cluster_centers_, model.inertia_, model.n_iter_
    else:
        centers, inertia, n_iter = _lloyd_best(
            points, n_clusters, n_init, max_iter, tol, random_state
        )
    # The labels that predict will give, which may differ from those of the last
    # iteration in the pixels that lie half-way.
    labels, order = by_size(nearest(points, centers), n_clusters)
    xp = array_namespace(points)
    order = xp.asarray(order, device=device_of(points))
    return Clusters(labels, xp.take(centers, order, axis=0), float(inertia), n_iter)


def by_size(labels: Any, n_clusters: int) -> tuple[Any, np.ndarray]:
    """Rename clusters by descending size; of equals, the first to occur is first.

    Parameters
    ----------
    labels : int array of shape (n_points,)
        In any namespace.
    n_clusters : int
        Clusters without points come last.

    Returns
    -------
    labels : int32 array like `labels`
    order : int64 ndarray of shape (n_clusters,)
        The old name of each new cluster.
    """
    host = to_numpy(labels)
    sizes = np.bincount(host, minlength=n_clusters)
    first = np.full(n_clusters, host.shape[0])
    found, position = np.unique(host, return_index=True)
    first[found] = position
    order = np.lexsort((first, -sizes)).astype(np.int64)
    rank = np.empty(n_clusters, dtype=np.int32)
    rank[order] = np.arange(n_clusters, dtype=np.int32)
    renamed = rank[host]
    if is_numpy_array(labels):
        return renamed, order
    xp = array_namespace(labels)
    return xp.asarray(renamed, device=device_of(labels)), order


def _lloyd_best(
    points: Any,
    n_clusters: int,
    n_init: int,
    max_iter: int,
    tol: float,
    random_state: Any,
) -> tuple[Any, float, int]:
    """Centres, inertia and iterations of the best start, as scikit-learn finds it."""
    xp = array_namespace(points)
    device = device_of(points)
    mean = xp.mean(points, axis=0, keepdims=True)
    points = points - mean
    tolerance = tol * float(xp.mean(xp.var(points, axis=0)))
    # scikit-learn draws its seeds from points on the host: so do we, from one stream
    # of random numbers, to start from the same ones.
    host = np.ascontiguousarray(to_numpy(points))
    norms = np.einsum("ij,ij->i", host, host)
    random = check_random_state(random_state)
    best: tuple[Any, float, int] | None = None
    for _ in range(n_init):
        seeds, _ = kmeans_plusplus(
            host, n_clusters, x_squared_norms=norms, random_state=random
        )
        start = xp.asarray(seeds, device=device)
        labels, centers, inertia, n_iter = lloyd(points, start, max_iter, tolerance)
        if best is None or inertia < best[1] * (1 - 1e-7):
            best = (centers, inertia, n_iter)
            distinct = np.unique(to_numpy(labels)).shape[0]
    assert best is not None
    if distinct < n_clusters:
        message = (
            f"Number of distinct clusters ({distinct}) found smaller than n_clusters "
            f"({n_clusters}). Possibly due to duplicate points in X."
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=4)
    return best[0] + mean, best[1], best[2]
