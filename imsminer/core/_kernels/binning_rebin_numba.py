"""Rows on a shared axis brought onto the bins of another, on the CPU."""

import numba as nb
import numpy as np

__all__ = ["overlap_matrix", "rebin_rows"]


def overlap_matrix(
    mz: np.ndarray,
    cell_edges: np.ndarray | None,
    edges: np.ndarray,
    profile: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which part of each sample of a shared axis goes to which bin.

    Parameters
    ----------
    mz : ndarray of float64, shape (n_mz,)
        The shared axis, increasing.
    cell_edges : ndarray of float64, shape (n_mz + 1,), or None
        Edges of the samples' cells, for profile samples; half-way between them when
        `None`.
    edges : ndarray of float64, shape (n_bins + 1,)
        Edges of the bins.
    profile : bool
        Whether samples are spread, as `spread_sum_points` does, or belong whole
        to the bin that holds their m/z.

    Returns
    -------
    indptr, indices, weights : ndarray
        A sparse matrix by bins (CSR): bin ``b`` gets ``weights[i]`` of column
        ``indices[i]`` for ``i`` in ``indptr[b]:indptr[b + 1]``. Columns outside all
        bins appear nowhere; the weights of any other sum to 1.
    """
    n_bins = edges.size - 1
    spread = profile and mz.size > 1
    inside = np.flatnonzero((mz >= edges[0]) & (mz < edges[-1]))
    centre = mz[inside]
    home = np.searchsorted(edges, centre, side="right") - 1
    width = blur = np.zeros(centre.size)
    first = last = home
    if spread:
        if cell_edges is None:
            middle = (mz[1:] + mz[:-1]) / 2
            ends = 2 * mz[0] - middle[0], 2 * mz[-1] - middle[-1]
            cell_edges = np.concatenate([[ends[0]], middle, [ends[1]]])
        width = np.diff(cell_edges)[inside]
        blur = np.maximum(width - (edges[home + 1] - edges[home]), 0.0)
        half = 0.5 * (width + blur)
        first = np.searchsorted(edges, centre - half, side="right") - 1
        last = np.searchsorted(edges, centre + half, side="left") - 1
        first, last = np.maximum(first, 0), np.minimum(last, n_bins - 1)
    lengths = last - first + 1
    starts = np.cumsum(lengths) - lengths
    offsets = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    column = np.repeat(np.arange(inside.size), lengths)
    bins = first[column] + offsets
    weights = np.ones(bins.size)
    if spread:
        shape = centre[column], width[column], blur[column]
        upto = _share_array(edges[bins + 1], *shape)
        below = _share_array(edges[bins], *shape)
        upto[bins == last[column]] = 1.0
        below[bins == first[column]] = 0.0
        weights = upto - below
    order = np.argsort(bins, kind="stable")
    indptr = np.searchsorted(bins[order], np.arange(n_bins + 1)).astype(np.int64)
    return indptr, inside[column[order]].astype(np.int64), weights[order]


def _share_array(
    x: np.ndarray, centre: np.ndarray, width: np.ndarray, blur: np.ndarray
) -> np.ndarray:
    v = np.abs(x - centre)
    flat, half = 0.5 * (width - blur), 0.5 * (width + blur)
    slope = np.maximum(2 * blur * width, np.finfo(float).tiny)
    rounded = 0.5 - np.where(v < half, half - v, 0.0) ** 2 / slope
    part = np.where(v <= flat, v / width, rounded)
    return 0.5 + np.where(x > centre, part, -part)


@nb.njit(nogil=True, cache=True)
def rebin_rows(X, indptr, indices, weights, out):
    """Set `out` (n, n_bins) to rows of `X` (n, m) on other bins.

    The matrix comes from :func:`overlap_matrix`.
    """
    for p in range(X.shape[0]):
        row = X[p]
        for b in range(indptr.size - 1):
            value = 0.0
            for i in range(indptr[b], indptr[b + 1]):
                value += np.float64(row[indices[i]]) * weights[i]
            out[p, b] = value
