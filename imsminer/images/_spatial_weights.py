"""How much each pixel around a pixel says about it."""

import numbers
from functools import partial
from typing import Any

import joblib
import numpy as np
from scipy import sparse

from imsminer._array import array_namespace, device_of, to_numpy
from imsminer.core.cache import cache
from imsminer.core.grid import Pixels, neighbor_matrix
from imsminer.images._kernels.spatial_weights_xp import pair_distances

__all__ = ["spatial_weights"]

#: Differences held at a time, in numbers.
BLOCK = 2_000_000


def spatial_weights(
    pixels: Pixels, radius: int, values: Any = None, *, softening: float = 0.0
) -> sparse.csr_array:
    """Weights of the pixels around each pixel, the pixel itself included.

    The weight of pixel j at pixel i is exp(-d² / 2σ²) with their distance d and
    σ = (2·radius + 1)/4. With `values` it is *adaptive*: times exp(-δ² / 2s²), where δ
    is the Euclidean distance of the two spectra and s half of the largest δ around
    pixel i, so that what looks different counts less [1]_. Where all spectra are equal,
    distance in space alone decides. A pixel has weight 1 at itself; neighbours are
    those of :func:`imsminer.core.grid.neighbor_matrix`, never across a run, a plane or
    a gap in the mask.

    Parameters
    ----------
    pixels : Pixels
        From :func:`imsminer.core.grid.coordinates_of`.
    radius : int
        Size of the neighbourhood, 1 or more; 1 is a window of 3 × 3 pixels.
    values : array of shape (n_pixels, n_features), default=None
        Features that make the weights adaptive, in any namespace.
    softening : float, default=0.0
        Added to s, in the units of `values`. Cardinal adds the square root of the
        machine epsilon, 1.5e-8.

    Returns
    -------
    csr_array of shape (n_pixels, n_pixels), float64
        Rows do not sum to 1. Symmetric, unless adaptive. Its arrays are read-only.

    Raises
    ------
    ValueError
        When `radius` is less than 1, or `values` have another number of rows or are
        not finite.

    References
    ----------
    .. [1] Alexandrov T., Kobarg J. H. (2011). Efficient spatial segmentation of large
       imaging mass spectrometry datasets with spatially aware clustering.
       Bioinformatics 27, i230.

    Examples
    --------
    >>> from imsminer.core.grid import coordinates_of
    >>> from imsminer.images._spatial_weights import spatial_weights
    >>> row = coordinates_of([[0.0]] * 3, [[0, 0], [1, 0], [2, 0]], estimator="example")
    >>> spatial_weights(row, 1).toarray().round(3)
    array([[1.   , 0.411, 0.   ],
           [0.411, 1.   , 0.411],
           [0.   , 0.411, 1.   ]])
    """
    if not isinstance(radius, numbers.Integral) or radius < 1:
        message = (
            f"spatial_weights: radius must be an integer of 1 or more: {radius!r}."
        )
        raise ValueError(message)
    radius = int(radius)
    if values is not None:
        return _weights(pixels, radius, values, softening)
    key = ("weights", joblib.hash((pixels.coordinates, pixels.runs)), radius)
    return cache.get(key, partial(_weights, pixels, radius, None, softening))


def _weights(
    pixels: Pixels, radius: int, values: Any, softening: float
) -> sparse.csr_array:
    near = neighbor_matrix(pixels, radius).tocoo()
    row, column = near.row.astype(np.int64), near.col.astype(np.int64)
    offset = pixels.coordinates[row] - pixels.coordinates[column]
    sigma = (2 * radius + 1) / 4
    weight = np.exp(-(offset**2).sum(axis=1) / (2 * sigma**2))
    n_pixels = near.shape[0]
    if values is not None:
        distance = _spectral_distances(values, row, column, n_pixels)
        spread = np.zeros(n_pixels)
        np.maximum.at(spread, row, distance)
        spread = spread[row] / 2 + softening
        ratio = np.zeros(row.size)
        np.divide(distance, spread, out=ratio, where=spread > 0)
        weight = weight * np.exp(-(ratio**2) / 2)
    itself = np.arange(n_pixels)
    matrix = sparse.csr_array(
        (
            np.concatenate([weight, np.ones(n_pixels)]),
            (np.concatenate([row, itself]), np.concatenate([column, itself])),
        ),
        shape=near.shape,
    )
    matrix.sort_indices()
    # Weights of the same pixels are kept, and shared.
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return matrix


def _spectral_distances(
    values: Any, row: np.ndarray, column: np.ndarray, n_pixels: int
) -> np.ndarray:
    """Distances of the spectra of neighbours, on the host; each pair once."""
    if values.shape[0] != n_pixels:
        message = (
            f"spatial_weights: values has {values.shape[0]} rows, but there are "
            f"{n_pixels} pixels."
        )
        raise ValueError(message)
    xp, device = array_namespace(values), device_of(values)
    values = xp.astype(values, xp.float64)
    if not bool(xp.all(xp.isfinite(values))):
        message = (
            "spatial_weights: values has entries that are NaN or infinite; fill or "
            "drop them first."
        )
        raise ValueError(message)
    # Both directions of a pair have the same distance.
    low, high = np.minimum(row, column), np.maximum(row, column)
    pairs, which = np.unique(low * n_pixels + high, return_inverse=True)
    found = np.zeros(pairs.size)
    if values.shape[1]:
        step = max(BLOCK // values.shape[1], 1)
        for start in range(0, pairs.size, step):
            ends = np.divmod(pairs[start : start + step], n_pixels)
            first, second = (xp.asarray(end, device=device) for end in ends)
            distance = to_numpy(pair_distances(values, first, second))
            found[start : start + step] = distance
    return found[which]
