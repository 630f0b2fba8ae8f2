"""Division of each spectrum by a number of its own, on the CPU.

Sums and divisions are float64 whatever the input's dtype. NaN is not assumed away: one
in a spectrum makes its sum NaN, and then all of its values.
"""

import numba as nb
import numpy as np

__all__ = ["divide_points", "divide_rows", "sum_points", "sum_rows"]

# Sums of one row may be reordered (lanes of a vector), but NaN must survive.
REORDER = {"reassoc", "contract", "nsz"}


@nb.njit(nogil=True, cache=True, fastmath=REORDER)
def _sum(y):
    total = 0.0
    for j in range(y.size):
        total += np.float64(y[j])
    return total


@nb.njit(nogil=True, cache=True)
def _divide(y, factor, out):
    if factor == 0.0:
        for j in range(out.size):
            out[j] = 0.0
    else:
        for j in range(out.size):
            out[j] = np.float64(y[j]) / factor


@nb.njit(nogil=True, cache=True)
def sum_rows(X, total):
    """Set `total` (n,) float64 to the sums of the rows of `X` (n, m)."""
    for i in range(X.shape[0]):
        total[i] = _sum(X[i])


@nb.njit(nogil=True, cache=True)
def sum_points(intensity, indptr, total):
    """Set `total` (n,) to the sums of spectra that lie one after the other."""
    for i in range(total.size):
        total[i] = _sum(intensity[indptr[i] : indptr[i + 1]])


@nb.njit(nogil=True, cache=True)
def divide_rows(X, factors, out):
    """Divide each row of `X` by its factor (n,); a factor of 0 gives 0."""
    for i in range(X.shape[0]):
        _divide(X[i], factors[i], out[i])


@nb.njit(nogil=True, cache=True)
def divide_points(intensity, indptr, factors, out):
    """Do the same for spectra that lie one after the other."""
    for i in range(factors.size):
        low, high = indptr[i], indptr[i + 1]
        _divide(intensity[low:high], factors[i], out[low:high])
