"""Grouping of the peaks of all pixels, on the CPU."""

import numba as nb
import numpy as np

__all__ = ["group_sorted"]


@nb.njit(nogil=True, cache=True)
def _is_group(mz, pixel, first, stop, tolerance, seen, stamp):
    """Whether no pixel repeats, and all are within the tolerance of their mean."""
    total = 0.0
    for k in range(first, stop):
        if seen[pixel[k]] == stamp:
            return False
        seen[pixel[k]] = stamp
        total += mz[k] - mz[first]
    mean = mz[first] + total / (stop - first)
    reach = tolerance * mean
    return mean - mz[first] <= reach and mz[stop - 1] - mean <= reach


@nb.njit(nogil=True, cache=True)
def _widest(mz, first, stop):
    """Return where the largest gap relative to m/z ends, the first of equal ones."""
    at, widest = first + 1, -1.0
    for k in range(first + 1, stop):
        gap = (mz[k] - mz[k - 1]) / mz[k]
        if gap > widest:
            at, widest = k, gap
    return at


@nb.njit(nogil=True, cache=True)
def group_sorted(mz, pixel, n_pixels, tolerance, start):
    """Mark where groups of sorted peaks start; return how many there are.

    `tolerance` is relative. Gaps that no group can hold are cut first, which changes
    nothing but the time.
    """
    n, groups, stamp = mz.size, 0, 0
    seen = np.full(n_pixels, -1, np.int64)
    stack = np.empty(n + 1, np.int64)
    begin = 0
    while begin < n:
        end = begin + 1
        while end < n and mz[end] - mz[end - 1] <= 2.0 * tolerance * mz[end]:
            end += 1
        # Ends of the pieces that wait, the nearest on top.
        stack[0], depth, first = end, 1, begin
        while depth > 0:
            stop = stack[depth - 1]
            stamp += 1
            if stop - first == 1 or _is_group(
                mz, pixel, first, stop, tolerance, seen, stamp
            ):
                start[first] = True
                groups += 1
                first = stop
                depth -= 1
            else:
                stack[depth] = _widest(mz, first, stop)
                depth += 1
        begin = end
    return groups
