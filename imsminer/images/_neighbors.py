"""Means and medians over the pixels around each pixel, where the values live."""

from typing import Any

import numpy as np
from scipy import sparse

from imsminer._array import array_namespace, device_of, is_numpy_array
from imsminer.core.grid import Pixels, gaussian_weights, neighbor_matrix
from imsminer.images._kernels import neighbors_numba, neighbors_xp
from imsminer.images._spatial_weights import spatial_weights

__all__ = [
    "mean_over_neighbors",
    "median_over_neighbors",
    "weighted_mean",
]


def mean_over_neighbors(
    values: Any, pixels: Pixels, radius: int, *, adaptive: bool = False
) -> Any:
    """Weighted mean over the neighbours, without the pixel itself.

    Parameters
    ----------
    values : float array of shape (n_pixels, n_features)
        In any namespace.
    pixels : Pixels
        Where the rows are.
    radius : int
        Of :func:`imsminer.core.grid.gaussian_weights`.
    adaptive : bool, default=False
        Whether neighbours that look different count less, as in
        :func:`spatial_weights`.

    Returns
    -------
    array like `values`
        A pixel without any neighbour keeps its own values.
    """
    if not adaptive:
        weights = gaussian_weights(pixels, radius, np.float64)
    else:
        weights = spatial_weights(pixels, radius, values)
        alone = np.diff(weights.indptr) == 1
        itself = sparse.diags_array(np.where(alone, 0.0, 1.0))
        weights = sparse.csr_array(weights - itself)
        weights.eliminate_zeros()
    return weighted_mean(values, weights)


def weighted_mean(values: Any, weights: sparse.csr_array) -> Any:
    """Mean over the pixels in each row of a matrix of weights.

    Parameters
    ----------
    values : float array of shape (n_pixels, n_features)
        In any namespace.
    weights : csr_array of shape (n_pixels, n_pixels)
        At least one weight above 0 in each row.

    Returns
    -------
    array like `values`
    """
    total = np.asarray(weights.sum(axis=1)).ravel()
    share = sparse.csr_array(sparse.diags_array(1 / total) @ weights)
    if is_numpy_array(values):
        return share.astype(values.dtype) @ values
    slots = np.diff(share.indptr)
    position = np.arange(share.nnz) - np.repeat(share.indptr[:-1], slots)
    row = np.repeat(np.arange(slots.shape[0]), slots)
    index = np.zeros((slots.shape[0], int(slots.max())), dtype=np.int64)
    weight = np.zeros(index.shape)
    index[row, position] = share.indices
    weight[row, position] = share.data
    xp, device = array_namespace(values), device_of(values)
    return neighbors_xp.neighbor_mean(
        values,
        xp.asarray(index, device=device),
        xp.asarray(weight, dtype=values.dtype, device=device),
    )


def median_over_neighbors(values: Any, pixels: Pixels, radius: int = 1) -> Any:
    """Median over each pixel and its neighbours, within the mask.

    Parameters
    ----------
    values : float array of shape (n_pixels, n_features)
        In any namespace.
    pixels : Pixels
        Where the rows are.
    radius : int, default=1
        1 is a window of 3 × 3.

    Returns
    -------
    array like `values`
    """
    around = neighbor_matrix(pixels, radius)
    around = sparse.csr_array(around + sparse.eye_array(*around.shape, dtype=np.int8))
    around.sort_indices()
    if is_numpy_array(values):
        images = np.ascontiguousarray(values.T)
        out = np.empty_like(images)
        neighbors_numba.neighbor_median(images, around.indptr, around.indices, out)
        return np.ascontiguousarray(out.T)
    xp, device = array_namespace(values), device_of(values)
    slots = np.diff(around.indptr)
    groups = []
    for n in np.unique(slots):
        rows = np.flatnonzero(slots == n)
        index = around.indices[around.indptr[rows][:, None] + np.arange(n)]
        groups.append(
            (
                xp.asarray(rows.astype(np.int64), device=device),
                xp.asarray(index.astype(np.int64), device=device),
            )
        )
    return neighbors_xp.neighbor_median(values, groups)
