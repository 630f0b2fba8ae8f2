"""CUDA kernels of images against their definition in the array API."""

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer._cuda import THREADS
from imsminer.images._kernels import (
    kmeans_cuda,
    kmeans_xp,
    neighbors_cuda,
    neighbors_xp,
    shrunken_cuda,
    shrunken_xp,
    tiles_cuda,
)

MODULES = [
    (kmeans_cuda, kmeans_xp),
    (neighbors_cuda, neighbors_xp),
    (shrunken_cuda, shrunken_xp),
]
NAMES = {module: reference for module, reference in MODULES}
#: Points that fill some tiles and begin another, features that do not fill theirs.
N_POINTS, N_FEATURES = THREADS + 3, tiles_cuda.WIDTH + 2


def blobs(n_points, n_features, n_centers, dtype, seed=0):
    rng = np.random.default_rng(seed)
    centers = 3 * rng.normal(size=(n_centers, n_features))
    labels = rng.integers(0, n_centers, n_points)
    points = centers[labels] + rng.normal(size=(n_points, n_features))
    return points.astype(dtype), labels


def neighbors(n_pixels, n_slots, seed=0):
    rng = np.random.default_rng(seed)
    index = rng.integers(0, n_pixels, (n_pixels, n_slots))
    return index, rng.random((n_pixels, n_slots))


def groups(n_pixels, put):
    """Two groups of rows, out of order, with even and odd numbers of neighbours."""
    order = np.random.default_rng(1).permutation(n_pixels)
    for n_slots, rows in ((4, order[:5]), (1, order[5:6]), (9, order[6:])):
        index, _ = neighbors(n_pixels, n_slots)
        yield put(rows), put(index[rows])


def examples(put):
    """Yield (function of the _cuda module, arguments) for every function and dtype."""
    for dtype in (np.float32, np.float64):
        points, labels = blobs(N_POINTS, N_FEATURES, 3, dtype)
        # More centres than a group holds, the first two of them equal.
        many = points[: tiles_cuda.GROUP + 3].copy()
        many[1] = many[0]
        starts = np.stack([points[:3], points[3:6]])
        given, codes = put(points), put(labels.astype(np.int32))
        found = put(kmeans_xp.nearest(points, points[:3]))
        yield kmeans_cuda.nearest, (given, put(many))
        yield kmeans_cuda.distances, (given, put(many))
        yield kmeans_cuda.lloyd, (given, put(points[:3]), 20, 0.0)
        yield kmeans_cuda.lloyd_starts, (given, put(starts), 20, 1e-3)
        yield kmeans_cuda.moved_centers, (given, put(points[:3]), found)
        means = np.random.default_rng(2).normal(size=(3, N_FEATURES))
        scale = np.random.default_rng(3).uniform(0.5, 2, N_FEATURES)
        yield shrunken_cuda.class_sums, (given, codes, 3)
        yield shrunken_cuda.class_sums, (given, put(labels), 3)
        yield shrunken_cuda.squares_within, (given, codes, put(means))
        yield shrunken_cuda.squares_within, (given, put(labels), put(means))
        yield shrunken_cuda.class_distances, (given, put(means), put(scale))
        # Sparse and with ties, as ion images are.
        values = np.round(np.maximum(points[:, :5], 0))
        index, weights = neighbors(N_POINTS, 4)
        padded = put(index), put(weights.astype(dtype))
        yield neighbors_cuda.neighbor_mean, (put(values), *padded)
        around = list(groups(N_POINTS, put))
        yield neighbors_cuda.neighbor_median, (put(values), around)
        yield neighbors_cuda.neighbor_median, (put(-values), around)


def flat(result):
    """Arrays and numbers of a result, in order."""
    if isinstance(result, (list, tuple)):
        return [one for part in result for one in flat(part)]
    return [result]


@pytest.mark.parametrize(("module", "reference"), MODULES)
def test_same_functions(module, reference):
    assert module.__all__ == reference.__all__
    called = {function.__name__ for function, _ in examples(np.asarray)}
    assert set(module.__all__) <= called


@pytest.mark.parametrize("number", range(len(list(examples(np.asarray)))))
def test_examples_equal_the_definition(device, number):
    function, arguments = list(examples(device.put))[number]
    _, on_host = list(examples(np.asarray))[number]
    reference = next(
        getattr(xp, function.__name__)
        for module, xp in MODULES
        if getattr(module, function.__name__, None) is function
    )
    found, expected = flat(function(*arguments)), flat(reference(*on_host))
    assert len(found) == len(expected)
    single = arguments[0].dtype == np.float32
    for one, other in zip(found, expected, strict=True):
        one = device.get(one) if hasattr(one, "dtype") else one
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)
        np.testing.assert_allclose(
            one, other, rtol=1e-5 if single else 1e-12, atol=1e-5 if single else 1e-12
        )


@pytest.mark.parametrize("n_points", [1, THREADS, 5 * THREADS - 1])
def test_any_number_of_points(device, n_points):
    points, labels = blobs(n_points, 3, 2, np.float64, seed=n_points)
    found = kmeans_cuda.nearest(device.put(points), device.put(points[:1]))
    np.testing.assert_array_equal(device.get(found), np.zeros(n_points))
    sums = shrunken_cuda.class_sums(device.put(points), device.put(labels), 2)
    expected = shrunken_xp.class_sums(points, labels, 2)
    np.testing.assert_allclose(device.get(sums), expected, atol=1e-12)


def test_the_first_of_equal_centers(device):
    points, _ = blobs(THREADS + 1, 4, 2, np.float32)
    centers = np.repeat(points[:2], tiles_cuda.GROUP, axis=0)
    labels = device.get(kmeans_cuda.nearest(device.put(points), device.put(centers)))
    assert set(labels) == {0, tiles_cuda.GROUP}
    assert labels.dtype == np.int32


@pytest.mark.parametrize("max_iter", [2, 50])
def test_lloyd_fills_empty_clusters(device, max_iter):
    points, _ = blobs(THREADS + 3, 2, 3, np.float64, seed=4)
    # Far away, two centres of the second start get no point at first.
    away = np.concatenate([points[:2], points[:2] + 1000])
    assert set(kmeans_xp.nearest(points, away)) == {0, 1}
    starts = np.stack([points[:4], away])
    found = kmeans_cuda.lloyd_starts(
        device.put(points), device.put(starts), max_iter, 0.0
    )
    for start, one in zip(starts, found, strict=True):
        labels, centers, inertia, n_iter = kmeans_xp.lloyd(points, start, max_iter, 0.0)
        np.testing.assert_array_equal(device.get(one[0]), labels)
        np.testing.assert_allclose(device.get(one[1]), centers, atol=1e-12)
        assert one[2] == pytest.approx(inertia, rel=1e-12)
        assert one[3] == n_iter


def test_slabs_hold_every_point_once():
    for n_points in (1, THREADS, 100 * THREADS + 1, 34_840, 10**6):
        for n_sums in (1, 7, 200, 10**7):
            n_slabs, n_rows = tiles_cuda.slabs(n_points, n_sums)
            assert n_rows % THREADS == 0
            assert (n_slabs - 1) * n_rows < n_points <= n_slabs * n_rows
            assert n_slabs == 1 or n_slabs * n_sums <= n_points / 4
