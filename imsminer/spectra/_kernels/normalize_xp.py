"""Division of each spectrum by a number of its own, in any array namespace."""

import itertools
from typing import Any

from imsminer._array import array_namespace

__all__ = ["divide_points", "divide_rows", "sum_points", "sum_rows"]


def sum_rows(X: Any) -> Any:
    """Return the sums of the rows of `X` (n, m), float64."""
    xp = array_namespace(X)
    return xp.sum(X, axis=1, dtype=xp.float64)


def sum_points(intensity: Any, indptr: Any) -> Any:
    """Return the sums of spectra that lie one after the other, float64."""
    xp = array_namespace(intensity)
    values = xp.astype(intensity, xp.float64)
    # A total is summed on its own: a difference of cumulative sums would leave
    # something else than 0 for a blank spectrum.
    bounds = [int(bound) for bound in indptr]
    return xp.stack([xp.sum(values[a:b]) for a, b in itertools.pairwise(bounds)])


def divide_rows(X: Any, factors: Any) -> Any:
    """Divide each row of `X` by its factor (n,); a factor of 0 gives 0."""
    return _divide(X, factors[:, None])


def divide_points(intensity: Any, indptr: Any, factors: Any) -> Any:
    """Do the same for spectra that lie one after the other."""
    xp = array_namespace(intensity)
    points = xp.arange(intensity.shape[0], dtype=indptr.dtype)
    owner = xp.searchsorted(indptr, points, side="right") - 1
    return _divide(intensity, xp.take(factors, owner))


def _divide(values: Any, factors: Any) -> Any:
    xp = array_namespace(values)
    blank = factors == 0
    safe = xp.where(blank, xp.ones_like(factors), factors)
    result = xp.astype(values, xp.float64) / safe
    return xp.astype(xp.where(blank, xp.zeros_like(result), result), values.dtype)
