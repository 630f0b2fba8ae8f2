"""Sums behind Moran's I on a GPU.

A thread has a feature and a slab of pairs; neighbouring threads have neighbouring
features, so that a pair's two rows are read in whole lines. What bounds it is reading
each row of `centred` once for its moments, and from the cache for each neighbour.
Sums are float64 whatever the input's dtype, and the same in every run.
"""

from typing import Any

from numba import cuda, float64

from imsminer._array import array_namespace
from imsminer._cuda import launch
from imsminer.core._kernels.accumulate_cuda import slabs_of

__all__ = ["moran_sums"]


def moran_sums(
    centred: Any, members: list[Any], pairs: list[tuple[Any, Any]]
) -> tuple[Any, Any, Any]:
    """Cross products of neighbours and moments, per run and feature.

    Parameters
    ----------
    centred : array of shape (n_pixels, n_features)
        Deviations from the mean of each pixel's run.
    members : list of integer arrays
        The rows of each run.
    pairs : list of (first, second)
        The rows of the neighbours of each run, each pair once.

    Returns
    -------
    cross, second, fourth : arrays of shape (n_runs, n_features), float64
        Σ z_i z_j over the pairs, Σ z² and Σ z⁴.
    """
    xp = array_namespace(centred)
    cross, second, fourth = [], [], []
    for rows, (left, right) in zip(members, pairs, strict=True):
        cross.append(_sum_products(centred, left, right)[0])
        squares = _sum_products(centred, rows, rows)
        second.append(squares[0])
        fourth.append(squares[1])
    return xp.stack(cross), xp.stack(second), xp.stack(fourth)


def _sum_products(centred: Any, left: Any, right: Any) -> Any:
    """Return sums of products and of their squares, (2, n_features)."""
    xp = array_namespace(centred)
    m = centred.shape[1]
    step, slabs = slabs_of(left.shape[0], m)
    sums = xp.zeros((2, slabs, m), dtype=xp.float64)
    launch(_add_products, slabs * m, centred, left, right, step, sums)
    return xp.sum(sums, axis=1)


@cuda.jit
def _add_products(centred, left, right, step, sums):
    i = cuda.grid(1)
    m = centred.shape[1]
    slab = i // m
    f = i - slab * m
    if slab >= sums.shape[1]:
        return
    product, square = float64(0.0), float64(0.0)
    for k in range(slab * step, min(left.shape[0], (slab + 1) * step)):
        value = float64(centred[left[k], f]) * float64(centred[right[k], f])
        product += value
        square += value * value
    sums[0, slab, f] = product
    sums[1, slab, f] = square
