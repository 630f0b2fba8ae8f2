"""Compiled loops over arrays stored in an .ibd file."""

import numpy as np
from numba import njit

__all__ = ["first_not_finite", "first_unsorted", "gather"]


@njit(nogil=True, cache=True)
def _copy(stored, out):
    for k in range(out.size):
        out[k] = stored[k]


@njit(nogil=True, cache=True)
def gather(stored, phase, starts, lengths, out, out_starts):
    """Copy pieces of a stored array into one flat array, as its number type.

    Typed elements are copied, never bytes: that is what the compiler vectorises. A
    piece that does not start at a multiple of the type's size belongs to an array that
    is shifted by the remainder, its phase; only pieces of one phase are copied.

    Parameters
    ----------
    stored : ndarray
        The bytes from `phase` on as an array of the stored type. Its address need not
        suit the type: the loads that numba compiles to do without.
    phase : int
        First byte of `stored`.
    starts : ndarray of int64, shape (n,)
        First byte of each piece.
    lengths : ndarray of int64, shape (n,)
        Elements of each piece.
    out : ndarray
        Filled.
    out_starts : ndarray of int64, shape (n,)
        Where each piece goes, in elements.
    """
    # Sizes are powers of two: shifts and masks, where divisions would dominate.
    rest = stored.itemsize - 1
    bits = 0
    while (1 << bits) <= rest:
        bits += 1
    for row in range(starts.size):
        start = starts[row] - phase
        if start & rest == 0:
            start, length, to = start >> bits, lengths[row], out_starts[row]
            _copy(stored[start : start + length], out[to : to + length])


@njit(nogil=True, cache=True)
def _n_falls(values):
    """Count neighbours that do not rise or stay; a NaN always counts."""
    falls = 0
    head, tail = values[:-1], values[1:]
    for k in range(head.size):
        falls += not (tail[k] >= head[k])
    return falls


@njit(nogil=True, cache=True)
def first_unsorted(values, indptr):
    """Return the first piece that is not finite, ascending and positive, or -1.

    The first value may be 0. A second one is what a hole in the file looks like.
    """
    for row in range(indptr.size - 1):
        piece = values[indptr[row] : indptr[row + 1]]
        if piece.size == 0:
            continue
        if _n_falls(piece) > 0:
            return row
        # Sorted: only the ends can be infinite; a single NaN fails here too.
        if not (piece[0] > -np.inf and piece[piece.size - 1] < np.inf):
            return row
        if piece[0] < 0 or (piece.size > 1 and piece[1] == 0):
            return row
    return -1


@njit(nogil=True, cache=True)
def _n_not_finite(values):
    count = 0
    for k in range(values.size):
        count += not (abs(values[k]) < np.inf)
    return count


@njit(nogil=True, cache=True)
def first_not_finite(values, indptr):
    """Return the first piece that holds a NaN or an infinity, or -1."""
    if _n_not_finite(values[indptr[0] : indptr[-1]]) == 0:
        return -1
    for row in range(indptr.size - 1):
        if _n_not_finite(values[indptr[row] : indptr[row + 1]]) > 0:
            return row
    return -1
