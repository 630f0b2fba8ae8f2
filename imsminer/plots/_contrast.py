"""How intensities become brightness, for display only."""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.colors import FuncNorm, LogNorm, Normalize, PowerNorm

from imsminer.core.grid import Pixels
from imsminer.images._smoothing import METHODS, smooth
from imsminer.plots._montage import Montage

__all__ = ["check_display", "contrast_norm", "smoothed", "smoothed_label"]

CONTRASTS = ("linear", "log", "sqrt", "rank")
#: How far below its top a logarithmic scale starts, at most.
DECADES = 3
#: What a smoothed quantity is called.
WORDS = {
    "median": "median-filtered",
    "gaussian": "Gaussian-smoothed",
    "bilateral": "bilaterally smoothed",
    "tv": "TV-denoised",
}


def check_display(contrast: Any, smooth: Any) -> None:
    """Refuse values that no picture knows.

    Raises
    ------
    ValueError
        When `contrast` or `smooth` is not one of those allowed.
    """
    if contrast not in CONTRASTS:
        message = f"contrast must be one of {', '.join(CONTRASTS)}; got {contrast!r}."
        raise ValueError(message)
    method, width = smooth if isinstance(smooth, tuple) else (smooth, 3)
    odd = isinstance(width, int | np.integer) and width >= 1 and width % 2 == 1
    if method is not None and (method not in METHODS or not odd):
        message = (
            f"smooth must be None, one of {', '.join(METHODS)}, or such a name and an "
            f"odd width in pixels, as ('median', 5); got {smooth!r}."
        )
        raise ValueError(message)


def smoothed(numbers: np.ndarray, montage: Montage, how: Any) -> np.ndarray:
    """Smooth what is shown, by pixels that have a value.

    Parameters
    ----------
    numbers : ndarray of float64, shape (n_pixels,)
        NaN where there is no value, and there it stays.
    montage : Montage
        Of the same pixels.
    how : str, (str, int) or None
        Method, and the width of its window.
    """
    if how is None:
        return numbers
    method, width = how if isinstance(how, tuple) else (how, 3)
    runs = np.zeros(numbers.size, dtype=np.int64)
    for k, plane in enumerate(montage.planes):
        runs[plane.rows] = k
    there = np.isfinite(numbers)
    if not there.any():
        return numbers
    pixels = Pixels(montage.coordinates[there], runs[there])
    out = numbers.copy()
    out[there] = smooth(numbers[there, None], pixels, method, width=width)[:, 0]
    return out


def smoothed_label(label: str, how: Any) -> str:
    """Say in the name of a quantity that it was smoothed."""
    if how is None or not label:
        return label
    return f"{WORDS[how[0] if isinstance(how, tuple) else how]} {label}"


def contrast_norm(
    contrast: str, values: np.ndarray, limits: tuple[float, float]
) -> Normalize:
    """Return the scale from values to brightness.

    Parameters
    ----------
    contrast : {"linear", "log", "sqrt", "rank"}
    values : ndarray
        All that is drawn on this scale.
    limits : (float, float)
        Its ends. A logarithmic scale starts at the smallest value above 0, or three
        decades below its top.
    """
    low, high = limits
    finite = values[np.isfinite(values)]
    if contrast == "sqrt":
        return PowerNorm(0.5, vmin=low, vmax=high)
    if contrast == "log":
        positive = finite[finite > 0]
        if positive.size and high > 0:
            bottom = max(float(positive.min()), high / 10**DECADES, low)
            bottom = bottom if bottom < high else high / 10
            # Zeros are the darkest, not missing.
            return LogNorm(bottom, high, clip=True)
    if contrast == "rank":
        signal = np.sort(finite[(finite != 0) & (finite > low) & (finite < high)])
        if signal.size:
            return FuncNorm(_ranks(signal, low, high), vmin=low, vmax=high)
    return Normalize(low, high)


def _ranks(
    signal: np.ndarray, low: float, high: float
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Ranks among values that are not 0, and back; straight lines in between."""
    value, count = np.unique(signal, return_counts=True)
    knots = np.concatenate([[low], value, [high]])
    rank = np.cumsum(np.concatenate([[0], count, [1]]))
    rank = rank / rank[-1]

    def forward(values: Any) -> Any:
        return np.interp(values, knots, rank)

    def inverse(ranks: Any) -> Any:
        return np.interp(ranks, rank, knots)

    return forward, inverse
