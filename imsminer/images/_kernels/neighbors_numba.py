"""Medians over neighbours, on the CPU."""

import numpy as np
from numba import njit

__all__ = ["neighbor_median"]


@njit(nogil=True, cache=True)
def _median(buffer: np.ndarray, n: int) -> float:
    """Median of the first n numbers, sorted in place: n is 9 or so."""
    for i in range(1, n):
        value = buffer[i]
        j = i - 1
        while j >= 0 and buffer[j] > value:
            buffer[j + 1] = buffer[j]
            j -= 1
        buffer[j + 1] = value
    middle = n // 2
    if n % 2:
        return buffer[middle]
    return (buffer[middle] + buffer[middle - 1]) / 2


@njit(nogil=True, cache=True)
def neighbor_median(
    values: np.ndarray, indptr: np.ndarray, indices: np.ndarray, out: np.ndarray
) -> None:
    """Median over each pixel's neighbourhood.

    Parameters
    ----------
    values : array of shape (n_features, n_pixels)
        One image a row, so that neighbours lie close to each other in memory.
    indptr, indices : arrays
        Rows of a CSR matrix: the pixels of each neighbourhood, itself included.
    out : array of shape (n_features, n_pixels)
        Receives the medians.
    """
    n_pixels = indptr.shape[0] - 1
    largest = 1
    for i in range(n_pixels):
        largest = max(largest, indptr[i + 1] - indptr[i])
    buffer = np.empty(largest, dtype=values.dtype)
    for f in range(values.shape[0]):
        image = values[f]
        for i in range(n_pixels):
            start = indptr[i]
            n = indptr[i + 1] - start
            occupied = 0
            for k in range(n):
                value = image[indices[start + k]]
                buffer[k] = value
                occupied += value != 0
            # Ion images are sparse: most neighbourhoods hold nothing.
            out[f, i] = _median(buffer, n) if occupied else 0
