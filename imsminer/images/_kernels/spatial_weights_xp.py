"""Distances between the spectra of pairs of pixels, in any array namespace."""

from typing import Any

from imsminer._array import array_namespace

__all__ = ["pair_distances"]


def pair_distances(values: Any, first: Any, second: Any) -> Any:
    """Euclidean distance of two rows, for each pair of rows.

    Parameters
    ----------
    values : float64 array of shape (n_pixels, n_features)
    first, second : int64 array of shape (n_pairs,)
        Row numbers.

    Returns
    -------
    float64 array of shape (n_pairs,)
    """
    xp = array_namespace(values)
    difference = xp.take(values, first, axis=0) - xp.take(values, second, axis=0)
    return xp.sqrt(xp.sum(difference**2, axis=1))
