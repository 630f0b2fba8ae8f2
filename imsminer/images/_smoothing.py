"""Smooth ion images by pixels that were measured, and by no others."""

from typing import Any

import numpy as np
from scipy import sparse

from imsminer._array import array_namespace, device_of, is_numpy_array, to_numpy
from imsminer.core.grid import Pixels, neighbor_matrix
from imsminer.images._kernels import process_numba, process_xp
from imsminer.images._neighbors import median_over_neighbors, weighted_mean
from imsminer.images._spatial_weights import spatial_weights

__all__ = [
    "METHODS",
    "divided",
    "image_scales",
    "nonzero_quantile",
    "smooth",
    "smoothing_changes",
]

METHODS = ("median", "gaussian", "bilateral", "tv")

#: Columns that are sorted at once.
BLOCK = 64
#: Where an image's scale lies among its non-zero values.
SCALE_QUANTILE = 0.99
#: When total variation has converged: the defaults of scikit-image.
TOLERANCE, MAX_ITER = 2e-4, 200


def smoothing_changes(method: str, width: int, strength: float) -> bool:
    """Whether smoothing with these settings does anything at all."""
    if method == "tv":
        return strength > 0
    return width > 1 and (method != "bilateral" or strength > 0)


def nonzero_quantile(values: Any, quantile: float) -> Any:
    """Quantile of what is neither 0 nor NaN in each column; inf where nothing is.

    Parameters
    ----------
    values : float array of shape (n_pixels, n_features)
        In any namespace.
    quantile : float
        From 0 to 1.

    Returns
    -------
    array of shape (n_features,)
    """
    n = values.shape[1]
    blocks = [
        process_xp.nonzero_quantile(values[:, j : min(j + BLOCK, n)], quantile)
        for j in range(0, n, BLOCK)
    ]
    return array_namespace(values).concat(blocks)


def image_scales(values: Any) -> Any:
    """Size of the values of each image, above 0; 1 for an empty one.

    Parameters
    ----------
    values : float array of shape (n_pixels, n_features)
        In any namespace.

    Returns
    -------
    array of shape (n_features,)
        The 0.99 quantile of the absolute values that are not 0.
    """
    xp = array_namespace(values)
    scale = nonzero_quantile(xp.abs(values), SCALE_QUANTILE)
    return xp.where(xp.isfinite(scale), scale, xp.ones_like(scale))


def divided(pixels: Pixels, mask: Any) -> Pixels:
    """Make the pixels of a mask and those outside of it strangers to each other.

    Parameters
    ----------
    pixels : Pixels
        Where the pixels are.
    mask : array-like of bool, shape (n_pixels,), or None
        Such as the pixels on tissue.

    Raises
    ------
    ValueError
        When the mask has another length, or is not boolean.
    """
    if mask is None:
        return pixels
    mask = to_numpy(mask)
    if mask.dtype != np.bool_ or mask.shape != pixels.runs.shape:
        message = (
            f"mask must hold True or False for each of {pixels.runs.size} pixels; got "
            f"shape {mask.shape} of {mask.dtype}."
        )
        raise ValueError(message)
    return Pixels(pixels.coordinates, 2 * pixels.runs + mask)


def smooth(
    values: Any,
    pixels: Pixels,
    method: str,
    *,
    width: int = 3,
    strength: float = 0.1,
    scale: Any = None,
) -> Any:
    """Smooth images, each run and plane apart.

    Parameters
    ----------
    values : float array of shape (n_pixels, n_features)
        Finite; in any namespace.
    pixels : Pixels
        Where the rows are; no position twice in a run.
    method : {"median", "gaussian", "bilateral", "tv"}
        As in :class:`imsminer.images.process.ImageSmoother`.
    width : int, default=3
        Edge of the window in pixels, odd.
    strength : float, default=0.1
        Of ``"bilateral"`` and ``"tv"``, in units of `scale`.
    scale : array of shape (n_features,), default=None
        From :func:`image_scales`, which is asked when `None`.

    Returns
    -------
    array like `values`
    """
    _check_positions(pixels)
    if not smoothing_changes(method, width, strength):
        return values
    radius = width // 2
    if method == "median":
        return median_over_neighbors(values, pixels, radius)
    if method == "gaussian":
        return weighted_mean(values, spatial_weights(pixels, radius))
    if scale is None:
        scale = image_scales(values)
    relative = values / scale
    if method == "bilateral":
        smoothed = _bilateral(relative, spatial_weights(pixels, radius), strength)
    else:
        smoothed = _total_variation(relative, pixels, strength)
    return smoothed * scale


def _bilateral(values: Any, weights: sparse.csr_array, bandwidth: float) -> Any:
    if is_numpy_array(values):
        images = np.ascontiguousarray(values.T)
        out = np.empty_like(images)
        process_numba.bilateral(
            images, weights.indptr, weights.indices, weights.data, bandwidth, out
        )
        return np.ascontiguousarray(out.T)
    slots = np.diff(weights.indptr)
    row = np.repeat(np.arange(slots.size), slots)
    slot = np.arange(weights.nnz) - np.repeat(weights.indptr[:-1], slots)
    index = np.zeros((slots.size, int(slots.max())), dtype=np.int64)
    weight = np.zeros(index.shape)
    index[row, slot] = weights.indices
    weight[row, slot] = weights.data
    xp, device = array_namespace(values), device_of(values)
    index = xp.asarray(index, device=device)
    weight = xp.asarray(weight, dtype=values.dtype, device=device)
    return process_xp.bilateral(values, index, weight, bandwidth)


def _total_variation(values: Any, pixels: Pixels, weight: float) -> Any:
    """Denoise plane by plane: when one has converged does not depend on the others."""
    xp, device = array_namespace(values), device_of(values)
    parts, members = [], []
    planes = np.column_stack([pixels.runs, pixels.coordinates[:, 2]])
    which = np.unique(planes, axis=0, return_inverse=True)[1].ravel()
    for plane in range(int(which.max()) + 1):
        rows = np.flatnonzero(which == plane)
        here = Pixels(pixels.coordinates[rows], pixels.runs[rows])
        right, down = _next_pixels(here)
        if is_numpy_array(values):
            images = np.ascontiguousarray(values[rows].T)
            out = np.empty_like(images)
            process_numba.total_variation(
                images, right, down, weight, TOLERANCE, MAX_ITER, out
            )
            parts.append(out.T)
        else:
            found = xp.take(values, xp.asarray(rows, device=device), axis=0)
            right, down = (xp.asarray(side, device=device) for side in (right, down))
            columns = [
                process_xp.total_variation(
                    found[:, j], right, down, weight, TOLERANCE, MAX_ITER
                )
                for j in range(values.shape[1])
            ]
            parts.append(xp.stack(columns, axis=1))
        members.append(rows)
    back = np.argsort(np.concatenate(members))
    return xp.take(xp.concat(parts), xp.asarray(back, device=device), axis=0)


def _next_pixels(pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
    """Row number of the pixel at x + 1, and at y + 1; -1 where there is none."""
    near = neighbor_matrix(pixels).tocoo()
    offset = pixels.coordinates[near.col, :2] - pixels.coordinates[near.row, :2]
    sides = []
    for step in ((1, 0), (0, 1)):
        hit = (offset == step).all(axis=1)
        side = np.full(pixels.runs.size, -1, dtype=np.int64)
        side[near.row[hit]] = near.col[hit]
        sides.append(side)
    return sides[0], sides[1]


def _check_positions(pixels: Pixels) -> None:
    """Refuse positions that occur twice: they are two runs that were not told apart."""
    places = np.column_stack([pixels.runs, pixels.coordinates])
    order = np.lexsort(places.T)
    twice = (np.diff(places[order], axis=0) == 0).all(axis=1)
    if twice.any():
        x, y, z = pixels.coordinates[order[np.argmax(twice)]]
        message = (
            f"{int(twice.sum())} positions occur more than once in a run, the first is "
            f"(x, y, z) = ({x}, {y}, {z}). With several runs, pass runs= as well."
        )
        raise ValueError(message)
