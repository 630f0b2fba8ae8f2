"""Rows brought onto the bins of another axis, in any array library: the reference."""

from typing import Any

from imsminer._array import array_namespace
from imsminer.core._kernels.binning_xp import sum_runs

__all__ = ["rebin_rows"]


def rebin_rows(X: Any, indptr: Any, indices: Any, weights: Any) -> Any:
    """Return rows of `X` (n, m) on other bins, float64 (n, n_bins)."""
    xp = array_namespace(X)
    columns = xp.astype(xp.take(X, indices, axis=1), xp.float64) * weights
    return sum_runs(columns, indptr)
