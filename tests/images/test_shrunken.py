"""Shrunken centroids against Cardinal, scikit-learn and plain loops."""

import os

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.neighbors import NearestCentroid

from imsminer._array import array_namespace
from imsminer.core.grid import coordinates_of
from imsminer.images._kernels import shrunken_numba, shrunken_xp
from imsminer.images._shrunken import class_distances, segment, shrunken_centroids
from imsminer.images._spatial_weights import spatial_weights
from imsminer.images.shrunken import ShrunkenCentroidClassifier

needs_dispatch = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)


def regions(noise=1.0, side=14, n_runs=2, dtype=np.float64, seed=0):
    """Three bands in each run, with ions that mark them and ions that do not."""
    random = np.random.default_rng(seed)
    run, y, x = np.mgrid[:n_runs, :side, :side].reshape(3, -1)
    truth = np.digitize(x + y, [side - 3, side + 4])
    level = np.zeros((3, 10))
    level[[0, 1, 2], [0, 1, 2]] = 2
    X = 5 + level[truth] + noise * random.normal(size=(len(x), 10))
    names = np.array(["one", "two", "three"])[run]
    index = pd.MultiIndex.from_arrays([names, x, y], names=["run", "x", "y"])
    return pd.DataFrame(X.astype(dtype), index=index).add_prefix("mz_50"), truth


def loops(X, truth, index, radius, shrinkage, adaptive):
    """D of each pixel and class, one number at a time."""
    n, k = len(X), truth.max() + 1
    means = [X[truth == c].mean(axis=0) for c in range(k)]
    within = sum(((X[truth == c] - means[c]) ** 2).sum(axis=0) for c in range(k))
    s = np.sqrt(within / (n - k))
    scale = s + np.median(s)
    centers, statistic = [], []
    for c in range(k):
        error = scale * np.sqrt(1 / (truth == c).sum() - 1 / n)
        t = (means[c] - X.mean(axis=0)) / error
        t = np.where(np.abs(t) > shrinkage, t - np.sign(t) * shrinkage, 0)
        centers.append(X.mean(axis=0) + error * t)
        statistic.append(t)
    place = {key: i for i, key in enumerate(index)}
    distance = np.zeros((n, k))
    for (run, x, y), i in place.items():
        near = [
            place[run, a, b]
            for a in range(x - radius, x + radius + 1)
            for b in range(y - radius, y + radius + 1)
            if (run, a, b) in place
        ]
        delta = np.array([np.linalg.norm(X[j] - X[i]) for j in near])
        weight = np.zeros(len(near))
        for m, j in enumerate(near):
            d2 = (index[j][1] - x) ** 2 + (index[j][2] - y) ** 2
            weight[m] = np.exp(-d2 / 2 / ((2 * radius + 1) / 4) ** 2)
            if adaptive:
                weight[m] *= np.exp(-(delta[m] ** 2) / 2 / (delta.max() / 2) ** 2)
        for c in range(k):
            far = [np.linalg.norm((X[j] - centers[c]) / scale) for j in near]
            distance[i, c] = np.average(far, weights=weight)
    return np.array(centers), np.array(statistic), distance


@pytest.mark.parametrize("weights", ["gaussian", "adaptive"])
@pytest.mark.parametrize(("radius", "shrinkage"), [(1, 0.0), (2, 3.0)])
def test_against_plain_loops(radius, shrinkage, weights):
    frame, truth = regions(side=8)
    X = frame.to_numpy()
    centers, statistic, distance = loops(
        X, truth, list(frame.index), radius, shrinkage, weights == "adaptive"
    )
    model = ShrunkenCentroidClassifier(
        spatial_radius=radius, shrinkage=shrinkage, weights=weights
    ).fit(frame, truth)
    np.testing.assert_allclose(model.centroids_, centers, rtol=1e-12)
    np.testing.assert_allclose(model.statistic_, statistic, atol=1e-10)
    assert (statistic == 0).any() == (shrinkage > 0)
    score = distance**2 - 2 * np.log(np.bincount(truth) / len(truth))
    likely = np.exp(-(score - score.min(axis=1, keepdims=True)) / 2)
    likely /= likely.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(frame), likely, atol=1e-12)
    np.testing.assert_array_equal(model.predict(frame), score.argmin(axis=1))


@pytest.mark.shared
@pytest.mark.parametrize("shrinkage", [0, 2])
def test_parity_with_cardinal(shared_data, shrinkage):
    path = shared_data.parent / "reference" / "cardinal.npz"
    if not path.is_file():
        pytest.skip("cardinal.npz is not beside this checkout")
    with np.load(path) as reference:
        X, y = reference["peaks_P"].T, reference["labels"].ravel()
        xy = reference["input_coord"].astype(int)
        name = f"ssc_supervised_gaussian_r1_s{shrinkage}_"
        expected = {
            part: reference[name + part]
            for part in ("centers", "sd", "statistic", "prob", "class")
        }
        assert list(reference[name + "centers__columns"]) == sorted(set(y))
    model = ShrunkenCentroidClassifier(spatial_radius=1, shrinkage=shrinkage)
    model.fit(X, y, coordinates=xy)
    close = {"rtol": 0, "atol": 1e-12}
    np.testing.assert_allclose(model.centroids_.T, expected["centers"], **close)
    np.testing.assert_allclose(model.statistic_.T, expected["statistic"], **close)
    np.testing.assert_allclose(model.deviation_, expected["sd"].ravel(), **close)
    found = model.predict_proba(X, coordinates=xy)
    np.testing.assert_allclose(found, expected["prob"], **close)
    labels = model.predict(X, coordinates=xy)
    np.testing.assert_array_equal(labels, expected["class"].ravel())


@pytest.mark.parametrize("shrinkage", [None, 2.5])
def test_without_neighbors_it_is_nearest_centroid(shrinkage):
    frame, truth = regions()
    X = frame.to_numpy()
    rival = NearestCentroid(shrink_threshold=shrinkage, priors="empirical")
    rival.fit(X, truth)
    model = ShrunkenCentroidClassifier(shrinkage=shrinkage or 0).fit(X, truth)
    np.testing.assert_allclose(model.centroids_, rival.centroids_)
    np.testing.assert_allclose(model.deviation_, rival.within_class_std_dev_)
    if shrinkage:
        np.testing.assert_allclose(model.statistic_, rival.deviations_, atol=1e-10)


def test_neighborhoods_help_and_stay_within_runs():
    X, truth = regions(noise=2.0, side=40)
    is_one = X.index.get_level_values("run") == "one"
    fitted = {
        radius: ShrunkenCentroidClassifier(spatial_radius=radius).fit(
            X[is_one], truth[is_one]
        )
        for radius in (0, 2)
    }
    accuracy = {r: m.score(X[~is_one], truth[~is_one]) for r, m in fitted.items()}
    assert accuracy[2] > accuracy[0] + 0.15
    together = fitted[2].predict_proba(X)
    np.testing.assert_allclose(
        together[is_one], fitted[2].predict_proba(X[is_one]), rtol=1e-12
    )
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(
        fitted[2].predict_proba(X.iloc[order]), together[order], rtol=1e-10
    )


def test_only_marking_features_are_left():
    X, truth = regions()
    model = ShrunkenCentroidClassifier(shrinkage=5).fit(X, truth)
    marks = np.abs(model.statistic_) > 0
    np.testing.assert_array_equal(marks[:, :3].diagonal(), True)
    assert not marks[:, 3:].any()
    np.testing.assert_allclose(
        model.centroids_[:, 3:], np.tile(X.mean()[3:], (3, 1)), rtol=1e-12
    )


def test_priors_and_names():
    X, truth = regions(noise=3.0)
    names = np.array(["wall", "duct", "fat"])[truth]
    shares = np.unique(names, return_counts=True)[1] / len(names)
    model = ShrunkenCentroidClassifier(spatial_radius=1)
    found = model.fit(X, names).predict_proba(X)
    np.testing.assert_array_equal(model.classes_, ["duct", "fat", "wall"])
    np.testing.assert_allclose(model.priors_, shares)
    given = clone(model).set_params(priors=7 * shares).fit(X, names)
    np.testing.assert_allclose(given.predict_proba(X), found, rtol=1e-10)
    uniform = clone(model).set_params(priors="uniform").fit(X, names)
    odds = found / shares
    np.testing.assert_allclose(
        uniform.predict_proba(X), odds / odds.sum(axis=1, keepdims=True), rtol=1e-10
    )
    for wrong in ([1, 1], [1, 1, 0], [1, np.nan, 1]):
        with pytest.raises(ValueError, match="priors must be one number above 0 for"):
            clone(model).set_params(priors=wrong).fit(X, names)


def test_far_from_all_classes_the_nearest_still_wins():
    X, truth = regions()
    model = ShrunkenCentroidClassifier().fit(X, truth)
    # So far that all but one probability underflow, and rounding would decide.
    far = 1e8 * (model.centroids_ - model.centroids_.mean(axis=0))
    np.testing.assert_array_equal(model.predict(pd.DataFrame(far, columns=X.columns)),
                                  [0, 1, 2])  # fmt: skip
    assert np.isfinite(model.predict_proba(X * 1e6)).all()


def test_features_that_do_not_vary():
    X, truth = regions()
    flat = X.assign(**{f"flat{i}": 0.1 * i for i in range(20)})
    model = ShrunkenCentroidClassifier(spatial_radius=1).fit(flat, truth)
    np.testing.assert_allclose(model.statistic_[:, 10:], 0, atol=1e-10)
    # The median deviation of all is 0: that of the others stands for it.
    expected = clone(model).fit(X, truth).predict_proba(X)
    np.testing.assert_allclose(model.predict_proba(flat), expected, atol=1e-10)
    exact = ShrunkenCentroidClassifier(priors="uniform").fit(
        [[0.0], [0.0], [1.0]], [0, 0, 1]
    )
    np.testing.assert_array_equal(exact.scale_, [1])
    np.testing.assert_array_equal(exact.predict([[0.2], [0.9]]), [0, 1])


def test_one_class_is_the_mean():
    X, _ = regions()
    model = ShrunkenCentroidClassifier(shrinkage=1).fit(X, np.zeros(len(X)))
    np.testing.assert_allclose(model.centroids_[0], X.mean())
    np.testing.assert_array_equal(model.statistic_, 0)
    np.testing.assert_array_equal(model.predict_proba(X), 1)


def test_coordinates_from_arguments_or_index():
    X, truth = regions()
    table = X.index.to_frame(index=False)
    where = {"coordinates": table[["x", "y"]], "runs": table["run"]}
    model = ShrunkenCentroidClassifier(spatial_radius=2, weights="adaptive")
    expected = model.fit(X, truth).predict_proba(X)
    plain = X.to_numpy()
    found = model.fit(plain, truth, **where).predict_proba(plain, **where)
    np.testing.assert_array_equal(found, expected)
    assert (
        model.score(plain, truth, **where) == model.score(plain, truth, **where) > 0.9
    )
    for call in (lambda: model.fit(plain, truth), lambda: model.predict(plain)):
        with pytest.raises(ValueError, match="Classifier needs to know where"):
            call()


def test_cross_validation_over_runs():
    X, truth = regions(n_runs=3)
    runs = X.index.get_level_values("run")
    model = ShrunkenCentroidClassifier(spatial_radius=1)
    scores = cross_val_score(model, X, truth, groups=runs, cv=GroupKFold(3))
    assert scores.min() > 0.85


def test_errors():
    X, truth = regions()
    with pytest.raises(ValueError, match="'shrinkage' parameter of Shrunken"):
        ShrunkenCentroidClassifier(shrinkage=-1).fit(X, truth)
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        ShrunkenCentroidClassifier().fit(X, truth + 0.5)
    X.iloc[0, 0] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        ShrunkenCentroidClassifier().fit(X, truth)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_agree(dtype):
    random = np.random.default_rng(0)
    points = random.normal(size=(200, 13)).astype(dtype)
    labels = random.integers(0, 4, 200)
    strict = array_api_strict.asarray(points.astype(np.float64))
    codes = array_api_strict.asarray(labels)
    sums, squares = np.zeros((4, 13)), np.zeros(13)
    shrunken_numba.class_sums(points, labels, sums)
    np.testing.assert_allclose(
        sums, np.asarray(shrunken_xp.class_sums(strict, codes, 4)), rtol=1e-12
    )
    means = sums / np.bincount(labels)[:, None]
    shrunken_numba.squares_within(points, labels, means, squares)
    other = shrunken_xp.squares_within(strict, codes, array_api_strict.asarray(means))
    np.testing.assert_allclose(squares, np.asarray(other), rtol=1e-12)
    scale, distance = random.uniform(0.1, 3, 13), np.empty((200, 4))
    shrunken_numba.class_distances(points, means, scale, distance)
    other = shrunken_xp.class_distances(
        strict, array_api_strict.asarray(means), array_api_strict.asarray(scale)
    )
    np.testing.assert_allclose(distance, np.asarray(other), rtol=1e-12)


@pytest.mark.parametrize("weights", ["gaussian", "adaptive"])
def test_segments_in_another_namespace(weights):
    frame, truth = regions(noise=2.0)
    X = frame.to_numpy()
    pixels = coordinates_of(frame, estimator="test")
    near = spatial_weights(pixels, 1, X if weights == "adaptive" else None)
    start = np.random.default_rng(0).permutation(truth)
    start[: len(truth) // 2] = truth[: len(truth) // 2]
    expected = segment(X, start, near, 1.0, 100)
    found = segment(array_api_strict.asarray(X), start, near, 1.0, 100)
    assert found.n_iter == expected.n_iter > 1
    for one, two in zip(
        (*found.centroids, found.distance),
        (*expected.centroids, expected.distance),
        strict=True,
    ):
        assert array_namespace(one) is array_api_strict
        np.testing.assert_allclose(np.asarray(one), two, atol=1e-9)


def test_segments_stand_still_and_empty_ones_go():
    frame, truth = regions(noise=0.1)
    X, near = frame.to_numpy(), None
    # A fourth segment that holds pixels of all the others, and so is like none.
    start = truth.copy()
    start[::5] = 3
    found = segment(X, start, near, 2.0, 100)
    assert found.converged
    assert found.distance.shape[1] == found.centroids.centers.shape[0] == 3
    labels = found.distance.argmin(axis=1)
    assert (labels == truth).mean() > 0.9
    again = segment(X, labels, near, 2.0, 100)
    assert again.n_iter == 1
    fitted = shrunken_centroids(X, labels, 3, 2.0)
    distance = class_distances(X, fitted.centers, fitted.scale, near)
    assert np.mean(distance.argmin(axis=1) != labels) <= 0.01
    assert not segment(X, np.roll(start, 90), near, 0.0, 1).converged


@needs_dispatch
@pytest.mark.parametrize("weights", ["gaussian", "adaptive"])
def test_other_namespaces_agree_array_api(weights):
    frame, truth = regions(noise=2.0)
    table = frame.index.to_frame(index=False)
    where = {"coordinates": table[["x", "y"]], "runs": table["run"]}
    X = frame.to_numpy()
    model = ShrunkenCentroidClassifier(shrinkage=1.0, spatial_radius=2, weights=weights)
    expected = clone(model).fit(X, truth, **where)
    strict = array_api_strict.asarray(X)
    with config_context(array_api_dispatch=True):
        found = clone(model).fit(strict, array_api_strict.asarray(truth), **where)
        likely, labels = (
            found.predict_proba(strict, **where),
            found.predict(strict, **where),
        )
    for name in ("centroids_", "statistic_", "deviation_", "scale_", "priors_"):
        value = getattr(found, name)
        assert array_namespace(value) is array_api_strict
        np.testing.assert_allclose(np.asarray(value), getattr(expected, name))
    np.testing.assert_allclose(
        np.asarray(likely), expected.predict_proba(X, **where), atol=1e-10
    )
    np.testing.assert_array_equal(np.asarray(labels), expected.predict(X, **where))
