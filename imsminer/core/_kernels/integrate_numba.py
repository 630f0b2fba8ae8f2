"""Intensities inside windows of m/z, on the CPU.

On a shared axis windows are ranges of columns. For ragged spectra they are half-open
ranges of m/z, ``low <= mz < high``; an interpolation search finds where each starts,
which touches one or two cache lines a window where the axis is smooth. Windows may
overlap and come in any order; one outside a spectrum gives 0.
"""

import numba as nb
import numpy as np

from imsminer.core._kernels.accumulate_numba import REORDER
from imsminer.core._kernels.binning_numba import _width

__all__ = [
    "area_points",
    "area_windows_rows",
    "integrate_points",
    "integrate_rows",
    "max_points",
    "max_windows_rows",
    "sum_windows_rows",
]


@nb.njit(nogil=True, cache=True, fastmath=REORDER)
def _sum(x):
    total = 0.0
    for j in range(x.size):
        total += np.float64(x[j])
    return total


@nb.njit(nogil=True, cache=True, fastmath=REORDER)
def _dot(x, weights):
    total = 0.0
    for j in range(x.size):
        total += np.float64(x[j]) * weights[j]
    return total


@nb.njit(nogil=True, cache=True)
def sum_windows_rows(X, left, right, out):
    """Set ``out[p, w]`` to the sum of ``X[p, left[w]:right[w]]``; out (n, K) float."""
    for p in range(X.shape[0]):
        row = X[p]
        for w in range(left.size):
            out[p, w] = _sum(row[left[w] : right[w]])


@nb.njit(nogil=True, cache=True)
def integrate_rows(X, left, right, weights, out):
    """Do the same with each column weighted by `weights` (m,) float64."""
    for p in range(X.shape[0]):
        row = X[p]
        for w in range(left.size):
            a, b = left[w], right[w]
            out[p, w] = _dot(row[a:b], weights[a:b])


@nb.njit(nogil=True, cache=True)
def area_windows_rows(X, left, right, weights, first, last, out):
    """Integrate windows whose first and last column count in part only.

    `first` and `last` (K,) are the parts of columns ``left[w]`` and ``right[w] - 1``
    that lie inside the window. For a window inside one column `first` is that
    column's part, and `last` is not looked at.
    """
    for p in range(X.shape[0]):
        row = X[p]
        for w in range(left.size):
            a, b = left[w], right[w]
            if b <= a:
                out[p, w] = 0.0
                continue
            value = first[w] * weights[a] * np.float64(row[a])
            if b - a > 1:
                value += last[w] * weights[b - 1] * np.float64(row[b - 1])
                value += _dot(row[a + 1 : b - 1], weights[a + 1 : b - 1])
            out[p, w] = value


@nb.njit(nogil=True, cache=True)
def max_windows_rows(X, left, right, out):
    """Set ``out[p, w]`` to the maximum of ``X[p, left[w]:right[w]]``, 0 if empty."""
    for p in range(X.shape[0]):
        for w in range(left.size):
            window = X[p, left[w] : right[w]]
            if window.size == 0:
                out[p, w] = 0.0
                continue
            top = window[0]
            for k in range(1, window.size):
                # A NaN must not hide: once met, it stays.
                if not window[k] <= top and top == top:
                    top = window[k]
            out[p, w] = top


@nb.njit(nogil=True, cache=True)
def _lower_bound(mz, start, stop, x):
    while start < stop:
        middle = (start + stop) >> 1
        if mz[middle] < x:
            start = middle + 1
        else:
            stop = middle
    return start


@nb.njit(nogil=True, cache=True)
def _interpolate(mz, start, stop, x, origin, inverse):
    """Return the first index in [start, stop) with ``mz >= x``, else `stop`.

    A straight line through the spectrum's ends guesses; doubling steps bracket.
    """
    if x <= origin:
        return start
    # Compared as floats: an x far outside would overflow an integer.
    position = (x - origin) * inverse
    guess = stop - 1 if position >= stop - 1 - start else start + np.int64(position)
    step = np.int64(16)
    if mz[guess] < x:
        low, high = guess + 1, guess + step
        while high < stop and mz[high] < x:
            low = high + 1
            step <<= 1
            high += step
        return _lower_bound(mz, low, min(high, stop), x)
    high, low = guess, guess - step
    while low >= start and mz[low] >= x:
        high = low
        step <<= 1
        low -= step
    return _lower_bound(mz, max(low + 1, start), high, x)


@nb.njit(nogil=True, cache=True, inline="always")
def _slope(mz, start, stop):
    span = mz[stop - 1] - mz[start]
    return (stop - 1 - start) / span if span > 0 else 0.0


@nb.njit(nogil=True, cache=True)
def integrate_points(mz, intensity, indptr, low, high, out):
    """Set ``out[p, w]`` to the sum of a spectrum's points in ``[low[w], high[w])``."""
    for p in range(indptr.size - 1):
        start, stop = indptr[p], indptr[p + 1]
        if start == stop:
            out[p, :] = 0.0
            continue
        origin, inverse = mz[start], _slope(mz, start, stop)
        for w in range(low.size):
            k = _interpolate(mz, start, stop, low[w], origin, inverse)
            total, end = 0.0, high[w]
            while k < stop and mz[k] < end:
                total += np.float64(intensity[k])
                k += 1
            out[p, w] = total


@nb.njit(nogil=True, cache=True)
def max_points(mz, intensity, indptr, low, high, out):
    """Set ``out[p, w]`` to the largest point in ``[low[w], high[w])``, 0 if none."""
    for p in range(indptr.size - 1):
        start, stop = indptr[p], indptr[p + 1]
        if start == stop:
            out[p, :] = 0.0
            continue
        origin, inverse = mz[start], _slope(mz, start, stop)
        for w in range(low.size):
            k = _interpolate(mz, start, stop, low[w], origin, inverse)
            end = high[w]
            top = 0.0
            if k < stop and mz[k] < end:
                top = np.float64(intensity[k])
                k += 1
            while k < stop and mz[k] < end:
                if not intensity[k] <= top and top == top:
                    top = np.float64(intensity[k])
                k += 1
            out[p, w] = top


@nb.njit(nogil=True, cache=True)
def area_points(mz, intensity, indptr, cell_guide, cell_edges, low, high, out):
    """Set ``out[p, w]`` to the area of profile samples in ``[low[w], high[w])``.

    The area is the sum of intensity times the width of that part of the sample's cell
    that lies inside the window. The cell is centred at the sample and as wide as the
    cell of the native grid there, so zeros that the file leaves out change nothing.
    """
    c_low, c_inverse, c_table, c_kind = cell_guide
    reach_low, reach_high = np.empty(low.size), np.empty(low.size)
    for w in range(low.size):
        width = _width(low[w], c_low, c_inverse, c_table, c_kind, cell_edges)
        reach_low[w] = low[w] - 0.51 * width
        width = _width(high[w], c_low, c_inverse, c_table, c_kind, cell_edges)
        reach_high[w] = high[w] + 0.51 * width
    for p in range(indptr.size - 1):
        start, stop = indptr[p], indptr[p + 1]
        if start == stop:
            out[p, :] = 0.0
            continue
        origin, inverse = mz[start], _slope(mz, start, stop)
        for w in range(low.size):
            k = _interpolate(mz, start, stop, reach_low[w], origin, inverse)
            area, end = 0.0, reach_high[w]
            while k < stop and mz[k] < end:
                m = mz[k]
                width = _width(m, c_low, c_inverse, c_table, c_kind, cell_edges)
                inside = min(high[w], m + 0.5 * width) - max(low[w], m - 0.5 * width)
                if inside > 0:
                    area += np.float64(intensity[k]) * inside
                k += 1
            out[p, w] = area
