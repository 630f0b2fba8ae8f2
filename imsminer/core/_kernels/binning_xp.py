"""Points of ragged spectra into bins, in any array namespace: the reference.

The standard has no scatter-add. Points are sorted by bin instead, and the sum of a bin
is a difference of cumulative sums, in float64: exact to about 1e-16 of the total.
"""

from typing import Any

from imsminer._array import array_namespace, device_of

__all__ = [
    "accumulate_points",
    "find_bins",
    "sum_points",
    "sum_runs",
    "widths",
]


def find_bins(mz: Any, edges: Any) -> Any:
    """Return the bin of every point (int64), -1 outside: the upper edge is open."""
    xp = array_namespace(mz)
    bins = xp.searchsorted(edges, mz, side="right") - 1
    inside = (mz >= edges[0]) & (mz < edges[-1])
    return xp.where(inside, xp.astype(bins, xp.int64), -1)


def sum_points(mz: Any, intensity: Any, indptr: Any, edges: Any) -> tuple[Any, Any]:
    """Return the sum of the points in each bin, and how many points lie outside.

    The number is an array without axes: reading it would wait for the device.
    `indptr` is not needed here; it stands for equal arguments with the CPU kernel.
    """
    xp = array_namespace(mz)
    bins = find_bins(mz, edges)
    values = xp.astype(intensity, xp.float64)
    return _scatter_add(bins, values, edges.shape[0] - 1), _count_negative(bins)


def accumulate_points(
    mz: Any, intensity: Any, indptr: Any, edges: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Return sum, maximum, count of values above 0, sum of squares, points outside.

    Points of one spectrum that share a bin add up first; a bin without points is 0.
    """
    xp = array_namespace(mz)
    bins = find_bins(mz, edges)
    values = xp.astype(intensity, xp.float64)
    statistics = _statistics(bins, values, _owners(indptr, mz), edges.shape[0] - 1)
    return *statistics, _count_negative(bins)


def sum_runs(values: Any, indptr: Any) -> Any:
    """Return sums of ``values[..., indptr[i]:indptr[i + 1]]`` along the last axis."""
    xp = array_namespace(values)
    sums = xp.cumulative_sum(values, axis=-1, include_initial=True)
    return xp.take(sums, indptr[1:], axis=-1) - xp.take(sums, indptr[:-1], axis=-1)


def _owners(indptr: Any, like: Any) -> Any:
    """Return the spectrum that each point belongs to."""
    xp = array_namespace(indptr)
    points = xp.arange(like.shape[0], dtype=indptr.dtype, device=device_of(like))
    return xp.astype(xp.searchsorted(indptr, points, side="right") - 1, xp.int64)


def _count_negative(bins: Any) -> Any:
    xp = array_namespace(bins)
    return xp.sum(xp.astype(bins < 0, xp.int64))


def _scatter_add(bins: Any, values: Any, n_bins: int) -> Any:
    xp = array_namespace(bins)
    order = xp.argsort(bins, stable=True)
    every = xp.arange(n_bins + 1, dtype=bins.dtype, device=device_of(bins))
    bounds = xp.searchsorted(xp.take(bins, order), every)
    return sum_runs(xp.take(values, order), bounds)


def _statistics(
    bins: Any, values: Any, owner: Any, n_bins: int
) -> tuple[Any, Any, Any, Any]:
    xp, device = array_namespace(bins), device_of(bins)
    (keep,) = xp.nonzero(bins >= 0)
    bins, values = xp.take(bins, keep), xp.take(values, keep)
    if bins.shape[0] == 0:
        zeros = xp.zeros(n_bins, dtype=xp.float64, device=device)
        return zeros, zeros, xp.astype(zeros, xp.int64), zeros
    key = xp.take(owner, keep) * n_bins + bins
    order = xp.argsort(key, stable=True)
    key, values = xp.take(key, order), xp.take(values, order)
    change = xp.nonzero(key[1:] != key[:-1])[0] + 1
    end = xp.asarray([key.shape[0]], dtype=change.dtype, device=device)
    bounds = xp.concat([end * 0, change, end])
    value = sum_runs(values, bounds)
    group = xp.take(key, bounds[:-1]) % n_bins
    total = _scatter_add(group, value, n_bins)
    squares = _scatter_add(group, value * value, n_bins)
    count = _scatter_add(group, xp.astype(value > 0, xp.float64), n_bins)
    # Sorted by value, then stably by bin: the last of a bin is its largest.
    order = xp.argsort(value, stable=True)
    group, value = xp.take(group, order), xp.take(value, order)
    order = xp.argsort(group, stable=True)
    group, value = xp.take(group, order), xp.take(value, order)
    wanted = xp.arange(n_bins, dtype=group.dtype, device=device)
    after = xp.searchsorted(group, wanted, side="right")
    before = xp.searchsorted(group, wanted, side="left")
    largest = xp.take(value, xp.where(after > before, after - 1, after * 0))
    largest = xp.where(after > before, largest, xp.zeros_like(largest))
    maximum = xp.where(largest > 0, largest, xp.zeros_like(largest))
    return total, maximum, xp.astype(xp.round(count), xp.int64), squares


def widths(mz: Any, cell_edges: Any) -> Any:
    """Return the width of the cell at each m/z; beyond the ends, the last one's."""
    xp = array_namespace(mz)
    cell = xp.searchsorted(cell_edges, mz, side="right") - 1
    cell = xp.clip(cell, 0, cell_edges.shape[0] - 2)
    return xp.take(cell_edges, cell + 1) - xp.take(cell_edges, cell)
