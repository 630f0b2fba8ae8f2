"""Spatial shrunken centroids: centroids, distances to them, segments.

Points are described by their own features; the neighbourhood enters behind, as a
weighted mean of the distances of the pixels in it. Arithmetic is float64.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    to_numpy,
)
from imsminer.images._kernels import shrunken_numba, shrunken_xp
from imsminer.images._neighbors import Weights, moved_weights, weighted_mean

__all__ = [
    "Centroids",
    "class_distances",
    "class_probabilities",
    "segment",
    "shrunken_centroids",
]

#: Segments stand when this share of the pixels, or less, changes its segment.
ENOUGH = 0.01


class Centroids(NamedTuple):
    """Centroids of classes, shrunken towards the mean of all points."""

    centers: Any
    """float64, shape (n_classes, n_features)."""
    statistic: Any
    """t of each centre, soft-thresholded; float64, shape (n_classes, n_features)."""
    deviation: Any
    """Pooled standard deviation within classes; float64, shape (n_features,)."""
    scale: Any
    """The same plus its median, by which differences are divided."""


class Found(NamedTuple):
    """Segments by shrunken centroids."""

    centroids: Centroids
    """Of the segments that have pixels."""
    distance: Any
    """To these; the nearest is the pixel's segment. Shape (n_points, n_segments)."""
    n_iter: int
    converged: bool


def shrunken_centroids(
    points: Any, labels: Any, n_classes: int, shrinkage: float
) -> Centroids:
    """Shrink the means of classes by the t-statistics of their features.

    Parameters
    ----------
    points : float array of shape (n_points, n_features)
        In any namespace.
    labels : integer array of shape (n_points,)
        Class of each point, 0 to `n_classes` - 1, each of which occurs.
    n_classes : int
    shrinkage : float
        Subtracted from the size of each t.

    Returns
    -------
    Centroids
    """
    xp, device = array_namespace(points), device_of(points)
    n_points = points.shape[0]
    count = np.bincount(to_numpy(labels), minlength=n_classes).astype(np.float64)
    counts = xp.asarray(count, device=device)[:, None]
    sums, squares_of = _sums(points, labels, n_classes)
    means = sums / counts
    mean = xp.sum(sums, axis=0) / n_points
    freedom = max(n_points - n_classes, 1)
    deviation = xp.sqrt(squares_of(means) / freedom)
    # What rounding leaves of features that are constant within classes is no spread.
    rounding = (8 + n_points) * xp.finfo(xp.float64).eps
    noise = rounding * xp.max(xp.abs(means), axis=0)
    deviation = xp.where(deviation > noise, deviation, xp.zeros_like(deviation))
    scale = deviation + _median_spread(to_numpy(deviation))
    root = np.sqrt(np.clip(1 / count - 1 / n_points, 0, None))
    error = scale[None, :] * xp.asarray(root, device=device)[:, None]
    # A class that holds all points is the mean of all: it has no error, and no t.
    exists = error > 0
    statistic = (means - mean) / xp.where(exists, error, xp.ones_like(error))
    size = xp.abs(statistic) - shrinkage
    size = xp.where(exists & (size > 0), size, xp.zeros_like(size))
    statistic = xp.sign(statistic) * size
    return Centroids(mean + error * statistic, statistic, deviation, scale)


def class_distances(
    points: Any, centers: Any, scale: Any, weights: Weights | None
) -> Any:
    """Distance of each pixel's neighbourhood to each class, (n_points, n_classes).

    Parameters
    ----------
    points : float array of shape (n_points, n_features)
    centers, scale : arrays
        Of :class:`Centroids`.
    weights : csr_array of shape (n_points, n_points), MovedWeights, or None
        From :func:`spatial_weights`; `None` takes each pixel by itself.

    Returns
    -------
    float64 array in the namespace of `points`
    """
    if is_numpy_array(points):
        found: Any = np.empty((points.shape[0], centers.shape[0]))
        shrunken_numba.class_distances(points, centers, scale, found)
    else:
        kernels = device_kernels(points, shrunken_xp)
        found = kernels.class_distances(points, centers, scale)
    return found if weights is None else weighted_mean(found, weights)


def class_probabilities(distance: Any, priors: Any) -> Any:
    """softmax of -score / 2, where the score is D² - 2 log(prior)."""
    xp = array_namespace(distance)
    exponent = -distance * distance / 2 + xp.log(priors)
    exponent = exponent - xp.max(exponent, axis=1, keepdims=True)
    likely = xp.exp(exponent)
    return likely / xp.sum(likely, axis=1, keepdims=True)


def segment(
    points: Any,
    labels: np.ndarray,
    weights: sparse.csr_array | None,
    shrinkage: float,
    max_iter: int,
) -> Found:
    """Move pixels to the nearest shrunken centroid until few of them move.

    Parameters
    ----------
    points : float array of shape (n_points, n_features)
    labels : integer ndarray of shape (n_points,)
        Segments to begin with.
    weights : csr_array or None
        As in :func:`class_distances`.
    shrinkage : float
    max_iter : int

    Returns
    -------
    Found
    """
    xp, device = array_namespace(points), device_of(points)
    found = np.unique(labels, return_inverse=True)[1]
    around = None if weights is None else moved_weights(weights, points)
    moved, n_iter = 1.0, 0
    while moved > ENOUGH and n_iter < max_iter:
        n_iter += 1
        before, n_classes = found, int(found.max()) + 1
        codes = xp.asarray(before, device=device)
        fitted = shrunken_centroids(points, codes, n_classes, shrinkage)
        distance = class_distances(points, fitted.centers, fitted.scale, around)
        nearest = to_numpy(xp.argmin(distance, axis=1))
        moved = float(np.mean(nearest != before))
        # Segments that have lost all of their pixels are gone.
        kept, found = np.unique(nearest, return_inverse=True)
    left = xp.asarray(kept, device=device)
    fitted = fitted._replace(
        centers=xp.take(fitted.centers, left, axis=0),
        statistic=xp.take(fitted.statistic, left, axis=0),
    )
    return Found(fitted, xp.take(distance, left, axis=1), n_iter, moved <= ENOUGH)


def _sums(points: Any, labels: Any, n_classes: int) -> tuple[Any, Any]:
    """Sums per class, and a function from their means to sums of squares within."""
    if not is_numpy_array(points):
        kernels = device_kernels(points, shrunken_xp)
        sums = kernels.class_sums(points, labels, n_classes)
        return sums, lambda means: kernels.squares_within(points, labels, means)
    sums = np.zeros((n_classes, points.shape[1]))
    shrunken_numba.class_sums(points, labels, sums)

    def squares(means: np.ndarray) -> np.ndarray:
        total = np.zeros(points.shape[1])
        shrunken_numba.squares_within(points, labels, means, total)
        return total

    return sums, squares


def _median_spread(deviation: np.ndarray) -> float:
    """What is added to all deviations: their median, or something above 0.

    Where most features do not vary within classes the median is 0; it is then that of
    those which do, and 1 where none does.
    """
    median = float(np.median(deviation))
    if median > 0:
        return median
    spread = deviation[deviation > 0]
    return float(np.median(spread)) if spread.size else 1.0
