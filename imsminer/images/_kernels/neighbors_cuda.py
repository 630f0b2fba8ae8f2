"""Means and medians over neighbours on a GPU, a thread for each value.

Neighbouring threads take neighbouring features of one pixel, so that the rows of its
neighbours are read whole. Values are read from memory about once, since neighbours
share their neighbours through the cache: with the output that is the floor.
"""

from typing import Any

from numba import cuda

from imsminer._array import array_namespace
from imsminer._cuda import launch

__all__ = ["neighbor_mean", "neighbor_median"]


@cuda.jit
def _mean(values, index, weights, out):
    q = cuda.grid(1)
    if q < out.size:
        i = q // out.shape[1]
        j = q - i * out.shape[1]
        total = 0.0
        for slot in range(index.shape[1]):
            total += values[index[i, slot], j] * weights[i, slot]
        out[i, j] = total


@cuda.jit(device=True)
def _ordered(values, index, m, j, rank):
    """Value of a rank among the neighbours of one pixel, found by counting.

    Neighbours are few, and a GPU has no room to sort them for each thread: each is
    compared with all others, until one has the rank.
    """
    n = index.shape[1]
    found = values[index[m, 0], j]
    for k in range(n):
        found = values[index[m, k], j]
        below = 0
        equal = 0
        for other in range(n):
            value = values[index[m, other], j]
            if value < found:
                below += 1
            elif value == found:
                equal += 1
        if below <= rank < below + equal:
            break
    return found


@cuda.jit
def _median(values, rows, index, out):
    q = cuda.grid(1)
    n_features = values.shape[1]
    if q < rows.shape[0] * n_features:
        m = q // n_features
        j = q - m * n_features
        n = index.shape[1]
        median = _ordered(values, index, m, j, n // 2)
        if n % 2 == 0:
            median = (median + _ordered(values, index, m, j, n // 2 - 1)) / 2
        out[rows[m], j] = median


def neighbor_mean(values: Any, index: Any, weights: Any) -> Any:
    """Sum of the neighbours' rows times their weights.

    Parameters
    ----------
    values : array of shape (n_pixels, n_features)
    index : integer array of shape (n_pixels, n_slots)
    weights : array of shape (n_pixels, n_slots)
    """
    xp = array_namespace(values)
    out = xp.zeros(values.shape, dtype=values.dtype)
    launch(_mean, out.size, values, index, weights, out)
    return out


def neighbor_median(values: Any, groups: list[tuple[Any, Any]]) -> Any:
    """Median over each pixel's neighbourhood.

    Parameters
    ----------
    values : array of shape (n_pixels, n_features)
    groups : list of (rows, index)
        Pixels that have equally many neighbours: their row numbers (m,), and the row
        numbers (m, n) of the pixels in their neighbourhoods, themselves included.
        Together the groups hold every row once.

    Returns
    -------
    array like `values`
    """
    xp = array_namespace(values)
    out = xp.zeros(values.shape, dtype=values.dtype)
    for rows, index in groups:
        n = rows.shape[0] * values.shape[1]
        launch(_median, n, values, rows, index, out)
    return out
