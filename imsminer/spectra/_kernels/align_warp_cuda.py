"""Mass errors taken out of spectra, by new m/z or by resampling, on a GPU.

Points are read once and written once, and so are the rows that are resampled: the
integral between two places needs the few cells in which they lie, no running sums. A
thread computes one place, and shares it with the one beside it. Results are the same in
every run.
"""

from typing import Any

from numba import cuda, float64, int64

from imsminer._array import array_namespace, device_of
from imsminer._cuda import THREADS, launch_blocks
from imsminer.core._kernels.search_cuda import upper_bound
from imsminer.spectra._kernels.align_warp_xp import hat

__all__ = ["hat", "resample_at", "resample_rows", "shift_points"]

#: Points of ragged spectra that a block moves.
SPAN = 8 * THREADS
#: A block's places: one more than what it writes.
PLACES = THREADS + 1


def shift_points(
    mz: Any, indptr: Any, theta: Any, centre: float, half: float, knots: Any = None
) -> Any:
    """Return the m/z of ragged spectra corrected by their error in ppm."""
    xp = array_namespace(mz)
    n = mz.shape[0]
    out = xp.zeros(n, dtype=mz.dtype, device=device_of(mz))
    if n:
        line = (theta, centre, half, _knots_like(theta, knots))
        launch_blocks(_shift, -(-n // SPAN), THREADS, mz, indptr, *line, out)
    return out


def resample_rows(
    X: Any,
    edges: Any,
    theta: Any,
    centre: float,
    half: float,
    ppm: bool,
    knots: Any = None,
) -> Any:
    """Return the rows of `X` (n, m) moved by their errors, with the same sums."""
    line = (theta, centre, half, ppm, _knots_like(theta, knots))
    return launch_rows(_resample_lines, X, edges, *line)


def resample_at(X: Any, edges: Any, place: Any) -> Any:
    """Return the differences of the rows' integrals between places (n, m - 1)."""
    return launch_rows(_resample_places, X, edges, place)


def launch_rows(kernel: Any, X: Any, edges: Any, *arguments: Any) -> Any:
    """Return what a kernel of rows makes of `X`; its blocks write tiles of a row."""
    xp = array_namespace(X)
    out = xp.zeros(X.shape, dtype=X.dtype, device=device_of(X))
    tiles = -(-X.shape[1] // THREADS)
    blocks = X.shape[0] * tiles
    if blocks:
        launch_blocks(kernel, blocks, THREADS, X, edges, *arguments, tiles, out)
    return out


def _knots_like(theta: Any, knots: Any) -> Any:
    """Return the knots of lines on their device; any where there are none inside."""
    xp, device = array_namespace(theta), device_of(theta)
    if theta.shape[1] == 2 or knots is None:
        return xp.zeros(2, dtype=xp.float64, device=device)
    return xp.asarray(knots, dtype=xp.float64, device=device)


@cuda.jit(device=True)
def _error(m, theta, row, centre, half, knots):
    """Return the error of a line, which may bend at the inner knots."""
    u = min(max((m - centre) / half, -1.0), 1.0)
    error = theta[row, 0] + theta[row, 1] * u
    if theta.shape[1] > 2:
        k, last = 1, knots.shape[0] - 1
        while k < last and u > knots[k]:
            k += 1
        t = (u - knots[k - 1]) / (knots[k] - knots[k - 1])
        if k > 1:
            error += (1 - t) * theta[row, k]
        if k < last:
            error += t * theta[row, k + 1]
    return error


@cuda.jit(device=True)
def is_still(coefficients, row):
    """Return whether a row has no error at all."""
    for j in range(coefficients.shape[1]):
        if coefficients[row, j] != 0:
            return False
    return True


@cuda.jit(device=True)
def _slope(X, row, i):
    """Return the density at the edge before column `i`; see the kernels of the CPU."""
    m = X.shape[1]
    if i == 0 or i == m:
        return float64(X[row, min(i, m - 1)])
    one, two = float64(X[row, i - 1]), float64(X[row, i])
    d = 0.5 * (one + two)
    if 1 < i and i < m - 1:
        d = (7 * (one + two) - (float64(X[row, i - 2]) + float64(X[row, i + 1]))) / 12
    # What keeps the integral of either sign monotone.
    if one * two <= 0:
        return 0.0
    if one > 0:
        return min(max(d, 0.0), 3 * min(one, two))
    return max(min(d, 0.0), 3 * max(one, two))


@cuda.jit(device=True)
def find_cell(edges, m, start, place):
    """Return the cell of a place, which is looked for around the one at `start`."""
    low, high, step = start, start + 1, 1
    while low > 0 and edges[low] > place:
        high, low = low, max(low - step, 0)
        step *= 2
    while high < m and edges[high] <= place:
        low, high = high, min(high + step, m)
        step *= 2
    return min(max(upper_bound(edges, low, high, place) - 1, 0), m - 1)


@cuda.jit(device=True)
def integral(X, row, edges, cell, place):
    """Return the integral of a row over its cell up to a place."""
    left = edges[cell]
    t = min(max((place - left) / (edges[cell + 1] - left), 0.0), 1.0)
    total = float64(X[row, cell])
    d0, d1 = _slope(X, row, cell), _slope(X, row, cell + 1)
    return t * (d0 + t * ((3 * total - 2 * d0 - d1) + t * (d0 + d1 - 2 * total)))


@cuda.jit(device=True)
def difference(X, row, q, before, p, part):
    """Return the integral from `before` within cell `q` to `part` within cell `p`."""
    value = part - before
    negative = X[row, q] < 0 or X[row, p] < 0
    for k in range(q, p):
        value += float64(X[row, k])
        negative = negative or X[row, k] < 0
    for k in range(p, q):
        value -= float64(X[row, k])
        negative = negative or X[row, k] < 0
    # Rounding only: the integral of positive intensities rises.
    return 0.0 if value < 0 and not negative else value


@cuda.jit
def _shift(mz, indptr, theta, centre, half, knots, out):
    start = int64(cuda.blockIdx.x) * SPAN
    stop = min(start + SPAN, mz.shape[0])
    # The spectra of the block, which all of its threads look up alike.
    first = upper_bound(indptr, 1, theta.shape[0], start)
    last = upper_bound(indptr, first, theta.shape[0], stop - 1)
    for k in range(start + cuda.threadIdx.x, stop, THREADS):
        row = upper_bound(indptr, first, last, k) - 1
        error = _error(mz[k], theta, row, centre, half, knots)
        out[k] = mz[k] / (1 + 1e-6 * error)


@cuda.jit
def _resample_lines(X, edges, theta, centre, half, ppm, knots, tiles, out):
    cells = cuda.shared.array(PLACES, int64)
    parts = cuda.shared.array(PLACES, float64)
    t, m = cuda.threadIdx.x, X.shape[1]
    row = cuda.blockIdx.x // tiles
    start = (cuda.blockIdx.x - row * tiles) * THREADS
    still = is_still(theta, row)
    if not still:
        for k in range(t, PLACES, THREADS):
            j = start + k
            cell, part = 0, 0.0
            if j >= m:
                cell, part = m - 1, float64(X[row, m - 1])
            elif j > 0:
                place = edges[j]
                error = _error(place, theta, row, centre, half, knots)
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


@cuda.jit
def _resample_places(X, edges, places, tiles, out):
    cells = cuda.shared.array(PLACES, int64)
    parts = cuda.shared.array(PLACES, float64)
    t, m = cuda.threadIdx.x, X.shape[1]
    row = cuda.blockIdx.x // tiles
    start = (cuda.blockIdx.x - row * tiles) * THREADS
    for k in range(t, PLACES, THREADS):
        j = start + k
        cell, part = 0, 0.0
        if j >= m:
            cell, part = m - 1, float64(X[row, m - 1])
        elif j > 0:
            place = places[row, j - 1]
            cell = find_cell(edges, m, j, place)
            part = integral(X, row, edges, cell, place)
        cells[k], parts[k] = cell, part
    cuda.syncthreads()
    j = start + t
    if j < m:
        out[row, j] = difference(X, row, cells[t], parts[t], cells[t + 1], parts[t + 1])
