"""A number for each spectrum, and the division by it, in any array namespace.

This is the reference: it defines what is correct.
"""

import itertools
from collections.abc import Callable
from typing import Any

from imsminer._array import array_namespace, device_of

__all__ = [
    "divide_points",
    "divide_rows",
    "maxima",
    "median_columns",
    "medians",
    "square_sums",
    "sum_points",
    "sum_rows",
]


def sum_rows(X: Any) -> Any:
    """Return the sums of the rows of `X` (n, m), float64."""
    xp = array_namespace(X)
    return xp.sum(X, axis=1, dtype=xp.float64)


def sum_points(intensity: Any, indptr: Any) -> Any:
    """Return the sums of spectra that lie one after the other, float64."""
    # A total is summed on its own: a difference of cumulative sums would leave
    # something else than 0 for a blank spectrum.
    return _each(intensity, indptr, array_namespace(intensity).sum)


def square_sums(intensity: Any, indptr: Any) -> Any:
    """Return the sums of squares."""
    xp = array_namespace(intensity)
    return _each(intensity, indptr, lambda y: xp.sum(y * y))


def maxima(intensity: Any, indptr: Any) -> Any:
    """Return the largest values; 0 for a spectrum without points."""
    return _each(intensity, indptr, array_namespace(intensity).max)


def medians(intensity: Any, indptr: Any) -> Any:
    """Return the medians of the values that are not 0; 0 where there is none."""
    xp = array_namespace(intensity)

    def median(y: Any) -> Any:
        if not bool(xp.all(xp.isfinite(y))):
            return xp.sum(y * xp.nan)
        filled = xp.sort(y[y != 0])
        n = filled.shape[0]
        if n == 0:
            return xp.sum(filled)
        low, high = filled[(n - 1) // 2], filled[n // 2]
        return low + 0.5 * (high - low)

    return _each(intensity, indptr, median)


def median_columns(X: Any, total: Any) -> Any:
    """Return the medians of ``X / total[:, None]`` over the rows above 0."""
    xp = array_namespace(X)
    rows = xp.nonzero(total > 0)[0]
    n = rows.shape[0]
    if n == 0:
        return xp.zeros_like(X[0, :], dtype=xp.float64)
    values = xp.astype(xp.take(X, rows, axis=0), xp.float64)
    values = xp.sort(values / xp.take(total, rows)[:, None], axis=0)
    low, high = values[(n - 1) // 2, :], values[n // 2, :]
    return low + 0.5 * (high - low)


def divide_rows(X: Any, factors: Any) -> Any:
    """Divide each row of `X` by its factor (n,); a factor of 0 gives 0."""
    return _divide(X, factors[:, None])


def divide_points(intensity: Any, indptr: Any, factors: Any) -> Any:
    """Do the same for spectra that lie one after the other."""
    xp = array_namespace(intensity)
    points = xp.arange(
        intensity.shape[0], dtype=indptr.dtype, device=device_of(intensity)
    )
    owner = xp.searchsorted(indptr, points, side="right") - 1
    return _divide(intensity, xp.take(factors, owner))


def _each(intensity: Any, indptr: Any, function: Callable) -> Any:
    """Apply `function` to each spectrum in float64; an empty one gives 0."""
    xp = array_namespace(intensity)
    values = xp.astype(intensity, xp.float64)
    zero = xp.sum(values[:0])
    bounds = [int(bound) for bound in indptr]
    return xp.stack(
        [
            function(values[start:stop]) if stop > start else zero
            for start, stop in itertools.pairwise(bounds)
        ]
    )


def _divide(values: Any, factors: Any) -> Any:
    xp = array_namespace(values)
    blank = factors == 0
    safe = xp.where(blank, xp.ones_like(factors), factors)
    result = xp.astype(values, xp.float64) / safe
    return xp.astype(xp.where(blank, xp.zeros_like(result), result), values.dtype)
