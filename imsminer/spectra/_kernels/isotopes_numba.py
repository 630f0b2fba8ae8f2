"""Isotope patterns among peaks."""

import numba as nb
import numpy as np

__all__ = ["heads"]


@nb.njit(cache=True, nogil=True)
def heads(
    mz, height, reach, charges, distance, share, per_carbon, room, max_steps, head
):
    """Write the number of the monoisotopic peak of each peak's pattern to `head` (n,).

    `mz`, `height` and `reach`, by which a position may be off, are (n,) in increasing
    order of m/z; `per_carbon` is the least and the most mass per carbon atom, `share`
    that of 13C, `room` how far ratios may lie outside of what these allow.
    """
    n = mz.size
    head[:] = np.arange(n)
    taken = np.zeros(n, np.bool_)
    for charge in charges:
        for first in range(n):
            if taken[first]:
                continue
            last = first
            lowest = share * (mz[first] * charge / per_carbon[1]) * (1 / room)
            highest = share * (mz[first] * charge / per_carbon[0]) * room
            for step in range(1, max_steps + 1):
                place = mz[first] + step * distance / charge
                k = np.searchsorted(mz, place)
                found = -1
                for j in (k - 1, k):
                    if last < j < n and not taken[j]:
                        off = abs(mz[j] - place)
                        if off <= reach[j] and (
                            found < 0 or off < abs(mz[found] - place)
                        ):
                            found = j
                if found < 0:
                    break
                ratio = height[found] / max(height[last], 1e-300)
                if not (lowest / step <= ratio <= highest / step):
                    break
                head[found] = first
                taken[found] = True
                last = found
            if last != first:
                # The head of a pattern is no isotopologue of another charge.
                taken[first] = True
