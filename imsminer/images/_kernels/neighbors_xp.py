"""Means and medians over neighbours in any array namespace.

Neighbours come as a padded table (n_pixels, n_slots) of row numbers; where a pixel has
fewer neighbours, the weight of the slot is 0.
"""

from typing import Any

from imsminer._array import array_namespace

__all__ = ["neighbor_mean", "neighbor_median"]


def neighbor_mean(values: Any, index: Any, weights: Any) -> Any:
    """Sum of the neighbours' rows times their weights, slot by slot.

    Parameters
    ----------
    values : array of shape (n_pixels, n_features)
    index : integer array of shape (n_pixels, n_slots)
    weights : array of shape (n_pixels, n_slots)
    """
    xp = array_namespace(values)
    total = xp.zeros_like(values)
    for slot in range(index.shape[1]):
        rows = xp.take(values, index[:, slot], axis=0)
        total = total + rows * weights[:, slot][:, None]
    return total


def neighbor_median(values: Any, groups: list[tuple[Any, Any]]) -> Any:
    """Median over each pixel's neighbourhood.

    Parameters
    ----------
    values : array of shape (n_pixels, n_features)
    groups : list of (rows, index)
        Pixels that have equally many neighbours: their row numbers (m,), and the row
        numbers (m, n) of the pixels in their neighbourhoods, themselves included.
        Together the groups hold every row once.

    Returns
    -------
    array like `values`
    """
    xp = array_namespace(values)
    n_features = values.shape[1]
    parts = []
    for rows, index in groups:
        n_slots = index.shape[1]
        flat = xp.take(values, xp.reshape(index, (-1,)), axis=0)
        box = xp.sort(xp.reshape(flat, (rows.shape[0], n_slots, n_features)), axis=1)
        middle = n_slots // 2
        median = box[:, middle, :]
        if n_slots % 2 == 0:
            median = (median + box[:, middle - 1, :]) / 2
        parts.append(median)
    order = xp.concat([rows for rows, _ in groups])
    return xp.take(xp.concat(parts), xp.argsort(order), axis=0)
