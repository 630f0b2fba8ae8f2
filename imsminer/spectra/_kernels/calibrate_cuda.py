"""Mass errors that are polynomials in m/z, taken out of spectra, on a GPU.

As in the kernels of alignment, points and rows are read once and written once.
"""

from typing import Any

from numba import cuda, float64, int64

from imsminer._array import array_namespace, device_of
from imsminer._cuda import THREADS, launch_blocks
from imsminer.core._kernels.search_cuda import upper_bound
from imsminer.spectra._kernels.align_warp_cuda import (
    PLACES,
    SPAN,
    difference,
    find_cell,
    integral,
    is_still,
    launch_rows,
)
from imsminer.spectra._kernels.calibrate_xp import polynomial_error

__all__ = ["polynomial_error", "resample_rows", "shift_points"]


def shift_points(
    mz: Any, indptr: Any, coefficients: Any, centre: float, half: float, reach: float
) -> Any:
    """Return the m/z of ragged spectra corrected by their error in ppm."""
    xp = array_namespace(mz)
    n = mz.shape[0]
    out = xp.zeros(n, dtype=mz.dtype, device=device_of(mz))
    if n:
        polynomial = (coefficients, centre, half, reach)
        launch_blocks(_shift, -(-n // SPAN), THREADS, mz, indptr, *polynomial, out)
    return out


def resample_rows(
    X: Any,
    edges: Any,
    coefficients: Any,
    centre: float,
    half: float,
    reach: float,
    ppm: bool,
) -> Any:
    """Return the rows of `X` (n, m) moved by their errors, with the same sums."""
    polynomial = (coefficients, centre, half, reach, ppm)
    return launch_rows(_resample, X, edges, *polynomial)


@cuda.jit(device=True)
def _error(m, coefficients, row, centre, half, reach):
    u = min(max((m - centre) / half, -reach), reach)
    value = 0.0
    for j in range(coefficients.shape[1] - 1, -1, -1):
        value = value * u + coefficients[row, j]
    return value


@cuda.jit
def _shift(mz, indptr, coefficients, centre, half, reach, out):
    start = int64(cuda.blockIdx.x) * SPAN
    stop = min(start + SPAN, mz.shape[0])
    # The spectra of the block, which all of its threads look up alike.
    n = coefficients.shape[0]
    first = upper_bound(indptr, 1, n, start)
    last = upper_bound(indptr, first, n, stop - 1)
    for k in range(start + cuda.threadIdx.x, stop, THREADS):
        row = upper_bound(indptr, first, last, k) - 1
        error = _error(mz[k], coefficients, row, centre, half, reach)
        out[k] = mz[k] / (1 + 1e-6 * error)


@cuda.jit
def _resample(X, edges, coefficients, centre, half, reach, ppm, tiles, out):
    cells = cuda.shared.array(PLACES, int64)
    parts = cuda.shared.array(PLACES, float64)
    t, m = cuda.threadIdx.x, X.shape[1]
    row = cuda.blockIdx.x // tiles
    start = (cuda.blockIdx.x - row * tiles) * THREADS
    still = is_still(coefficients, row)
    if not still:
        for k in range(t, PLACES, THREADS):
            j = start + k
            cell, part = 0, 0.0
            if j >= m:
                cell, part = m - 1, float64(X[row, m - 1])
            elif j > 0:
                place = edges[j]
                error = _error(place, coefficients, row, centre, half, reach)
                place = place * (1 + 1e-6 * error) if ppm else place + error
                cell = find_cell(edges, m, j, place)
                part = integral(X, row, edges, cell, place)
            cells[k], parts[k] = cell, part
    cuda.syncthreads()
    j = start + t
    if j < m:
        if still:
            out[row, j] = X[row, j]
        else:
            out[row, j] = difference(
                X, row, cells[t], parts[t], cells[t + 1], parts[t + 1]
            )
