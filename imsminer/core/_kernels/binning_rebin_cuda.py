"""Rows on a shared axis brought onto the bins of another, on a GPU.

A thread makes a value of the result; its neighbours read neighbouring columns. What
bounds it is reading the columns that lie on the bins once, and writing 8 bytes a bin.
"""

from typing import Any

from numba import cuda, float64

from imsminer._array import array_namespace
from imsminer._cuda import launch

__all__ = ["rebin_rows"]


def rebin_rows(X: Any, indptr: Any, indices: Any, weights: Any) -> Any:
    """Return rows of `X` (n, m) on other bins, float64 (n, n_bins)."""
    xp = array_namespace(X)
    shape = X.shape[0], indptr.shape[0] - 1
    out = xp.empty(shape, dtype=xp.float64)
    launch(_rebin_rows, shape[0] * shape[1], X, indptr, indices, weights, out)
    return out


@cuda.jit
def _rebin_rows(X, indptr, indices, weights, out):
    i = cuda.grid(1)
    n, n_bins = out.shape
    if i < n * n_bins:
        p, b = i // n_bins, i % n_bins
        value = float64(0.0)
        for k in range(indptr[b], indptr[b + 1]):
            value += float64(X[p, indices[k]]) * weights[k]
        out[p, b] = value
