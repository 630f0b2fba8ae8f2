"""Mixtures and shrunken centroids as segmenters; weak signals; the bladder."""

import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score, roc_auc_score
from sklearn.mixture import GaussianMixture

from imsminer import ImzMLReader, PeakIntegrator
from imsminer.core.grid import coordinates_of, neighbor_matrix
from imsminer.datasets import make_ims
from imsminer.images._segmenting import mixture_from
from imsminer.images._shrunken import shrunken_centroids
from imsminer.images._spatial_weights import spatial_weights
from imsminer.images.segment import InSituSegmenter

METHODS = [
    {"method": "gmm"},
    {"method": "gmm", "spatial_radius": 1, "weights": "adaptive"},
    {"method": "shrunken_centroids"},
    {"method": "shrunken_centroids", "spatial_radius": 1},
    {"method": "shrunken_centroids", "spatial_radius": 2, "weights": "adaptive"},
]


def bands(noise=0.3, side=20, seed=0, dtype=np.float32):
    """Three bands of unequal width with profiles of their own, in two runs."""
    random = np.random.default_rng(seed)
    y, x, run = np.mgrid[:side, :side, :2].reshape(3, -1)
    truth = np.digitize(x, [side // 2, 5 * side // 6])
    profiles = random.gamma(1, 1, size=(3, 12)) * random.gamma(1, 10, size=12)
    X = profiles[truth] * np.exp(random.normal(0, noise, (len(x), 12)))
    index = pd.MultiIndex.from_arrays(
        [np.array(["one", "two"])[run], x, y], names=["run", "x", "y"]
    )
    columns = [f"mz_{700 + i}.5" for i in range(12)]
    return pd.DataFrame(X.astype(dtype), index=index, columns=columns), truth


@pytest.mark.parametrize("settings", METHODS)
def test_finds_the_bands_and_finds_them_again(settings):
    X, truth = bands()
    model = InSituSegmenter(3, random_state=0, **settings).fit(X)
    assert adjusted_rand_score(truth, model.labels_) > 0.9
    assert (np.diff(np.bincount(model.labels_)) <= 0).all()
    assert model.labels_.dtype == np.int32
    assert model.n_clusters_ == len(model.segment_profiles_) == 3
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    distances = model.transform(X)
    assert distances.dtype == np.float32
    own = np.take_along_axis(distances, model.labels_[:, None].astype(int), axis=1)
    assert model.inertia_ == pytest.approx((own.astype(float) ** 2).sum(), rel=1e-5)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(X), distances)
    np.testing.assert_array_equal(clone(model).fit_predict(X), model.labels_)


@pytest.mark.parametrize("settings", METHODS)
def test_a_new_run_is_not_touched_by_others(settings):
    X, truth = bands(noise=1.0)
    is_one = X.index.get_level_values("run") == "one"
    model = InSituSegmenter(3, random_state=0, **settings).fit(X[is_one])
    labels = model.predict(X[~is_one])
    assert adjusted_rand_score(truth[~is_one], labels) > 0.4
    together = model.transform(X)
    np.testing.assert_allclose(
        together[~is_one], model.transform(X[~is_one]), rtol=2e-5
    )
    order = np.random.default_rng(0).permutation(len(X))
    np.testing.assert_allclose(
        model.transform(X.iloc[order]), together[order], rtol=2e-5
    )


@pytest.mark.parametrize("covariance_type", ["tied", "full", "diag", "spherical"])
def test_mixture_is_scikit_learns(covariance_type):
    X, _ = bands(noise=0.15, dtype=np.float64)
    model = InSituSegmenter(
        3,
        method="gmm",
        covariance_type=covariance_type,
        scaling="std",
        tol=1e-9,
        random_state=0,
    ).fit(X)
    points = X.to_numpy() / X.to_numpy().std(axis=0)
    rival = GaussianMixture(
        3, covariance_type=covariance_type, reg_covar=1e-3, tol=1e-9, max_iter=1000,
        n_init=3, random_state=1,
    ).fit(points)  # fmt: skip
    assert adjusted_rand_score(rival.predict(points), model.labels_) == 1
    order = np.argsort(-np.bincount(rival.predict(points)), kind="stable")
    np.testing.assert_allclose(model.cluster_centers_, rival.means_[order], rtol=1e-3)
    # Distances are Mahalanobis distances.
    covariance = {
        "tied": lambda k: rival.covariances_,
        "full": lambda k: rival.covariances_[k],
        "diag": lambda k: np.diag(rival.covariances_[k]),
        "spherical": lambda k: rival.covariances_[k] * np.eye(12),
    }[covariance_type]
    distances = model.transform(X)
    for k, old in enumerate(order):
        away = points - rival.means_[old]
        inverse = np.linalg.inv(covariance(old))
        expected = np.sqrt(np.einsum("ij,jk,ik->i", away, inverse, away))
        np.testing.assert_allclose(distances[:, k], expected, rtol=5e-3)


def test_a_mixture_begins_with_the_clusters_it_is_given():
    random = np.random.default_rng(0)
    points = random.normal(size=(60, 2))
    labels = np.repeat([0, 1, 3], 20)
    points[labels == 1] += 20
    points[labels == 3] -= 20
    # Cluster 2 has no points; it begins at the mean, with little weight.
    for kind in ("tied", "full", "diag", "spherical"):
        model = mixture_from(points, labels, 4, kind, 100, 1e-6)
        found = model.predict(points)
        # It may take pixels from cluster 0, which is where the mean is.
        np.testing.assert_array_equal(np.where(found == 2, 0, found), labels)
        means = [points[labels == k].mean(axis=0) for k in (1, 3)]
        np.testing.assert_allclose(model.means_[[1, 3]], means, atol=0.1)
        assert np.isfinite(model.means_).all()


def test_shrunken_centroids_are_those_of_their_segments():
    X, _ = bands(noise=0.3, dtype=np.float64)
    model = InSituSegmenter(
        3,
        method="shrunken_centroids",
        shrinkage=4,
        spatial_radius=1,
        scaling=None,
        random_state=0,
    ).fit(X)
    values = X.to_numpy()
    expected = shrunken_centroids(values, model.labels_.astype(int), 3, 4)
    # The last centroids are those of the labels before at most 1 % of them moved.
    np.testing.assert_allclose(model.cluster_centers_, expected.centers, rtol=0.02)
    assert (model.statistic_ == 0).any()
    flat = np.broadcast_to(values.mean(axis=0), model.cluster_centers_.shape)
    same = model.statistic_ == 0
    np.testing.assert_allclose(model.cluster_centers_[same], flat[same], rtol=1e-12)
    weights = spatial_weights(coordinates_of(X, estimator="test"), 1)
    share = weights.toarray() / weights.sum(axis=1).reshape(-1, 1)
    scale = model._model.centroids.scale
    away = (values[:, None] - model.cluster_centers_) / scale
    distance = share @ np.linalg.norm(away, axis=2)
    np.testing.assert_allclose(model.transform(X), distance, rtol=1e-9)
    # It does not outlive its method.
    assert not hasattr(model.set_params(method="kmeans").fit(X), "statistic_")


def test_segments_that_lose_their_pixels_are_dropped():
    X, truth = bands(noise=0.1)
    model = InSituSegmenter(
        8, method="shrunken_centroids", spatial_radius=2, shrinkage=6, random_state=0
    ).fit(X)
    assert model.n_clusters_ < 8
    assert model.transform(X).shape == (len(X), model.n_clusters_)
    assert len(model.get_feature_names_out()) == model.n_clusters_
    np.testing.assert_array_equal(np.unique(model.labels_), range(model.n_clusters_))
    assert model.segment_profiles_.notna().all(axis=None)
    assert adjusted_rand_score(truth, model.labels_) > 0.6


def test_too_few_iterations_are_said():
    X, _ = bands(noise=2.0)
    with pytest.warns(ConvergenceWarning, match="max_iter=1 iterations. Raise max"):
        InSituSegmenter(
            6,
            method="shrunken_centroids",
            spatial_radius=2,
            max_iter=1,
            random_state=0,
            n_init=1,
        ).fit(X)


@pytest.mark.parametrize("settings", METHODS)
def test_empty_and_constant_features_and_pixels(settings):
    X, _ = bands()
    X = X.assign(zero=np.float32(0), same=np.float32(3))
    X.iloc[::9] = 0
    model = InSituSegmenter(4, random_state=0, **settings).fit(X)
    assert np.isfinite(model.transform(X)).all()
    assert np.isfinite(model.cluster_centers_).all()
    assert np.isfinite(model.inertia_)
    for factor in (1e-25, 1e25):
        scaled = clone(model).fit(X * np.float32(factor))
        assert adjusted_rand_score(scaled.labels_, model.labels_) > 0.99


@pytest.fixture(scope="module")
def weak(tmp_path_factory):
    """Six regions and the area off tissue, at a signal too weak for single pixels."""
    truth = make_ims(
        tmp_path_factory.mktemp("weak") / "run.imzML",
        shape=(60, 60),
        n_regions=6,
        n_peaks=60,
        isotopes=False,
        mz_range=(700, 800),
        resolving_power=10_000,
        points_per_fwhm=4,
        height=0.35,
        random_state=0,
    )
    peaks = truth.peaks.sort_values("mz")[["mz", "fwhm"]]
    peaks["left"] = peaks["mz"] - peaks["fwhm"]
    peaks["right"] = peaks["mz"] + peaks["fwhm"]
    X = PeakIntegrator(peaks=peaks).fit_transform(ImzMLReader(truth.path))
    return X, truth.labels


def test_k_means_alone_fails_at_a_weak_signal(weak):
    X, truth = weak
    labels = InSituSegmenter(7, random_state=0).fit_predict(X)
    assert 0.5 < adjusted_rand_score(truth, labels) < 0.7


@pytest.mark.parametrize(
    "settings",
    [
        {"spatial_radius": 2},
        {"spatial_radius": 2, "weights": "adaptive"},
        {"spatial_radius": 1, "method": "shrunken_centroids"},
        {"spatial_radius": 2, "method": "shrunken_centroids", "weights": "adaptive"},
    ],
)
def test_neighborhoods_find_the_regions_at_a_weak_signal(weak, settings):
    X, truth = weak
    labels = InSituSegmenter(7, random_state=0, **settings).fit_predict(X)
    assert adjusted_rand_score(truth, labels) >= 0.9


@pytest.fixture(scope="module")
def bladder(shared_data):
    """Features without three marker ions, where pixels are, and what is known."""
    data = np.load(shared_data / "bladder" / "bladder_79peaks.npz")
    matrix = (data["data"], data["indices"], data["indptr"])
    X = sparse.csr_array(matrix, shape=data["shape"]).toarray()
    mz, ssc = data["mz"], data["ssc"]
    columns = [int(np.abs(mz - m).argmin()) for m in (743.547, 826.575, 827.577)]
    xy = np.stack([data["x"], data["y"]], axis=1)
    # Single pixels are shot noise (against class 6 itself the AUC of 826.575 is 0.91):
    # a marker is its mean over 3 × 3 pixels, within the mask.
    around = neighbor_matrix(coordinates_of(X, xy, estimator="test")).astype(float)
    count = np.asarray(around.sum(axis=1)).reshape(-1, 1) + 1
    marker = (around @ X[:, columns[:2]] + X[:, columns[:2]]) / count
    return np.delete(X, columns, axis=1), xy, marker, ssc


def best_auc(labels, marker, ssc):
    tissue = ~np.isin(ssc, (3, 4))
    return max(
        roc_auc_score((labels == k)[tissue], marker[tissue])
        for k in np.unique(labels[tissue])
    )


@pytest.mark.shared
@pytest.mark.parametrize("radius", [0, 1])
def test_bladder_segment_predicts_a_marker_left_out(bladder, radius):
    """Urothelium, found without the ions that mark it best."""
    X, xy, marker, ssc = bladder
    model = InSituSegmenter(n_clusters=6, spatial_radius=radius, random_state=0)
    labels = model.fit_predict(X, coordinates=xy)
    assert best_auc(labels, marker[:, 1], ssc) >= 0.98
    dice = [
        2 * ((labels == k) & (ssc == 6)).sum() / ((labels == k).sum() + 5338)
        for k in range(6)
    ]
    assert (ssc == 6).sum() == 5338
    assert max(dice) >= (0.95 if radius else 0.9)
    empty = X.sum(axis=1) == 0
    assert empty.sum() == 109
    if not radius:
        assert np.unique(labels[empty]).size == 1


@pytest.mark.shared
@pytest.mark.parametrize("method", ["kmeans", "shrunken_centroids"])
def test_bladder_at_ten_segments_has_the_lamina_propria(bladder, method):
    X, xy, marker, ssc = bladder
    model = InSituSegmenter(10, method=method, spatial_radius=1, random_state=0)
    labels = model.fit_predict(X, coordinates=xy)
    assert model.n_clusters_ == 10
    assert best_auc(labels, marker[:, 0], ssc) >= 0.9
    assert best_auc(labels, marker[:, 1], ssc) >= 0.98
