"""Which k-means runs: chosen by where the points live.

NumPy arrays go to scikit-learn's KMeans, CuPy arrays to cuML's where it is installed.
Any other array goes to Lloyd's iterations in its namespace, from starts that are drawn
as scikit-learn draws them, so that both give the same clusters to rounding.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    to_numpy,
)
from imsminer.images import _cuml
from imsminer.images._kernels import kmeans_xp

__all__ = ["Clusters", "by_size", "kmeans"]

#: What cuML's KMeans takes for 0, which it refuses.
SMALLEST = float(np.finfo(np.float32).tiny)


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
        engine = _lloyd_best if _cuml.package_for(points) is None else _by_cuml
        centers, inertia, n_iter = engine(
            points, n_clusters, n_init, max_iter, tol, random_state
        )
    # The labels that predict will give, which may differ from those of the last
    # iteration in the pixels that lie half-way.
    found = device_kernels(points, kmeans_xp).nearest(points, centers)
    labels, order = by_size(found, n_clusters)
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
    mean = xp.mean(points, axis=0, keepdims=True)
    points = points - mean
    tolerance = tol * float(xp.mean(xp.var(points, axis=0)))
    random = check_random_state(random_state)
    starts = _draw_starts(points, n_clusters, n_init, random)
    best: tuple[Any, float, int] | None = None
    kernels = device_kernels(points, kmeans_xp)
    for labels, centers, inertia, n_iter in kernels.lloyd_starts(
        points, starts, max_iter, tolerance
    ):
        if best is None or inertia < best[1] * (1 - 1e-7):
            best = (centers, inertia, n_iter)
            distinct = np.unique(to_numpy(labels)).shape[0]
    assert best is not None
    _warn_of_few(distinct, n_clusters)
    return best[0] + mean, best[1], best[2]


def _warn_of_few(distinct: int, n_clusters: int) -> None:
    if distinct < n_clusters:
        message = (
            f"Number of distinct clusters ({distinct}) found smaller than n_clusters "
            f"({n_clusters}). Possibly due to duplicate points in X."
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=5)


def _draw_starts(
    points: Any, n_clusters: int, n_init: int, random: np.random.RandomState
) -> Any:
    """Centres to start from by k-means++, (n_init, n_clusters, n_features).

    Random numbers are used as in :func:`sklearn.cluster.kmeans_plusplus`, and sums are
    float64. The centres are the same, unless points are many and float32: their sums
    scikit-learn rounds so far that some random numbers meet another point.
    """
    xp, device = array_namespace(points), device_of(points)
    n_points = points.shape[0]
    n_trials = 2 + int(np.log(n_clusters))
    wide = xp.astype(points, xp.float64, copy=False)
    norms = xp.sum(wide * wide, axis=1)
    even = np.full(n_points, 1 / n_points)

    def squares(rows: Any) -> Any:
        """Squared distances of all points to some of them, (n_rows, n_points)."""
        some, own = xp.take(wide, rows, axis=0), xp.take(norms, rows)
        square = own[:, None] + norms[None, :] - 2 * (some @ wide.T)
        return xp.where(square > 0, square, xp.zeros_like(square))

    starts = []
    for _ in range(n_init):
        first = int(random.choice(n_points, p=even))
        chosen = [xp.asarray([first], dtype=xp.int64, device=device)]
        closest = squares(chosen[0])
        total = xp.sum(closest, axis=1)
        for _ in range(1, n_clusters):
            drawn = xp.asarray(random.uniform(size=n_trials), device=device) * total
            rows = xp.searchsorted(xp.cumulative_sum(closest[0, :]), drawn)
            rows = xp.astype(rows, xp.int64)
            rows = xp.where(rows < n_points, rows, xp.full_like(rows, n_points - 1))
            near = xp.minimum(closest, squares(rows))
            totals = xp.sum(near, axis=1)
            best = xp.reshape(xp.argmin(totals), (1,))
            closest, total = xp.take(near, best, axis=0), xp.take(totals, best)
            chosen.append(xp.take(rows, best))
        starts.append(xp.take(points, xp.concat(chosen), axis=0))
    return xp.stack(starts)


def _by_cuml(
    points: Any,
    n_clusters: int,
    n_init: int,
    max_iter: int,
    tol: float,
    random_state: Any,
) -> tuple[Any, float, int]:
    """Centres, inertia and iterations as cuML finds them."""
    xp = array_namespace(points)
    mean = xp.mean(points, axis=0, keepdims=True)
    points = points - mean
    # It compares the shift of the centres with a number above 0, as it is.
    spread = float(xp.mean(xp.var(points, axis=0)))
    model = _cuml.package_for(points).KMeans(
        n_clusters=n_clusters,
        init="k-means++",
        n_init=n_init,
        max_iter=max_iter,
        tol=max(tol * spread, SMALLEST),
        random_state=_cuml.seed_from(random_state),
        output_type="cupy",
    )
    model.fit(points)
    centers = xp.astype(xp.asarray(model.cluster_centers_), points.dtype, copy=False)
    labels = device_kernels(points, kmeans_xp).nearest(points, centers)
    residual = points - xp.take(centers, labels, axis=0)
    inertia = float(xp.sum(residual * residual))
    distinct = np.unique(to_numpy(labels)).shape[0]
    _warn_of_few(distinct, n_clusters)
    return centers + mean, inertia, int(model.n_iter_)
