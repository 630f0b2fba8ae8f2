"""InSituSegmenter: known segments, invariances, and the bladder."""

import os
import pickle

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from imsminer.core.grid import coordinates_of, gaussian_weights
from imsminer.images._spatial_weights import spatial_weights
from imsminer.images.segment import InSituSegmenter

needs_dispatch = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)


def striped(noise=0.3, side=24, seed=0, dtype=np.float32):
    """Three stripes of unequal width, with profiles of their own; two runs."""
    random = np.random.default_rng(seed)
    y, x, run = np.mgrid[:side, :side, :2].reshape(3, -1)
    truth = np.digitize(x, [side // 2, 5 * side // 6])
    profiles = random.gamma(1, 1, size=(3, 12)) * random.gamma(1, 10, size=12)
    strength = random.uniform(0.5, 2, size=(len(x), 1))
    X = strength * profiles[truth] * np.exp(random.normal(0, noise, (len(x), 12)))
    index = pd.MultiIndex.from_arrays(
        [np.array(["one", "two"])[run], x, y, 0 * x], names=["run", "x", "y", "z"]
    )
    columns = [f"mz_{700 + i}.5" for i in range(12)]
    return pd.DataFrame(X.astype(dtype), index=index, columns=columns), truth


@pytest.mark.parametrize("metric", ["euclidean", "correlation"])
@pytest.mark.parametrize("scaling", ["max+l2", "std+l2", "l2"])
def test_finds_the_stripes(metric, scaling):
    X, truth = striped(noise=0.1)
    model = InSituSegmenter(3, metric=metric, scaling=scaling, random_state=0).fit(X)
    # The widest stripe is segment 0.
    np.testing.assert_array_equal(model.labels_, truth)
    assert model.labels_.dtype == np.int32
    np.testing.assert_array_equal(model.predict(X), truth)
    np.testing.assert_array_equal(model.transform(X).argmin(axis=1), truth)


def test_profiles_are_means_of_what_came_in():
    X, truth = striped(noise=0.1)
    model = InSituSegmenter(3, random_state=0).fit(X)
    profiles = model.segment_profiles_
    assert list(profiles.columns) == list(X.columns)
    assert profiles.index.name == "segment"
    expected = X.reset_index(drop=True).groupby(truth).mean()
    np.testing.assert_allclose(profiles, expected, rtol=1e-5)
    assert isinstance(model.fit(X.to_numpy()).segment_profiles_, np.ndarray)


def test_is_scikit_learns_kmeans_of_the_scaled_pixels():
    X = striped(noise=1.0)[0].to_numpy()
    for scaling, scaled in {
        None: X,
        "max": X / X.max(axis=0),
        "std": X / X.std(axis=0),
        "l2": X / np.linalg.norm(X, axis=1, keepdims=True),
    }.items():
        model = InSituSegmenter(5, scaling=scaling, random_state=3).fit(X)
        rival = KMeans(5, n_init=10, random_state=3).fit(scaled)
        assert adjusted_rand_score(rival.labels_, model.labels_) == 1
        np.testing.assert_allclose(model.inertia_, rival.inertia_, rtol=1e-5)
        assert model.n_iter_ == rival.n_iter_
        order = np.argsort(-np.bincount(rival.labels_), kind="stable")
        np.testing.assert_allclose(
            model.cluster_centers_, rival.cluster_centers_[order], rtol=1e-4
        )
        expected = rival.transform(scaled)[:, order]
        np.testing.assert_allclose(model.transform(X), expected, rtol=1e-3)


def test_segments_are_numbered_by_size():
    X, _ = striped(noise=1.5)
    sizes = np.bincount(InSituSegmenter(6, random_state=0).fit_predict(X))
    assert (np.diff(sizes) <= 0).all()


def test_l2_and_correlation_ignore_the_strength_of_a_pixel():
    X = striped(noise=1.0, dtype=np.float64)[0].to_numpy()
    factor = np.random.default_rng(1).uniform(0.1, 10, size=(len(X), 1))
    shift = np.random.default_rng(2).uniform(0, 5, size=(len(X), 1))
    plain = InSituSegmenter(4, scaling="l2", random_state=0)
    expected = plain.fit_predict(X)
    np.testing.assert_array_equal(plain.fit_predict(X * factor), expected)
    shape = InSituSegmenter(4, scaling=None, metric="correlation", random_state=0)
    expected = shape.fit_predict(X)
    np.testing.assert_array_equal(shape.fit_predict(X * factor + shift), expected)


def test_correlation_distances():
    X = np.random.default_rng(0).normal(size=(30, 8))
    model = InSituSegmenter(30, metric="correlation", scaling=None, random_state=0)
    # Each pixel is its own segment: squared distances are 2 (1 - r).
    squared = model.fit(X).transform(X)[:, np.argsort(model.labels_)] ** 2
    np.testing.assert_allclose(squared, 2 * (1 - np.corrcoef(X)), atol=1e-12)


@pytest.mark.parametrize("metric", ["euclidean", "correlation"])
def test_empty_pixels_are_defined(metric):
    X = striped()[0].to_numpy().copy()
    X[::7] = 0
    model = InSituSegmenter(4, metric=metric, random_state=0).fit(X)
    assert np.isfinite(model.transform(X)).all()
    assert np.unique(model.labels_[::7]).size == 1
    nearest = np.linalg.norm(model.cluster_centers_, axis=1).argmin()
    assert model.labels_[0] == nearest
    constant = np.full((1, X.shape[1]), 0.1, dtype=X.dtype) * model.scale_
    if metric == "correlation":
        np.testing.assert_array_equal(model.transform(constant), model.transform(X[:1]))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("weights", ["gaussian", "adaptive"])
def test_neighborhood_is_the_mean_of_scaled_neighbors(weights, share):
    X, _ = striped(dtype=np.float64)
    X = X.sample(frac=0.7, random_state=0)
    model = InSituSegmenter(
        3, spatial_radius=2, weights=weights, neighbor_share=share, random_state=0
    ).fit(X)
    values = X.to_numpy() / X.to_numpy().max(axis=0)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    pixels = coordinates_of(X, estimator="test")
    if weights == "gaussian":
        around = gaussian_weights(pixels, 2).toarray()
    else:
        around = spatial_weights(pixels, 2, values).toarray()
        alone = (around > 0).sum(axis=1) == 1
        around -= np.diag(np.where(alone, 0, 1))
        around /= around.sum(axis=1, keepdims=True)
    parts = [np.sqrt(2 - 2 * share) * values, np.sqrt(2 * share) * around @ values]
    joined = np.hstack(parts)
    means = [joined[model.labels_ == k].mean(axis=0) for k in range(3)]
    np.testing.assert_allclose(model.cluster_centers_, means, atol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_spatial_radius_helps_where_single_pixels_are_noisy():
    X, truth = striped(noise=2.5)
    plain = InSituSegmenter(3, random_state=0).fit_predict(X)
    spatial = InSituSegmenter(3, spatial_radius=2, random_state=0).fit_predict(X)
    gain = adjusted_rand_score(truth, spatial) - adjusted_rand_score(truth, plain)
    assert gain > 0.1


def test_runs_do_not_touch():
    X, _ = striped()
    model = InSituSegmenter(3, spatial_radius=1, random_state=0).fit(X)
    together = model.transform(X)
    one = (X.index.get_level_values("run") == "one").nonzero()[0]
    np.testing.assert_allclose(together[one], model.transform(X.iloc[one]), rtol=1e-5)


def test_coordinates_from_arguments_or_index():
    X, _ = striped()
    table = X.index.to_frame(index=False)
    model = InSituSegmenter(3, spatial_radius=1, random_state=0)
    expected = model.fit_transform(X)
    where = {"coordinates": table[["x", "y", "z"]].to_numpy(), "runs": table["run"]}
    labels = model.predict(X)
    plain = X.to_numpy()
    np.testing.assert_array_equal(model.fit_transform(plain, **where), expected)
    np.testing.assert_array_equal(model.transform(plain, **where), expected)
    np.testing.assert_array_equal(model.predict(plain, **where), labels)
    np.testing.assert_array_equal(model.fit_predict(plain, **where), labels)
    for call in (model.fit, model.predict, model.transform, model.fit_predict):
        with pytest.raises(ValueError, match="InSituSegmenter needs to know where"):
            call(plain)


def test_row_order_does_not_matter_to_a_converged_clustering():
    X, _ = striped()
    order = np.random.default_rng(0).permutation(len(X))
    model = InSituSegmenter(3, spatial_radius=1, tol=0, random_state=0)
    expected = model.fit_predict(X)
    assert adjusted_rand_score(model.fit_predict(X.iloc[order]), expected[order]) == 1


def test_extreme_values_and_dtypes():
    X = striped()[0].to_numpy()
    expected = InSituSegmenter(3, random_state=0).fit_predict(X)
    for factor in (1e-30, 1e25):
        model = InSituSegmenter(3, random_state=0).fit(X * np.float32(factor))
        np.testing.assert_array_equal(model.labels_, expected)
    for dtype in (np.float32, np.float64):
        model.fit(X.astype(dtype))
        assert model.cluster_centers_.dtype == dtype
        assert model.transform(X.astype(dtype)).dtype == dtype
    readonly = X.copy()
    readonly.flags.writeable = False
    np.testing.assert_array_equal(model.fit_predict(readonly), expected)


def test_errors():
    X = striped()[0].to_numpy().copy()
    with pytest.raises(ValueError, match=r"n_samples=3 should be >= n_clusters=8"):
        InSituSegmenter().fit(X[:3])
    with pytest.raises(ValueError, match="'method' parameter of InSituSegmenter"):
        InSituSegmenter(method="ward").fit(X)
    with pytest.raises(ValueError, match="'scaling' parameter of InSituSegmenter"):
        InSituSegmenter(scaling="min").fit(X)
    X[3, 3] = np.nan
    with pytest.raises(ValueError, match="InSituSegmenter does not accept missing"):
        InSituSegmenter().fit(X)


def test_output_as_pandas():
    X, _ = striped()
    model = InSituSegmenter(3, random_state=0).set_output(transform="pandas")
    table = model.fit_transform(X)
    assert list(table.columns) == ["segment0", "segment1", "segment2"]
    assert table.index.equals(X.index)
    with config_context(transform_output="pandas"):
        other = clone(model).fit(X).transform(X)
    pd.testing.assert_frame_equal(other, table)


def test_in_a_pipeline_behind_another_transformer():
    X, _ = striped()
    pipe = make_pipeline(
        FunctionTransformer(np.sqrt, feature_names_out="one-to-one"),
        StandardScaler(),
        InSituSegmenter(3, spatial_radius=1, random_state=0, scaling=None),
    ).set_output(transform="pandas")
    labels = pipe.fit_predict(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(pipe)).predict(X), labels)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search(n_jobs):
    X, truth = striped()
    search = GridSearchCV(
        InSituSegmenter(random_state=0, spatial_radius=1, n_init=2),
        {"n_clusters": [2, 3, 5], "metric": ["euclidean", "correlation"]},
        scoring="adjusted_rand_score",
        cv=2,
        n_jobs=n_jobs,
    ).fit(X, truth)
    assert search.best_params_["n_clusters"] == 3
    assert search.best_score_ > 0.95


@needs_dispatch
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"spatial_radius": 2},
        {"metric": "correlation", "spatial_radius": 2},
        {"metric": "correlation"},
        {"spatial_radius": 2, "weights": "adaptive"},
        {"method": "gmm", "spatial_radius": 1},
        {"method": "shrunken_centroids", "shrinkage": 1.0},
        {"method": "shrunken_centroids", "spatial_radius": 2},
        {"method": "shrunken_centroids", "spatial_radius": 1, "weights": "adaptive"},
    ],
)
def test_other_namespaces_agree_array_api(settings):
    frame, _ = striped(noise=1.0, dtype=np.float64)
    table = frame.index.to_frame(index=False)
    where = {"coordinates": table[["x", "y"]], "runs": table["run"]}
    X = frame.to_numpy()
    model = InSituSegmenter(5, random_state=1, **settings)
    expected = clone(model).fit(X, **where)
    strict = array_api_strict.asarray(X)
    with config_context(array_api_dispatch=True):
        found = clone(model).fit(strict, **where)
        predicted = found.predict(strict, **where)
        distances = found.transform(strict, **where)
    for name in ("labels_", "cluster_centers_", "segment_profiles_", "scale_"):
        value = getattr(found, name)
        assert value.__array_namespace__() is array_api_strict
        np.testing.assert_allclose(
            np.asarray(value), getattr(expected, name), rtol=1e-6
        )
    assert found.n_clusters_ == expected.n_clusters_
    np.testing.assert_allclose(found.inertia_, expected.inertia_)
    assert found.n_iter_ == expected.n_iter_
    np.testing.assert_array_equal(np.asarray(predicted), expected.labels_)
    np.testing.assert_allclose(np.asarray(distances), expected.transform(X, **where))
