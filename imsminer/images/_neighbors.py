"""Means and medians over the pixels around each pixel, where the values live."""

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
)
from imsminer.core.grid import Pixels, gaussian_weights, neighbor_matrix
from imsminer.images._kernels import neighbors_numba, neighbors_xp
from imsminer.images._spatial_weights import spatial_weights

__all__ = [
    "MovedWeights",
    "Weights",
    "mean_over_neighbors",
    "median_over_neighbors",
    "moved_neighborhoods",
    "moved_weights",
    "neighborhoods",
    "weighted_mean",
]


class MovedWeights(NamedTuple):
    """Weights of neighbours where the values live, as a padded table."""

    index: Any
    """int64 array of shape (n_pixels, n_slots): row numbers of the neighbours."""
    weight: Any
    """float64 array like it, whose rows sum to 1; 0 in slots that are not used."""


Weights = sparse.csr_array | MovedWeights


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


def weighted_mean(values: Any, weights: Weights) -> Any:
    """Mean over the pixels in each row of a matrix of weights.

    Parameters
    ----------
    values : float array of shape (n_pixels, n_features)
        In any namespace.
    weights : csr_array of shape (n_pixels, n_pixels), or MovedWeights
        At least one weight above 0 in each row. What :func:`moved_weights` returns
        saves moving them again.

    Returns
    -------
    array like `values`
    """
    if is_numpy_array(values):
        return _shares(weights).astype(values.dtype) @ values
    moved = moved_weights(weights, values)
    xp = array_namespace(values)
    return device_kernels(values, neighbors_xp).neighbor_mean(
        values, moved.index, xp.astype(moved.weight, values.dtype, copy=False)
    )


def moved_weights(weights: Weights, values: Any) -> Weights:
    """Move weights to where values live, when their means are taken more than once.

    Parameters
    ----------
    weights : csr_array or MovedWeights
        As in :func:`weighted_mean`.
    values : array
        In any namespace. For NumPy the weights are returned as they are.
    """
    if is_numpy_array(values) or isinstance(weights, MovedWeights):
        return weights
    share = _shares(weights)
    slots = np.diff(share.indptr)
    position = np.arange(share.nnz) - np.repeat(share.indptr[:-1], slots)
    row = np.repeat(np.arange(slots.shape[0]), slots)
    index = np.zeros((slots.shape[0], int(slots.max())), dtype=np.int64)
    weight = np.zeros(index.shape)
    index[row, position] = share.indices
    weight[row, position] = share.data
    xp, device = array_namespace(values), device_of(values)
    return MovedWeights(
        xp.asarray(index, device=device), xp.asarray(weight, device=device)
    )


def _shares(weights: sparse.csr_array) -> sparse.csr_array:
    """Weights whose rows sum to 1."""
    total = np.asarray(weights.sum(axis=1)).ravel()
    return sparse.csr_array(sparse.diags_array(1 / total) @ weights)


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
    around = neighborhoods(pixels, radius)
    if is_numpy_array(values):
        images = np.ascontiguousarray(values.T)
        out = np.empty_like(images)
        neighbors_numba.neighbor_median(images, around.indptr, around.indices, out)
        return np.ascontiguousarray(out.T)
    groups = moved_neighborhoods(around, values)
    return device_kernels(values, neighbors_xp).neighbor_median(values, groups)


def neighborhoods(pixels: Pixels, radius: int = 1) -> sparse.csr_array:
    """Each pixel and its neighbours within the mask, one neighbourhood a row."""
    around = neighbor_matrix(pixels, radius)
    around = sparse.csr_array(around + sparse.eye_array(*around.shape, dtype=np.int8))
    around.sort_indices()
    return around


def moved_neighborhoods(around: sparse.csr_array, values: Any) -> list[tuple[Any, Any]]:
    """Neighbourhoods by their size, where values live that are not NumPy's.

    Returns
    -------
    list of (rows, index)
        As :func:`imsminer.images._kernels.neighbors_xp.neighbor_median` takes them.
    """
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
    return groups
