"""Picking the centroids of each profile, on the CPU.

Samples next to each other are one step of the grid apart: `step` (n_points,) is the
spacing at each sample, and a gap of more than `APART` steps has samples of 0 in it.
"""

import math

import numba as nb
import numpy as np

from imsminer.spectra._kernels.peaks_numba import _vertex

__all__ = ["facts_points", "facts_rows", "grid_steps", "pick_points", "pick_rows"]

#: Samples this many steps apart have others between them, which are not stored.
APART = 1.5
#: Quantile of the stored samples that tells where they were cut off.
LOW = 0.1
#: At most this many samples tell the level and the noise of a spectrum.
ENOUGH = 4096
HEIGHT, AREA, SUM = 0, 1, 2


@nb.njit(nogil=True, cache=True)
def grid_steps(mz, knots, steps, out):
    """Set the spacing at increasing `mz`, linear between knots, constant beyond."""
    last, q = knots.size - 1, 0
    for k in range(mz.size):
        x = mz[k]
        if x <= knots[0]:
            q = 0
            out[k] = steps[0]
            continue
        if x >= knots[last]:
            out[k] = steps[last]
            continue
        while q > 0 and knots[q] > x:
            q -= 1
        while knots[q + 1] < x:
            q += 1
        t = (x - knots[q]) / (knots[q + 1] - knots[q])
        out[k] = steps[q] + t * (steps[q + 1] - steps[q])


@nb.njit(nogil=True, cache=True)
def _facts(y, n_grid, buffer, out):
    """Set the share of filled samples, their low quantile, median and MAD.

    The share is NaN where a value is not finite.
    """
    n, total = 0, 0.0
    for k in range(y.size):
        value = np.float64(y[k])
        total += value
        if value != 0:
            buffer[n] = value
            n += 1
    out[:] = 0.0
    if not math.isfinite(total):
        out[0] = math.nan
    elif n > 0:
        # Evenly spaced ones are enough: medians take longer than all the rest.
        every = -(-n // ENOUGH)
        few = -(-n // every)
        for k in range(few):
            buffer[k] = buffer[k * every]
        filled = buffer[:few]
        out[0] = n / n_grid
        if 2 * n > n_grid:
            median = np.median(filled)
            for k in range(few):
                filled[k] = abs(filled[k] - median)
            out[2], out[3] = median, np.median(filled)
        else:
            rank = int(LOW * (few - 1))
            out[1] = np.partition(filled, rank)[rank]


@nb.njit(nogil=True, cache=True)
def facts_rows(X, out):
    """Set facts (n, 4) of the rows of `X`: see :func:`_facts`."""
    buffer = np.empty(X.shape[1])
    for r in range(X.shape[0]):
        _facts(X[r], X.shape[1], buffer, out[r])


@nb.njit(nogil=True, cache=True)
def facts_points(mz, y, indptr, step, low, high, out):
    """Do the same for ragged spectra, with samples of 0 that are not stored.

    The grid reaches from `low` to `high`.
    """
    longest = 0
    for r in range(out.shape[0]):
        longest = max(longest, indptr[r + 1] - indptr[r])
    buffer = np.empty(longest)
    for r in range(out.shape[0]):
        a, b = indptr[r], indptr[r + 1]
        n_grid = 1
        if b > a:
            n_grid += max(0, int(np.rint((mz[a] - low) / step[a])))
            n_grid += max(0, int(np.rint((high - mz[b - 1]) / step[b - 1])))
        for k in range(a + 1, b):
            n_grid += max(1, int(np.rint((mz[k] - mz[k - 1]) / step[k])))
        _facts(y[a:b], n_grid, buffer, out[r])


@nb.njit(nogil=True, cache=True)
def _is_apex(y, mz, step, k, width, sparse):
    """Whether no sample within `width` is higher; of equal ones the first is it.

    The first and last sample of a dense spectrum may lie on the flank of something.
    """
    n = y.size
    if not sparse and (k == 0 or k == n - 1):
        return False
    reach = (width + 0.5) * step[k]
    j = k - 1
    while j >= 0 and k - j <= width and (not sparse or mz[k] - mz[j] <= reach):
        if y[j] >= y[k]:
            return False
        j -= 1
    j = k + 1
    while j < n and j - k <= width and (not sparse or mz[j] - mz[k] <= reach):
        if y[j] > y[k]:
            return False
        j += 1
    return True


@nb.njit(nogil=True, cache=True)
def _joined(mz, step, k, sparse):
    """Whether sample `k` directly follows the one before."""
    return not sparse or mz[k] - mz[k - 1] < APART * step[k]


@nb.njit(nogil=True, cache=True)
def _end(y, mz, step, apex, limit, way, floor, sparse):
    """Return the last sample from the apex on that is above `floor`."""
    k = apex
    while k != limit:
        following = k + way
        edge = following if way > 0 else k
        if not y[following] > floor or not _joined(mz, step, edge, sparse):
            break
        k = following
    return k


@nb.njit(nogil=True, cache=True)
def _measure(y, net, mz, step, apex, low, high, level, noise, what, sparse):
    """Return m/z and intensity of one peak between the samples `low` and `high`."""
    half = level + 0.5 * (y[apex] - level)
    left = _end(y, mz, step, apex, low, -1, half, sparse)
    right = _end(y, mz, step, apex, high, 1, half, sparse)
    first = max(min(left, apex - 1), 0)
    last = min(max(right, apex + 1), y.size - 1)
    if apex == 0 or not _joined(mz, step, apex, sparse):
        first = apex
    if last > apex and not _joined(mz, step, apex + 1, sparse):
        last = apex
    for k in range(first, last + 1):
        net[k - first] = max(y[k] - level, 0.0)
    shift = _vertex(net[: last - first + 1], apex - first, 0, last - first)
    place = apex + shift
    if first <= place <= last:
        k = min(int(place), y.size - 2)
        centre = mz[k] + (place - k) * (mz[k + 1] - mz[k])
    else:
        total, moment = 0.0, 0.0
        for k in range(left, right + 1):
            total += y[k] - level
            moment += (y[k] - level) * (mz[k] - mz[apex])
        centre = mz[apex] + moment / total
    if what == HEIGHT:
        return centre, np.float64(y[apex])
    floor = level + min(noise, 0.5 * (y[apex] - level))
    left = _end(y, mz, step, apex, low, -1, floor, sparse)
    right = _end(y, mz, step, apex, high, 1, floor, sparse)
    amount = 0.0
    for k in range(left, right + 1):
        amount += y[k] * (step[k] if what == AREA else 1.0)
    return centre, amount


@nb.njit(nogil=True, cache=True)
def _valley(y, a, b):
    """Return the lowest sample between two apexes, the first of equal ones."""
    lowest = a
    for k in range(a + 1, b):
        if y[k] < y[lowest]:
            lowest = k
    return lowest


@nb.njit(nogil=True, cache=True)
def _pick(y, mz, step, level, noise, loq, width, what, sparse, net, apexes, out):
    """Set m/z and intensity (2, n_points) of one spectrum; return how many."""
    least, n = loq * noise, 0
    for k in range(y.size):
        height = y[k] - level
        if height > 0 and height >= least:
            if _is_apex(y, mz, step, k, width, sparse):
                apexes[n] = k
                n += 1
    low = 0
    for i in range(n):
        high = y.size - 1 if i == n - 1 else _valley(y, apexes[i], apexes[i + 1])
        out[0, i], out[1, i] = _measure(
            y, net, mz, step, apexes[i], low, high, level, noise, what, sparse
        )
        low = high + 1
    return n


@nb.njit(nogil=True, cache=True)
def pick_rows(X, mz, step, level, noise, loq, width, what, out_mz, out, counts):
    """Set the centroids of each row, one after the other; return how many in all.

    `out_mz` and `out` have room for all samples, `counts` is (n,).
    """
    m, n = X.shape[1], 0
    net, apexes, found = np.empty(m), np.empty(m, np.int64), np.empty((2, m))
    for r in range(X.shape[0]):
        settings = level[r], noise[r], loq, width, what, False
        k = _pick(X[r], mz, step, *settings, net, apexes, found)
        counts[r] = k
        out_mz[n : n + k] = found[0, :k]
        out[n : n + k] = found[1, :k]
        n += k
    return n


@nb.njit(nogil=True, cache=True)
def pick_points(
    y, mz, indptr, step, level, noise, loq, width, what, out_mz, out, counts
):
    """Do the same for ragged spectra."""
    longest, n = 0, 0
    for r in range(counts.size):
        longest = max(longest, indptr[r + 1] - indptr[r])
    net, apexes = np.empty(longest), np.empty(longest, np.int64)
    found = np.empty((2, longest))
    for r in range(counts.size):
        a, b = indptr[r], indptr[r + 1]
        settings = level[r], noise[r], loq, width, what, True
        k = _pick(y[a:b], mz[a:b], step[a:b], *settings, net, apexes, found)
        counts[r] = k
        out_mz[n : n + k] = found[0, :k]
        out[n : n + k] = found[1, :k]
        n += k
    return n
