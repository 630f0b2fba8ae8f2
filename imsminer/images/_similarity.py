"""How alike ion images are: inner products of images that were made comparable."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn import get_config

from imsminer._array import device_kernels, is_numpy_array, namespace_of
from imsminer.core.grid import (
    Pixels,
    coordinates_of,
    known_coordinates,
)
from imsminer.images._kernels import neighbors_numba, neighbors_xp
from imsminer.images._neighbors import moved_neighborhoods, neighborhoods

__all__ = [
    "SIMILARITIES",
    "column_norms",
    "image_filter",
    "similarity_blocks",
    "unit_blocks",
    "unit_images",
]

Filter = Callable[[Any], Any] | None

SIMILARITIES = ("thresholded_cosine", "cosine", "pearson", "spearman")

#: Columns that are prepared at once, at most, and copies of them that this takes.
BLOCK, COPIES = 64, 8


def image_filter(
    X: Any,
    similarity: str,
    median_filter: Any,
    coordinates: Any,
    runs: Any,
    *,
    estimator: Any,
) -> Callable[[Any], Any] | None:
    """Return what filters images before they are compared, if anything does.

    Parameters
    ----------
    X : DataFrame or array
        Before its validation, which would drop the index.
    similarity : str
        One of `SIMILARITIES`.
    median_filter : {"auto", 0, 3}
        As in :class:`imsminer.ImageClusterer`.
    coordinates, runs : array-like or None
        As in :func:`imsminer.core.grid.known_coordinates`.
    estimator : estimator or str
        Who asks, for the error message.
    """
    if similarity != "thresholded_cosine" or median_filter == 0:
        return None
    if median_filter == "auto":
        pixels = known_coordinates(X, coordinates, runs)
    else:
        pixels = coordinates_of(X, coordinates, runs, estimator=estimator)
    return None if pixels is None else _median_filter(pixels)


def _median_filter(pixels: Pixels) -> Callable[[Any], Any]:
    """A median over 3 × 3 pixels that finds out once who is whose neighbour."""
    around = neighborhoods(pixels)
    moved: list[Any] = []

    def median(block: Any) -> Any:
        if not is_numpy_array(block):
            moved[:] = moved or moved_neighborhoods(around, block)
            return device_kernels(block, neighbors_xp).neighbor_median(block, moved)
        images = np.ascontiguousarray(block.T)
        out = np.empty_like(images)
        neighbors_numba.neighbor_median(images, around.indptr, around.indices, out)
        return out.T

    return median


def unit_images(X: Any, similarity: str, filtered: Filter) -> Any:
    """Images whose inner products are their similarities.

    Parameters
    ----------
    X : float array of shape (n_pixels, n_features)
        In any namespace.
    similarity : str
        One of `SIMILARITIES`.
    filtered : callable or None
        From :func:`image_filter`.

    Returns
    -------
    array of shape (n_pixels, n_features)
        Columns of norm 1; 0 where the image says nothing.
    """
    blocks = [block for _, block in unit_blocks(X, similarity, filtered)]
    return namespace_of(X).concat(blocks, axis=1)


def unit_blocks(
    X: Any, similarity: str, filtered: Filter
) -> Iterator[tuple[slice, Any]]:
    """Yield the same block by block: which columns, and their images."""
    xp = namespace_of(X)
    n_columns = X.shape[1]
    room = _budget() // (COPIES * max(X.shape[0], 1) * xp.finfo(X.dtype).bits // 8)
    width = max(1, min(BLOCK, int(room)))
    for start in range(0, n_columns, width):
        columns = slice(start, min(start + width, n_columns))
        block = X[:, columns]
        if similarity == "thresholded_cosine":
            median = _medians(block)
            block = xp.where(block < median, xp.zeros_like(block), block)
            if filtered is not None:
                block = filtered(block)
        elif similarity == "pearson":
            block = _centred(block)
        elif similarity == "spearman":
            block = _centred_ranks(block)
        norm = column_norms(block)
        yield columns, block / xp.where(norm > 0, norm, xp.ones_like(norm))


def similarity_blocks(X: np.ndarray, similarity: str, filtered: Filter) -> np.ndarray:
    """Similarities of all pairs of images, in float32 and in bounded memory.

    Parameters
    ----------
    X : float ndarray of shape (n_pixels, n_features)
        Finite.
    similarity : str
        One of `SIMILARITIES`.
    filtered : callable or None
        From :func:`image_filter`.

    Returns
    -------
    ndarray of float32, shape (n_features, n_features)

    Notes
    -----
    Of the prepared images as many are held as fit into half of scikit-learn's
    ``working_memory``; where that is not all, the rest is prepared again for each
    block.
    """
    n_pixels, n = X.shape
    # Two blocks are held at a time.
    width = int(max(1, min(n, _budget() // (2 * 4 * max(n_pixels, 1)))))
    matrix = np.empty((n, n), dtype=np.float32)
    starts = range(0, n, width)
    for start in starts:
        rows = slice(start, min(start + width, n))
        one = _single_images(X[:, rows], similarity, filtered)
        matrix[rows, rows] = one @ one.T
        for other_start in starts[start // width + 1 :]:
            columns = slice(other_start, min(other_start + width, n))
            other = _single_images(X[:, columns], similarity, filtered)
            matrix[rows, columns] = one @ other.T
            matrix[columns, rows] = matrix[rows, columns].T
    return np.clip(matrix, -1, 1, out=matrix)


def _single_images(X: np.ndarray, similarity: str, filtered: Filter) -> np.ndarray:
    """Prepared images as float32, one a row."""
    images = np.empty((X.shape[1], X.shape[0]), dtype=np.float32)
    for columns, block in unit_blocks(X, similarity, filtered):
        images[columns] = block.T
    return images


def _budget() -> int:
    """Bytes for what is held, and as many for what is being prepared."""
    return int(get_config()["working_memory"] * 2**20) // 2


def column_norms(X: Any) -> Any:
    """Euclidean norm of each column; finite for extreme values too."""
    xp = namespace_of(X)
    largest = xp.max(xp.abs(X), axis=0)
    safe = xp.where(largest > 0, largest, xp.ones_like(largest))
    relative = X / safe
    return xp.sqrt(column_sums(relative * relative)) * safe


def column_sums(X: Any) -> Any:
    """Sum of each column; NumPy would add up float32 one by one, and lose digits."""
    xp = namespace_of(X)
    if is_numpy_array(X):
        return X.sum(axis=0, dtype=np.float64).astype(X.dtype)
    return xp.sum(X, axis=0)


def _medians(block: Any) -> Any:
    """Median of each column."""
    xp = namespace_of(block)
    if is_numpy_array(block):
        return np.median(block, axis=0)
    ordered = xp.sort(block, axis=0)
    n = block.shape[0]
    return (ordered[(n - 1) // 2, :] + ordered[n // 2, :]) / 2


def _centred(block: Any) -> Any:
    """Subtract each column's mean; columns constant but for rounding become 0."""
    xp = namespace_of(block)
    centred = block - column_sums(block) / block.shape[0]
    noise = 8 * xp.finfo(block.dtype).eps * xp.max(xp.abs(block), axis=0)
    flat = xp.max(xp.abs(centred), axis=0) <= noise
    return xp.where(flat, xp.zeros_like(centred), centred)


def _centred_ranks(block: Any) -> Any:
    """Ranks within each column, ties at their mean, minus the mean rank; exact.

    Divided by the number of rows, which keeps sums of squares small.
    """
    xp = namespace_of(block)
    n = block.shape[0]
    columns = []
    for j in range(block.shape[1]):
        # A copy without gaps between its numbers, which torch's search asks for.
        column = xp.concat([block[:, j]])
        ordered = xp.sort(column)
        below = xp.searchsorted(ordered, column, side="left")
        upto = xp.searchsorted(ordered, column, side="right")
        columns.append(xp.astype(below + upto - n, block.dtype))
    return xp.stack(columns, axis=1) / (2 * n)
