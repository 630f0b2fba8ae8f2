"""What stands in windows of m/z and ion mobility, on the CPU.

Windows are half-open; without mobilities (`mobility` is empty) only m/z counts. Points
below 0 have no weight in the moments, so that a centroid lies inside its window.
"""

import numba as nb
import numpy as np

from imsminer.core._kernels.accumulate_numba import REORDER
from imsminer.core._kernels.binning_numba import _width
from imsminer.core._kernels.integrate_numba import _interpolate, _slope

__all__ = ["window_areas", "window_moments", "window_moments_rows"]


@nb.njit(nogil=True, cache=True, fastmath=REORDER)
def _moments(y, offset):
    weight, moment = 0.0, 0.0
    for j in range(y.size):
        value = max(np.float64(y[j]), 0.0)
        weight += value
        moment += value * offset[j]
    return weight, moment


@nb.njit(nogil=True, cache=True)
def window_moments_rows(X, mz, left, right, centers, out):
    """Set ``out[p, w]`` to weight and moment of ``X[p, left[w]:right[w]]``.

    The weight is the sum of what is above 0, the moment that of intensity times the
    distance of m/z from ``centers[w]``; out (n, K, 2) float64.
    """
    for w in range(left.size):
        a, b = left[w], right[w]
        offset = mz[a:b] - centers[w]
        for p in range(X.shape[0]):
            out[p, w, 0], out[p, w, 1] = _moments(X[p, a:b], offset)


@nb.njit(nogil=True, cache=True)
def window_moments(
    mz, mobility, intensity, indptr, low, high, m_low, m_high, centers, out
):
    """Set ``out[p, w]`` to sum, maximum, number, weight and moment of the points.

    Points count when ``low <= mz < high`` and ``m_low <= mobility < m_high``; out
    (n, K, 5) float64. The maximum of no point is 0.
    """
    restricted = mobility.size > 0
    for p in range(indptr.size - 1):
        start, stop = indptr[p], indptr[p + 1]
        out[p] = 0.0
        if start == stop:
            continue
        origin, inverse = mz[start], _slope(mz, start, stop)
        for w in range(low.size):
            k = _interpolate(mz, start, stop, low[w], origin, inverse)
            total, top, number, weight, moment = 0.0, 0.0, 0, 0.0, 0.0
            end = high[w]
            while k < stop and mz[k] < end:
                if not restricted or m_low[w] <= mobility[k] < m_high[w]:
                    value = np.float64(intensity[k])
                    total += value
                    # A NaN must not hide: once met, it stays.
                    if number == 0 or (not value <= top and top == top):
                        top = value
                    number += 1
                    above = max(value, 0.0)
                    weight += above
                    moment += above * (mz[k] - centers[w])
                k += 1
            out[p, w, 0] = total
            out[p, w, 1] = top
            out[p, w, 2] = number
            out[p, w, 3] = weight
            out[p, w, 4] = moment


@nb.njit(nogil=True, cache=True)
def window_areas(
    mz,
    mobility,
    intensity,
    indptr,
    cell_guide,
    cell_edges,
    low,
    high,
    m_low,
    m_high,
    out,
):
    """Set ``out[p, w]`` to the area of the samples in a window of m/z and mobility.

    As `area_points` of the core, for points within ``m_low <= mobility < m_high``.
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
        out[p] = 0.0
        if start == stop:
            continue
        origin, inverse = mz[start], _slope(mz, start, stop)
        for w in range(low.size):
            k = _interpolate(mz, start, stop, reach_low[w], origin, inverse)
            area, end = 0.0, reach_high[w]
            while k < stop and mz[k] < end:
                if m_low[w] <= mobility[k] < m_high[w]:
                    m = mz[k]
                    width = _width(m, c_low, c_inverse, c_table, c_kind, cell_edges)
                    top = min(high[w], m + 0.5 * width)
                    inside = top - max(low[w], m - 0.5 * width)
                    if inside > 0:
                        area += np.float64(intensity[k]) * inside
                k += 1
            out[p, w] = area
