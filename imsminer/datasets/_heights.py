"""Heights of ions that stand out of the noise as asked."""

from functools import partial
from typing import Any

import numpy as np

from imsminer.datasets._noise import Noise
from imsminer.datasets._shapes import Analyser

__all__ = ["heights_for_snr", "snr_goal"]

# Pixels on which heights are fitted to the S/N that is asked for.
FIT_PIXELS = 200


def snr_goal(snr: Any, relative: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the S/N of each ion: with a number, that of the weakest one."""
    if np.ndim(snr) == 0:
        return float(snr) * relative / relative.min()
    low, high = (float(np.log(value)) for value in snr)
    return np.exp(rng.uniform(low, high, relative.size))


def heights_for_snr(
    goal: np.ndarray,
    mz: np.ndarray,
    abundance: np.ndarray,
    grid: np.ndarray,
    noise: Noise,
    analyser: Analyser,
    spectrum_type: str,
) -> np.ndarray:
    """Find the mean heights that stand out of the mean spectrum's noise as asked."""
    samples = np.ones(mz.size)
    if spectrum_type == "centroid":
        _, variance = noise.centroids(grid, analyser, len(abundance))
        samples = analyser.samples(mz)
    else:
        _, variance = noise.background(grid, analyser)
    sd = np.sqrt(np.interp(mz, grid, variance) / len(abundance))
    if not (sd > 0).all():
        message = (
            "make_ims: snr needs noise to be relative to, but there is none. Raise "
            "noise, shot_noise with baseline, or chemical_noise (the only noise of "
            "centroids), or give height instead of snr."
        )
        raise ValueError(message)
    sample = abundance[:: max(1, len(abundance) // FIT_PIXELS)]
    heights = np.empty(mz.size)
    for j, wanted in enumerate(goal * sd):
        column = sample[:, j] / max(sample[:, j].mean(), 1e-300)
        lower, upper = np.log(wanted) - 1, np.log(wanted) + 1
        seen = partial(noise.visible, mz=mz[j], samples=float(samples[j]))
        while seen(np.exp(upper) * column).mean() < wanted:
            upper += 1
        for _ in range(25):
            middle = 0.5 * (lower + upper)
            below = seen(np.exp(middle) * column).mean() < wanted
            lower, upper = (middle, upper) if below else (lower, middle)
        heights[j] = np.exp(upper)
    return heights
