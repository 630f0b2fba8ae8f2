"""Selections of rows: positions, ranges and slices."""

from typing import Any

import numpy as np

__all__ = ["as_range", "as_slice", "positions"]


def as_range(rows: np.ndarray) -> range | np.ndarray:
    if rows.size == 0:
        return range(0)
    step = int(rows[1] - rows[0]) if rows.size > 1 else 1
    if step > 0 and np.all(np.diff(rows) == step):
        return range(int(rows[0]), int(rows[-1]) + 1, step)
    return rows


def as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """Consecutive rows as a slice, which reads in place where the layout allows."""
    if rows[-1] - rows[0] + 1 == rows.size and np.all(np.diff(rows) == 1):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def positions(key: Any, n: int) -> np.ndarray:
    """Turn a slice, mask or index array into positions, checked against `n`."""
    if isinstance(key, slice):
        return np.arange(n)[key]
    key = np.asarray(key)
    if key.dtype == bool:
        if key.shape != (n,):
            message = f"a mask for {n} pixels needs shape ({n},), got {key.shape}"
            raise IndexError(message)
        return np.flatnonzero(key)
    if key.size == 0:
        return np.zeros(0, np.int64)
    if key.dtype.kind not in "iu" or key.ndim != 1:
        message = (
            "pixels are selected by an integer, a slice, a mask or a list of integers; "
            f"got {key.dtype} of shape {key.shape}"
        )
        raise IndexError(message)
    if key.min() < -n or key.max() >= n:
        message = f"pixel {key.max()} is out of range: there are {n} pixels"
        raise IndexError(message)
    return np.where(key < 0, key + n, key).astype(np.int64)
