"""Where the bins of a rule lie: bin numbers are integrals of 1 / width over m/z."""

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["LAWS", "number", "positive", "power_bins", "regression_bins"]

# The peak width of each analyser grows with this power of m/z.
LAWS = {"constant": 0.0, "axial_tof": 0.5, "tof": 1.0, "orbitrap": 1.5, "fticr": 2.0}


def power_bins(width: float, power: float) -> tuple[Callable, Callable]:
    """Return m/z → bin number and its inverse for bins ``width * mz ** power``."""
    if power == 0:
        return lambda m: m / width, lambda u: u * width
    if abs(power - 1) < 1e-12:
        return lambda m: math.log(m) / width, lambda u: np.exp(u * width)
    rest = 1.0 - power
    scale = rest * width
    return lambda m: m**rest / scale, lambda u: (u * scale) ** (1 / rest)


def regression_bins(
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
