"""Class means, spread within classes and distances to classes, on the CPU.

Sums are float64, whatever the points are. Reassociation lets them be vectorised.
"""

import numpy as np
from numba import njit

__all__ = ["class_distances", "class_sums", "squares_within"]


@njit(nogil=True, cache=True)
def class_sums(points: np.ndarray, labels: np.ndarray, out: np.ndarray) -> None:
    """Add each point to the row of its class.

    Parameters
    ----------
    points : array of shape (n_points, n_features)
    labels : integer array of shape (n_points,)
    out : float64 array of shape (n_classes, n_features)
        Zeros; receives the sums.
    """
    for i in range(points.shape[0]):
        total = out[labels[i]]
        point = points[i]
        for j in range(point.shape[0]):
            total[j] += point[j]


@njit(nogil=True, cache=True)
def squares_within(
    points: np.ndarray, labels: np.ndarray, means: np.ndarray, out: np.ndarray
) -> None:
    """Sum the squared differences of the points to the means of their classes.

    Parameters
    ----------
    points : array of shape (n_points, n_features)
    labels : integer array of shape (n_points,)
    means : float64 array of shape (n_classes, n_features)
    out : float64 array of shape (n_features,)
        Zeros; receives the sums.
    """
    for i in range(points.shape[0]):
        mean = means[labels[i]]
        point = points[i]
        for j in range(point.shape[0]):
            difference = point[j] - mean[j]
            out[j] += difference * difference


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def class_distances(
    points: np.ndarray, centers: np.ndarray, scale: np.ndarray, out: np.ndarray
) -> None:
    """Euclidean distance of each point to each centre, in units of `scale`.

    Parameters
    ----------
    points : array of shape (n_points, n_features)
    centers : float64 array of shape (n_classes, n_features)
    scale : float64 array of shape (n_features,)
        Above 0.
    out : float64 array of shape (n_points, n_classes)
        Receives the distances.
    """
    inverse = 1.0 / scale
    for i in range(points.shape[0]):
        point = points[i]
        for k in range(centers.shape[0]):
            center = centers[k]
            total = 0.0
            for j in range(point.shape[0]):
                difference = (point[j] - center[j]) * inverse[j]
                total += difference * difference
            out[i, k] = np.sqrt(total)
