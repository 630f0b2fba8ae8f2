"""What stands in windows of m/z and ion mobility, in any array namespace.

This is the reference. Windows and edges may be NumPy arrays; results are float64 in the
namespace of the intensities.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from imsminer._array import array_namespace, to_numpy
from imsminer.core._kernels.binning_xp import widths

__all__ = ["window_areas", "window_moments", "window_moments_rows"]


def window_moments_rows(X: Any, mz: Any, left: Any, right: Any, centers: Any) -> Any:
    """Return weight and moment of ``X[p, left[w]:right[w]]``, shape (n, K, 2).

    The weight is the sum of what is above 0, the moment that of intensity times the
    distance of m/z from ``centers[w]``.
    """
    xp = array_namespace(X)
    columns = []
    for a, b, center in zip(left, right, centers, strict=True):
        part = xp.clip(xp.astype(X[:, int(a) : int(b)], xp.float64), 0.0, None)
        offset = xp.asarray(to_numpy(mz)[int(a) : int(b)] - center, device=_device(X))
        columns.append(
            xp.stack([xp.sum(part, axis=1), xp.sum(part * offset, axis=1)], axis=1)
        )
    if not columns:
        return xp.zeros((X.shape[0], 0, 2), dtype=xp.float64, device=_device(X))
    return xp.stack(columns, axis=1)


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

    def moments(m: Any, y: Any, w: int) -> Any:
        zero = xp.sum(y[:0])
        above = xp.clip(y, 0.0, None)
        return xp.stack(
            [
                xp.sum(y),
                xp.max(y) if y.shape[0] else zero,
                zero + y.shape[0],
                xp.sum(above),
                xp.sum(above * (m - float(centers[w]))),
            ]
        )

    points = (mz, mobility, intensity, indptr)
    return _stack(intensity, _each(*points, low, high, m_low, m_high, moments), 5)


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
    cells = xp.asarray(cell_edges, device=_device(mz))
    low, high = np.asarray(low), np.asarray(high)

    def area(m: Any, y: Any, w: int) -> Any:
        half = 0.5 * widths(m, cells)
        top = xp.clip(m + half, None, float(high[w]))
        inside = xp.clip(top - xp.clip(m - half, float(low[w]), None), 0.0, None)
        return xp.reshape(xp.sum(y * inside), (1,))

    ends = [
        0.51 * to_numpy(widths(xp.asarray(end, device=_device(mz)), cells))
        for end in (low, high)
    ]
    points = (mz, mobility, intensity, indptr)
    reach = (low - ends[0], high + ends[1])
    return _stack(intensity, _each(*points, *reach, m_low, m_high, area), 1)[:, :, 0]


def _each(
    mz: Any,
    mobility: Any,
    intensity: Any,
    indptr: Any,
    low: Any,
    high: Any,
    m_low: Any,
    m_high: Any,
    function: Callable,
) -> Iterator[list]:
    """Yield, for each spectrum, what `function` makes of the points in each window."""
    xp = array_namespace(intensity)
    values = xp.astype(intensity, xp.float64)
    for start, stop in itertools.pairwise(int(bound) for bound in indptr):
        row = []
        for w in range(len(low)):
            m, y = mz[start:stop], values[start:stop]
            inside = (m >= float(low[w])) & (m < float(high[w]))
            if mobility.shape[0]:
                own = mobility[start:stop]
                inside = inside & (own >= float(m_low[w])) & (own < float(m_high[w]))
            row.append(function(m[inside], y[inside], w))
        yield row


def _stack(like: Any, rows: Iterator[list], size: int) -> Any:
    xp = array_namespace(like)
    empty = xp.zeros((0, size), dtype=xp.float64, device=_device(like))
    return xp.stack([xp.stack(row) if row else empty for row in rows])


def _device(array: Any) -> Any:
    return getattr(array, "device", None)
