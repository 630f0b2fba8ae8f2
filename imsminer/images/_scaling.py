"""From the features of pixels to points between which distances are measured."""

from typing import Any

import numpy as np

from imsminer._array import device_kernels, device_of, is_numpy_array, namespace_of
from imsminer.images._kernels import shrunken_xp

__all__ = ["learn_scale", "mean_by_label", "scaled_points"]


def learn_scale(X: Any, scaling: str | None) -> Any:
    """Divisor of each feature; 1 for one that does not vary or exist.

    Parameters
    ----------
    X : float array of shape (n_pixels, n_features)
    scaling : {"max", "std", "l2", "max+l2", "std+l2"} or None

    Returns
    -------
    array of shape (n_features,)
    """
    xp = namespace_of(X)
    scaling = scaling or ""
    if scaling.startswith("max"):
        scale = xp.max(xp.abs(X), axis=0)
    elif scaling.startswith("std"):
        scale = _deviations(X, xp)
    else:
        return xp.ones(X.shape[1], dtype=X.dtype, device=device_of(X))
    return xp.where(scale > 0, scale, xp.ones_like(scale))


def scaled_points(X: Any, scale: Any, scaling: str | None, metric: str) -> Any:
    """Describe each pixel by its own features, scaled.

    Parameters
    ----------
    X : float array of shape (n_pixels, n_features)
    scale : array of shape (n_features,)
        From :func:`learn_scale`.
    scaling : str or None
        Each pixel is divided by its norm when it ends with ``"l2"``.
    metric : {"euclidean", "correlation"}
        ``"correlation"`` centres and normalises each pixel.

    Returns
    -------
    array like X
    """
    xp = namespace_of(X)
    points = X / scale
    if scaling is not None and scaling.endswith("l2"):
        points = points / _row_norms(points, xp)
    if metric == "correlation":
        points = _centred(points, xp)
        points = points / _row_norms(points, xp)
    return points


def _deviations(X: Any, xp: Any) -> Any:
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


def _row_norms(points: Any, xp: Any) -> Any:
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


def mean_by_label(X: Any, labels: Any, n_clusters: int) -> Any:
    """Mean row of X per label, accumulated in float64; NaN where there is none."""
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
    sums = device_kernels(X, shrunken_xp).class_sums(X, labels, n_clusters)
    member = xp.astype(labels[:, None] == codes[None, :], xp.float64)
    return xp.astype(sums / xp.sum(member, axis=0)[:, None], X.dtype)
