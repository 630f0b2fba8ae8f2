"""Isotope patterns: the compiled search against one in plain Python."""

import numpy as np
import pytest

from imsminer.spectra import _isotopes
from imsminer.spectra._isotopes import monoisotopic


def plainly(mz, height, fwhm):
    """The rule of the docstring, peak by peak."""
    n, head, taken = mz.size, list(range(mz.size)), set()
    reach = np.maximum(0.5 * fwhm, 2e-6 * mz)
    for charge in (1, 2):
        for first in range(n):
            if first in taken:
                continue
            last = first
            likely = 0.0107 * mz[first] * charge / np.array([60 * 1.3, 12 / 1.3])
            for step in range(1, 5):
                off = np.abs(mz - (mz[first] + step * 1.0033548378 / charge))
                # The two neighbours of the place, as far as they are free.
                behind = int((mz < mz[first] + step * 1.0033548378 / charge).sum())
                near = {behind - 1, behind} & set(range(last + 1, n)) - taken
                near = [j for j in sorted(near) if off[j] <= reach[j]]
                found = min(near, key=lambda j: off[j], default=None)
                if found is None:
                    break
                if not likely[0] <= step * height[found] / height[last] <= likely[1]:
                    break
                head[found], last = first, found
                taken.add(found)
            if last != first:
                taken.add(first)
    return mz[head]


@pytest.mark.parametrize("seed", range(20))
def test_patterns_among_random_peaks(seed):
    rng = np.random.default_rng(seed)
    base = rng.uniform(300, 1000, 20)
    charge = rng.choice([1, 2], base.size)
    steps = [k * _isotopes.DISTANCE_13C / charge for k in range(4)]
    mz = np.concatenate([base + step + rng.normal(0, 3e-3, 20) for step in steps])
    height = np.concatenate([0.4**k * rng.lognormal(0, 0.5, 20) for k in range(4)])
    order = np.argsort(mz)
    mz, height = mz[order], height[order]
    fwhm = rng.uniform(1e-3, 2e-2, mz.size)
    found = monoisotopic(mz, height, fwhm)
    np.testing.assert_array_equal(found, plainly(mz, height, fwhm))
    assert (found != mz).sum() > 5
