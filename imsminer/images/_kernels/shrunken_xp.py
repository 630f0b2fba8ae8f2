"""Class means, spread within classes and distances to classes, in any namespace.

Sums and distances are float64, whatever the points are.
"""

from typing import Any

from imsminer._array import array_namespace, device_of

__all__ = ["class_distances", "class_sums", "squares_within"]


def class_sums(points: Any, labels: Any, n_classes: int) -> Any:
    """Sum of the points of each class, (n_classes, n_features)."""
    xp = array_namespace(points)
    wide = xp.astype(points, xp.float64, copy=False)
    codes = xp.arange(n_classes, dtype=labels.dtype, device=device_of(points))
    return xp.astype(labels[:, None] == codes[None, :], wide.dtype).T @ wide


def squares_within(points: Any, labels: Any, means: Any) -> Any:
    """Sum of squared differences to the means of the points' classes, per feature."""
    xp = array_namespace(points)
    wide = xp.astype(points, xp.float64, copy=False)
    difference = wide - xp.take(means, labels, axis=0)
    return xp.sum(difference * difference, axis=0)


def class_distances(points: Any, centers: Any, scale: Any) -> Any:
    """Euclidean distance of each point to each centre, in units of `scale`."""
    xp = array_namespace(points)
    wide = xp.astype(points, xp.float64, copy=False)
    columns = []
    for k in range(centers.shape[0]):
        difference = (wide - centers[k : k + 1, :]) / scale
        columns.append(xp.sqrt(xp.sum(difference * difference, axis=1)))
    return xp.stack(columns, axis=1)
