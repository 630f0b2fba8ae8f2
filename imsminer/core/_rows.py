"""Selections of rows: positions, ranges and slices."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["as_range", "as_slice", "positions", "segments"]


def as_range(rows: np.ndarray) -> range | np.ndarray:
    if rows.size == 0:
        return range(0)
    step = int(rows[1] - rows[0]) if rows.size > 1 else 1
    if step > 0 and np.all(np.diff(rows) == step):
        return range(int(rows[0]), int(rows[-1]) + 1, step)
    return rows


def as_slice(rows: np.ndarray) -> slice | np.ndarray:
    """Consecutive rows as a slice, which reads in place where the layout allows."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == rows.size and (rows[1:] - rows[:-1] == 1).all():
        return slice(first, last + 1)
    return rows


def segments(
    rows: np.ndarray, run_bounds: np.ndarray, row_bytes: np.ndarray, limit: int
) -> Iterator[tuple[int, int, int]]:
    """Cut rows into pieces of one run that hold at most `limit` bytes.

    Yields the first position, the position behind the last, and the run; at least one
    row a piece.
    """
    run_of_row = np.searchsorted(run_bounds, rows, side="right") - 1
    ends = np.cumsum(row_bytes[rows])
    breaks = np.flatnonzero(np.diff(run_of_row)) + 1
    bounds = [0, *breaks.tolist(), rows.size]
    for first, last in itertools.pairwise(bounds):
        start = first
        while start < last:
            before = ends[start - 1] if start else 0
            stop = int(np.searchsorted(ends, before + limit, side="right"))
            stop = min(max(stop, start + 1), last)
            if stop < last and stop - start > 8:
                # Kernels add rows in groups of eight: whole groups keep sums equal
                # to the last bit, however large the chunks are.
                stop -= (stop - start) % 8
            yield start, stop, int(run_of_row[start])
            start = stop


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
