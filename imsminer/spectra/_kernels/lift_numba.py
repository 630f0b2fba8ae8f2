"""The lift of lower envelopes to the middle of the noise, on the CPU."""

import numba as nb
import numpy as np

__all__ = ["lift_points", "lift_rows"]

MAD_TO_SD = 1.4826
#: Standard deviation of y[i - 1] - 2 y[i] + y[i + 1], in those of white noise.
SECOND_DIFFERENCE = 6.0**0.5
#: A lift is at most this many standard deviations of the noise.
MAX_LIFT = 4.0
#: Most values that a window is judged by.
N_SAMPLES = 128
#: Halving an interval of float64 this often leaves nothing between its ends.
MAX_HALVINGS = 2200


@nb.njit(nogil=True, cache=True, fastmath={"reassoc"})
def _count(values, limit):
    """Return how many values are at most `limit`, as a float: such sums vectorise."""
    one, none = values.dtype.type(1), values.dtype.type(0)
    n = none
    for i in range(values.size):
        n += one if values[i] <= limit else none
    return n


@nb.njit(nogil=True, cache=True)
def _ordered(values, k):
    """Return the k-th smallest value, counted from 0, of a few that are at least 0.

    Counting is so much faster than sorting that halving the interval until one value
    is left in it wins.
    """
    half = values.dtype.type(0.5)
    low = high = values[0]
    for i in range(1, values.size):
        low, high = min(low, values[i]), max(high, values[i])
    if _count(values, low) > k:
        return low
    for _ in range(MAX_HALVINGS):
        middle = low + half * (high - low)
        if not low < middle < high:
            break
        n = _count(values, middle)
        if n == k + 1:
            found = low
            for i in range(values.size):
                if found < values[i] <= middle:
                    found = values[i]
            return found
        if n > k:
            high = middle
        else:
            low = middle
    return high


@nb.njit(nogil=True, cache=True)
def _lift(rest, bends):
    """Return how far the middle of the noise lies above a lower envelope."""
    n = rest.size
    level = _ordered(rest, (n - 1) // 2)
    for _ in range(2):
        if level == 0:
            return 0.0
        # Noise reaches as far above its middle as below; what is higher is peaks.
        level = _ordered(rest, (int(_count(rest, 2 * level)) - 1) // 2)
    noise = MAD_TO_SD / SECOND_DIFFERENCE * _ordered(bends, (bends.size - 1) // 2)
    return min(np.float64(level), MAX_LIFT * noise)


@nb.njit(nogil=True, cache=True)
def _lower(above, level, step, ramp, least, out):
    for i in range(out.size):
        lowered = above.dtype.type(above[i] - (level + step * ramp[i]))
        out[i] = lowered if lowered > least else least


@nb.njit(nogil=True, cache=True)
def lift_rows(Y, R, hop, clip, out):
    """Set `out` to `R` lowered to the middle of the noise; `clip`: at least to 0.

    `Y` (n, m) are spectra and `R` (n, m) what is left of them above a lower envelope.
    Windows of 2 * `hop` + 1 points, centred `hop` points apart, are judged by
    `N_SAMPLES` values each, with linear interpolation between their centres.
    """
    rows, m = R.shape
    if m < 3:
        out[:] = R
        return
    n_windows = (m - 1 + hop - 1) // hop + 1
    stride = max(1, (2 * hop + 1) // N_SAMPLES)
    side = hop // stride
    rest = np.empty(2 * side + 1, R.dtype)
    bends = np.empty(2 * side + 1, R.dtype)
    levels = np.empty(n_windows)
    # Floats, since integers that become floats are not vectorised.
    ramp = np.arange(hop).astype(np.float64)
    zero, two = R.dtype.type(0), R.dtype.type(2)
    least = zero if clip else R.dtype.type(-np.inf)
    for r in range(rows):
        y, above = Y[r], R[r]
        for w in range(n_windows):
            n = 0
            for k in range(-side, side + 1):
                i = w * hop + k * stride
                if 0 <= i < m:
                    rest[n] = above[i]
                    i = min(max(i, 1), m - 2)
                    left, here, right = y[i - 1], y[i], y[i + 1]
                    left, right = max(left, zero), max(right, zero)
                    bends[n] = abs((left - two * max(here, zero)) + right)
                    n += 1
            # The last window may stand so far beyond the end that it has no values.
            levels[w] = _lift(rest[:n], bends[:n]) if n > 0 else 0.0
        for w in range(n_windows):
            part = slice(w * hop, min((w + 1) * hop, m))
            level, step = levels[w], 0.0
            if w + 1 < n_windows:
                step = (levels[w + 1] - level) / hop
            _lower(above[part], level, step, ramp, least, out[r, part])


@nb.njit(nogil=True, cache=True)
def lift_points(values, rest, indptr, position, length, hop, clip):
    """Do as :func:`lift_rows` for ragged spectra, in place: `rest` is lowered.

    Grid points that are not stored are 0. `position` and `length` come from
    :func:`imsminer.spectra._kernels.snip_numba.grid_positions`.
    """
    longest = 0
    for s in range(length.size):
        longest = max(longest, length[s])
    dense = np.zeros((3, longest), rest.dtype)
    for s in range(length.size):
        first, stop, n = indptr[s], indptr[s + 1], length[s]
        if first == stop:
            continue
        for k in range(first, stop):
            dense[0, position[k]] = values[k]
            dense[1, position[k]] = rest[k]
        lift_rows(dense[0:1, :n], dense[1:2, :n], hop, clip, dense[2:3, :n])
        for k in range(first, stop):
            rest[k] = dense[2, position[k]]
            dense[0, position[k]] = 0
            dense[1, position[k]] = 0
