"""Searches in sorted stretches, for other kernels."""

from numba import cuda

__all__ = ["lower_bound", "upper_bound"]


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
