"""Measuring the peaks of one reference spectrum, on the CPU.

Reference spectra are one-dimensional and always on the host. Positions are bins and
may be fractional; those of crossings include the ends of the axis.
"""

import math

import numba as nb

__all__ = ["centroids", "keep_highest", "occupancy", "valleys"]


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
def keep_highest(mz, order, reach, kept):
    """Unset `kept` for peaks that have a higher one within their reach.

    `order` lists the peaks from the highest to the lowest, `mz` increases.
    """
    farthest = 0.0
    for k in range(reach.size):
        farthest = max(farthest, reach[k])
    for i in order:
        if not kept[i]:
            continue
        k = i - 1
        while k >= 0 and mz[i] - mz[k] <= farthest:
            if mz[i] - mz[k] < reach[k]:
                kept[k] = False
            k -= 1
        k = i + 1
        while k < mz.size and mz[k] - mz[i] <= farthest:
            if mz[k] - mz[i] < reach[k]:
                kept[k] = False
            k += 1


@nb.njit(nogil=True, cache=True)
def centroids(net, mz, apexes, left, right, narrow, base, out):
    """Set each peak's m/z.

    The vertex of a parabola through the logarithms of the top three points where the
    crossings `left` and `right` are at most `narrow` bins apart; else the mean of m/z
    weighted by what is above `base` times the height between them.
    """
    for k in range(apexes.size):
        j = apexes[k]
        inner = j > 0 and j < net.size - 1
        if inner and right[k] - left[k] <= narrow:
            a, b, c = net[j - 1], net[j], net[j + 1]
            if a > 0 and b > 0 and c > 0:
                a, b, c = math.log(a), math.log(b), math.log(c)
                bend = a - 2 * b + c
                shift = 0.5 * (a - c) / bend if bend < 0 else 0.0
                shift = min(max(shift, -0.5), 0.5)
                if shift < 0:
                    out[k] = mz[j] + shift * (mz[j] - mz[j - 1])
                else:
                    out[k] = mz[j] + shift * (mz[j + 1] - mz[j])
                continue
        first = max(min(math.ceil(left[k]), j), 0)
        last = min(max(math.floor(right[k]), j), net.size - 1)
        total, moment = 0.0, 0.0
        for i in range(first, last + 1):
            weight = net[i] - base * net[j]
            if weight > 0:
                total += weight
                moment += weight * (mz[i] - mz[j])
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
