"""Sums behind Moran's I in any array namespace."""

from typing import Any

from imsminer._array import array_namespace

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
    cross, second, fourth : arrays of shape (n_runs, n_features)
        Σ z_i z_j over the pairs, Σ z² and Σ z⁴.
    """
    xp = array_namespace(centred)
    cross, second, fourth = [], [], []
    for rows, (left, right) in zip(members, pairs, strict=True):
        product = xp.take(centred, left, axis=0) * xp.take(centred, right, axis=0)
        cross.append(xp.sum(product, axis=0))
        square = xp.take(centred, rows, axis=0) ** 2
        second.append(xp.sum(square, axis=0))
        fourth.append(xp.sum(square * square, axis=0))
    return xp.stack(cross), xp.stack(second), xp.stack(fourth)
