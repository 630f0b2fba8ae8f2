"""Alignment by search over a grid of lines, in any array namespace.

The reference for the compiled kernels, which explain the quantities.
"""

import itertools
import math
from typing import Any

from imsminer._array import array_namespace, device_of

__all__ = ["grid_points", "grid_rows"]

N_STEPS, N_ZOOMS, ZOOM = 20, 5, 0.25
MAX_STEP = 0.6
RATIO, PER_WIDTH, REACH = 2.5, 10, 1.001


def grid_rows(
    X: Any,
    mz: Any,
    reference: Any,
    unit: Any,
    place: Any,
    limit: float,
    width: float,
    linear: bool,
) -> Any:
    """Return a and b of each row by all, even and odd reference peaks: (n, 3, 2)."""
    xp = array_namespace(X)
    tables = _tables(xp.astype(X, xp.float64), mz, reference, unit, limit, width)
    parts = (slice(None), slice(0, None, 2), slice(1, None, 2))
    found = [_search(tables[part], place[part], limit, width, linear) for part in parts]
    return xp.stack(found, axis=1)


def grid_points(mz: Any, intensity: Any, indptr: Any, *arguments: Any) -> Any:
    """Do the same for spectra that lie one after the other."""
    xp = array_namespace(intensity)
    parts = [
        grid_rows(intensity[a:b][None, :], mz[a:b], *arguments)
        for a, b in itertools.pairwise(int(bound) for bound in indptr)
    ]
    return xp.concat(parts)


def _tables(
    X: Any, mz: Any, reference: Any, unit: Any, limit: float, width: float
) -> list[Any]:
    """Return each peak's correlation with moved Gaussians: k arrays (n, nodes)."""
    xp, step = array_namespace(X), width / PER_WIDTH
    nodes = 2 * math.ceil(REACH * limit / width * PER_WIDTH) + 7
    index = xp.arange(nodes, dtype=xp.float64, device=device_of(X))
    moved = (index - (nodes - 1) / 2) * step
    tables = []
    for k in range(reference.shape[0]):
        reach = (float(moved[-1]) + RATIO * width) / float(unit[k])
        inside = (mz >= reference[k] - reach) & (mz <= reference[k] + reach)
        at = xp.nonzero(inside)[0]
        d = (xp.take(mz, at) - reference[k]) * unit[k]
        x = (d[:, None] - moved[None, :]) / width
        gauss = xp.where(xp.abs(x) <= RATIO, xp.exp(-x * x), xp.zeros_like(x))
        tables.append(xp.take(X, at, axis=1) @ gauss)
    return tables


def _search(
    tables: list[Any], place: Any, limit: float, width: float, linear: bool
) -> Any:
    xp = array_namespace(place)
    n, nodes = tables[0].shape
    step = width / PER_WIDTH
    device = device_of(place)
    shift = xp.zeros((n, 1), dtype=xp.float64, device=device)
    stretch, best = xp.zeros_like(shift), xp.zeros_like(shift)
    span_a, span_b = 2 * limit, 2 * limit if linear else 0.0
    steps = max(N_STEPS, math.ceil(span_a / (MAX_STEP * width)) + 1)
    for _ in range(N_ZOOMS):
        grid = xp.arange(steps, dtype=xp.float64, device=device) / (steps - 1)
        a = shift - 0.5 * span_a + span_a * grid[None, :]
        if linear:
            b = stretch - 0.5 * span_b + span_b * grid[None, :]
        else:
            b = xp.zeros_like(shift)
        a, b = xp.broadcast_arrays(a[:, None, :], b[:, :, None])
        a, b = xp.reshape(a, (n, -1)), xp.reshape(b, (n, -1))
        total = xp.zeros_like(a)
        for k, table in enumerate(tables):
            x = (a + b * place[k]) / step + 0.5 * (nodes - 1)
            q = xp.clip(xp.astype(x, xp.int64), 1, nodes - 3)
            t = x - xp.astype(q, xp.float64)
            y0, y1, y2, y3 = (
                xp.take_along_axis(table, q + j, axis=1) for j in (-1, 0, 1, 2)
            )
            c1, c2 = y2 - y0, 2 * y0 - 5 * y1 + 4 * y2 - y3
            c3 = 3 * (y1 - y2) + y3 - y0
            total = total + y1 + 0.5 * t * (c1 + t * (c2 + t * c3))
        allowed = xp.abs(a) + xp.abs(b) <= limit
        total = xp.where(allowed, total, xp.full_like(total, -1.0))
        top = xp.argmax(total, axis=1, keepdims=True)
        shift, stretch, best = (
            xp.take_along_axis(values, top, axis=1) for values in (a, b, total)
        )
        span_a, span_b, steps = span_a * ZOOM, span_b * ZOOM, N_STEPS
    result = xp.concat([shift, stretch], axis=1)
    return xp.where(best > 0, result, xp.full_like(result, xp.nan))
