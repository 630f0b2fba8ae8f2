"""Alignment by search: Gaussians at reference peaks over a grid of lines, on the CPU.

The correlation of a spectrum with Gaussians at moved reference peaks is tabulated
once for each peak, as a function of how far it is moved; the search only reads tables.
"""

import numba as nb
import numpy as np

__all__ = ["grid_points", "grid_rows"]

#: Lines on each side of the grid, how often it is refined, and by what factor.
N_STEPS, N_ZOOMS, ZOOM = 20, 5, 0.25
#: The first grid has more lines where it would have steps of more widths than this.
MAX_STEP = 0.6
#: Gaussians end at this many widths; tables have this many steps per width.
RATIO, PER_WIDTH = 2.5, 10
#: Lines end at the limit; for rounding, tables reach a little farther.
REACH = 1.001


@nb.njit(nogil=True, cache=True)
def _tabulate(mz, y, reference, unit, width, table):
    n_nodes = table.shape[1]
    step = width / PER_WIDTH
    reach = 0.5 * (n_nodes - 1) * step
    cut = RATIO * width
    # Neighbouring nodes: a Gaussian times a factor that changes by a constant factor.
    decay = np.exp(-2 * (step / width) ** 2)
    start = 0
    table[:] = 0.0
    for k in range(reference.size):
        low = reference[k] - (reach + cut) / unit[k]
        high = reference[k] + (reach + cut) / unit[k]
        start += np.searchsorted(mz[start:], low)
        i = start
        while i < mz.size and mz[i] <= high:
            if y[i] != 0:
                d = (mz[i] - reference[k]) * unit[k] + reach
                first = max(int(np.ceil((d - cut) / step)), 0)
                last = min(int(np.floor((d + cut) / step)), n_nodes - 1)
                x = (d - first * step) / width
                value = y[i] * np.exp(-x * x)
                factor = np.exp((2 * x - step / width) * step / width)
                for j in range(first, last + 1):
                    table[k, j] += value
                    value *= factor
                    factor *= decay
            i += 1


@nb.njit(nogil=True, cache=True)
def _search(table, place, limit, width, linear):
    """Return shift at 0 and at 1 of the best line, and whether there is one."""
    step = width / PER_WIDTH
    n_nodes = table.shape[1]
    middle = 0.5 * (n_nodes - 1)
    shift, stretch = 0.0, 0.0
    span_a, span_b = 2 * limit, 2 * limit if linear else 0.0
    low_a, low_b = -limit, -limit if linear else 0.0
    n = max(N_STEPS, int(np.ceil(span_a / (MAX_STEP * width))) + 1)
    best = 0.0
    for _ in range(N_ZOOMS):
        best = -1.0
        for ib in range(n if linear else 1):
            b = low_b + span_b * ib / (n - 1)
            for ia in range(n):
                a = low_a + span_a * ia / (n - 1)
                if abs(a) + abs(b) > limit:
                    continue
                total = 0.0
                for k in range(place.size):
                    x = (a + b * place[k]) / step + middle
                    q = int(x)
                    if q < 1 or q > n_nodes - 3:
                        continue
                    t = x - q
                    y0, y1 = table[k, q - 1], table[k, q]
                    y2, y3 = table[k, q + 1], table[k, q + 2]
                    # Catmull-Rom: straight lines would draw maxima to the nodes.
                    c1, c2 = y2 - y0, 2 * y0 - 5 * y1 + 4 * y2 - y3
                    c3 = 3 * (y1 - y2) + y3 - y0
                    total += y1 + 0.5 * t * (c1 + t * (c2 + t * c3))
                if total > best:
                    best, shift, stretch = total, a, b
        span_a, span_b = span_a * ZOOM, span_b * ZOOM
        low_a, low_b = shift - 0.5 * span_a, stretch - 0.5 * span_b
        n = N_STEPS
    return shift, stretch, best > 0


@nb.njit(nogil=True, cache=True)
def _align(mz, y, reference, unit, place, limit, width, linear, table, out):
    _tabulate(mz, y, reference, unit, width, table)
    for half in range(3):
        # All reference peaks; even ones; odd ones.
        if half == 0:
            part, at = table, place
        else:
            part, at = table[half - 1 :: 2], place[half - 1 :: 2]
        shift, stretch, found = _search(part, at, limit, width, linear)
        out[half, 0] = shift if found else np.nan
        out[half, 1] = stretch if found else np.nan


@nb.njit(nogil=True, cache=True)
def grid_rows(X, mz, reference, unit, place, limit, width, linear, out):
    """Find the line a + b·place that moves Gaussians onto the peaks of each row.

    `place` (k,) of a reference peak lies from -1 to 1, and there the lines stay within
    ± `limit`. `out` (n, 3, 2) gets a and b by all reference peaks, by
    the even and by the odd ones; NaN where there is nothing. Distances are m/z times
    `unit`.
    """
    nodes = 2 * int(np.ceil(REACH * limit / width * PER_WIDTH)) + 7
    table = np.empty((reference.size, nodes))
    args = (reference, unit, place, limit, width, linear, table)
    for i in range(X.shape[0]):
        _align(mz, X[i], *args, out[i])


@nb.njit(nogil=True, cache=True)
def grid_points(
    mz, intensity, indptr, reference, unit, place, limit, width, linear, out
):
    """Do the same for spectra that lie one after the other."""
    nodes = 2 * int(np.ceil(REACH * limit / width * PER_WIDTH)) + 7
    table = np.empty((reference.size, nodes))
    args = (reference, unit, place, limit, width, linear, table)
    for i in range(indptr.size - 1):
        low, high = indptr[i], indptr[i + 1]
        _align(mz[low:high], intensity[low:high], *args, out[i])
