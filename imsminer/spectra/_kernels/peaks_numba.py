"""Measuring the peaks of one reference spectrum, on the CPU.

Reference spectra are one-dimensional and always on the host. Positions are bins and
may be fractional; those of crossings include the ends of the axis.
"""

import math

import numba as nb
import numpy as np

__all__ = ["centroids", "keep_highest", "occupancy", "prominences", "valleys"]


@nb.njit(nogil=True, cache=True)
def valleys(net, apexes, left, right):
    """Set the lowest bin between neighbouring peaks, left and right of each.

    The outermost are beyond the axis, -1 and its size, where there is nothing.
    """
    n = apexes.size
    if n == 0:
        return
    left[0] = -1
    right[n - 1] = net.size
    for k in range(n - 1):
        lowest = apexes[k]
        for j in range(apexes[k] + 1, apexes[k + 1] + 1):
            if net[j] < net[lowest]:
                lowest = j
        right[k] = lowest
        left[k + 1] = lowest


@nb.njit(nogil=True, cache=True)
def _bases(net, maxima, step, out):
    """Set the lowest value between each maximum and the next higher one behind it.

    Coming from one end: `step` is 1 or -1. A stack holds those that have no higher one
    behind them yet, so that one walk does for all.
    """
    n = maxima.size
    heights, lows = np.empty(n), np.empty(n)
    depth = 0
    at = 0 if step > 0 else net.size - 1
    for i in range(n):
        k = i if step > 0 else n - 1 - i
        height = net[maxima[k]]
        low = height
        while at != maxima[k]:
            low = min(low, net[at])
            at += step
        while depth > 0 and heights[depth - 1] <= height:
            depth -= 1
            low = min(low, lows[depth])
        heights[depth], lows[depth] = height, low
        depth += 1
        out[k] = low


@nb.njit(nogil=True, cache=True)
def prominences(net, maxima, out):
    """Set the height of each local maximum above the higher one of its two valleys.

    A valley is the lowest value on the way to the next sample that is higher, or to the
    end. `maxima` lists all those above some height, in increasing order.
    """
    right = np.empty(maxima.size)
    _bases(net, maxima, 1, out)
    _bases(net, maxima, -1, right)
    for k in range(maxima.size):
        out[k] = net[maxima[k]] - max(out[k], right[k])


@nb.njit(nogil=True, cache=True)
def keep_highest(mz, order, reach, kept):
    """Unset `kept` for peaks that have a higher one within their reach.

    `order` lists the peaks from the highest to the lowest, `mz` increases.
    """
    farthest = 0.0
    for k in range(reach.size):
        farthest = max(farthest, reach[k])
    # The higher of two may have the longer reach: the lower one takes it no more.
    settled = np.zeros(reach.size, np.bool_)
    for i in order:
        if not kept[i]:
            continue
        settled[i] = True
        k = i - 1
        while k >= 0 and mz[i] - mz[k] <= farthest:
            if not settled[k] and mz[i] - mz[k] < reach[k]:
                kept[k] = False
            k -= 1
        k = i + 1
        while k < mz.size and mz[k] - mz[i] <= farthest:
            if not settled[k] and mz[k] - mz[i] < reach[k]:
                kept[k] = False
            k += 1


@nb.njit(nogil=True, cache=True)
def _vertex(net, apex, first, last):
    """Return how far the vertex of the logarithms' parabola is from the apex.

    Least squares, weighted by the squared height, which is what noise of one size
    does to a logarithm. NaN where the points make no maximum.
    """
    s0, s1, s2, s3, s4 = 0.0, 0.0, 0.0, 0.0, 0.0
    t0, t1, t2 = 0.0, 0.0, 0.0
    top = net[apex]
    for i in range(first, last + 1):
        if net[i] <= 0:
            continue
        x, y = float(i - apex), math.log(net[i] / top)
        weight = (net[i] / top) ** 2
        s0 += weight
        s1 += weight * x
        s2 += weight * x * x
        s3 += weight * x**3
        s4 += weight * x**4
        t0 += weight * y
        t1 += weight * x * y
        t2 += weight * x * x * y
    # Cramer's rule for the linear and the quadratic coefficient.
    c0, c1, c2 = s2 * s4 - s3 * s3, s1 * s4 - s2 * s3, s1 * s3 - s2 * s2
    whole = s0 * c0 - s1 * c1 + s2 * c2
    if whole <= 1e-9 * s0 * s2 * s4:
        return math.nan
    slope = (s0 * (t1 * s4 - s3 * t2) - t0 * c1 + s2 * (s1 * t2 - t1 * s2)) / whole
    bend = (s0 * (s2 * t2 - t1 * s3) - s1 * (s1 * t2 - t1 * s2) + t0 * c2) / whole
    return -0.5 * slope / bend if bend < 0 else math.nan


@nb.njit(nogil=True, cache=True)
def centroids(net, mz, apexes, left, right, fit, out):
    """Set each peak's m/z.

    With `fit`, the vertex of a parabola through the logarithms of the points between
    the crossings `left` and `right`, of the top three at least; else, and where that
    has no maximum among them, the mean of m/z weighted by their height.
    """
    n = net.size
    for k in range(apexes.size):
        j = apexes[k]
        first = max(min(math.ceil(left[k]), j), 0)
        last = min(max(math.floor(right[k]), j), n - 1)
        if fit:
            low, high = max(min(first, j - 1), 0), min(max(last, j + 1), n - 1)
            shift = _vertex(net, j, low, high)
            place = j + shift
            if low <= place <= high:
                i = min(int(place), n - 2)
                out[k] = mz[i] + (place - i) * (mz[i + 1] - mz[i])
                continue
        total, moment = 0.0, 0.0
        for i in range(first, last + 1):
            total += net[i]
            moment += net[i] * (mz[i] - mz[j])
        out[k] = mz[j] + (moment / total if total > 0 else 0.0)


@nb.njit(nogil=True, cache=True)
def occupancy(frequency, left, right, add, out):
    """Set the largest frequency of the bins between crossings, or their sum."""
    for k in range(left.size):
        first = max(math.ceil(left[k]), 0)
        last = min(max(math.floor(right[k]), first), frequency.size - 1)
        value = 0.0
        for i in range(first, last + 1):
            if add:
                value += frequency[i]
            else:
                value = max(value, frequency[i])
        out[k] = min(value, 1.0)
