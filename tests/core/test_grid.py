"""Images and neighbours against brute force."""

import numpy as np
import pandas as pd
import pytest

from imsminer.core.grid import (
    coordinates_of,
    from_image,
    gaussian_weights,
    known_coordinates,
    neighbor_matrix,
    to_image,
)


def indexed(runs, coordinates, n_features=2):
    x, y, z = np.asarray(coordinates).T
    index = pd.MultiIndex.from_arrays([runs, x, y, z], names=["run", "x", "y", "z"])
    return pd.DataFrame(np.ones((len(x), n_features)), index=index)


@pytest.fixture
def holed():
    """Pixels of two runs and two planes, with gaps, in random order."""
    random = np.random.default_rng(0)
    cells = np.stack(np.meshgrid(range(7), range(6), (0, 1), (0, 1)), -1).reshape(-1, 4)
    cells = cells[random.random(len(cells)) < 0.6]
    random.shuffle(cells)
    coordinates = cells[:, :3] + np.array([1000, -5, 0])
    return coordinates_of(
        np.ones((len(cells), 1)), coordinates, cells[:, 3], estimator="test"
    )


def brute_force(pixels, radius):
    """Breadth-first search by king's moves."""
    c, runs = pixels
    step = (
        (np.abs(c[:, None, :2] - c[None, :, :2]).max(axis=2) == 1)
        & (c[:, None, 2] == c[None, :, 2])
        & (runs[:, None] == runs[None, :])
    )
    reached = np.eye(len(c), dtype=bool)
    for _ in range(radius):
        reached |= reached @ step
    np.fill_diagonal(reached, False)
    return reached


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_neighbors_are_those_that_steps_reach(holed, radius):
    found = neighbor_matrix(holed, radius)
    np.testing.assert_array_equal(found.toarray(), brute_force(holed, radius))
    assert found.data.min() == 1
    assert found.has_sorted_indices


def test_a_full_rectangle_has_chebyshev_neighbors():
    y, x = np.mgrid[:9, :8].reshape(2, -1)
    xy = np.stack([x, y], axis=1)
    pixels = coordinates_of(np.ones((72, 1)), xy, estimator="test")
    distance = np.abs(xy[:, None] - xy[None]).max(axis=2)
    expected = (distance > 0) & (distance <= 2)
    np.testing.assert_array_equal(neighbor_matrix(pixels, 2).toarray(), expected)


def test_neighbors_of_a_repeated_position():
    xy = [[0, 0], [1, 0], [1, 0], [2, 0]]
    pixels = coordinates_of(np.ones((4, 1)), xy, estimator="test")
    expected = [[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]]
    np.testing.assert_array_equal(neighbor_matrix(pixels).toarray(), expected)
    lone = coordinates_of(np.ones((1, 1)), [[3, 4]], estimator="test")
    assert neighbor_matrix(lone, 2).nnz == 0


def test_gaussian_weights(holed):
    radius = 2
    near = brute_force(holed, radius)
    offset = holed.coordinates[:, None] - holed.coordinates[None]
    expected = near * np.exp(-(offset**2).sum(axis=2) / (2 * 1.25**2))
    alone = ~near.any(axis=1)
    expected[alone, alone] = 1
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(gaussian_weights(holed, radius).toarray(), expected)
    assert alone.sum() == 0 or expected[alone].max() == 1


def test_image_and_back():
    random = np.random.default_rng(1)
    cells = np.stack(np.meshgrid(range(5), range(4)), -1).reshape(-1, 2)
    cells = cells[random.permutation(20)[:13]]
    values = random.normal(size=13).astype(np.float32)
    image = to_image(values, cells + np.array([-3, 100]))
    assert image.dtype == np.float32
    x, y = (cells - cells.min(axis=0)).T
    np.testing.assert_array_equal(image[y, x], values)
    assert np.isnan(image).sum() == image.size - 13
    np.testing.assert_array_equal(from_image(image, cells), values)
    with pytest.raises(ValueError, match="the pixels span"):
        from_image(image[1:], cells)


def test_image_of_integers_has_nan_outside():
    image = to_image([1, 2], [[0, 0], [1, 1]])
    np.testing.assert_array_equal(image, [[1, np.nan], [np.nan, 2]])


def test_image_refuses_what_it_cannot_show():
    with pytest.raises(ValueError, match=r"first is \(x, y\) = \(7, 9\)"):
        to_image([1.0, 2.0, 3.0], [[7, 9], [6, 9], [7, 9]])
    with pytest.raises(ValueError, match="several z"):
        to_image([1.0, 2.0], [[0, 0, 0], [1, 0, 1]])
    with pytest.raises(ValueError, match="one number per pixel"):
        to_image([[1.0]], [[0, 0]])


def test_coordinates_from_the_index_and_overridden():
    c = [[5, 6, 0], [7, 8, 1]]
    X = indexed(["b", "a"], c)
    found = coordinates_of(X, estimator="test")
    np.testing.assert_array_equal(found.coordinates, c)
    np.testing.assert_array_equal(found.runs, [0, 1])
    found = coordinates_of(X, [[1, 2], [3, 4]], estimator="test")
    np.testing.assert_array_equal(found.coordinates, [[1, 2, 0], [3, 4, 0]])
    np.testing.assert_array_equal(found.runs, [0, 1])
    found = coordinates_of(X, runs=[3, 3], estimator="test")
    np.testing.assert_array_equal(found.runs, [0, 0])
    table = pd.DataFrame({"x": [1, 2], "y": [3, 4], "run": ["k", "l"]})
    found = coordinates_of(X.to_numpy(), table, estimator="test")
    np.testing.assert_array_equal(found.coordinates, [[1, 3, 0], [2, 4, 0]])
    np.testing.assert_array_equal(found.runs, [0, 1])


def test_coordinates_that_are_missing_or_wrong():
    X = np.ones((2, 3))
    assert known_coordinates(X) is None
    assert known_coordinates(pd.DataFrame(X)) is None
    with pytest.raises(ValueError, match=r"Thing needs to know where.*coordinates="):
        coordinates_of(X, estimator="Thing")
    with pytest.raises(ValueError, match="coordinates has 1 rows, but X has 2"):
        coordinates_of(X, [[1, 2]], estimator="Thing")
    with pytest.raises(ValueError, match="runs has 3 rows"):
        coordinates_of(X, [[1, 2], [3, 4]], [0, 0, 0], estimator="Thing")
    with pytest.raises(ValueError, match="shape"):
        coordinates_of(X, [1, 2], estimator="Thing")
    for bad in (1.5, np.nan, np.inf):
        with pytest.raises(ValueError, match="y has others"):
            coordinates_of(X, [[1.0, 2.0], [3.0, bad]], estimator="Thing")
