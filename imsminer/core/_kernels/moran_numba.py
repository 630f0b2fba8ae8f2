"""Sums behind Moran's I, on the CPU."""

import numpy as np
from numba import njit

__all__ = ["moran_sums"]


@njit(nogil=True, cache=True)
def moran_sums(
    centred: np.ndarray,
    run: np.ndarray,
    indptr: np.ndarray,
    indices: np.ndarray,
    n_runs: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cross products of neighbours and moments, per run and feature.

    Parameters
    ----------
    centred : float64 array of shape (n_pixels, n_features), C order
        Deviations from the mean of each pixel's run.
    run : integer array of shape (n_pixels,)
        Codes from 0 to n_runs - 1.
    indptr, indices : arrays
        CSR rows: each pair of neighbours once.
    n_runs : int

    Returns
    -------
    cross, second, fourth : float64 arrays of shape (n_runs, n_features)
        Σ z_i z_j over the pairs, Σ z² and Σ z⁴.
    """
    n_pixels, n_features = centred.shape
    cross = np.zeros((n_runs, n_features))
    second = np.zeros((n_runs, n_features))
    fourth = np.zeros((n_runs, n_features))
    lag = np.empty(n_features)
    for i in range(n_pixels):
        _clear(lag)
        for k in range(indptr[i], indptr[i + 1]):
            _add(lag, centred[indices[k]])
        r = run[i]
        _accumulate(centred[i], lag, cross[r], second[r], fourth[r])
    return cross, second, fourth


@njit(nogil=True, cache=True)
def _clear(row: np.ndarray) -> None:
    for f in range(row.shape[0]):
        row[f] = 0


@njit(nogil=True, cache=True)
def _add(total: np.ndarray, row: np.ndarray) -> None:
    for f in range(total.shape[0]):
        total[f] += row[f]


@njit(nogil=True, cache=True)
def _accumulate(
    z: np.ndarray,
    lag: np.ndarray,
    cross: np.ndarray,
    second: np.ndarray,
    fourth: np.ndarray,
) -> None:
    for f in range(z.shape[0]):
        square = z[f] * z[f]
        cross[f] += z[f] * lag[f]
        second[f] += square
        fourth[f] += square * square
