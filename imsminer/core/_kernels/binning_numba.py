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
    "overlap_matrix",
    "rebin_rows",
    "spread_accumulate_points",
    "spread_sum_points",
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


@nb.njit(nogil=True, cache=True, inline="always")
def _share(x, centre, width, blur):
    """Return the share of a sample that lies below `x`.

    The sample is a box of one `width` convolved with a box of width `blur`.
    """
    v = abs(x - centre)
    flat, half = 0.5 * (width - blur), 0.5 * (width + blur)
    if v <= flat:
        part = v / width
    elif v < half:
        part = 0.5 - (half - v) * (half - v) / (2.0 * blur * width)
    else:
        part = 0.5
    return 0.5 + part if x > centre else 0.5 - part


@nb.njit(nogil=True, cache=True)
def _spread(m, value, width, home, edges, out):
    """Spread one sample, whose m/z lies in bin `home`, over `out`.

    Returns the first bin that it touches and the one after the last.
    """
    n_bins = edges.size - 1
    blur = max(width - (edges[home + 1] - edges[home]), 0.0)
    start, stop = m - 0.5 * (width + blur), m + 0.5 * (width + blur)
    first = home
    while first > 0 and edges[first] > start:
        first -= 1
    below, j = 0.0, first
    while j < n_bins - 1 and edges[j + 1] < stop:
        share = _share(edges[j + 1], m, width, blur)
        out[j] += value * (share - below)
        below = share
        j += 1
    out[j] += value * (1.0 - below)
    return first, j + 1


@nb.njit(nogil=True, cache=True)
def spread_sum_points(mz, intensity, cell_guide, cell_edges, guide, edges, total):
    """Spread profile samples over the bins that they overlap.

    A sample stands for its cell on the native grid. Bins narrower than the cell would
    see steps with flat tops, whose rounding noise looks like many maxima: there the
    cell is smoothed by what the bin is narrower, up to a triangle that reaches to the
    neighbours, so that samples join by lines. `cell_edges` and their guide give the
    grid's spacing at each m/z (only the width of a cell matters, not its phase). A
    sample within the axis gives all of its intensity: what would fall off an end goes
    to the last bin there. Returns how many samples were dropped because their m/z is
    outside all bins.
    """
    low, inverse, table, kind = guide
    c_low, c_inverse, c_table, c_kind = cell_guide
    first, last = edges[0], edges[-1]
    dropped = 0
    for k in range(mz.size):
        m = mz[k]
        if m >= first and m < last:
            width = _width(m, c_low, c_inverse, c_table, c_kind, cell_edges)
            home = np.int64(_bin(m, low, inverse, table, kind, edges))
            _spread(m, np.float64(intensity[k]), width, home, edges, total)
        else:
            dropped += 1
    return dropped


@nb.njit(nogil=True, cache=True)
def spread_accumulate_points(
    mz,
    intensity,
    indptr,
    cell_guide,
    cell_edges,
    guide,
    edges,
    total,
    maximum,
    count,
    squares,
):
    """Do the same for four statistics of the bins, taken once per spectrum and bin."""
    low, inverse, table, kind = guide
    c_low, c_inverse, c_table, c_kind = cell_guide
    first, last = edges[0], edges[-1]
    spectrum = np.zeros(edges.size - 1)
    dropped = 0
    for p in range(indptr.size - 1):
        # Bins from `done` to `top` are in use.
        done, top = np.int64(0), np.int64(0)
        for k in range(indptr[p], indptr[p + 1]):
            m = mz[k]
            if not (m >= first and m < last):
                dropped += 1
                continue
            width = _width(m, c_low, c_inverse, c_table, c_kind, cell_edges)
            home = np.int64(_bin(m, low, inverse, table, kind, edges))
            if edges[home] - width >= edges[top] or top == 0:
                # No sample from here on reaches back to them.
                for i in range(done, top):
                    _flush(i, spectrum[i], total, maximum, count, squares)
                    spectrum[i] = 0.0
                done = home + 1
            value = np.float64(intensity[k])
            begin, end = _spread(m, value, width, home, edges, spectrum)
            done, top = min(done, begin), max(top, end)
        for i in range(done, top):
            _flush(i, spectrum[i], total, maximum, count, squares)
            spectrum[i] = 0.0
    return dropped


def overlap_matrix(
    mz: np.ndarray,
    cell_edges: np.ndarray | None,
    edges: np.ndarray,
    profile: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which part of each sample of a shared axis goes to which bin.

    Parameters
    ----------
    mz : ndarray of float64, shape (n_mz,)
        The shared axis, increasing.
    cell_edges : ndarray of float64, shape (n_mz + 1,), or None
        Edges of the samples' cells, for profile samples; half-way between them when
        `None`.
    edges : ndarray of float64, shape (n_bins + 1,)
        Edges of the bins.
    profile : bool
        Whether samples are spread, as :func:`spread_sum_points` does, or belong whole
        to the bin that holds their m/z.

    Returns
    -------
    indptr, indices, weights : ndarray
        A sparse matrix by bins (CSR): bin ``b`` gets ``weights[i]`` of column
        ``indices[i]`` for ``i`` in ``indptr[b]:indptr[b + 1]``. Columns outside all
        bins appear nowhere; the weights of any other sum to 1.
    """
    n_bins = edges.size - 1
    spread = profile and mz.size > 1
    inside = np.flatnonzero((mz >= edges[0]) & (mz < edges[-1]))
    centre = mz[inside]
    home = np.searchsorted(edges, centre, side="right") - 1
    width = blur = np.zeros(centre.size)
    first = last = home
    if spread:
        if cell_edges is None:
            middle = (mz[1:] + mz[:-1]) / 2
            ends = 2 * mz[0] - middle[0], 2 * mz[-1] - middle[-1]
            cell_edges = np.concatenate([[ends[0]], middle, [ends[1]]])
        width = np.diff(cell_edges)[inside]
        blur = np.maximum(width - (edges[home + 1] - edges[home]), 0.0)
        half = 0.5 * (width + blur)
        first = np.searchsorted(edges, centre - half, side="right") - 1
        last = np.searchsorted(edges, centre + half, side="left") - 1
        first, last = np.maximum(first, 0), np.minimum(last, n_bins - 1)
    lengths = last - first + 1
    starts = np.cumsum(lengths) - lengths
    offsets = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    column = np.repeat(np.arange(inside.size), lengths)
    bins = first[column] + offsets
    weights = np.ones(bins.size)
    if spread:
        shape = centre[column], width[column], blur[column]
        upto = _share_array(edges[bins + 1], *shape)
        below = _share_array(edges[bins], *shape)
        upto[bins == last[column]] = 1.0
        below[bins == first[column]] = 0.0
        weights = upto - below
    order = np.argsort(bins, kind="stable")
    indptr = np.searchsorted(bins[order], np.arange(n_bins + 1)).astype(np.int64)
    return indptr, inside[column[order]].astype(np.int64), weights[order]


def _share_array(
    x: np.ndarray, centre: np.ndarray, width: np.ndarray, blur: np.ndarray
) -> np.ndarray:
    v = np.abs(x - centre)
    flat, half = 0.5 * (width - blur), 0.5 * (width + blur)
    slope = np.maximum(2 * blur * width, np.finfo(float).tiny)
    rounded = 0.5 - np.where(v < half, half - v, 0.0) ** 2 / slope
    part = np.where(v <= flat, v / width, rounded)
    return 0.5 + np.where(x > centre, part, -part)


@nb.njit(nogil=True, cache=True)
def rebin_rows(X, indptr, indices, weights, out):
    """Set `out` (n, n_bins) to rows of `X` (n, m) on other bins.

    The matrix comes from :func:`overlap_matrix`.
    """
    for p in range(X.shape[0]):
        row = X[p]
        for b in range(indptr.size - 1):
            value = 0.0
            for i in range(indptr[b], indptr[b + 1]):
                value += np.float64(row[indices[i]]) * weights[i]
            out[p, b] = value
