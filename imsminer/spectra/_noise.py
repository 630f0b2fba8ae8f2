"""Level and noise of a reference spectrum, without its peaks."""

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from imsminer.spectra._kernels.noise_numba import clip_sorted

__all__ = [
    "ESTIMATORS",
    "OVER_POINTS",
    "RESIDUAL_MEASURES",
    "background_level",
    "check_noise",
    "clip",
    "estimate_noise",
    "range_noise",
    "residual",
    "sorted_median",
]

MAD_TO_SD = 1.4826
#: Normal noise lies below its standard deviation with this probability.
ONE_SD = 0.8413447460685429
#: Widths of the windows in which the level and the local noise are measured.
MIN_WINDOW, N_WINDOWS = 256, 64
#: A bin is occupied when this share of the pixels has a value there.
OCCUPIED = 0.02
#: Occupied bins stand for the background only if they are no small minority.
BACKGROUND_SHARE = 0.25
MAX_STEPS = 1000
#: Smoothing of which the residual is taken: standard deviation and reach in bins.
RESIDUAL_SD, RESIDUAL_REACH = 2.0, 4
RESIDUAL_QUANTILE = 0.95


class Reference(NamedTuple):
    """What the estimators know of a reference spectrum."""

    net: np.ndarray
    """The reference above its level, shape (n_bins,)."""
    occupied: np.ndarray
    """Mask of the bins that enough pixels fill."""
    floor: float
    """Noise is never less: what one pixel with a typical value adds."""
    z_threshold: float
    z_steps: int | None
    min_points: int


def clip(
    values: np.ndarray, z_threshold: float, z_steps: int | None = None
) -> np.ndarray:
    """Return the values whose z-score is below the threshold, sorted.

    Mean and standard deviation are those of the values kept so far; `z_steps` times, or
    until nothing more is left out.
    """
    values = np.sort(values)
    n_steps = MAX_STEPS if z_steps is None else int(z_steps)
    low, high = clip_sorted(values, float(z_threshold), n_steps)
    return values[low:high]


def _windows(n: int) -> tuple[np.ndarray, int]:
    """Return centres and half width of overlapping windows over `n` bins."""
    half = max(MIN_WINDOW, n // N_WINDOWS) // 2
    if n < 4 * half:
        return np.array([n // 2]), n
    return np.arange(half, n - half + 1, half), half


def _by_window(values: np.ndarray, function: Callable) -> np.ndarray:
    """Measure in overlapping windows and interpolate between their centres."""
    centres, half = _windows(values.size)
    measured = [function(values[max(c - half, 0) : c + half]) for c in centres]
    return np.interp(np.arange(values.size), centres, measured)


def background_level(reference: np.ndarray, z_threshold: float) -> np.ndarray:
    """Return what the reference is where there is no peak, shape (n_bins,).

    The median of the points that survive clipping, in windows of 1/64 of the axis
    (256 bins at least), interpolated. It is 0 where most bins are empty, and follows a
    baseline that was not subtracted.
    """
    if reference.size == 0:
        return np.zeros(0)
    return _by_window(reference, lambda part: sorted_median(clip(part, z_threshold)))


def sorted_median(values: np.ndarray) -> float:
    """Return the median of sorted values."""
    half = values.size // 2
    return 0.5 * (values[(values.size - 1) // 2] + values[half])


def estimate_noise(
    reference: np.ndarray,
    level: np.ndarray,
    frequency: np.ndarray,
    n_pixels: int,
    method: str,
    *,
    floor: float = 0.0,
    z_threshold: float = 3.0,
    z_steps: int | None = None,
    min_points: int = 6,
) -> float | np.ndarray:
    """Estimate the standard deviation of the noise of a reference spectrum.

    Parameters
    ----------
    reference, level, frequency : ndarray, shape (n_bins,)
        Reference spectrum, its level, and the share of the pixels that fill each bin.
    n_pixels : int
        Number of pixels.
    method : str
        A key of `ESTIMATORS`.
    floor : float
        Lower limit of the result.
    z_threshold, z_steps, min_points
        Parameters of :class:`imsminer.PeakPicker`.

    Returns
    -------
    float, or ndarray of shape (n_bins,)
    """
    if reference.size == 0:
        return float(floor)
    facts = Reference(
        reference - level,
        np.rint(frequency * n_pixels) >= max(1, np.ceil(OCCUPIED * n_pixels)),
        floor,
        z_threshold,
        z_steps,
        min_points,
    )
    return ESTIMATORS[method](facts)


def check_noise(noise: Any) -> None:
    """Refuse an m/z range that is none.

    Raises
    ------
    ValueError
        When `noise` is a sequence, but not ``(low, high)`` with low < high.
    """
    if not isinstance(noise, tuple | list):
        return
    numeric = all(isinstance(value, numbers.Real) for value in noise)
    if len(noise) != 2 or not numeric or not noise[0] < noise[1]:
        message = (
            "PeakPicker: noise must be an estimator's name, a number, or an m/z "
            f"range (low, high) with low < high; got {noise!r}."
        )
        raise ValueError(message)


def range_noise(
    reference: np.ndarray, mz: np.ndarray, low: float, high: float
) -> float:
    """Return the standard deviation of the reference in an m/z range without signal.

    Raises
    ------
    ValueError
        When fewer than two bins lie inside.
    """
    inside = reference[(mz >= low) & (mz <= high)]
    if inside.size < 2:
        reach = f"{mz[0]:g}–{mz[-1]:g}" if mz.size else "empty"
        message = (
            f"noise=({low:g}, {high:g}) holds {inside.size} bins of the axis "
            f"({reach}); give an m/z range without signal that holds at least 2."
        )
        raise ValueError(message)
    return float(inside.std())


def _largest(measure: Callable, values: np.ndarray, facts: Reference) -> float:
    """Return the larger of all bins' and the occupied bins' noise, and the floor."""
    results = [facts.floor, measure(values)]
    if facts.occupied.mean() >= BACKGROUND_SHARE:
        results.append(measure(values[facts.occupied]))
    return float(max(results))


def _mad(values: np.ndarray) -> float:
    return MAD_TO_SD * np.median(np.abs(values - np.median(values)))


def _zscore(facts: Reference) -> float:
    def measure(values: np.ndarray) -> float:
        return clip(values, facts.z_threshold, facts.z_steps).std()

    return _largest(measure, facts.net, facts)


def _median_deviation(facts: Reference) -> float:
    return _largest(_mad, facts.net, facts)


def _windowed_mad(facts: Reference) -> np.ndarray:
    width = 2 * facts.min_points + 1
    # A value is part of its own moving average, which takes away some of its noise.
    shrunk = np.sqrt(1 - 1 / width)
    rough = (facts.net - uniform_filter1d(facts.net, width)) / shrunk
    return np.maximum(_by_window(rough, _mad), _largest(_mad, rough, facts))


def _difference(facts: Reference) -> float:
    if facts.net.size < 2:
        return float(facts.floor)
    step = np.abs(np.diff(facts.net))
    pairs = facts._replace(occupied=facts.occupied[1:] & facts.occupied[:-1])

    def measure(values: np.ndarray) -> float:
        return MAD_TO_SD * np.median(values) / np.sqrt(2)

    return _largest(measure, step, pairs)


def _quantile(facts: Reference) -> float:
    return _largest(lambda values: np.quantile(values, ONE_SD), facts.net, facts)


def residual(spectrum: np.ndarray) -> np.ndarray:
    """Return how far a spectrum is from itself after smoothing, shape (n_bins,).

    Absolute values. A Gaussian of a standard deviation of 2 bins smooths it, over a
    window of 9 bins in which the outermost value repeats beyond the ends.
    """
    smooth = gaussian_filter1d(
        spectrum, RESIDUAL_SD, mode="nearest", radius=RESIDUAL_REACH
    )
    return np.abs(spectrum - smooth)


def _sample_sd(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else 0.0


def _high_quantile(values: np.ndarray) -> float:
    return float(np.quantile(values, RESIDUAL_QUANTILE))


class _Measure(NamedTuple):
    """A measure of a residual's spread, and what it is for normal noise of sd 1."""

    of: Callable[[np.ndarray], float]
    unit: float


def _left_by_smoothing() -> float:
    """Return the residual's standard deviation, signed, for white noise of sd 1."""
    single = np.zeros(4 * RESIDUAL_REACH + 1)
    single[single.size // 2] = 1.0
    return float(np.sqrt(np.sum(residual(single) ** 2)))


#: The absolute value of a normal variable of sd 1 has a standard deviation of 0.603,
#: a median absolute deviation of 0.399, and lies below 1.960 in 95 % of the cases.
RESIDUAL_MEASURES: dict[str, _Measure] = {
    "residual_sd": _Measure(
        _sample_sd, float(np.sqrt(1 - 2 / np.pi)) * _left_by_smoothing()
    ),
    "residual_mad": _Measure(
        _mad, MAD_TO_SD * 0.39909159582972825 * _left_by_smoothing()
    ),
    "residual_quantile": _Measure(
        _high_quantile, 1.959963984540054 * _left_by_smoothing()
    ),
}


def _residual_noise(name: str) -> Callable[[Reference], float]:
    measure = RESIDUAL_MEASURES[name]

    def noise(facts: Reference) -> float:
        rough = residual(facts.net)
        return _largest(lambda values: measure.of(values) / measure.unit, rough, facts)

    return noise


ESTIMATORS: dict[str, Callable[[Reference], float | np.ndarray]] = {
    "zscore": _zscore,
    "mad": _median_deviation,
    "windowed_mad": _windowed_mad,
    "difference": _difference,
    "quantile": _quantile,
    **{name: _residual_noise(name) for name in RESIDUAL_MEASURES},
}

#: Estimators that `min_points` changes.
OVER_POINTS = frozenset({"windowed_mad"})
