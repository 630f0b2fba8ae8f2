"""Simulated spectra, pixel by pixel: each pixel has a random stream of its own.

The stream is SplitMix64, seeded by the dataset's seed and the pixel's number, so that
a pixel's spectrum does not depend on how the pixels are split into chunks.
"""

import numpy as np
from numba import njit

__all__ = [
    "add_gaussians",
    "simulate_centroids",
    "simulate_dense",
    "simulate_sparse",
]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S11, _S27, _S30 = np.uint64(11), np.uint64(27), np.uint64(30)
_S31, _S48 = np.uint64(31), np.uint64(48)
_LOW_32 = np.uint64(0xFFFFFFFF)
_UNIT = 1.0 / 9007199254740992.0

# A Poisson mean above this is drawn as a rounded normal.
_LARGE_MEAN = 30.0
# Gaussians reach this many standard deviations: 6e-7 of the area is cut off.
REACH = 5.0


@njit(nogil=True, cache=True)
def _word(state):
    state[0] += _GOLDEN
    z = state[0]
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    return z ^ (z >> _S31)


@njit(nogil=True, cache=True)
def _seed(state, seed, pixel):
    state[0] = seed
    state[0] = _word(state) ^ (np.uint64(pixel) * _MIX_2)
    state[0] = _word(state)


@njit(nogil=True, cache=True)
def _uniform(state):
    """Draw from (0, 1]."""
    return (np.float64(_word(state) >> _S11) + 1.0) * _UNIT


@njit(nogil=True, cache=True)
def _tail(bits, state, table):
    """Draw a normal number beyond the outermost quantiles (Marsaglia's method).

    It has a stream of its own, which starts from `bits`, so that skipping the draw
    leaves what follows as it is.
    """
    own = state[1:]
    own[0] = bits
    edge = -0.5 * (table[0] + table[1])
    while True:
        x = -np.log(_uniform(own)) / edge
        y = -np.log(_uniform(own))
        if 2.0 * y > x * x:
            break
    return edge + x if bits >> _S48 else -edge - x


@njit(nogil=True, cache=True)
def _normal(state, table):
    """Draw a normal number: one of 65,536 quantiles, or from the tail beyond."""
    bits = _word(state)
    word = np.int64(bits >> _S48)
    return table[word] if 0 < word < 65535 else _tail(bits, state, table)


@njit(nogil=True, cache=True)
def _poisson(mean, none, state, table):
    """Draw a Poisson number; `none` is exp(-mean)."""
    if mean > _LARGE_MEAN:
        return max(0.0, np.floor(mean + np.sqrt(mean) * _normal(state, table) + 0.5))
    u = _uniform(state)
    total = none
    term = none
    k = 0
    while u > total and k < 200:
        k += 1
        term *= mean / k
        total += term
    return np.float64(k)


@njit(nogil=True, cache=True)
def _add(signal, grid, center, sigma, height):
    """Add a Gaussian to grid points that all lie within its reach."""
    scale = -0.5 / (sigma * sigma)
    for k in range(grid.size):
        d = grid[k] - center
        signal[k] += height * np.exp(scale * d * d)


@njit(nogil=True, cache=True)
def add_gaussians(signal, grid, centers, sigmas, heights, reach):
    """Add Gaussians of any place and height to a profile."""
    for j in range(centers.size):
        if heights[j] != 0.0:
            half = reach * sigmas[j]
            a = np.searchsorted(grid, centers[j] - half)
            b = np.searchsorted(grid, centers[j] + half)
            _add(signal[a:b], grid[a:b], centers[j], sigmas[j], heights[j])


@njit(nogil=True, cache=True)
def _chemistry(signal, grid, width, chemistry, state, table):
    """Add ions at random places, of exponential height."""
    count, height = chemistry[0], chemistry[1]
    n = _poisson(count, np.exp(-count), state, table)
    low, high = grid[0], grid[grid.size - 1]
    for _ in range(np.int64(n)):
        center = low + (high - low) * _uniform(state)
        sigma = width[0] * center ** width[1]
        apex = -height * np.log(_uniform(state))
        a = np.searchsorted(grid, center - REACH * sigma)
        b = np.searchsorted(grid, center + REACH * sigma)
        _add(signal[a:b], grid[a:b], center, sigma, apex)


@njit(nogil=True, cache=True)
def _stored(z, bits, level, weight, quantiles, z_first, z_scale):
    """Look up a noisy sample: the z-th normal score of its distribution.

    Of the two tabulated levels around its own it takes one by chance, so that the mean
    is exact.
    """
    place = min(max((z - z_first) * z_scale, 0.0), quantiles.shape[1] - 1.001)
    k = np.int64(place)
    dither = np.float64(bits & _LOW_32) * 2.0**-32
    row = quantiles[level + 1] if dither < weight else quantiles[level]
    return row[k] + (place - k) * (row[k + 1] - row[k])


@njit(nogil=True, cache=True)
def _disturb(signal, background, noise, tables, state):
    """Replace signal by noisy samples.

    background : (base, level, weight, skip), for each sample the baseline, its place
    among the levels of the quantile table, and the number of normal quantiles that
    stay below the threshold there.
    tables : (quantiles of normal numbers, quantiles of noisy samples at each level,
    first normal score, scores per unit, highest level).
    """
    base, level, weight, skip = background
    gain, sd = noise[0], noise[1]
    normals, quantiles, z_first, z_scale, highest = tables
    n_levels = quantiles.shape[0] - 1
    both = gain > 0.0 and sd > 0.0
    for k in range(signal.size):
        value = signal[k]
        untouched = value == 0.0
        value += base[k]
        if both:
            bits = _word(state)
            word = np.int64(bits >> _S48)
            if untouched and word < skip[k]:
                signal[k] = 0.0
                continue
            z = normals[word] if 0 < word < 65535 else _tail(bits, state, normals)
            if value >= highest:
                value += np.sqrt(sd * sd + gain * value) * z
            elif untouched:
                value = _stored(
                    z, bits, level[k], weight[k], quantiles, z_first, z_scale
                )
            else:
                root = n_levels * np.sqrt(value / highest)
                which = min(np.int64(root), n_levels - 1)
                low = highest * (which / n_levels) ** 2
                high = highest * ((which + 1) / n_levels) ** 2
                share = (value - low) / (high - low)
                value = _stored(z, bits, which, share, quantiles, z_first, z_scale)
        elif gain > 0.0:
            if value > 0.0:
                mean = value / gain
                value = gain * _poisson(mean, np.exp(-mean), state, normals)
        elif sd > 0.0:
            value += sd * _normal(state, normals)
        signal[k] = max(value, 0.0)


@njit(nogil=True, cache=True)
def _one(signal, grid, background, ions, width, shift, heights, noise, tables, state):
    """Simulate one pixel into `signal`.

    ions : (mz, sigma, lever, first, last); noise : (gain, sd, chemical count, height).
    """
    mz, sigma, lever, first, last = ions
    signal[:] = 0.0
    for j in range(mz.size):
        if heights[j] > 0.0:
            center = mz[j] * (1.0 + 1e-6 * (shift[0] + shift[1] * lever[j]))
            a, b = first[j], last[j]
            _add(signal[a:b], grid[a:b], center, sigma[j], heights[j])
    if noise[2] > 0.0:
        _chemistry(signal, grid, width, noise[2:], state, tables[0])
    _disturb(signal, background, noise, tables, state)


@njit(nogil=True, cache=True)
def simulate_dense(
    out, threshold, seed, pixels, grid, background, ions, width, shifts, heights,
    noise, tables,
):  # fmt: skip
    """Fill one row of `out` for each pixel, with 0 where below the threshold."""
    state = np.zeros(2, np.uint64)
    signal = np.zeros(grid.size)
    for i in range(pixels.size):
        _seed(state, seed, pixels[i])
        _one(signal, grid, background, ions, width, shifts[i], heights[i], noise,
             tables, state)  # fmt: skip
        row = out[i]
        for k in range(signal.size):
            row[k] = signal[k] if signal[k] >= threshold else 0.0


@njit(nogil=True, cache=True)
def simulate_sparse(
    index, intensity, indptr, threshold, seed, pixels, grid, background, ions, width,
    shifts, heights, noise, tables,
):  # fmt: skip
    """Store what is not below the threshold; return how many pixels found room."""
    state = np.zeros(2, np.uint64)
    signal = np.zeros(grid.size)
    filled = 0
    for i in range(pixels.size):
        _seed(state, seed, pixels[i])
        _one(signal, grid, background, ions, width, shifts[i], heights[i], noise,
             tables, state)  # fmt: skip
        for k in range(signal.size):
            if signal[k] >= threshold and signal[k] > 0.0:
                if filled == index.size:
                    return i
                index[filled] = k
                intensity[filled] = signal[k]
                filled += 1
        indptr[i + 1] = filled
    return pixels.size


@njit(nogil=True, cache=True)
def simulate_centroids(
    mz, intensity, indptr, threshold, seed, pixels, span, groups, ions, shifts,
    heights, noise, table,
):  # fmt: skip
    """Simulate lists of centroids; return how many pixels found room.

    groups : (bounds, order): ions ``order[bounds[g]:bounds[g + 1]]`` make one centroid.
    ions : (mz, sigma, lever, samples), the last one being the area in samples of a
    peak with apex 1; noise : (gain, sd, chemical count, chemical height).
    """
    bounds, order = groups
    ion_mz, sigma, lever, samples = ions
    gain, sd, count, height = noise[0], noise[1], noise[2], noise[3]
    state = np.zeros(2, np.uint64)
    found_mz = np.empty(bounds.size + np.int64(2 * count) + 1000)
    found = np.empty(found_mz.size)
    filled = 0
    for i in range(pixels.size):
        _seed(state, seed, pixels[i])
        n = 0
        for g in range(bounds.size - 1):
            total, place = 0.0, 0.0
            for p in range(bounds[g], bounds[g + 1]):
                j = order[p]
                ppm = shifts[i, 0] + shifts[i, 1] * lever[j]
                total += heights[i, j]
                place += heights[i, j] * ion_mz[j] * (1.0 + 1e-6 * ppm)
            if total <= 0.0:
                continue
            place /= total
            j = order[bounds[g]]
            value = total
            spread = 0.0
            if gain > 0.0:
                mean = total * samples[j] / gain
                value = _poisson(mean, np.exp(-mean), state, table) * gain / samples[j]
                spread += 1.0 / max(mean, 1.0)
            if sd > 0.0:
                value += sd * _normal(state, table)
                spread += (sd / max(value, sd)) ** 2 / samples[j]
            if spread > 0.0:
                place += sigma[j] * np.sqrt(min(spread, 1.0)) * _normal(state, table)
            if value >= threshold and value > 0.0 and span[0] <= place <= span[1]:
                found_mz[n], found[n] = place, value
                n += 1
        if count > 0.0:
            drawn = np.int64(_poisson(count, np.exp(-count), state, table))
            for _ in range(drawn):
                place = span[0] + (span[1] - span[0]) * _uniform(state)
                value = -height * np.log(_uniform(state))
                if value >= threshold and n < found.size:
                    found_mz[n], found[n] = place, value
                    n += 1
        if filled + n > mz.size:
            return i
        by_mz = np.argsort(found_mz[:n])
        for k in range(n):
            mz[filled + k] = found_mz[by_mz[k]]
            intensity[filled + k] = found[by_mz[k]]
        filled += n
        indptr[i + 1] = filled
    return pixels.size
