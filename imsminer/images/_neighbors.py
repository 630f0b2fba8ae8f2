"""Means and medians over the pixels around each pixel, where the values live."""

from typing import Any

import numpy as np
from scipy import sparse

from imsminer._array import array_namespace, device_of, is_numpy_array
from imsminer.core.grid import Pixels, gaussian_weights, neighbor_matrix
from imsminer.images._kernels import neighbors_numba, neighbors_xp

__all__ = ["mean_over_neighbors", "median_over_neighbors"]


def mean_over_neighbors(values: Any, pixels: Pixels, radius: int) -> Any:
    """Gaussian-weighted mean over the neighbours, without the pixel itself.

    Parameters
    ----------
    values : float array of shape (n_pixels, n_features)
        In any namespace.
    pixels : Pixels
        Where the rows are.
    radius : int
        Of :func:`imsminer.core.grid.gaussian_weights`.

    Returns
    -------
    array like `values`
    """
    if is_numpy_array(values):
        return gaussian_weights(pixels, radius, values.dtype) @ values
    weights = gaussian_weights(pixels, radius)
    slots = np.diff(weights.indptr)
    position = np.arange(weights.nnz) - np.repeat(weights.indptr[:-1], slots)
    row = np.repeat(np.arange(slots.shape[0]), slots)
    index = np.zeros((slots.shape[0], int(slots.max())), dtype=np.int64)
    weight = np.zeros(index.shape)
    index[row, position] = weights.indices
    weight[row, position] = weights.data
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
