"""Moran's I against the dense formula and against permutations."""

import os

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context

from imsminer.core.grid import coordinates_of, neighbor_matrix
from imsminer.core.moran import moran_i, moran_test

N_RUNS = 2


@pytest.fixture
def study():
    """Features on the holed grids of two runs, in random order."""
    random = np.random.default_rng(3)
    cells = np.stack(np.meshgrid(range(9), range(8), (0, 1)), -1).reshape(-1, 3)
    cells = cells[random.random(len(cells)) < 0.8]
    random.shuffle(cells)
    x, _, run = cells.T
    features = np.stack(
        [
            random.normal(size=len(x)),
            np.sin(x / 2) + 0.1 * random.normal(size=len(x)),
            np.exp(random.normal(size=len(x))),
            5.0 * run,
        ],
        axis=1,
    )
    return features, cells[:, :2], run


def dense(z, W):
    z = z - z.mean()
    return len(z) / W.sum() * (z @ W @ z) / (z @ z)


@pytest.mark.parametrize("radius", [1, 2])
def test_one_run_is_the_textbook_formula(study, radius):
    features, xy, run = study
    features, xy = features[run == 0, :3], xy[run == 0]
    pixels = coordinates_of(features, xy, estimator="test")
    W = neighbor_matrix(pixels, radius).toarray().astype(float)
    expected = [dense(column, W) for column in features.T]
    np.testing.assert_allclose(moran_i(features, xy, radius=radius), expected)


def test_permutations_have_the_stated_moments(study):
    features, xy, run = study
    features = features[:, :3]
    random = np.random.default_rng(0)
    table = moran_test(features, xy, run)
    rows = [np.flatnonzero(run == r) for r in range(N_RUNS)]
    drawn = []
    for _ in range(40):
        shuffled = np.empty((len(features), 0))
        for _ in range(50):
            order = np.empty(len(features), dtype=int)
            for r in rows:
                order[r] = random.permutation(r)
            shuffled = np.hstack([shuffled, features[order]])
        drawn.append(moran_i(shuffled, xy, run).reshape(50, 3))
    drawn = np.concatenate(drawn)
    error = 5 * table["sd"] / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - table["expected"]) < error).all()
    np.testing.assert_allclose(drawn.std(axis=0), table["sd"], rtol=0.08)
    assert table["p"][1] < 1e-6
    assert table["p"][0] > 1e-3
    np.testing.assert_allclose(
        table["z"], (table["moran_i"] - table["expected"]) / table["sd"]
    )


def test_brightness_of_a_run_is_not_structure(study):
    features, xy, run = study
    brighter = features + 1000.0 * run[:, None]
    expected = moran_i(features[:, :3], xy, run)
    np.testing.assert_allclose(moran_i(brighter[:, :3], xy, run), expected, atol=1e-8)


def test_constant_images_have_none(study):
    _, xy, run = study
    flat = np.stack([np.zeros(len(run)), np.full(len(run), 0.1), 1e30 * (run + 1)], 1)
    np.testing.assert_array_equal(moran_i(flat, xy, run), 0)
    table = moran_test(flat, xy, run)
    np.testing.assert_array_equal(table["z"], 0)
    np.testing.assert_array_equal(table["p"], 1)
    lonely = 3 * np.arange(5)
    apart = moran_test(np.arange(5.0)[:, None], np.stack([lonely, lonely], axis=1))
    assert apart["moran_i"][0] == 0
    assert apart["p"][0] == 1


@pytest.mark.parametrize("layout", ["float32", "F", "readonly", "frame", "blocks"])
def test_any_layout_gives_the_same(study, layout):
    features, xy, run = study
    expected = moran_i(features, xy, run)
    if layout == "blocks":
        many = np.tile(features, 40)
        np.testing.assert_allclose(moran_i(many, xy, run), np.tile(expected, 40))
        return
    given = features.copy()
    if layout == "float32":
        given = given.astype(np.float32)
    elif layout == "F":
        given = np.asfortranarray(given)
    elif layout == "readonly":
        given.flags.writeable = False
    else:
        index = pd.MultiIndex.from_arrays([run, *xy.T], names=["run", "x", "y"])
        given = pd.DataFrame(given, index=index, columns=list("abcd"))
        table = moran_test(given)
        assert list(table.index) == list("abcd")
        np.testing.assert_allclose(table["moran_i"], expected)
        np.testing.assert_allclose(moran_i(given), expected)
        return
    np.testing.assert_allclose(moran_i(given, xy, run), expected, atol=1e-6)


@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)
def test_other_namespaces_agree_array_api(study):
    features, xy, run = study
    strict = array_api_strict.asarray(features)
    with config_context(array_api_dispatch=True):
        table = moran_test(strict, xy, run)
    pd.testing.assert_frame_equal(table, moran_test(features, xy, run))


def test_errors(study):
    features, xy, run = study
    with pytest.raises(ValueError, match="Moran's I needs to know where"):
        moran_i(features)
    with pytest.raises(ValueError, match="one ion image a column"):
        moran_i(features[:, 0], xy)
    features[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        moran_i(features, xy, run)
