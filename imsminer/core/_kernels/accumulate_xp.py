"""Statistics over rows and over columns, in any array namespace: the reference."""

import itertools
from typing import Any

from imsminer._array import array_namespace
from imsminer.core._kernels.binning_xp import sum_runs

__all__ = ["accumulate_rows", "row_totals", "row_totals_ragged", "sum_rows"]


def sum_rows(X: Any) -> Any:
    """Return the columns' sums of `X` (n, m), float64."""
    xp = array_namespace(X)
    return xp.sum(X, axis=0, dtype=xp.float64)


def accumulate_rows(X: Any) -> tuple[Any, Any, Any, Any]:
    """Return sum, maximum, count of values above 0 and sum of squares per column."""
    return _statistics(X, axis=0)


def row_totals(X: Any) -> tuple[Any, Any, Any, Any]:
    """Return sum, maximum, sum of squares and count of values above 0 per row."""
    total, maximum, count, squares = _statistics(X, axis=1)
    return total, maximum, squares, count


def row_totals_ragged(intensity: Any, indptr: Any) -> tuple[Any, Any, Any, Any]:
    """Do the same for spectra that lie one after the other; an empty one gives 0."""
    xp = array_namespace(intensity)
    values = xp.astype(intensity, xp.float64)
    total = sum_runs(values, indptr)
    squares = sum_runs(values * values, indptr)
    count = sum_runs(xp.astype(values > 0, xp.float64), indptr)
    maximum = xp.stack(
        [
            xp.max(values[start:stop]) if stop > start else xp.zeros_like(total[0])
            for start, stop in _ranges(indptr)
        ]
    )
    return total, maximum, squares, xp.astype(count, xp.int64)


def _statistics(X: Any, axis: int) -> tuple[Any, Any, Any, Any]:
    xp = array_namespace(X)
    values = xp.astype(X, xp.float64)
    count = xp.sum(xp.astype(values > 0, xp.int64), axis=axis)
    maximum = xp.max(values, axis=axis)
    total, squares = xp.sum(values, axis=axis), xp.sum(values * values, axis=axis)
    return total, maximum, count, squares


def _ranges(indptr: Any) -> list[tuple[int, int]]:
    bounds = [int(bound) for bound in indptr]
    return list(itertools.pairwise(bounds))
