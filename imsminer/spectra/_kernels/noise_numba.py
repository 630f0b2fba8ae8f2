"""Clipping of the values of one reference spectrum, on the CPU."""

import math

import numba as nb
import numpy as np

__all__ = ["clip_sorted"]


@nb.njit(nogil=True, cache=True)
def clip_sorted(values, z_threshold, n_steps):
    """Return the bounds of the values whose z-score is below a threshold.

    The values kept so far, by whose mean and standard deviation the next are left out,
    are always a range of the sorted ones: sums of it come from cumulative sums, around
    the median so that little is lost by cancellation.
    """
    n = values.size
    centre = values[n // 2]
    around = values - centre
    sums, squares = np.zeros(n + 1), np.zeros(n + 1)
    for k in range(n):
        sums[k + 1] = sums[k] + around[k]
        squares[k + 1] = squares[k] + around[k] ** 2
    low, high = 0, n
    for _ in range(n_steps):
        mean = (sums[high] - sums[low]) / (high - low)
        variance = (squares[high] - squares[low]) / (high - low) - mean**2
        reach = z_threshold * math.sqrt(max(variance, 0.0))
        first = max(np.searchsorted(around, mean - reach), low)
        last = min(np.searchsorted(around, mean + reach, "right"), high)
        if last <= first or (first == low and last == high):
            break
        low, high = first, last
    return low, high
