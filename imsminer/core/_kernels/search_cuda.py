"""Searches in sorted stretches, for other kernels."""

from numba import cuda, int64

__all__ = ["first_from", "last_from", "lower_bound", "upper_bound"]


@cuda.jit(device=True)
def lower_bound(values, low, high, wanted):
    """Return the first index from `low` on whose value is not below `wanted`.

    `high` where there is none before it.
    """
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@cuda.jit(device=True)
def upper_bound(values, low, high, wanted):
    """Return the first index from `low` on whose value is above `wanted`.

    `high` where there is none before it.
    """
    while low < high:
        middle = (low + high) // 2
        if values[middle] <= wanted:
            low = middle + 1
        else:
            high = middle
    return low


@cuda.jit(device=True)
def first_from(mz, start, stop, x, guess):
    """Return the first index in [start, stop) with ``mz >= x``, else `stop`.

    Doubling steps bracket it from a `guess` in [start, stop].
    """
    low, high = start, stop
    step = int64(1)
    if guess < stop and mz[guess] < x:
        low = guess + 1
        high = low
        while high < stop and mz[high] < x:
            low = high + 1
            high = low + step
            step *= 2
        high = min(high, stop)
    else:
        high = guess
        low = guess - 1
        while low >= start and mz[low] >= x:
            high = low
            low = low - step
            step *= 2
        low = max(low + 1, start)
    return lower_bound(mz, low, high, x)


@cuda.jit(device=True)
def last_from(edges, x, low, high):
    """Return the last index in [low, high] with ``edges <= x``, else `low`."""
    return max(upper_bound(edges, low, high + 1, x) - 1, low)
