"""The simulated noise, in formulas: what is expected of a sample, and its variance.

A stored sample is ``X = max(0, g * Poisson((signal + base) / g) + N(0, sd²))``, or 0
where it is below the threshold; ions of the chemical noise add to its mean and
variance by Campbell's theorem.
"""

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import gammaln, ndtr, ndtri, pdtrc, xlogy

from imsminer.datasets._shapes import Analyser

__all__ = ["Noise", "QuantileTable"]

Moments = tuple[np.ndarray, np.ndarray]
"""Mean and variance."""

# Poisson counts are summed one by one up to this mean, and are normal above it.
LARGE_MEAN = 25.0
NODES = 40
# What chemical noise adds, up to this many mean heights, in these steps of one.
CHEMICAL_REACH, CHEMICAL_STEPS = 64, 64
# Levels of the baseline for which it is tabulated what a signal adds.
LEVELS = 16
# Distributions of samples are tabulated up to this number of ions, at levels that are
# even in its square root, by normal scores.
HIGHEST = 40
N_LEVELS = 80
Z_REACH = 6.5
N_SCORES = 521


@dataclass(frozen=True)
class Noise:
    """Parameters of the noise; see :func:`make_ims`.

    Parameters
    ----------
    gain, sd, count, height : float
        Intensity of one ion; standard deviation of the detector; number of ions of the
        chemical noise in a spectrum and their mean apex.
    baseline, low, high : float
        Height of the baseline at the lower end of the m/z range; the range.
    threshold : float
        What is smaller is not stored.
    """

    gain: float
    sd: float
    count: float
    height: float
    baseline: float
    low: float
    high: float
    threshold: float

    def base(self, mz: Any) -> Any:
        """Return the baseline, which falls to 1/e every half range."""
        reach = 0.5 * (self.high - self.low)
        return self.baseline * np.exp((self.low - np.asarray(mz)) / reach)

    def stored(self, level: Any) -> Moments:
        """Return the mean and variance of a stored sample around a level.

        Parameters
        ----------
        level : ndarray of float64
            Signal plus baseline, without noise.
        """
        level = np.asarray(level, dtype=np.float64)
        limit = max(self.threshold, 0.0)
        if self.gain == 0:
            return _cut_normal(level, np.full_like(level, self.sd**2), limit)
        mean = level / self.gain
        result = _cut_normal(level, self.sd**2 + self.gain * level, limit)
        few = mean <= LARGE_MEAN
        if few.any():
            exact = (
                self._counts(mean[few], limit)
                if self.sd == 0
                else self._mixture(mean[few], limit)
            )
            for values, better in zip(result, exact, strict=True):
                values[few] = better
        return result

    def _counts(self, mean: np.ndarray, limit: float) -> Moments:
        """Moments of Poisson counts that are cut, without a detector's noise."""
        least = max(np.ceil(limit / self.gain - 1e-9), 1.0)

        def at_least(n: float) -> Any:
            return pdtrc(n - 1, mean) if n >= 1 else np.ones_like(mean)

        first = self.gain * mean * at_least(least - 1)
        second = self.gain**2 * (
            mean**2 * at_least(least - 2) + mean * at_least(least - 1)
        )
        return first, second - first**2

    def _mixture(self, mean: np.ndarray, limit: float) -> Moments:
        """Moments of Poisson counts with a detector's noise, then cut."""
        first, second = np.zeros_like(mean), np.zeros_like(mean)
        share = np.exp(-mean)
        for k in range(int(LARGE_MEAN + 8 * np.sqrt(LARGE_MEAN))):
            one = np.array([k * self.gain], dtype=np.float64)
            m, v = _cut_normal(one, np.full(1, self.sd**2), limit)
            first += share * m
            second += share * (v + m**2)
            share *= mean / (k + 1)
        return first, second - first**2

    def quantiles(self) -> "QuantileTable":
        """Tabulate the distribution of samples, before cutting, by normal scores."""
        highest = HIGHEST * self.gain
        levels = highest * (np.arange(N_LEVELS + 1) / N_LEVELS) ** 2
        z = np.linspace(-Z_REACH, Z_REACH, N_SCORES)
        if self.gain == 0 or self.sd == 0:
            # Such noise is drawn directly.
            return QuantileTable(levels, z, np.zeros((2, 2)))
        counts = np.arange(HIGHEST + 10 * int(np.sqrt(HIGHEST)) + 1)
        share = np.exp(
            xlogy(counts, levels[:, np.newaxis] / self.gain)
            - levels[:, np.newaxis] / self.gain
            - gammaln(counts + 1)
        )
        reach = (Z_REACH + 0.5) * self.sd
        step = min(self.sd / 20, self.gain / 20)
        x = np.arange(-reach, self.gain * counts[-1] + reach, step)
        shift = self.gain * counts[:, np.newaxis]
        # From the nearer end, so that small probabilities keep their digits.
        below = share @ ndtr((x - shift) / self.sd)
        above = share @ ndtr((shift - x) / self.sd)
        table = np.empty((levels.size, z.size))
        for level in range(levels.size):
            score = np.where(
                below[level] < 0.5,
                ndtri(np.maximum(below[level], 1e-300)),
                -ndtri(np.maximum(above[level], 1e-300)),
            )
            table[level] = np.interp(z, np.maximum.accumulate(score), x)
        return QuantileTable(levels, z, table)

    def background(self, grid: np.ndarray, analyser: Analyser) -> Moments:
        """Mean and variance of samples away from all peaks, per spectrum.

        Returns
        -------
        mean, variance : ndarray of float64, shape (grid.size,)
        """
        nodes = np.linspace(self.low, self.high, NODES)
        base = self.base(nodes)
        if self.count == 0:
            mean, variance = self.stored(base)
        else:
            mean, variance = self._with_chemistry(base, analyser.sigma(nodes))
        return np.interp(grid, nodes, mean), np.interp(grid, nodes, variance)

    def _with_chemistry(self, base: np.ndarray, sigma: np.ndarray) -> Moments:
        """Moments of stored samples where ions of the chemical noise may lie.

        What these ions add up to is a compound Poisson number; its distribution comes
        from the Fourier transform of that of one ion.
        """
        step = self.height / CHEMICAL_STEPS
        size = 1 << int(np.ceil(np.log2(CHEMICAL_REACH * CHEMICAL_STEPS)))
        amounts = step * np.arange(size)
        # One ion: exponential height, anywhere within its reach.
        u = (np.arange(400) + 0.5) / 400 * 10 - 5
        heights = -self.height * np.log((np.arange(2000) + 0.5) / 2000)
        place = np.outer(heights, np.exp(-0.5 * u * u)).ravel() / step
        lower = np.minimum(place.astype(np.int64), size - 2)
        part = place - lower
        one = np.bincount(lower, 1 - part, size) + np.bincount(lower + 1, part, size)
        spectrum = np.fft.rfft(one / place.size)
        levels = np.concatenate([[0.0], np.geomspace(1e-3 * step, amounts[-1], 1500)])
        mean, variance = np.empty(base.size), np.empty(base.size)
        for k in range(base.size):
            if k == 0 or base[k] != base[k - 1]:
                table_mean, table_variance = self.stored(base[k] + levels)
                first = np.interp(amounts, levels, table_mean)
                second = np.interp(amounts, levels, table_variance) + first**2
            rate = self.count / (self.high - self.low) * 10 * sigma[k]
            share = np.fft.irfft(np.exp(rate * (spectrum - 1)), size)
            mean[k] = share @ first
            variance[k] = share @ second - mean[k] ** 2
        return mean, variance

    def centroids(self, grid: np.ndarray, analyser: Analyser, n_pixels: int) -> Moments:
        """Mean and variance, per spectrum, of the chemical noise over one FWHM.

        The noise of the mean of `n_pixels` is at least what one of its ions adds:
        where less than one is expected in all pixels, its standard deviation would
        say that a single one stands out.
        """
        rate = self.count / (self.high - self.low) * analyser.fwhm(grid)
        if self.count == 0:
            return np.zeros_like(rate), np.zeros_like(rate)
        cut = max(self.threshold, 0.0) / self.height
        stored = rate * np.exp(-cut)
        first = self.height * (1 + cut)
        second = self.height**2 * (cut**2 + 2 * cut + 2)
        return stored * first, np.maximum(stored, 1 / n_pixels) * second

    def visible(
        self, signal: np.ndarray, mz: float, samples: float = 1.0
    ) -> np.ndarray:
        """Return what a signal adds to the mean of stored samples.

        It is less than the signal where the threshold takes samples away.

        Parameters
        ----------
        signal : ndarray of float64
            Noise-free signal in single pixels.
        mz : float
            Where; the baseline there counts.
        samples : float
            Over how many samples ions are counted: those of a whole peak where its
            centroid is stored.
        """
        if samples != 1.0:
            # A few such numbers are enough, too.
            samples = 2.0 ** (np.round(8 * np.log2(samples)) / 8)
            return replace(self, gain=self.gain / samples).visible(signal, mz)
        # A few levels of the baseline are enough, and their tables are kept.
        place = np.clip((mz - self.low) / (self.high - self.low), 0, 1)
        level = (np.round(place * LEVELS) / LEVELS) * (self.high - self.low) + self.low
        nodes, values = _visible_table(self, float(self.base(level)))
        beyond = np.maximum(signal - nodes[-1], 0.0)
        return np.interp(signal, nodes, values) + beyond


@dataclass(frozen=True)
class QuantileTable:
    """Noisy samples at each level (row) and normal score (column)."""

    levels: np.ndarray
    scores: np.ndarray
    values: np.ndarray

    def place(self, base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the level below each baseline, and the share of the level above."""
        level = np.searchsorted(self.levels, base, side="right") - 1
        level = np.clip(level, 0, self.levels.size - 2)
        lower, upper = self.levels[level], self.levels[level + 1]
        if self.levels[-1] == 0:
            return level, np.zeros_like(base)
        return level, (base - lower) / (upper - lower)

    def skip(self, base: np.ndarray, noise: Noise) -> np.ndarray:
        """Return how many of 65,536 normal quantiles stay below the threshold."""
        threshold = noise.threshold
        if threshold <= 0 or self.values.shape[0] == 2:
            return np.zeros(base.size, dtype=np.int64)
        # Rows increase with the score, and from row to row: of the two levels of a
        # sample, the upper one gets over the threshold first.
        first = np.array([np.searchsorted(row, threshold) for row in self.values])
        first = np.maximum(first - 1, 0)
        level, _ = self.place(base)
        score = self.scores[first][level + 1]
        normal = base >= self.levels[-1]
        spread = np.sqrt(noise.sd**2 + noise.gain * base[normal])
        score[normal] = (threshold - base[normal]) / spread
        # A quantile too many would be lost, one too few costs time.
        return np.maximum(np.floor(65536 * ndtr(score)) - 2, 0).astype(np.int64)


@functools.lru_cache(maxsize=64)
def _visible_table(noise: Noise, base: float) -> tuple[np.ndarray, np.ndarray]:
    unit = max(noise.sd, noise.gain, noise.threshold, base)
    if unit == 0:
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    nodes = np.concatenate([[0.0], unit * np.geomspace(1e-4, 1e3, 700)])
    mean, _ = noise.stored(nodes + base)
    return nodes, mean - mean[0]


def _cut_normal(mean: np.ndarray, variance: np.ndarray, limit: float) -> Moments:
    """Mean and variance of X where X > limit, else 0, for normal X."""
    mean = np.asarray(mean, dtype=np.float64)
    sd = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        a = (limit - mean) / sd
    certain = sd == 0
    # Without noise, what lies on the threshold is stored.
    a = np.where(certain, np.where(mean >= limit, -40.0, 40.0), a)
    tail = ndtr(-a)
    density = np.exp(-0.5 * np.minimum(a * a, 1400)) / np.sqrt(2 * np.pi)
    first = mean * tail + sd * density
    second = (mean**2 + variance) * tail + sd * (limit + mean) * density
    return first, np.maximum(second - first**2, 0.0)
