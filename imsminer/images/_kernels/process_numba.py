"""Filters of ion images that keep edges, on the CPU."""

import numpy as np
from numba import njit

__all__ = ["bilateral", "total_variation"]


@njit(nogil=True, cache=True)
def bilateral(
    images: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
    bandwidth: float,
    out: np.ndarray,
) -> None:
    """Mean over neighbours that counts those of other values less.

    Parameters
    ----------
    images : array of shape (n_features, n_pixels)
        One image a row, so that neighbours lie close to each other in memory.
    indptr, indices, weights : arrays
        Rows of a CSR matrix: the pixels of each neighbourhood, itself included, and
        their weights by distance in space.
    bandwidth : float
        Standard deviation of the Gaussian of the difference of two values.
    out : array of shape (n_features, n_pixels)
        Receives the means.
    """
    scale = -0.5 / bandwidth**2
    for f in range(images.shape[0]):
        image = images[f]
        for i in range(indptr.shape[0] - 1):
            value = np.float64(image[i])
            change = 0.0
            total = 0.0
            for k in range(indptr[i], indptr[i + 1]):
                difference = np.float64(image[indices[k]]) - value
                weight = weights[k] * np.exp(scale * difference * difference)
                change += weight * difference
                total += weight
            out[f, i] = value + change / total


@njit(nogil=True, cache=True)
def total_variation(
    images: np.ndarray,
    right: np.ndarray,
    down: np.ndarray,
    weight: float,
    tolerance: float,
    max_iter: int,
    out: np.ndarray,
) -> None:
    """Minimise half the squared change plus `weight` times the total variation.

    Parameters
    ----------
    images : array of shape (n_features, n_pixels)
        One image a row.
    right, down : int arrays of shape (n_pixels,)
        Number of the neighbour on this side; -1 where there is none.
    weight : float
        Above 0.
    tolerance : float
        Stop when the objective changes by less than this share of its first value.
    max_iter : int
        Most iterations.
    out : array of shape (n_features, n_pixels)
        Receives the images.
    """
    n = images.shape[1]
    left = np.full(n, -1)
    up = np.full(n, -1)
    for i in range(n):
        if right[i] >= 0:
            left[right[i]] = i
        if down[i] >= 0:
            up[down[i]] = i
    tau = 0.25
    px = np.empty(n)
    py = np.empty(n)
    current = np.empty(n)
    for f in range(images.shape[0]):
        image = images[f]
        px[:] = 0.0
        py[:] = 0.0
        first = 0.0
        previous = 0.0
        for iteration in range(max_iter):
            energy = 0.0
            for i in range(n):
                change = -(px[i] + py[i])
                if left[i] >= 0:
                    change += px[left[i]]
                if up[i] >= 0:
                    change += py[up[i]]
                energy += change * change
                current[i] = image[i] + change
            for i in range(n):
                gx = 0.0
                gy = 0.0
                if right[i] >= 0:
                    gx = current[right[i]] - current[i]
                if down[i] >= 0:
                    gy = current[down[i]] - current[i]
                norm = np.sqrt(gx * gx + gy * gy)
                energy += weight * norm
                divisor = 1.0 + tau / weight * norm
                px[i] = (px[i] - tau * gx) / divisor
                py[i] = (py[i] - tau * gy) / divisor
            energy /= n
            if iteration == 0:
                first = energy
            elif abs(previous - energy) < tolerance * first:
                break
            previous = energy
        out[f] = current
