"""Mass errors that are polynomials in m/z, taken out of spectra: CPU.

The error of spectrum i at m/z m is the sum of ``coefficients[i, j] * u**j`` with u =
(m - centre) / half, clipped to ± `reach`: beyond, it stays what it is there.
"""

import numba as nb
import numpy as np

from imsminer.spectra._kernels.align_warp_numba import resample_at, slopes

__all__ = ["resample_rows", "shift_points"]


@nb.njit(nogil=True, cache=True, inline="always")
def _error(m, coefficients, centre, half, reach):
    u = (m - centre) / half
    u = min(max(u, -reach), reach)
    value = 0.0
    for j in range(coefficients.size - 1, -1, -1):
        value = value * u + coefficients[j]
    return value


@nb.njit(nogil=True, cache=True)
def shift_points(mz, indptr, coefficients, centre, half, reach, out):
    """Correct the m/z of ragged spectra by their error in ppm."""
    for i in range(coefficients.shape[0]):
        c = coefficients[i]
        for k in range(indptr[i], indptr[i + 1]):
            error = _error(mz[k], c, centre, half, reach)
            out[k] = mz[k] / (1 + 1e-6 * error)


@nb.njit(nogil=True, cache=True)
def resample_rows(X, edges, coefficients, centre, half, reach, ppm, out):
    """Move the rows of `X` (n, m) by their errors, on the same cells (m + 1 edges)."""
    slope, place = np.empty(X.shape[1] + 1), np.empty(X.shape[1] + 1)
    inverse = 1 / (edges[1:] - edges[:-1])
    for i in range(X.shape[0]):
        c = coefficients[i]
        still = True
        for j in range(c.size):
            still &= c[j] == 0
        if still:
            out[i] = X[i]
            continue
        slopes(X[i], slope)
        for j in range(place.size):
            error = _error(edges[j], c, centre, half, reach)
            place[j] = edges[j] * (1 + 1e-6 * error) if ppm else edges[j] + error
        resample_at(X[i], edges, place, inverse, slope, out[i])
