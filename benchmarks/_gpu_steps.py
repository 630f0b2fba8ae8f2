"""The steps whose speed on a GPU is measured: one function each, in a table at the end.

Each function makes random data of a size and returns a :class:`Step`: the same work for
two threads of the processor and for the device.
"""

from collections.abc import Callable

import numpy as np
from _gpu_data import Size, Step, features, in_two, merged, part, ragged, shared
from _gpu_machine import Card
from scipy import sparse
from sklearn.cluster import KMeans

from imsminer import MassAligner, MassAxis
from imsminer.core._kernels import (
    accumulate_cuda,
    accumulate_numba,
    binning_cuda,
    binning_numba,
    binning_spread_cuda,
    binning_spread_numba,
    integrate_cuda,
    integrate_numba,
)
from imsminer.images import _kmeans
from imsminer.images._kernels import neighbors_cuda, shrunken_cuda, shrunken_numba
from imsminer.spectra._kernels import (
    normalize_cuda,
    normalize_numba,
    snip_cuda,
    snip_numba,
    tophat_cuda,
    tophat_numba,
)

__all__ = ["STEPS"]


def mean_shared(size: Size, at: Card) -> Step:
    X = shared(size)
    given = at.put(X)

    def cpu():
        total = np.zeros((2, size.columns))
        in_two(
            lambda s: accumulate_numba.sum_rows(X[s], total[int(s.start > 0)]), len(X)
        )
        return total.sum(axis=0)

    return Step(
        cpu, lambda: accumulate_cuda.sum_rows(given), (X,), X.nbytes, ">= 50 % of copy"
    )


def fused_shared(size: Size, at: Card) -> Step:
    X = shared(size)
    given, m = at.put(X), size.columns

    def half(rows):
        maximum = np.full(m, -np.inf)
        found = np.zeros(m), maximum, np.zeros(m, np.int64), np.zeros(m)
        accumulate_numba.accumulate_rows(X[rows], *found)
        return found

    return Step(
        lambda: merged(in_two(half, len(X))),
        lambda: accumulate_cuda.accumulate_rows(given),
        (X,),
        X.nbytes,
        ">= 50 % of copy",
    )


def mean_ragged(size: Size, at: Card) -> Step:
    mz, intensity, indptr = ragged(size)
    edges = MassAxis.even(size.ppm * 1e-3).resolve(300, 1500).edges
    guide = binning_numba.build_guide(edges)
    given = tuple(map(at.put, (mz, intensity, indptr, edges)))

    def half(rows):
        total = np.zeros(edges.size - 1)
        points, bounds = part(indptr, rows)
        binning_numba.sum_points(
            mz[points], intensity[points], bounds, guide, edges, total
        )
        return total

    return Step(
        lambda: sum(in_two(half, size.spectra)),
        lambda: binning_cuda.sum_points(*given)[0],
        (mz, intensity),
        mz.nbytes + intensity.nbytes,
        ">= 50 % of copy",
    )


def fused_ragged(size: Size, at: Card) -> Step:
    mz, intensity, indptr = ragged(size)
    edges = MassAxis.ppm(size.ppm).resolve(300, 1500).edges
    guide, n = binning_numba.build_guide(edges), edges.size - 1
    given = tuple(map(at.put, (mz, intensity, indptr, edges)))

    def half(rows):
        found = np.zeros(n), np.zeros(n), np.zeros(n, np.int64), np.zeros(n)
        points, bounds = part(indptr, rows)
        binning_numba.accumulate_points(
            mz[points], intensity[points], bounds, guide, edges, *found
        )
        return found

    return Step(
        lambda: merged(in_two(half, size.spectra)),
        lambda: binning_cuda.accumulate_points(*given)[:4],
        (mz, intensity),
        mz.nbytes + intensity.nbytes,
        ">= 50 % of copy",
    )


def mean_profiles(size: Size, at: Card) -> Step:
    """Samples are spread over the bins that their cells overlap."""
    mz, intensity, indptr = ragged(size)
    edges = MassAxis.ppm(size.ppm).resolve(300, 1500).edges
    guide = binning_numba.build_guide(edges)
    given = tuple(map(at.put, (mz, intensity, indptr, edges, edges)))

    def half(rows):
        total = np.zeros(edges.size - 1)
        points, _ = part(indptr, rows)
        binning_spread_numba.spread_sum_points(
            mz[points], intensity[points], guide, edges, guide, edges, total
        )
        return total

    return Step(
        lambda: sum(in_two(half, size.spectra)),
        lambda: binning_spread_cuda.spread_sum_points(*given)[0],
        (mz, intensity),
        mz.nbytes + intensity.nbytes,
        ">= 50 % of copy",
    )


def windows_shared(size: Size, at: Card) -> Step:
    X = shared(size)
    # As much as 200 peaks of 40 points, or a quarter of a small spectrum.
    width = min(40, size.columns // (4 * size.windows))
    left = np.linspace(0, size.columns - width, size.windows).astype(np.int64)
    right = left + width
    given = at.put(X)
    out = np.empty((size.rows, size.windows), np.float32)

    def cpu():
        kernel = integrate_numba.sum_windows_rows
        in_two(lambda s: kernel(X[s], left, right, out[s]), len(X))
        return out

    return Step(
        cpu,
        lambda: integrate_cuda.sum_windows_rows(given, left, right),
        (X,),
        size.rows * size.windows * width * 4 + out.nbytes,
        ">= 50 % of copy",
    )


def windows_ragged(size: Size, at: Card, *, area: bool = False) -> Step:
    mz, intensity, indptr = ragged(size)
    centre = np.linspace(310, 1490, size.windows)
    low, high = centre * (1 - 5e-4), centre * (1 + 5e-4)
    # As wide as points are apart.
    cells = np.linspace(300, 1500, size.points + 1)
    guide = (binning_numba.build_guide(cells), cells)
    more = guide if area else ()
    kernel = integrate_numba.area_points if area else integrate_numba.integrate_points
    ours = integrate_cuda.area_points if area else integrate_cuda.integrate_points
    given = tuple(map(at.put, (mz, intensity, indptr)))
    out = np.empty((size.spectra, size.windows), np.float32)

    def half(rows):
        points, bounds = part(indptr, rows)
        kernel(mz[points], intensity[points], bounds, *more, low, high, out[rows])

    def cpu():
        in_two(half, size.spectra)
        return out

    every = np.sort(mz)
    inside = int((np.searchsorted(every, high) - np.searchsorted(every, low)).sum())
    # To find a window takes some six lines of 32 bytes of m/z.
    floor = inside * (12 if area else 4) + out.size * 6 * 32 + out.nbytes
    return Step(
        cpu,
        lambda: ours(*given, *((None, more[1]) if area else ()), low, high),
        (mz, intensity),
        floor,
        ">= 50 % of copy",
    )


def areas_ragged(size: Size, at: Card) -> Step:
    return windows_ragged(size, at, area=True)


def snip(size: Size, at: Card) -> Step:
    X = shared(size)
    reach = np.full(size.columns, min(40, size.columns // 10))
    given, out = at.put(X), np.empty_like(X)

    def cpu():
        in_two(lambda s: snip_numba.snip_rows(X[s], reach, out[s]), len(X))
        return out

    return Step(
        cpu, lambda: snip_cuda.snip_rows(given, reach), (X,), None, ">= 10 × the CPU"
    )


def tophat(size: Size, at: Card) -> Step:
    X = shared(size)
    reach = np.full(size.columns, min(40, size.columns // 10))
    given, out = at.put(X), np.empty_like(X)

    def cpu():
        in_two(lambda s: tophat_numba.open_rows(X[s], reach, out[s]), len(X))
        return out

    return Step(cpu, lambda: tophat_cuda.open_rows(given, reach), (X,))


def align(size: Size, at: Card) -> Step:
    """Match, fit and resample: the estimator, since only it knows its models."""
    rng = np.random.default_rng(2)
    places = np.linspace(0, size.columns, 42)[1:-1]
    x = np.arange(size.columns)
    X = rng.normal(0, 1, (size.rows, size.columns)).astype(np.float32)
    shift = rng.normal(0, 2, (size.rows, 1))
    for place in places:
        near = np.abs(x - place) < 30
        X[:, near] += 40 * np.exp(-0.5 * ((x[near] - place - shift) / 3.4) ** 2)
    settings = {
        "reference": places,
        "tolerance": 16.0,
        "guard": False,
        "min_matches": 2,
    }
    ours = MassAligner(**settings, n_jobs=2).fit(X)
    given = at.put(X)
    theirs = MassAligner(**settings).fit(given)
    return Step(
        lambda: ours.transform(X),
        lambda: theirs.transform(given),
        (X,),
        None,
        ">= 10 × the CPU",
    )


def normalize(size: Size, at: Card) -> Step:
    """Total ion current of ragged spectra, and the division by it."""
    _, intensity, indptr = ragged(size)
    given, bounds = at.put(intensity), at.put(indptr)
    out = np.empty_like(intensity)

    def half(rows):
        points, own = part(indptr, rows)
        total = np.empty(own.size - 1)
        normalize_numba.sum_points(intensity[points], own, total)
        normalize_numba.divide_points(intensity[points], own, total, out[points])

    def cpu():
        in_two(half, size.spectra)
        return out

    def gpu():
        total = normalize_cuda.sum_points(given, bounds)
        return normalize_cuda.divide_points(given, bounds, total)

    return Step(cpu, gpu, (intensity,), 3 * intensity.nbytes)


def segment(size: Size, at: Card) -> Step:
    """Our k-means, whether cuML is there or not."""
    X = features(size)
    given = at.put(X)
    settings = (7, size.starts, 300, 1e-4, 0)

    def cpu():
        model = KMeans(7, n_init=size.starts, random_state=0).fit(X)
        return np.float64(model.inertia_)

    def gpu():
        return np.float64(_kmeans._lloyd_best(given, *settings)[1])

    return Step(cpu, gpu, (X,), None, ">= 20 × the CPU")


def neighbors(size: Size, at: Card) -> Step:
    """Weighted mean over eight neighbours in a rectangle, as a padded table."""
    X = features(size)
    steps = np.array([-261, -260, -259, -1, 1, 259, 260, 261])
    index = np.clip(np.arange(size.pixels)[:, None] + steps, 0, size.pixels - 1)
    weights = np.random.default_rng(4).random(index.shape).astype(np.float32)
    given = tuple(map(at.put, (X, index, weights)))

    bounds = np.arange(0, index.size + 1, index.shape[1])
    matrix = sparse.csr_array((weights.ravel(), index.ravel(), bounds))

    def cpu():
        return np.concatenate(in_two(lambda s: matrix[s] @ X, len(X)))

    n_bytes = 2 * X.nbytes + index.nbytes + weights.nbytes
    gpu = neighbors_cuda.neighbor_mean
    return Step(cpu, lambda: gpu(*given), (X, index, weights), n_bytes)


def centroids(size: Size, at: Card) -> Step:
    """Distances of pixels to shrunken centroids."""
    X = features(size)
    centers, scale = X[:6].astype(np.float64), np.linspace(0.5, 2, size.ions)
    given = tuple(map(at.put, (X, centers, scale)))
    out = np.empty((len(X), 6))

    def cpu():
        kernel = shrunken_numba.class_distances
        in_two(lambda s: kernel(X[s], centers, scale, out[s]), len(X))
        return out

    n_bytes = X.nbytes + out.nbytes
    return Step(cpu, lambda: shrunken_cuda.class_distances(*given), (X,), n_bytes)


#: A line for each step.
STEPS: dict[str, Callable[[Size, Card], Step]] = {
    "mean, shared axis": mean_shared,
    "mean, maximum, frequency, shared axis": fused_shared,
    "mean, own axes, even bins": mean_ragged,
    "mean, maximum, frequency, own axes, ppm bins": fused_ragged,
    "mean of profiles, own axes, ppm bins": mean_profiles,
    "sums of windows, shared axis": windows_shared,
    "sums of windows, own axes": windows_ragged,
    "areas of windows, own axes": areas_ragged,
    "SNIP, ± 40 points": snip,
    "top-hat, ± 40 points": tophat,
    "alignment: match, fit, resample": align,
    "total ion current": normalize,
    "k-means, 7 clusters": segment,
    "mean over 8 neighbours": neighbors,
    "distances to 6 centroids": centroids,
}
