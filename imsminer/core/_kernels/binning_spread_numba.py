"""Samples of ragged profiles spread over the bins of an axis, on the CPU.

Guides and bins are those of :mod:`~imsminer.core._kernels.binning_numba`.
"""

import numba as nb
import numpy as np

from imsminer.core._kernels.binning_numba import U, _bin, _flush, _width

__all__ = [
    "linear_accumulate_points",
    "linear_sum_points",
    "spread_accumulate_points",
    "spread_sum_points",
]


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


@nb.njit(nogil=True, cache=True, inline="always")
def _between(m, home, centers, top):
    """Return the lower of the two bins next to `m`, and the share of the upper one.

    `top` is the last bin but one. Whether `m` is below its bin's centre is as good as
    random: without branches, nothing is mispredicted.
    """
    lower = min(max(home - np.int64(m < centers[home]), 0), top)
    lower = U(lower)
    low = centers[lower]
    share = (m - low) / (centers[lower + U(1)] - low)
    # Beyond the outermost centres there is no second bin.
    return lower, min(max(share, 0.0), 1.0)


@nb.njit(nogil=True, cache=True)
def linear_sum_points(mz, intensity, guide, edges, centers, total):
    """Share each sample between the two bins whose centres are next to its m/z.

    For samples that were moved off a grid, onto that grid: the shares are linear in
    m/z, so that the sample's intensity and its m/z are kept, which is what spreading
    it over a cell would do if cells were all of one width. Equal samples one cell
    apart stay equal. Samples beyond the outermost centres go whole to the last bin
    there. Returns how many samples were dropped because their m/z is outside all bins.
    """
    low, inverse, table, kind = guide
    first, last, top = edges[0], edges[-1], centers.size - 2
    dropped = 0
    for k in range(mz.size):
        m = mz[k]
        if m >= first and m < last:
            if top < 0:
                total[0] += intensity[k]
                continue
            home = np.int64(_bin(m, low, inverse, table, kind, edges))
            lower, share = _between(m, home, centers, top)
            value = np.float64(intensity[k])
            part = value * share
            total[lower] += value - part
            total[lower + U(1)] += part
        else:
            dropped += 1
    return dropped


@nb.njit(nogil=True, cache=True)
def linear_accumulate_points(
    mz, intensity, indptr, guide, edges, centers, total, maximum, count, squares
):
    """Do the same for four statistics of the bins, taken once per spectrum and bin.

    `mz` increases within a spectrum.
    """
    low, inverse, table, kind = guide
    first, last, top = edges[0], edges[-1], max(centers.size - 2, 0)
    one = centers.size == 1
    dropped = 0
    for p in range(indptr.size - 1):
        # Bins `current` and the next one are open.
        current, here, above = np.int64(-1), 0.0, 0.0
        for k in range(indptr[p], indptr[p + 1]):
            m = mz[k]
            if not (m >= first and m < last):
                dropped += 1
                continue
            lower, share = np.int64(0), 0.0
            if not one:
                home = np.int64(_bin(m, low, inverse, table, kind, edges))
                bin_below, share = _between(m, home, centers, top)
                lower = np.int64(bin_below)
            if lower != current:
                if current >= 0:
                    _flush(current, here, total, maximum, count, squares)
                if lower == current + 1:
                    here = above
                else:
                    if above != 0.0:
                        _flush(current + 1, above, total, maximum, count, squares)
                    here = 0.0
                current, above = lower, 0.0
            value = np.float64(intensity[k])
            part = value * share
            above += part
            here += value - part
        if current >= 0:
            _flush(current, here, total, maximum, count, squares)
            if above != 0.0:
                _flush(current + 1, above, total, maximum, count, squares)
    return dropped
