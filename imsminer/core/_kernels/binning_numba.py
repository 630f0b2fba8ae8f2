"""Points of ragged spectra into the bins of an axis, on the CPU.

A `guide` (see :func:`build_guide`) finds the bin of an m/z without searching: an even
table says which bin each of its cells starts in, and one comparison with that bin's
upper edge settles the rest. Bin ``j`` holds ``edges[j] <= mz < edges[j + 1]``; points
outside all bins are dropped, and every function returns how many.
"""

from typing import NamedTuple

import numba as nb
import numpy as np

__all__ = [
    "Guide",
    "accumulate_points",
    "build_guide",
    "find_bins",
    "sum_points",
]

# Larger tables leave the L2 cache, and a longer walk from a coarser cell is cheaper.
MAX_CELLS_PER_BIN = 8
MAX_CELLS = 1 << 24

EVEN, SINGLE, COARSE = 0, 1, 2

# Shorter spectra are added point by point.
PAIRS = 32


class Guide(NamedTuple):
    """What the kernels need to find bins: pass it to them together with the edges."""

    low: float
    """Where the first cell starts."""
    inverse: float
    """Cells per unit of m/z."""
    table: np.ndarray
    """Bin in which each cell starts, uint32; empty where cells are the bins."""
    kind: int
    """`EVEN`: cells are the bins. `SINGLE`: no cell holds more than one edge, so that
    one comparison will do. `COARSE`: cells may hold several."""


def build_guide(edges: np.ndarray) -> Guide:
    """Return the guide of an axis from its edges (n + 1,), increasing float64."""
    n_bins = edges.size - 1
    low, span = float(edges[0]), float(edges[-1] - edges[0])
    step = span / n_bins
    # Rounding leaves even edges this far from their places, in bins. Points closer
    # than that below an edge may go to the bin above it.
    slack = 1e-9 + 4e-16 * float(edges[-1]) / step
    place = (edges - low) / step
    if slack < 1e-3 and np.abs(place - np.arange(n_bins + 1)).max() < slack:
        return Guide(low - slack * step, 1 / step, np.empty(0, np.uint32), EVEN)
    narrowest = float(np.diff(edges).min())
    # Cells slightly narrower than the narrowest bin hold at most one edge each.
    n_cells = int(min(np.ceil(1.02 * span / narrowest) + 1, MAX_CELLS))
    n_cells = min(n_cells, MAX_CELLS_PER_BIN * n_bins + 1)
    inverse = n_cells / span
    # The cell of an edge is computed as the kernels compute it, so that rounding
    # cannot put a point in a cell that starts behind the point's bin.
    cell_of_edge = np.minimum(((edges - low) * inverse).astype(np.int64), n_cells - 1)
    table = np.searchsorted(cell_of_edge[1:-1], np.arange(n_cells), side="left")
    single = bool(np.all(np.diff(cell_of_edge[1:-1]) > 0))
    return Guide(low, inverse, table.astype(np.uint32), SINGLE if single else COARSE)


# Indices are unsigned: numba then drops its check for negative ones.
U = np.uint32


@nb.njit(nogil=True, cache=True, inline="always")
def _bin(m, low, inverse, table, kind, edges):
    # The caller has checked edges[0] <= m < edges[-1], at least of a spectrum's ends:
    # points out of order inside it get a wrong bin, but one that exists.
    cell = U((m - low) * inverse)
    top = U(edges.size - 2)
    if kind == EVEN:
        return U(min(cell, top))
    j = U(table[min(cell, U(table.size - 1))])
    j = U(j + U(edges[U(j + U(1))] <= m))
    if kind == COARSE:
        while j < top and edges[U(j + U(1))] <= m:
            j = U(j + U(1))
    return U(min(j, top))


@nb.njit(nogil=True, cache=True)
def find_bins(mz, guide, edges, out):
    """Set `out` to the bin of every point, -1 outside; return how many are."""
    dropped = 0
    first, last = edges[0], edges[-1]
    for k in range(mz.size):
        m = mz[k]
        if m >= first and m < last:
            out[k] = _bin(m, guide.low, guide.inverse, guide.table, guide.kind, edges)
        else:
            out[k] = -1
            dropped += 1
    return dropped


@nb.njit(nogil=True, cache=True, inline="always")
def _first_from(mz, x):
    """Return the first index with ``mz >= x``."""
    low, high = 0, mz.size
    while low < high:
        middle = (low + high) >> 1
        if mz[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@nb.njit(nogil=True, cache=True, inline="always")
def _add_pairs(a, y, b, z, guide, edges, total):
    # Two places of one spectrum in turn: neighbouring points fall into the same bin
    # or the next, and each addition would wait for the one before.
    low, inverse, table, kind = guide
    if kind == EVEN:
        top = U(total.size - 1)
        for k in range(a.size):
            total[min(U((a[k] - low) * inverse), top)] += y[k]
            total[min(U((b[k] - low) * inverse), top)] += z[k]
    else:
        for k in range(a.size):
            total[_bin(a[k], low, inverse, table, kind, edges)] += y[k]
            total[_bin(b[k], low, inverse, table, kind, edges)] += z[k]


@nb.njit(nogil=True, cache=True)
def sum_points(mz, intensity, indptr, guide, edges, total):
    """Add every point to `total` (n_bins,) float64; return how many were dropped.

    `mz` increases within a spectrum, so that its ends say whether all of it lies on
    the axis.
    """
    low, inverse, table, kind = guide
    first, last = edges[0], edges[-1]
    dropped = 0
    for p in range(indptr.size - 1):
        m = mz[indptr[p] : indptr[p + 1]]
        y = intensity[indptr[p] : indptr[p + 1]]
        if m.size == 0:
            continue
        if not (m[0] >= first and m[m.size - 1] < last):
            start, stop = _first_from(m, first), _first_from(m, last)
            dropped += m.size - (stop - start)
            m, y = m[start:stop], y[start:stop]
        half = m.size // 2
        if half >= PAIRS:
            _add_pairs(
                m[:half],
                y[:half],
                m[half : 2 * half],
                y[half : 2 * half],
                guide,
                edges,
                total,
            )
            rest = 2 * half
        else:
            rest = 0
        for k in range(rest, m.size):
            total[_bin(m[k], low, inverse, table, kind, edges)] += y[k]
    return dropped


@nb.njit(nogil=True, cache=True, inline="always")
def _flush(j, value, total, maximum, count, squares):
    total[j] += value
    squares[j] += value * value
    count[j] += np.int64(value > 0)
    if value > maximum[j]:
        maximum[j] = value


@nb.njit(nogil=True, cache=True)
def accumulate_points(
    mz, intensity, indptr, guide, edges, total, maximum, count, squares
):
    """Update four statistics of the bins; return how many points were dropped.

    Points of one spectrum that share a bin add up before the maximum, the count of
    values above 0 and the square are taken. `mz` increases within a spectrum. A bin
    without points counts as 0, so `maximum` should start at 0.
    """
    low, inverse, table, kind = guide
    first, last = edges[0], edges[-1]
    dropped = 0
    for p in range(indptr.size - 1):
        current, value = np.int64(-1), 0.0
        for k in range(indptr[p], indptr[p + 1]):
            m = mz[k]
            if m >= first and m < last:
                j = _bin(m, low, inverse, table, kind, edges)
                if j != current:
                    if current >= 0:
                        _flush(current, value, total, maximum, count, squares)
                    current, value = j, 0.0
                value += intensity[k]
            else:
                dropped += 1
        if current >= 0:
            _flush(current, value, total, maximum, count, squares)
    return dropped


@nb.njit(nogil=True, cache=True, inline="always")
def _width(m, low, inverse, table, kind, edges):
    # Beyond the cells, the nearest cell's width holds.
    n = edges.size - 1
    if m < edges[0]:
        return edges[1] - edges[0]
    if m >= edges[n]:
        return edges[n] - edges[n - 1]
    j = _bin(m, low, inverse, table, kind, edges)
    return edges[j + 1] - edges[j]
