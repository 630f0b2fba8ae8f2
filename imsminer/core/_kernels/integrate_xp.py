"""Intensities inside windows, in any array namespace: the reference.

Windows of columns (`left`, `right`) and of m/z (`low`, `high`) may be NumPy arrays or
sequences; results are float64 in the namespace of the intensities.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from imsminer._array import array_namespace, to_numpy
from imsminer.core._kernels.binning_xp import widths

__all__ = [
    "area_points",
    "area_windows_rows",
    "integrate_points",
    "integrate_rows",
    "max_points",
    "max_windows_rows",
    "sum_windows_rows",
]


def sum_windows_rows(X: Any, left: Any, right: Any) -> Any:
    """Return the sum of ``X[p, left[w]:right[w]]`` for each row and window."""
    xp = array_namespace(X)
    return _windows(X, left, right, lambda part, w: xp.sum(part, axis=1))


def integrate_rows(X: Any, left: Any, right: Any, weights: Any) -> Any:
    """Return the same with each column weighted by `weights` (m,)."""
    xp = array_namespace(X)
    weights = _like(X, weights)

    def total(part: Any, w: int) -> Any:
        return xp.sum(part * weights[int(left[w]) : int(right[w])], axis=1)

    return _windows(X, left, right, total)


def area_windows_rows(
    X: Any, left: Any, right: Any, weights: Any, first: Any, last: Any
) -> Any:
    """Return the same where the first and the last column count in part only."""
    xp = array_namespace(X)
    weights = np.asarray(to_numpy(weights), dtype=np.float64)

    def total(part: Any, w: int) -> Any:
        own = weights[int(left[w]) : int(right[w])].copy()
        if own.size > 1:
            own[-1] *= float(last[w])
        own[0] *= float(first[w])
        return xp.sum(part * _like(X, own), axis=1)

    return _windows(X, left, right, total)


def max_windows_rows(X: Any, left: Any, right: Any) -> Any:
    """Return the maximum of ``X[p, left[w]:right[w]]``, 0 for an empty window."""
    xp = array_namespace(X)
    return _windows(X, left, right, lambda part, w: xp.max(part, axis=1))


def integrate_points(mz: Any, intensity: Any, indptr: Any, low: Any, high: Any) -> Any:
    """Return the sum of each spectrum's points in ``[low[w], high[w])``."""
    xp = array_namespace(intensity)
    return _points(mz, intensity, indptr, low, high, lambda m, y, w: xp.sum(y))


def max_points(mz: Any, intensity: Any, indptr: Any, low: Any, high: Any) -> Any:
    """Return the largest of each spectrum's points in ``[low[w], high[w])``, or 0."""
    xp = array_namespace(intensity)
    return _points(mz, intensity, indptr, low, high, lambda m, y, w: xp.max(y))


def area_points(
    mz: Any,
    intensity: Any,
    indptr: Any,
    cell_guide: Any,
    cell_edges: Any,
    low: Any,
    high: Any,
) -> Any:
    """Return the area of each spectrum's samples in ``[low[w], high[w])``.

    `cell_guide` is not needed here; it stands for equal arguments with the CPU kernel.
    """
    xp = array_namespace(intensity)
    low, high = np.asarray(to_numpy(low)), np.asarray(to_numpy(high))
    cells = _like(mz, cell_edges)

    def area(m: Any, y: Any, w: int) -> Any:
        half = 0.5 * widths(m, cells)
        top = xp.clip(m + half, None, float(high[w]))
        inside = top - xp.clip(m - half, float(low[w]), None)
        return xp.sum(y * xp.clip(inside, 0.0, None))

    reach = 0.51 * to_numpy(widths(_like(mz, low), cells))
    top = 0.51 * to_numpy(widths(_like(mz, high), cells))
    return _points(mz, intensity, indptr, low - reach, high + top, area)


def _like(X: Any, values: Any) -> Any:
    xp = array_namespace(X)
    if not isinstance(values, np.ndarray | list | tuple):
        return values
    device = getattr(X, "device", None)
    values = np.asarray(to_numpy(values), dtype=np.float64)
    return xp.asarray(values, device=device)


def _windows(X: Any, left: Any, right: Any, function: Callable) -> Any:
    xp = array_namespace(X)
    zero = xp.zeros_like(X[:, 0], dtype=xp.float64)
    columns = []
    for w in range(len(left)):
        part = xp.astype(X[:, int(left[w]) : int(right[w])], xp.float64)
        columns.append(function(part, w) if part.shape[1] else zero)
    if not columns:
        return xp.zeros_like(X[:, :0], dtype=xp.float64)
    return xp.stack(columns, axis=1)


def _points(
    mz: Any, intensity: Any, indptr: Any, low: Any, high: Any, function: Callable
) -> Any:
    xp = array_namespace(intensity)
    low, high = _like(mz, low), _like(mz, high)
    bounds = [int(bound) for bound in indptr]
    zero = xp.zeros_like(low[:1], dtype=xp.float64)
    rows = []
    for start, stop in itertools.pairwise(bounds):
        m, y = mz[start:stop], xp.astype(intensity[start:stop], xp.float64)
        left = [int(i) for i in xp.searchsorted(m, low)]
        right = [int(i) for i in xp.searchsorted(m, high)]
        row = [
            xp.reshape(function(m[a:b], y[a:b], w), (1,)) if b > a else zero
            for w, (a, b) in enumerate(zip(left, right, strict=True))
        ]
        rows.append(xp.concat(row) if row else low)
    return xp.stack(rows)
