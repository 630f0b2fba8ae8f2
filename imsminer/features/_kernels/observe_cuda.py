"""What stands in windows of m/z and ion mobility, on a GPU.

A thread has a spectrum and a window: windows are narrow here, and those of neighbouring
threads lie side by side. What bounds it is reading the points in the windows, after a
search for each window's start (see :mod:`~imsminer.core._kernels.integrate_cuda`).
"""

from typing import Any

import numpy as np
from numba import cuda, float64, int64

from imsminer._array import array_namespace
from imsminer._cuda import launch
from imsminer.core._kernels.integrate_cuda import (
    cell_at,
    put_like,
    reach_of_cells,
    start_of,
)

__all__ = ["window_areas", "window_moments", "window_moments_rows"]


def window_moments_rows(X: Any, mz: Any, left: Any, right: Any, centers: Any) -> Any:
    """Return weight and moment of ``X[p, left[w]:right[w]]``, shape (n, K, 2).

    The weight is the sum of what is above 0, the moment that of intensity times the
    distance of m/z from ``centers[w]``.
    """
    xp = array_namespace(X)
    left, right = put_like(X, left, np.int64), put_like(X, right, np.int64)
    mz, centers = put_like(X, mz), put_like(X, centers)
    shape = X.shape[0], left.shape[0]
    out = xp.empty((*shape, 2), dtype=xp.float64)
    arguments = (X, mz, left, right, centers, out)
    launch(_window_moments_rows, shape[0] * shape[1], *arguments)
    return out


def window_moments(
    mz: Any,
    mobility: Any,
    intensity: Any,
    indptr: Any,
    low: Any,
    high: Any,
    m_low: Any,
    m_high: Any,
    centers: Any,
) -> Any:
    """Return sum, maximum, number, weight and moment of the points, (n, K, 5).

    Points count when ``low <= mz < high`` and ``m_low <= mobility < m_high`` (all of
    them when `mobility` is empty). The maximum of no point is 0.
    """
    xp = array_namespace(intensity)
    ends = [put_like(mz, end) for end in (low, high, m_low, m_high, centers)]
    shape = indptr.shape[0] - 1, ends[0].shape[0]
    out = xp.empty((*shape, 5), dtype=xp.float64)
    arguments = (mz, mobility, intensity, indptr, *ends, out)
    launch(_window_moments, shape[0] * shape[1], *arguments)
    return out


def window_areas(
    mz: Any,
    mobility: Any,
    intensity: Any,
    indptr: Any,
    cell_guide: Any,
    cell_edges: Any,
    low: Any,
    high: Any,
    m_low: Any,
    m_high: Any,
) -> Any:
    """Return the area of the samples in windows of m/z and mobility, (n, K).

    `cell_guide` is not needed here; it stands for equal arguments with the CPU kernel.
    """
    xp = array_namespace(intensity)
    ends = [put_like(mz, end) for end in (low, high, m_low, m_high)]
    cells = put_like(mz, cell_edges)
    reach = reach_of_cells(cells, *ends[:2])
    shape = indptr.shape[0] - 1, ends[0].shape[0]
    out = xp.empty(shape, dtype=xp.float64)
    arguments = (mz, mobility, intensity, indptr, cells, *ends, *reach, out)
    launch(_window_areas, shape[0] * shape[1], *arguments)
    return out


@cuda.jit
def _window_moments_rows(X, mz, left, right, centers, out):
    i = cuda.grid(1)
    n, n_windows = out.shape[0], out.shape[1]
    if i < n * n_windows:
        p = i // n_windows
        w = i - p * n_windows
        weight, moment = float64(0.0), float64(0.0)
        for j in range(left[w], right[w]):
            x = float64(X[p, j])
            # A NaN is not below 0, and shows.
            if not x < 0:
                weight += x
                moment += x * (mz[j] - centers[w])
        out[p, w, 0] = weight
        out[p, w, 1] = moment


@cuda.jit
def _window_moments(
    mz, mobility, intensity, indptr, low, high, m_low, m_high, centers, out
):
    i = cuda.grid(1)
    n, n_windows = out.shape[0], out.shape[1]
    if i < n * n_windows:
        p = i // n_windows
        w = i - p * n_windows
        stop, restricted = indptr[p + 1], mobility.shape[0] > 0
        total, top = float64(0.0), float64(0.0)
        weight, moment = float64(0.0), float64(0.0)
        number = int64(0)
        k, end = start_of(mz, indptr[p], stop, low[w]), high[w]
        while k < stop and mz[k] < end:
            if not restricted or m_low[w] <= mobility[k] < m_high[w]:
                y = float64(intensity[k])
                total += y
                if number == 0 or (not y <= top and top == top):
                    top = y
                number += 1
                if not y < 0:
                    weight += y
                    moment += y * (mz[k] - centers[w])
            k += 1
        out[p, w, 0] = total
        out[p, w, 1] = top
        out[p, w, 2] = number
        out[p, w, 3] = weight
        out[p, w, 4] = moment


@cuda.jit
def _window_areas(
    mz,
    mobility,
    intensity,
    indptr,
    cells,
    low,
    high,
    m_low,
    m_high,
    begin,
    end,
    near,
    out,
):
    i = cuda.grid(1)
    n, n_windows = out.shape
    if i < n * n_windows:
        p = i // n_windows
        w = i - p * n_windows
        stop, last = indptr[p + 1], int64(cells.shape[0] - 2)
        restricted = mobility.shape[0] > 0
        k, cell = start_of(mz, indptr[p], stop, begin[w]), near[w]
        area = float64(0.0)
        while k < stop and mz[k] < end[w]:
            if not restricted or m_low[w] <= mobility[k] < m_high[w]:
                m = mz[k]
                cell = cell_at(cells, m, cell, last)
                half = 0.5 * (cells[cell + 1] - cells[cell])
                inside = min(high[w], m + half) - max(low[w], m - half)
                if inside > 0:
                    area += float64(intensity[k]) * inside
            k += 1
        out[p, w] = area
