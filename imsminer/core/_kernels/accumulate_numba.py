"""Statistics over rows and over columns of intensities, on the CPU.

All sums are float64 whatever the input's dtype, so results differ by rounding only
when the same rows come in other chunks. None of these uses the flags that let a
compiler assume there are no NaN: a NaN in the input makes the sum NaN, so that the
caller can see it.

Loops run over slices indexed from 0: numba then drops its negative-index check, and
the compiler vectorises.
"""

import numba as nb
import numpy as np

__all__ = ["accumulate_rows", "row_totals", "row_totals_ragged", "sum_rows"]

# Sums of one row may be reordered (lanes of a vector), but NaN must survive.
REORDER = {"reassoc", "contract", "nsz", "arcp"}

# 2,048 float64 columns are 16 KB: a tile of totals stays in the L1 cache while the
# rows of a group stream by. 32 rows of a tile touch few enough pages for the TLB.
TILE = 2048
GROUP = 32


@nb.njit(nogil=True, cache=True)
def _add_eight(a, b, c, d, e, f, g, h, total):
    for j in range(total.size):
        left = (np.float64(a[j]) + b[j]) + (np.float64(c[j]) + d[j])
        right = (np.float64(e[j]) + f[j]) + (np.float64(g[j]) + h[j])
        total[j] += left + right


@nb.njit(nogil=True, cache=True)
def _add_one(a, total):
    for j in range(total.size):
        total[j] += a[j]


@nb.njit(nogil=True, cache=True)
def sum_rows(X, total):
    """Add the columns' sums of `X` (n, m) to `total` (m,) float64."""
    n, m = X.shape
    for group in range(0, n, GROUP):
        stop = min(group + GROUP, n)
        whole = stop - (stop - group) % 8
        for low in range(0, m, TILE):
            high = min(low + TILE, m)
            part = total[low:high]
            for p in range(group, whole, 8):
                a, b = X[p, low:high], X[p + 1, low:high]
                c, d = X[p + 2, low:high], X[p + 3, low:high]
                e, f = X[p + 4, low:high], X[p + 5, low:high]
                g, h = X[p + 6, low:high], X[p + 7, low:high]
                _add_eight(a, b, c, d, e, f, g, h, part)
            for p in range(whole, stop):
                _add_one(X[p, low:high], part)


@nb.njit(nogil=True, cache=True)
def _fuse_eight(a, b, c, d, e, f, g, h, total, maximum, count, squares):
    for j in range(total.size):
        s, t, u, v = a[j], b[j], c[j], d[j]
        w, x, y, z = e[j], f[j], g[j], h[j]
        count[j] += (
            (np.int32(s > 0) + np.int32(t > 0)) + (np.int32(u > 0) + np.int32(v > 0))
        ) + ((np.int32(w > 0) + np.int32(x > 0)) + (np.int32(y > 0) + np.int32(z > 0)))
        one = s if s > t else t
        two = u if u > v else v
        three = w if w > x else x
        four = y if y > z else z
        one = one if one > two else two
        three = three if three > four else four
        top = one if one > three else three
        maximum[j] = top if top > maximum[j] else maximum[j]
        fs, ft, fu, fv = np.float64(s), np.float64(t), np.float64(u), np.float64(v)
        fw, fx, fy, fz = np.float64(w), np.float64(x), np.float64(y), np.float64(z)
        total[j] += ((fs + ft) + (fu + fv)) + ((fw + fx) + (fy + fz))
        left = (fs * fs + ft * ft) + (fu * fu + fv * fv)
        right = (fw * fw + fx * fx) + (fy * fy + fz * fz)
        squares[j] += left + right


@nb.njit(nogil=True, cache=True)
def _fuse_one(a, total, maximum, count, squares):
    for j in range(total.size):
        x = np.float64(a[j])
        total[j] += x
        squares[j] += x * x
        count[j] += np.int32(x > 0)
        maximum[j] = x if x > maximum[j] else maximum[j]


@nb.njit(nogil=True, cache=True)
def accumulate_rows(X, total, maximum, count, squares):
    """Update four statistics of the columns of `X` (n, m) in one pass.

    `total`, `maximum` and `squares` are float64 and `count` is int64, all (m,).
    `count` counts values above 0. Start `maximum` at 0 or at -inf.
    """
    n, m = X.shape
    tile = TILE // 2
    # Counts of a group fit into 32 bits, of which a vector holds twice as many.
    counted = np.empty(tile, np.int32)
    for group in range(0, n, GROUP):
        stop = min(group + GROUP, n)
        whole = stop - (stop - group) % 8
        for low in range(0, m, tile):
            high = min(low + tile, m)
            t, u, w = total[low:high], maximum[low:high], squares[low:high]
            v = counted[: high - low]
            v[:] = 0
            for p in range(group, whole, 8):
                a, b = X[p, low:high], X[p + 1, low:high]
                c, d = X[p + 2, low:high], X[p + 3, low:high]
                e, f = X[p + 4, low:high], X[p + 5, low:high]
                g, h = X[p + 6, low:high], X[p + 7, low:high]
                _fuse_eight(a, b, c, d, e, f, g, h, t, u, v, w)
            for p in range(whole, stop):
                _fuse_one(X[p, low:high], t, u, v, w)
            count[low:high] += v


@nb.njit(nogil=True, cache=True)
def _update_lanes(x, lanes):
    for j in range(x.size):
        lanes[j] = x[j] if x[j] > lanes[j] else lanes[j]


@nb.njit(nogil=True, cache=True)
def _maximum(x, lanes):
    # One running maximum per lane: a single one cannot be vectorised without
    # assuming that there is no NaN.
    if x.size == 0:
        return 0.0
    lanes[:] = -np.inf
    for low in range(0, x.size, lanes.size):
        _update_lanes(x[low : low + lanes.size], lanes)
    top = lanes[0]
    for j in range(1, lanes.size):
        top = lanes[j] if lanes[j] > top else top
    return np.float64(top)


@nb.njit(nogil=True, cache=True, fastmath=REORDER)
def _sums(x):
    total, squares, points = 0.0, 0.0, np.int64(0)
    for j in range(x.size):
        value = np.float64(x[j])
        total += value
        squares += value * value
        points += np.int64(value > 0)
    return total, squares, points


@nb.njit(nogil=True, cache=True)
def row_totals(X, total, maximum, squares, n_points):
    """Set each row's sum, maximum, sum of squares and number of values above 0."""
    lanes = np.empty(128, X.dtype)
    for p in range(X.shape[0]):
        row = X[p]
        maximum[p] = _maximum(row, lanes)
        total[p], squares[p], n_points[p] = _sums(row)


@nb.njit(nogil=True, cache=True)
def row_totals_ragged(intensity, indptr, total, maximum, squares, n_points):
    """Do the same for spectra that lie one after the other; an empty one gives 0."""
    lanes = np.empty(128, intensity.dtype)
    for p in range(indptr.size - 1):
        row = intensity[indptr[p] : indptr[p + 1]]
        maximum[p] = _maximum(row, lanes)
        total[p], squares[p], n_points[p] = _sums(row)
