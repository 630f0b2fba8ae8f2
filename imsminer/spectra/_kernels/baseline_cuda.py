"""Baselines other than SNIP's and openings on a GPU.

Lowest points are found by the minima of windows (see ``windows_cuda``); the thread of
each draws the line to the next one, so rows are read and written once more. Noise and
polynomials are found by a block of threads for each spectrum, which reads it again in
every round; sums are float64 and taken in a fixed order.
"""

import math
from typing import Any

from numba import cuda, float64

from imsminer._array import array_namespace, device_of
from imsminer._cuda import THREADS, launch, launch_blocks
from imsminer.spectra._kernels.baseline_xp import MAX_STEPS
from imsminer.spectra._kernels.grid_xp import owners
from imsminer.spectra._kernels.windows_cuda import (
    extremes,
    windows_of_points,
    windows_of_rows,
)

__all__ = [
    "minima_points",
    "minima_rows",
    "noise_points",
    "noise_rows",
    "polynomial_rows",
]

#: Polynomials of degree 30 at the most.
TERMS = 31


def minima_rows(X: Any, reach: Any) -> Any:
    """Return straight lines between the lowest points within `reach`.

    `reach` (m,) is an array of the host, or the kernel waits for it. The first and the
    last point are among the lowest.
    """
    xp = array_namespace(X)
    out = xp.empty_like(X)
    n, m = X.shape
    if n > 0 and m > 0:
        values = xp.reshape(X, (-1,))
        low = extremes(values, *windows_of_rows(X, reach), False)
        launch(_join_lowest, n * m, X, xp.reshape(low, X.shape), out)
    return out


def minima_points(
    values: Any, indptr: Any, position: Any, length: Any, reach: Any, widest: int
) -> Any:
    """Do the same for ragged spectra of values of at least 0.

    Grid points that are not stored are 0, and so among the lowest. `position` and
    `length` come from :func:`imsminer.spectra._kernels.grid_xp.grid_positions`; `reach`
    (n_points,) is the half window at each point, in points of the grid, and at most
    `widest`.
    """
    xp, n = array_namespace(values), values.shape[0]
    out = xp.empty_like(values)
    if n > 0:
        windows = windows_of_points(indptr, position, length, reach, widest)
        low = extremes(values, *windows, False)
        where = (indptr, owners(indptr, n), position, length)
        launch(_between_lowest, n, values, low, *where, out)
    return out


def noise_rows(X: Any, factor: float, z_threshold: float) -> Any:
    """Return `factor` times the noise of each row, in every column.

    The noise is the standard deviation of the values whose z-score is below
    `z_threshold`, among themselves.
    """
    xp, device = array_namespace(X), device_of(X)
    n, m = X.shape
    bounds = xp.arange(n + 1, dtype=xp.int64, device=device) * m
    length = xp.full(n, m, dtype=xp.int64, device=device)
    values = xp.reshape(X, (-1,))
    return xp.reshape(_noises(values, bounds, length, factor, z_threshold), X.shape)


def noise_points(
    values: Any,
    indptr: Any,
    position: Any,
    length: Any,
    factor: float,
    z_threshold: float,
) -> Any:
    """Do the same for ragged spectra: grid points that are not stored are 0.

    `position` and `length` come from
    :func:`imsminer.spectra._kernels.grid_xp.grid_positions`.
    """
    return _noises(values, indptr, length, factor, z_threshold)


def _noises(
    values: Any, indptr: Any, length: Any, factor: float, z_threshold: float
) -> Any:
    out = array_namespace(values).empty_like(values)
    if values.shape[0] > 0:
        where = (values, indptr, length, float(factor), float(z_threshold))
        launch_blocks(_noise, length.shape[0], THREADS, *where, out)
    return out


def polynomial_rows(X: Any, basis: Any, factor: float) -> Any:
    """Return polynomials through the low points of each row.

    `basis` (n_terms, m) are orthogonal polynomials, `TERMS` at the most. Points more
    than `factor` standard deviations above the fit are left out, until no more are; the
    deviation is that of the points below the fit.
    """
    xp = array_namespace(X)
    out = xp.empty_like(X)
    if X.shape[0] > 0 and X.shape[1] > 0:
        kept = xp.empty(X.shape, dtype=xp.bool, device=device_of(X))
        shape = (X, basis, float(factor), kept)
        launch_blocks(_fit_low, X.shape[0], THREADS, *shape, out)
    return out


@cuda.jit
def _join_lowest(X, low, out):
    """Draw the line from each lowest point of a row to the next."""
    i = cuda.grid(1)
    n, m = X.shape
    if i >= n * m:
        return
    row = i // m
    j = i - row * m
    here = X[row, j]
    if j > 0 and j < m - 1 and not here <= low[row, j]:
        return
    out[row, j] = here
    if j == m - 1:
        return
    k = j + 1
    while k < m - 1 and not X[row, k] <= low[row, k]:
        k += 1
    start = float64(here)
    step = (float64(X[row, k]) - start) / (k - j)
    for between in range(j + 1, k):
        out[row, between] = start + step * (between - j)


@cuda.jit
def _between_lowest(values, low, indptr, owner, position, length, out):
    """Take the value at each point of the line between the lowest beside it."""
    i = cuda.grid(1)
    if i >= values.shape[0]:
        return
    s = owner[i]
    start, stop, end = indptr[s], indptr[s + 1], length[s] - 1
    here = position[i]
    if here == 0 or here == end or values[i] <= low[i]:
        out[i] = values[i]
        return
    # Beside stored points there are others, or a 0 that is not stored.
    a, b = i - 1, i + 1
    while a >= start and position[a] == here - (i - a):
        if position[a] == 0 or values[a] <= low[a]:
            break
        a -= 1
    while b < stop and position[b] == here + (b - i):
        if position[b] == end or values[b] <= low[b]:
            break
        b += 1
    left, right = 0.0, 0.0
    if a >= start and position[a] == here - (i - a):
        left = float64(values[a])
    if b < stop and position[b] == here + (b - i):
        right = float64(values[b])
    out[i] = left + (right - left) / (b - a) * (i - a)


@cuda.jit(device=True)
def _total(value, room):
    """Return the sum of what the threads of a block hold; `room` is theirs."""
    thread = cuda.threadIdx.x
    room[thread] = value
    cuda.syncthreads()
    step = cuda.blockDim.x // 2
    while step > 0:
        if thread < step:
            room[thread] += room[thread + step]
        cuda.syncthreads()
        step //= 2
    total = room[0]
    cuda.syncthreads()
    return total


@cuda.jit(device=True)
def _largest(value, room):
    """Return the largest of what the threads of a block hold; `room` is theirs."""
    thread = cuda.threadIdx.x
    room[thread] = value
    cuda.syncthreads()
    most = room[0]
    for other in range(1, cuda.blockDim.x):
        most = max(most, room[other])
    cuda.syncthreads()
    return most


@cuda.jit
def _noise(values, indptr, length, factor, z_threshold, out):
    room = cuda.shared.array(THREADS, float64)
    thread = cuda.threadIdx.x
    s = cuda.blockIdx.x
    start, stop = indptr[s], indptr[s + 1]
    zeros = length[s] - (stop - start)
    low, high = -math.inf, math.inf
    before, sd = -1.0, 0.0
    for _ in range(MAX_STEPS):
        part, many = 0.0, 0.0
        for i in range(start + thread, stop, THREADS):
            value = float64(values[i])
            if low <= value and value <= high:
                part += value
                many += 1.0
        total, n = _total(part, room), _total(many, room)
        empty = zeros if low <= 0.0 and 0.0 <= high else 0
        n += empty
        if n == before or n == 0.0:
            break
        before = n
        mean = total / n
        part = 0.0
        for i in range(start + thread, stop, THREADS):
            value = float64(values[i])
            if low <= value and value <= high:
                part += (value - mean) * (value - mean)
        sd = math.sqrt((_total(part, room) + empty * mean * mean) / n)
        low = max(low, mean - z_threshold * sd)
        high = min(high, mean + z_threshold * sd)
    for i in range(start + thread, stop, THREADS):
        out[i] = factor * sd


@cuda.jit(device=True)
def _solve(matrix, right, terms):
    """Solve by elimination, for a positive definite matrix; `right` is the solution."""
    for a in range(terms):
        for b in range(a + 1, terms):
            part = matrix[b, a] / matrix[a, a]
            for c in range(a, terms):
                matrix[b, c] -= part * matrix[a, c]
            right[b] -= part * right[a]
    for a in range(terms - 1, -1, -1):
        for c in range(a + 1, terms):
            right[a] -= matrix[a, c] * right[c]
        right[a] /= matrix[a, a]


@cuda.jit(device=True)
def _fitted(weights, basis, terms, i):
    total = 0.0
    for a in range(terms):
        total += weights[a] * basis[a, i]
    return total


@cuda.jit
def _fit_low(X, basis, factor, kept, out):
    """Fit the low points of a row, one block for each."""
    room = cuda.shared.array(THREADS, float64)
    gram = cuda.shared.array((TERMS, TERMS), float64)
    weights = cuda.shared.array(TERMS, float64)
    thread = cuda.threadIdx.x
    row = cuda.blockIdx.x
    m, terms = X.shape[1], basis.shape[0]
    most = float64(X[row, 0])
    for i in range(thread, m, THREADS):
        kept[row, i] = True
        most = max(most, float64(X[row, i]))
    largest = _largest(most, room)
    for _ in range(MAX_STEPS):
        for a in range(terms):
            for b in range(a + 1):
                part = 0.0
                for i in range(thread, m, THREADS):
                    if kept[row, i]:
                        part += basis[a, i] * basis[b, i]
                part = _total(part, room)
                if thread == 0:
                    gram[a, b] = part
                    gram[b, a] = part
            part = 0.0
            for i in range(thread, m, THREADS):
                if kept[row, i]:
                    part += basis[a, i] * float64(X[row, i])
            part = _total(part, room)
            if thread == 0:
                weights[a] = part
        if thread == 0:
            # So little that it only matters where the low points leave it open.
            trace = 0.0
            for a in range(terms):
                trace += gram[a, a]
            for a in range(terms):
                gram[a, a] += 1e-12 * trace
            _solve(gram, weights, terms)
        cuda.syncthreads()
        part, many = 0.0, 0.0
        for i in range(thread, m, THREADS):
            rest = float64(X[row, i]) - _fitted(weights, basis, terms, i)
            if rest < 0.0:
                part += rest * rest
                many += 1.0
        squares, below = _total(part, room), _total(many, room)
        limit = factor * math.sqrt(squares / max(below, 1.0)) + 1e-9 * largest
        many, part = 0.0, 0.0
        for i in range(thread, m, THREADS):
            rest = float64(X[row, i]) - _fitted(weights, basis, terms, i)
            if rest <= limit:
                many += 1.0
            if (rest <= limit) != kept[row, i]:
                part += 1.0
        left, changed = _total(many, room), _total(part, room)
        if left < 2 * terms or changed == 0.0:
            break
        for i in range(thread, m, THREADS):
            rest = float64(X[row, i]) - _fitted(weights, basis, terms, i)
            kept[row, i] = rest <= limit
    for i in range(thread, m, THREADS):
        out[row, i] = max(_fitted(weights, basis, terms, i), 0.0)
