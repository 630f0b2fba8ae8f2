"""SNIP baselines on the CPU.

Logarithms and exponentials of float32 are polynomials (those of Cephes, right to the
last digit or two) over tiles, which the compiler vectorises; those of float64 are
NumPy's. The clipping passes are compiled. A window of m points takes m passes, each a
minimum of three slices. NaN is not assumed away: a NaN in a spectrum stays one.
"""

import numba as nb
import numpy as np

__all__ = ["erode_rows", "grid_positions", "snip_points", "snip_rows"]

#: Rows are taken in blocks of about this many values, which the L2 cache holds.
BLOCK = 2**16
#: Values of a row that go through all passes of clipping together.
STRIP = 3072
TILE = 2048
ONE, HALF, ZERO = np.float32(1), np.float32(0.5), np.float32(0)
#: ln 2 in two parts, the first of which is exact in few bits.
LN2, LN2_REST = np.float32(0.693359375), np.float32(-2.12194440e-4)
LOG2_E = np.float32(1.44269504088896341)
#: Bits of √½ and of the exponent of 1.
ROOT_HALF, BIAS, MANTISSA = 0x3F3504F3, 127, 23
# (log(1 + x) - x + x² / 2) / x³, and (exp(x) - 1 - x) / x².
L8, L7, L6 = (
    np.float32(c) for c in (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1)
)
L5, L4, L3 = (
    np.float32(c) for c in (-1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1)
)
L2, L1, L0 = (
    np.float32(c) for c in (2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
)
E5, E4, E3 = (
    np.float32(c) for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3)
)
E2, E1, E0 = (
    np.float32(c) for c in (4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
)


@nb.njit(nogil=True, cache=True, fastmath={"contract"})
def _log_of_more(t, bits, power):
    """Set `t`, at least 0, to log(t + 1); `bits` is its view as int32."""
    for i in range(t.size):
        t[i] += ONE
    for i in range(t.size):
        e = (bits[i] - ROOT_HALF) >> MANTISSA
        power[i] = e
        bits[i] -= e << MANTISSA
    for i in range(t.size):
        x = t[i] - ONE
        e = np.float32(power[i])
        p = ((L8 * x + L7) * x + L6) * x + L5
        p = (((((p * x + L4) * x + L3) * x + L2) * x + L1) * x + L0) * x
        square = x * x
        t[i] = (p * square + e * LN2_REST - HALF * square + x) + e * LN2


@nb.njit(nogil=True, cache=True, fastmath={"contract"})
def _exp_but_one(t, scale, bits):
    """Set `t`, at least 0, to exp(t) - 1; `bits` is the view of `scale` as int32."""
    for i in range(t.size):
        bits[i] = (np.int32(t[i] * LOG2_E + HALF) + BIAS) << MANTISSA
    for i in range(t.size):
        e = np.float32((bits[i] >> MANTISSA) - BIAS)
        x = t[i] - e * LN2 - e * LN2_REST
        p = ((((E5 * x + E4) * x + E3) * x + E2) * x + E1) * x + E0
        t[i] = (p * (x * x) + x + ONE) * scale[i] - ONE


@nb.njit(nogil=True, cache=True)
def _compress_single(y, out):
    bits = out.view(np.int32)
    power = np.empty(TILE, np.int32)
    for start in range(0, y.size, TILE):
        stop = min(start + TILE, y.size)
        part, here, e = out[start:stop], bits[start:stop], power[: stop - start]
        values = y[start:stop]
        for i in range(part.size):
            part[i] = np.sqrt((values[i] if values[i] > ZERO else ZERO) + ONE)
        _log_of_more(part, here, e)
        _log_of_more(part, here, e)


@nb.njit(nogil=True, cache=True)
def _subtract_single(y, v, base, out):
    tile = np.empty(TILE, np.float32)
    scale = np.empty(TILE, np.float32)
    bits = scale.view(np.int32)
    for start in range(0, y.size, TILE):
        stop = min(start + TILE, y.size)
        n = stop - start
        part = tile[:n]
        part[:] = base[start:stop]
        _exp_but_one(part, scale[:n], bits[:n])
        _exp_but_one(part, scale[:n], bits[:n])
        values, before = y[start:stop], v[start:stop]
        after, result = base[start:stop], out[start:stop]
        for i in range(n):
            rest = values[i] - (part[i] * part[i] - ONE)
            nothing = (rest < ZERO) | (after[i] == before[i])
            result[i] = ZERO if nothing else rest


def _compress(y, v=None):
    """Set `v` to log(log(√(y + 1) + 1) + 1), with negative values clamped to 0."""
    v = np.empty(y.shape, y.dtype) if v is None else v
    if y.dtype == np.float32:
        _compress_single(np.ascontiguousarray(y).reshape(-1), v.reshape(-1))
        return v
    np.maximum(y, y.dtype.type(0), out=v)
    for step in (np.sqrt, np.log, np.log):
        v += v.dtype.type(1)
        step(v, out=v)
    return v


def _subtract(y, v, base, out):
    """Set `out`, which is contiguous, to y minus the expanded baseline, at least 0."""
    if y.dtype == np.float32:
        flat = [np.ascontiguousarray(a).reshape(-1) for a in (y, v, base)]
        _subtract_single(*flat, out.reshape(-1))
        return
    unchanged = base == v
    for _ in range(2):
        np.exp(base, out=base)
        base -= base.dtype.type(1)
    base *= base
    base -= base.dtype.type(1)
    np.subtract(y, base, out=out)
    np.maximum(out, out.dtype.type(0), out=out)
    # Where the baseline is the signal the difference is 0, not rounding error.
    out[unchanged] = 0


@nb.njit(nogil=True, cache=True)
def _clip(left, middle, right, out):
    half = middle.dtype.type(0.5)
    for i in range(out.size):
        mean = half * (left[i] + right[i])
        here = middle[i]
        out[i] = mean if mean < here else here


@nb.njit(nogil=True, cache=True)
def _clip_within(left, middle, right, reach, width, out):
    half = middle.dtype.type(0.5)
    for i in range(out.size):
        mean = half * (left[i] + right[i])
        here = middle[i]
        out[i] = mean if mean < here and reach[i] >= width else here


@nb.njit(nogil=True, cache=True)
def _clip_strip(a, b, start, stop, width, reach, uniform):
    left, right = a[start - width : stop - width], a[start + width : stop + width]
    middle, target = a[start:stop], b[start:stop]
    if uniform:
        _clip(left, middle, right, target)
    else:
        _clip_within(left, middle, right, reach[start:stop], width, target)


@nb.njit(nogil=True, cache=True)
def erode_rows(V, reach, widest, uniform, out):
    """Set `out` to the rows of `V` clipped with windows from `widest` down to 1.

    `uniform` says that `reach` (m,) is `widest` everywhere. All passes go over a strip
    that the L1 cache holds before the next strip. A pass stays behind the one before it
    by that one's window, which has all it reads, and overwrites nothing that is still
    to be read.
    """
    m = V.shape[1]
    buffer = np.empty(m, V.dtype)
    widest = min(widest, (m - 1) // 2)
    behind = widest * (widest + 1) // 2
    for r in range(V.shape[0]):
        # The number of passes decides which buffer is first, so that `out` is last.
        first, second = (buffer, out[r]) if widest % 2 else (out[r], buffer)
        first[:] = V[r]
        for strip in range(0, m + behind, STRIP):
            a, b = first, second
            start = strip
            for width in range(widest, 0, -1):
                low, high = max(start, 0), max(min(start + STRIP, m), 0)
                # Points whose window reaches beyond an end stay as they are.
                left, right = max(low, width), min(high, m - width)
                b[low : min(high, width)] = a[low : min(high, width)]
                b[max(low, m - width) : high] = a[max(low, m - width) : high]
                if left < right:
                    _clip_strip(a, b, left, right, width, reach, uniform)
                a, b = b, a
                start -= width


def snip_rows(X, reach, out, linear=False):
    """Set `out` to the rows of `X` (n, m) minus their SNIP baselines.

    `reach` (m,) int64 is the half window at each point, in points. Near the ends it
    is as wide as fits on both sides. `linear` clips intensities as they are.
    """
    n, m = X.shape
    if m == 0:
        return
    widest = int(reach.max())
    uniform = bool(np.all(reach == widest))
    size = min(max(1, BLOCK // m), max(n, 1))
    # Kept from block to block: threads wait for each other where memory is given out.
    levels, bases = np.empty((2, size, m), X.dtype)
    for start in range(0, n, size):
        y = X[start : start + size]
        v, base = levels[: len(y)], bases[: len(y)]
        if linear:
            np.maximum(y, y.dtype.type(0), out=v)
        else:
            _compress(y, v)
        erode_rows(v, reach, widest, uniform, base)
        if linear:
            np.subtract(v, base, out=out[start : start + size])
        else:
            _subtract(y, v, base, out[start : start + size])


@nb.njit(nogil=True, cache=True)
def grid_positions(mz, indptr, knots, steps, low, high, limit, position, length):
    """Number the points of ragged spectra on the grid of their samples.

    Gaps wider than `limit` are cut down to it. `position` (n_points,) counts from 0 at
    `low`; `length` (n,) is the number of grid points up to `high`. `steps` is the
    spacing of the grid at `knots`, linear between them.
    """
    last = knots.size - 1
    for s in range(length.size):
        first, stop = indptr[s], indptr[s + 1]
        place, before, q = 0, low, 0
        step = steps[0]
        for k in range(first, stop):
            x = mz[k]
            while q < last - 1 and knots[q + 1] <= x:
                q += 1
            if last > 0:
                t = (x - knots[q]) / (knots[q + 1] - knots[q])
                t = min(max(t, 0.0), 1.0)
                step = steps[q] + t * (steps[q + 1] - steps[q])
            gap = min(np.rint((x - before) / step), np.float64(limit))
            if k > first:
                place += max(1, int(gap))
            else:
                place = max(0, int(gap))
            position[k] = place
            before = x
        gap = min(np.rint((high - before) / step), np.float64(limit))
        length[s] = place + 1 + max(0, int(gap))


@nb.njit(nogil=True, cache=True)
def _erode_points(v, ground, indptr, position, length, reach, out):
    half = v.dtype.type(0.5)
    longest = 0
    for s in range(length.size):
        longest = max(longest, length[s])
    dense = np.full(longest, ground, v.dtype)
    for s in range(length.size):
        first, stop = indptr[s], indptr[s + 1]
        if first == stop:
            continue
        here, near, result = position[first:stop], reach[first:stop], out[first:stop]
        result[:] = v[first:stop]
        n, end = here.size, length[s]
        widest = 0
        for k in range(n):
            dense[here[k]] = result[k]
            widest = max(widest, near[k])
        for width in range(widest, 0, -1):
            # Points whose window reaches beyond the axis stay as they are.
            k0 = np.searchsorted(here, width)
            k1 = np.searchsorted(here, end - width)
            for k in range(k0, k1):
                mean = half * (dense[here[k] - width] + dense[here[k] + width])
                if mean < result[k] and near[k] >= width:
                    result[k] = mean
            for k in range(k0, k1):
                dense[here[k]] = result[k]
        for k in range(n):
            dense[here[k]] = ground


def snip_points(intensity, indptr, position, length, reach, out, linear=False):
    """Do the same for ragged spectra: grid points that are not stored are 0.

    `position` and `length` come from :func:`grid_positions`; `reach` (n_points,) is
    the half window at each point, in points of the grid.
    """
    zero = np.zeros(1, intensity.dtype)
    v = np.maximum(intensity, zero) if linear else _compress(intensity)
    base = np.empty_like(v)
    ground = (zero if linear else _compress(zero))[0]
    _erode_points(v, ground, indptr, position, length, reach, base)
    if linear:
        np.subtract(v, base, out=out)
    else:
        _subtract(intensity, v, base, out)
