"""Lloyd's iterations against scikit-learn's, through all odd turns."""

import array_api_strict
import numpy as np
import pytest
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from imsminer.images._kernels.kmeans_xp import distances, lloyd, nearest
from imsminer.images._kmeans import _draw_starts, by_size, kmeans


def blobs(n_points=300, dtype=np.float64, seed=0):
    random = np.random.default_rng(seed)
    centers = random.normal(size=(6, 5)) * 3
    return (
        centers[random.integers(0, 6, n_points)] + random.normal(size=(n_points, 5))
    ).astype(dtype)


@pytest.mark.parametrize("max_iter", [1, 2, 300])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lloyd_is_scikit_learns(max_iter, seed):
    points = blobs(seed=seed)
    points -= points.mean(axis=0)
    start = points[np.random.default_rng(seed).permutation(len(points))[:7]]
    model = KMeans(7, init=start, n_init=1, max_iter=max_iter, tol=0).fit(points)
    labels, centers, inertia, n_iter = lloyd(points, start, max_iter, 0.0)
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_allclose(centers, model.cluster_centers_, atol=1e-12)
    assert inertia == pytest.approx(model.inertia_)
    assert n_iter == model.n_iter_


def test_empty_clusters_move_to_the_farthest_points():
    points = blobs()
    points -= points.mean(axis=0)
    # Far away, two starts get no point at first.
    start = np.concatenate([points[:4], points[:2] + 1000])
    model = KMeans(6, init=start, n_init=1, tol=0).fit(points)
    labels, centers, inertia, _ = lloyd(points, start, 300, 0.0)
    assert np.unique(labels).size == 6
    np.testing.assert_array_equal(labels, model.labels_)
    np.testing.assert_allclose(centers, model.cluster_centers_, atol=1e-12)
    assert inertia == pytest.approx(model.inertia_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_namespaces_agree(dtype):
    points = blobs(dtype=dtype) + dtype(5)
    settings = {"n_init": 5, "max_iter": 300, "tol": 1e-4, "random_state": 7}
    expected = kmeans(points, 6, **settings)
    found = kmeans(array_api_strict.asarray(points), 6, **settings)
    np.testing.assert_array_equal(np.asarray(found.labels), expected.labels)
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    np.testing.assert_allclose(
        np.asarray(found.centers), expected.centers, rtol=tolerance, atol=tolerance
    )
    assert found.inertia == pytest.approx(expected.inertia, rel=tolerance)


def test_fewer_distinct_points_than_clusters():
    points = np.repeat([[0.0, 0.0], [1.0, 5.0]], [4, 3], axis=0)
    settings = {"n_init": 2, "max_iter": 10, "tol": 1e-4, "random_state": 0}
    for given in (points, array_api_strict.asarray(points)):
        with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(2\)"):
            found = kmeans(given, 3, **settings)
        np.testing.assert_array_equal(np.asarray(found.labels), [0] * 4 + [1] * 3)


def test_distances_keep_their_digits():
    points = np.float32(1e4) + np.arange(8, dtype=np.float32).reshape(4, 2)
    expected = np.linalg.norm(points[:, None].astype(float) - points[None], axis=2)
    np.testing.assert_allclose(distances(points, points), expected, rtol=1e-6)


def test_nearest_takes_the_first_of_equals():
    points = np.array([[0.0], [1.0], [2.0]])
    labels = nearest(points, np.array([[0.0], [2.0], [2.0]]))
    np.testing.assert_array_equal(labels, [0, 0, 1])
    assert labels.dtype == np.int32


def test_by_size():
    labels, order = by_size(np.array([3, 1, 1, 0, 0, 4]), 6)
    np.testing.assert_array_equal(order, [1, 0, 3, 4, 2, 5])
    np.testing.assert_array_equal(labels, [2, 0, 0, 1, 1, 3])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_starts_are_scikit_learns(dtype):
    points = blobs(dtype=dtype)
    random = np.random.RandomState(4)
    expected = [kmeans_plusplus(points, 6, random_state=random)[0] for _ in range(3)]
    given = array_api_strict.asarray(points)
    found = _draw_starts(given, 6, 3, np.random.RandomState(4))
    np.testing.assert_array_equal(np.asarray(found), np.stack(expected))


def test_starts_among_equal_points():
    points = array_api_strict.ones((5, 2))
    found = _draw_starts(points, 3, 2, np.random.RandomState(0))
    np.testing.assert_array_equal(np.asarray(found), np.ones((2, 3, 2)))
