"""Level, maxima and noise of a spectrum, as the search for peaks needs them."""

import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from imsminer.core.cache import cache
from imsminer.spectra._apexes import Maxima, find_maxima
from imsminer.spectra._noise import (
    OVER_POINTS,
    background_level,
    estimate_noise,
    range_noise,
)
from imsminer.spectra._peak_references import References

__all__ = [
    "UNCOUNTED",
    "Counting",
    "Ground",
    "SearchSettings",
    "background",
    "compute_once",
    "counting_noise",
]

#: Above this share of filled bins, the spread of their values says what the noise is.
FILLED = 0.95


@dataclass(frozen=True)
class SearchSettings:
    """Parameters of :class:`imsminer.PeakPicker` that the search needs: hashable."""

    reference: str
    noise: Any
    z_threshold: float
    z_steps: int | None
    loq: float
    min_points: int
    rel_height: float | None
    smoothing: Any = None


@dataclass(frozen=True)
class Counting:
    """The noise of a mean of few values."""

    floor: float
    """Standard deviation in a bin without a peak."""
    shot: float
    """How its variance grows with height."""
    rate: float
    """Values that a bin without a peak gets from all pixels."""

    def smoothed(self, width: float) -> "Counting":
        """Return what a Gaussian of this many bins (sd) leaves of it."""
        if width <= 0:
            return self
        # The sum of the kernel's squares is what is left of a variance.
        left = 1 / (2 * np.sqrt(np.pi) * width)
        return replace(self, floor=self.floor * np.sqrt(left), shot=self.shot * left)


#: Nothing is left to chance.
UNCOUNTED = Counting(0.0, 0.0, 0.0)


def counting_noise(references: References) -> Counting:
    """Take values as events that fall into bins at random.

    What one of them adds to the mean is known from the bins that got any, and how many
    there are from the share of bins that got none. Where all pixels fill a bin that is
    filled at all, nothing is left to chance.
    """
    return compute_once(references, "counting", (), lambda: _count(references))


def _count(references: References) -> Counting:
    filled = references.frequency > 0
    if not filled.any():
        return UNCOUNTED
    frequency = references.frequency[filled]
    event = max(float(np.median(references.mean[filled] / frequency)), 0.0)
    event /= references.n_pixels
    empty = 1.0 - float(np.median(frequency))
    share = filled.mean()
    rate = float(-np.log(1.0 - share)) if share < FILLED else 0.0
    floor = event * np.sqrt(min(rate, 1.0) * empty)
    sparse = empty > 0.5
    return Counting(floor, event * empty if sparse else 0.0, rate if sparse else 0.0)


@dataclass(frozen=True)
class Ground:
    """A spectrum to be searched, as far as no candidate of a search changes it."""

    spectrum: np.ndarray
    """The spectrum, smoothed, shape (n_bins,)."""
    level: np.ndarray
    """What it is without peaks, shape (n_bins,)."""
    maxima: Maxima
    """Its maxima above the level."""
    padded: np.ndarray
    """How far it is above the level, one zero before and behind, shape (n_bins + 2,).
    """

    @property
    def net(self) -> np.ndarray:
        """How far it is above the level, 0 where it is not, shape (n_bins,)."""
        return self.padded[1:-1]


def background(
    which: str,
    width: float,
    references: References,
    counting: Counting,
    settings: SearchSettings,
) -> tuple[Ground, float | np.ndarray]:
    """Return a spectrum with its level and maxima, and its noise.

    Of the reference of this name after smoothing by a Gaussian of `width` bins (sd),
    whose noise of `counting` is given as it was before. A search for the best `loq` and
    `min_points` does all of it once.
    """
    counting = counting.smoothed(width)

    def find_ground() -> Ground:
        spectrum = references.named(which)
        if width > 0:
            spectrum = gaussian_filter1d(spectrum, width, mode="constant")
        level = background_level(spectrum, settings.z_threshold)
        net = spectrum - level
        maxima = find_maxima(net, closed=references.centroided)
        return Ground(spectrum, level, maxima, np.pad(np.maximum(net, 0.0), 1))

    place = (which, width, settings.z_threshold)
    ground = compute_once(references, "ground", place, find_ground)

    def measure() -> float | np.ndarray:
        if not isinstance(settings.noise, str):
            return _given_noise(references, ground.spectrum, settings.noise)
        noise = estimate_noise(
            ground.spectrum,
            ground.level,
            references.frequency,
            references.n_pixels,
            settings.noise,
            floor=counting.floor,
            z_threshold=settings.z_threshold,
            z_steps=settings.z_steps,
            min_points=settings.min_points,
        )
        # More values in a bin vary more: the noise follows the level.
        local = np.sqrt(counting.shot * np.maximum(ground.level, 0.0))
        return np.maximum(noise, local) if (local > noise).any() else noise

    points = settings.min_points if settings.noise in OVER_POINTS else None
    state = (*place, settings.noise, settings.z_steps, points)
    return ground, compute_once(references, "noise", state, measure)


def compute_once(
    references: References, name: str, state: tuple, compute: Callable
) -> Any:
    """Compute what depends on references and some settings once for all candidates."""
    if references.key is None:
        return compute()
    return cache.get((name, references.key, state), compute)


def _given_noise(references: References, spectrum: np.ndarray, noise: Any) -> float:
    if isinstance(noise, numbers.Real):
        return float(noise)
    return range_noise(spectrum, references.mz, *map(float, noise))
