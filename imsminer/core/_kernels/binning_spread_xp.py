"""Samples of ragged profiles spread over bins, in any array library: the reference."""

from typing import Any

from imsminer._array import array_namespace, device_of
from imsminer.core._kernels.binning_xp import (
    _owners,
    _scatter_add,
    _statistics,
    find_bins,
    widths,
)

__all__ = [
    "linear_accumulate_points",
    "linear_sum_points",
    "spread_accumulate_points",
    "spread_sum_points",
]


def spread_sum_points(
    mz: Any, intensity: Any, indptr: Any, cell_edges: Any, edges: Any
) -> tuple[Any, Any]:
    """Spread profile samples over the bins they overlap, and sum.

    Returned beside the sums is how many samples lie outside. `indptr` is not needed
    here; it stands for equal arguments with the GPU kernel.
    """
    bins, values, _, dropped = _spread(mz, intensity, cell_edges, edges)
    return _scatter_add(bins, values, edges.shape[0] - 1), dropped


def spread_accumulate_points(
    mz: Any, intensity: Any, indptr: Any, cell_edges: Any, edges: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Do the same for the four statistics, taken once per spectrum and bin."""
    xp = array_namespace(mz)
    bins, values, sample, dropped = _spread(mz, intensity, cell_edges, edges)
    owner = xp.take(_owners(indptr, mz), sample)
    return *_statistics(bins, values, owner, edges.shape[0] - 1), dropped


def linear_sum_points(
    mz: Any, intensity: Any, indptr: Any, edges: Any, centers: Any
) -> tuple[Any, Any]:
    """Share each sample between the two nearest bins, so that its m/z is kept; sum."""
    bins, values, _, dropped = _linear(mz, intensity, edges, centers)
    return _scatter_add(bins, values, centers.shape[0]), dropped


def linear_accumulate_points(
    mz: Any, intensity: Any, indptr: Any, edges: Any, centers: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Do the same for the four statistics, taken once per spectrum and bin."""
    xp = array_namespace(mz)
    bins, values, sample, dropped = _linear(mz, intensity, edges, centers)
    owner = xp.take(_owners(indptr, mz), sample)
    return *_statistics(bins, values, owner, centers.shape[0]), dropped


def _share(x: Any, centre: Any, width: Any, blur: Any) -> Any:
    """Return the share of a sample below `x`: a box of `width` smoothed by `blur`."""
    xp = array_namespace(x)
    v = xp.abs(x - centre)
    flat, half = 0.5 * (width - blur), 0.5 * (width + blur)
    short = xp.where(v < half, half - v, xp.zeros_like(v))
    slope = xp.where(blur > 0, 2 * blur * width, xp.ones_like(v))
    part = xp.where(v <= flat, v / width, 0.5 - short**2 / slope)
    return 0.5 + xp.where(x > centre, part, -part)


def _spread(
    mz: Any, intensity: Any, cell_edges: Any, edges: Any
) -> tuple[Any, Any, Any, int]:
    """Return bin, intensity and sample of every overlap of a sample and a bin."""
    xp = array_namespace(mz)
    n_bins = edges.shape[0] - 1
    inside = (mz >= edges[0]) & (mz < edges[-1])
    (sample,) = xp.nonzero(inside)
    dropped = mz.shape[0] - sample.shape[0]
    centre = xp.take(mz, sample)
    width = widths(centre, cell_edges)
    values = xp.astype(xp.take(intensity, sample), xp.float64)
    home = xp.searchsorted(edges, centre, side="right") - 1
    blur = width - (xp.take(edges, home + 1) - xp.take(edges, home))
    blur = xp.clip(blur, 0.0, None)
    half = 0.5 * (width + blur)
    first = xp.searchsorted(edges, centre - half, side="right") - 1
    last = xp.searchsorted(edges, centre + half, side="left") - 1
    first, last = xp.clip(first, 0, n_bins - 1), xp.clip(last, 0, n_bins - 1)
    reach = int(xp.max(last - first)) + 1 if sample.shape[0] else 0
    bins, parts, samples = [], [], []
    for step in range(reach):
        here = first + step
        (which,) = xp.nonzero(here <= last)
        here = xp.take(here, which)
        shape = [xp.take(array, which) for array in (centre, width, blur)]
        below = _share(xp.take(edges, here), *shape)
        upto = _share(xp.take(edges, here + 1), *shape)
        below = xp.where(here == xp.take(first, which), xp.zeros_like(below), below)
        upto = xp.where(here == xp.take(last, which), xp.ones_like(upto), upto)
        bins.append(xp.astype(here, xp.int64))
        parts.append(xp.take(values, which) * (upto - below))
        samples.append(xp.take(sample, which))
    if not bins:
        none = xp.zeros(0, dtype=xp.int64, device=device_of(mz))
        return none, xp.astype(none, xp.float64), none, dropped
    return xp.concat(bins), xp.concat(parts), xp.concat(samples), dropped


def _linear(
    mz: Any, intensity: Any, edges: Any, centers: Any
) -> tuple[Any, Any, Any, int]:
    """Return bin, intensity and sample of both shares of every sample."""
    xp = array_namespace(mz)
    home = find_bins(mz, edges)
    (sample,) = xp.nonzero(home >= 0)
    dropped = mz.shape[0] - sample.shape[0]
    m, home = xp.take(mz, sample), xp.take(home, sample)
    values = xp.astype(xp.take(intensity, sample), xp.float64)
    last = centers.shape[0] - 1
    lower = home - xp.astype(m < xp.take(centers, home), home.dtype)
    # Beyond the outermost centres there is no second bin.
    outside = (lower < 0) | (lower >= last)
    lower = xp.clip(lower, 0, last)
    upper = xp.clip(lower + 1, 0, last)
    low = xp.take(centers, lower)
    gap = xp.where(outside, xp.ones_like(m), xp.take(centers, upper) - low)
    share = xp.where(outside, xp.zeros_like(m), (m - low) / gap)
    (both,) = xp.nonzero(share > 0)
    part = xp.take(values, both) * xp.take(share, both)
    whole = xp.where(share > 0, values - values * share, values)
    return (
        xp.concat([lower, xp.take(upper, both)]),
        xp.concat([whole, part]),
        xp.concat([sample, xp.take(sample, both)]),
        dropped,
    )
