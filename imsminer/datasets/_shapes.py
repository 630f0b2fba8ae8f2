"""What a mass analyser makes of an ion: peak width, grid of samples, isotopes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["ANALYSERS", "FWHM_PER_SIGMA", "Analyser", "draw_mz", "isotopologues"]

FWHM_PER_SIGMA = 2 * math.sqrt(2 * math.log(2))

# Powers of m/z with which peak width and distance of samples grow, and what is usual:
# a time of flight is sampled evenly in time, so its samples get closer in m/z than its
# peaks get narrower.
ANALYSERS = {
    "tof": (1.0, 0.5, 20_000.0, 6.0),
    "orbitrap": (1.5, 1.5, 60_000.0, 6.0),
    "fticr": (2.0, 2.0, 200_000.0, 6.0),
    "even": (0.0, 0.0, 5_000.0, 8.0),
}

# Carbon atoms per m/z of a lipid, and the share of ¹³C.
CARBONS_PER_MZ = 1 / 18.5
SHARE_13C = 0.0107 / 0.9893
DISTANCE_13C = 1.0033548
MAX_ISOTOPES = 3
MIN_RATIO = 0.01


@dataclass(frozen=True)
class Analyser:
    """Widths and samples of a mass analyser.

    Parameters
    ----------
    kind : {"tof", "orbitrap", "fticr", "even"}
        Law of the analyser.
    resolving_power : float
        m/Δm (FWHM) at `at_mz`.
    at_mz : float
        Reference m/z.
    points_per_fwhm : float
        Samples per FWHM at `at_mz`.
    """

    kind: str
    resolving_power: float
    at_mz: float
    points_per_fwhm: float

    def fwhm(self, mz: Any) -> Any:
        """Full width at half maximum of a peak."""
        power = ANALYSERS[self.kind][0]
        width = self.at_mz / self.resolving_power
        return width * (np.asarray(mz, dtype=np.float64) / self.at_mz) ** power

    def sigma(self, mz: Any) -> Any:
        """Return the standard deviation of a peak."""
        return self.fwhm(mz) / FWHM_PER_SIGMA

    @property
    def sigma_law(self) -> np.ndarray:
        """Factor and power: ``sigma = factor * mz ** power``."""
        power = ANALYSERS[self.kind][0]
        return np.array([float(self.sigma(1.0)), power])

    def spacing(self, mz: Any) -> Any:
        """Distance of neighbouring samples."""
        power = ANALYSERS[self.kind][1]
        step = self.at_mz / self.resolving_power / self.points_per_fwhm
        return step * (np.asarray(mz, dtype=np.float64) / self.at_mz) ** power

    def samples(self, mz: Any) -> Any:
        """Return the area of a peak with apex 1, in samples."""
        return self.sigma(mz) * math.sqrt(2 * math.pi) / self.spacing(mz)

    def grid(self, low: float, high: float, refine: int = 1) -> np.ndarray:
        """All samples from `low` to `high`, with `refine` - 1 more between them."""
        # Numbers of samples are the integral of 1 / spacing; no law has power 1.
        power = 1 - ANALYSERS[self.kind][1]
        scale = power * float(self.spacing(self.at_mz)) / self.at_mz
        first = math.ceil((low / self.at_mz) ** power / scale if power > 0 else 0)
        last = math.floor((high / self.at_mz) ** power / scale if power > 0 else 0)
        if power < 0:
            # Both are negative, and grow with m/z.
            first = math.ceil((low / self.at_mz) ** power / scale)
            last = math.floor((high / self.at_mz) ** power / scale)
        number = np.arange(first * refine, last * refine + 1) / refine
        return self.at_mz * (number * scale) ** (1 / power)


def isotopologues(mz: np.ndarray, high: float) -> tuple[np.ndarray, ...]:
    """Return isotopologues of lipid-like ions below `high`.

    Returns
    -------
    parent, isotope, ratio : ndarray, shape (n,)
        Which ion it belongs to, number of ¹³C, abundance relative to the ion.
    """
    mean = mz * CARBONS_PER_MZ * SHARE_13C
    parents, isotopes, ratios = [], [], []
    for k in range(1, MAX_ISOTOPES + 1):
        ratio = mean**k / math.factorial(k)
        keep = np.flatnonzero((ratio >= MIN_RATIO) & (mz + k * DISTANCE_13C < high))
        parents.append(keep)
        isotopes.append(np.full(keep.size, k))
        ratios.append(ratio[keep])
    return np.concatenate(parents), np.concatenate(isotopes), np.concatenate(ratios)


def draw_mz(
    rng: np.random.Generator, n: int, low: float, high: float, analyser: Analyser
) -> np.ndarray:
    """Draw m/z with the mass defects of lipids, at least 4 FWHM apart, increasing."""
    found = np.empty(0)
    for _ in range(30):
        nominal = rng.integers(math.ceil(low), math.floor(high) + 1, 4 * n)
        new = nominal * (1.0005 + 0.0001 * rng.standard_normal(nominal.size))
        margin = 10 * analyser.fwhm(new)
        new = np.sort(new[(new > low + margin) & (new < high - margin)])
        # Drop what is close to a smaller one, then what is close to those found.
        apart = 4 * analyser.fwhm(new)
        new, apart = (v[np.diff(new, prepend=-np.inf) > apart] for v in (new, apart))
        if found.size and new.size:
            after = np.searchsorted(found, new)
            below = new - found[np.maximum(after - 1, 0)]
            above = found[np.minimum(after, found.size - 1)] - new
            new = new[(np.abs(below) > apart) & (np.abs(above) > apart)]
        chosen = rng.permutation(new)[: n - found.size]
        found = np.sort(np.concatenate([found, chosen]))
        if found.size == n:
            return found
    message = (
        f"make_ims: {n} peaks do not fit between m/z {low:g} and {high:g} with 4 FWHM "
        "between them. Use fewer peaks, a wider mz_range or a higher resolving_power."
    )
    raise ValueError(message)
