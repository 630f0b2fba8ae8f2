"""Where the bins of a rule lie: bin numbers are integrals of 1 / width over m/z."""

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "LAWS",
    "bins_around",
    "lay_bins",
    "number",
    "positive",
    "rule_text",
]

MAX_BINS = 50_000_000

# The peak width of each analyser grows with this power of m/z.
LAWS = {"constant": 0.0, "axial_tof": 0.5, "tof": 1.0, "orbitrap": 1.5, "fticr": 2.0}


def rule_text(rule: str, parameters: dict[str, Any]) -> str:
    """Write a rule as the call that makes it."""
    values = ", ".join(f"{key}={value!r}" for key, value in parameters.items())
    return f"MassAxis.{rule}({values})"


def lay_bins(
    rule: str, parameters: dict[str, Any], low: float, high: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return edges and centers of the bins of a rule that cover a range of m/z.

    Raises a ValueError where that takes too many, or the range is none.
    """
    low = positive("resolve", "low", low)
    high = positive("resolve", "high", high)
    if high < low:
        message = f"MassAxis.resolve: low must not exceed high; got {low}, {high}."
        raise ValueError(message)
    index, inverse = _transforms(rule, parameters, low, high)
    # Centres have whole numbers, edges lie between them. One more bin at each end
    # keeps the ends of the range away from the outermost edges.
    first, last = math.floor(index(low) + 0.5) - 1, math.ceil(index(high) - 0.5) + 1
    n_bins = last - first + 1
    if n_bins > MAX_BINS:
        message = (
            f"{rule_text(rule, parameters)} makes {n_bins:,} bins between m/z {low:g} "
            f"and {high:g}; at most {MAX_BINS:,} are allowed. Use wider bins."
        )
        raise ValueError(message)
    whole = np.arange(first, last + 1, dtype=np.float64)
    return inverse(np.append(whole - 0.5, last + 0.5)), inverse(whole)


def bins_around(mz: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return edges half-way between increasing m/z, and these as centers."""
    centers = np.array(mz, dtype=np.float64)
    if centers.ndim != 1 or centers.size < 2:
        message = (
            "MassAxis.from_values: mz must be one-dimensional with at least 2 "
            f"values; got shape {centers.shape}."
        )
        raise ValueError(message)
    if not (np.isfinite(centers).all() and (np.diff(centers) > 0).all()):
        message = (
            "MassAxis.from_values: mz must be finite and strictly increasing. Use "
            "np.unique to sort the values and drop repeats."
        )
        raise ValueError(message)
    middle = 0.5 * (centers[1:] + centers[:-1])
    first, last = 2 * centers[0] - middle[0], 2 * centers[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]]), centers


def _transforms(
    rule: str, parameters: dict[str, Any], low: float, high: float
) -> tuple[Callable, Callable]:
    """Return m/z → bin number (the integral of 1/width) and its inverse."""
    p = parameters
    if rule == "regression":
        return _regression_bins(
            p["intercept"], p["slope"], p["bins_per_fwhm"], low, high
        )
    if rule == "even":
        return _power_bins(p["step"], 0.0)
    if rule == "ppm":
        return _power_bins(p["width"] * 1e-6, 1.0)
    if rule == "power":
        return _power_bins(p["width"], p["power"])
    power = LAWS[p["law"]]
    width = p["at_mz"] / (p["r"] * p["bins_per_fwhm"])
    return _power_bins(width / p["at_mz"] ** power, power)


def _power_bins(width: float, power: float) -> tuple[Callable, Callable]:
    """Return m/z → bin number and its inverse for bins ``width * mz ** power``."""
    if power == 0:
        return lambda m: m / width, lambda u: u * width
    if abs(power - 1) < 1e-12:
        return lambda m: math.log(m) / width, lambda u: np.exp(u * width)
    rest = 1.0 - power
    scale = rest * width
    return lambda m: m**rest / scale, lambda u: (u * scale) ** (1 / rest)


def _regression_bins(
    intercept: float, slope: float, bins: float, low: float, high: float
) -> tuple[Callable, Callable]:
    """Do the same for bins ``mz / (bins * (intercept + slope * mz))`` wide.

    The inverse is the Lambert W function; Newton's method from a table reaches it in
    four steps, to rounding. Raises a ValueError where the width is not positive.
    """
    # The outermost edges lie beyond the range.
    ends = np.array([low, high]) * [0.999, 1.001]
    if (intercept + slope * ends).min() <= 0:
        message = (
            f"MassAxis.regression: the resolving power {intercept:g} + {slope:g} * mz "
            f"is not positive between m/z {low:g} and {high:g}."
        )
        raise ValueError(message)

    def index(m: Any) -> Any:
        return bins * (intercept * np.log(m) + slope * m)

    def inverse(u: np.ndarray) -> np.ndarray:
        knots = np.geomspace(float(ends[0]), float(ends[1]), 4096)
        m = np.interp(u, index(knots), knots)
        for _ in range(4):
            m -= (index(m) - u) * m / (bins * (intercept + slope * m))
        return m

    return index, inverse


def number(constructor: str, name: str, value: Any) -> float:
    """Return a parameter as a float; a ValueError names it when it is no number."""
    if (
        isinstance(value, (bool, np.bool_))
        or not isinstance(value, numbers.Real)
        or not math.isfinite(value)
    ):
        message = f"MassAxis.{constructor}: {name} must be a number, got {value!r}."
        raise ValueError(message)
    return float(value)


def positive(constructor: str, name: str, value: Any) -> float:
    """Return a positive parameter as a float; a ValueError names it otherwise."""
    result = number(constructor, name, value)
    if result <= 0:
        message = f"MassAxis.{constructor}: {name} must be positive, got {value!r}."
        raise ValueError(message)
    return result
