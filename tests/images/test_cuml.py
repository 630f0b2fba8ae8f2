"""Which engine is chosen where cuML could be, and what it is told: without a GPU."""

import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import array_api_strict
import numpy as np
import pytest
import sklearn
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.manifold import TSNE

from imsminer import ImageClusterer, InSituSegmenter
from imsminer.exceptions import OptionalDependencyError
from imsminer.images import _cuml
from imsminer.images._kmeans import kmeans
from imsminer.images.embed import TSNEEmbedder

needs_dispatch = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)
SETTINGS = {"n_init": 3, "max_iter": 40, "tol": 1e-3, "random_state": 7}


class Fake(ModuleType):
    """As much of cuML as is used, on scikit-learn; notes what it is told."""

    def __init__(self):
        super().__init__("cuml")
        self.__spec__ = ModuleSpec("cuml", None)
        self.calls = []

    def KMeans(self, *, output_type, **told):
        self.calls.append(("KMeans", told))
        assert output_type == "cupy"
        # scikit-learn scales the tolerance itself; this is fine enough for both.
        model = KMeans(**{**told, "tol": 0})
        model.fit_host, model.fit = model.fit, lambda X: model.fit_host(np.asarray(X))
        return model

    def PCA(self, *, output_type, **told):
        self.calls.append(("PCA", told))
        model = PCA(**told, random_state=0)
        whole = model.fit_transform
        model.fit_transform = lambda X: array_api_strict.asarray(whole(np.asarray(X)))
        return model

    def TSNE(self, *, output_type, **told):
        self.calls.append(("TSNE", told))
        known = ("n_components", "perplexity", "max_iter", "random_state", "init")
        model = TSNE(**{name: told[name] for name in known})
        whole = model.fit_transform
        model.fit_transform = lambda X: array_api_strict.asarray(
            whole(np.asarray(X)).astype(np.float32)
        )
        return model


@pytest.fixture
def fake(monkeypatch):
    """A cuML that is installed; arrays of array-api-strict pass for CuPy's."""
    package = Fake()
    monkeypatch.setitem(sys.modules, "cuml", package)
    monkeypatch.setattr(
        _cuml,
        "is_cupy_array",
        lambda array: array_api_strict.__name__ in type(array).__module__,
    )
    return package


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    labels = np.repeat([2, 0, 1], [30, 20, 10])
    return 9 * np.eye(3, 5)[labels] + rng.normal(size=(60, 5))


def test_kmeans_is_told_what_scikit_learn_would_be(fake, points):
    found = kmeans(array_api_strict.asarray(points + 100), 3, **SETTINGS)
    expected = kmeans(points + 100, 3, **SETTINGS)
    (name, told), *more = fake.calls
    assert name == "KMeans"
    assert not more
    # cuML compares the shift as it is; scikit-learn in units of the variance.
    assert told.pop("tol") == pytest.approx(1e-3 * points.var(axis=0).mean())
    seed = np.random.RandomState(7).randint(np.iinfo(np.int32).max)
    assert told == {
        "n_clusters": 3,
        "init": "k-means++",
        "n_init": 3,
        "max_iter": 40,
        "random_state": seed,
    }
    np.testing.assert_array_equal(np.asarray(found.labels), expected.labels)
    np.testing.assert_allclose(np.asarray(found.centers), expected.centers)
    assert found.inertia == pytest.approx(expected.inertia)
    assert np.bincount(expected.labels).tolist() == [30, 20, 10]


def test_kmeans_without_tolerance(fake, points):
    kmeans(array_api_strict.asarray(points), 3, **{**SETTINGS, "tol": 0})
    # It refuses 0.
    assert 0 < fake.calls[0][1]["tol"] < 1e-30


def test_kmeans_with_few_distinct_points(fake):
    equal = np.repeat([[0.0, 0.0], [1.0, 5.0]], [4, 3], axis=0)
    with pytest.warns(ConvergenceWarning, match=r"distinct clusters \(2\)"):
        kmeans(array_api_strict.asarray(equal), 3, **SETTINGS)


def test_seeds(fake, points):
    given = array_api_strict.asarray(points)
    state = np.random.RandomState(3)
    for random_state in (5, 5, 6, state, state):
        kmeans(given, 3, **{**SETTINGS, "random_state": random_state})
    first, again, other, *drawn = [told["random_state"] for _, told in fake.calls]
    assert first == again != other
    assert drawn[0] != drawn[1]


@needs_dispatch
@pytest.mark.parametrize(
    "estimator",
    [
        InSituSegmenter(n_clusters=3, n_init=4, random_state=0),
        ImageClusterer(n_clusters=2, n_init=4, random_state=0),
    ],
)
def test_estimators_with_dispatch(fake, points, estimator):
    expected = sklearn.clone(estimator).fit(points).labels_
    assert not fake.calls, "NumPy arrays stay on the host"
    with sklearn.config_context(array_api_dispatch=True):
        labels = estimator.fit(array_api_strict.asarray(points)).labels_
    np.testing.assert_array_equal(np.asarray(labels), expected)
    ((name, told),) = fake.calls
    assert name == "KMeans"
    assert told["n_init"] == 4


@needs_dispatch
def test_tsne_with_dispatch(fake, points):
    embedder = TSNEEmbedder(perplexity=10.5, n_pca=4, max_iter=300, random_state=1)
    with sklearn.config_context(array_api_dispatch=True):
        X = array_api_strict.asarray(points)
        embedding = embedder.fit_transform(X)
    assert embedder.engine_ == "cuml"
    assert embedding.shape == (60, 2)
    assert embedding.dtype == array_api_strict.float64
    assert np.isfinite(embedder.kl_divergence_)
    (first, pca), (second, told) = fake.calls
    assert (first, second) == ("PCA", "TSNE")
    assert pca == {"n_components": 4}
    assert told["random_state"] == np.random.RandomState(1).randint(2**31 - 1)
    expected = {"n_components": 2, "perplexity": 10.5, "max_iter": 300}
    # Three times the perplexity, as the engines of the host take.
    expected |= {"n_neighbors": 31, "init": "pca", "learning_rate_method": "none"}
    assert expected.items() <= told.items()


@needs_dispatch
def test_tsne_of_equal_pixels_with_dispatch(fake):
    with sklearn.config_context(array_api_dispatch=True):
        X = array_api_strict.ones((20, 3))
        embedding = TSNEEmbedder(perplexity=5, random_state=0).fit_transform(X)
    assert np.isfinite(np.asarray(embedding)).all()
    assert [name for name, _ in fake.calls] == ["TSNE"]


@needs_dispatch
def test_tsne_in_three_dimensions_stays_on_the_host_with_dispatch(fake, points):
    embedder = TSNEEmbedder(3, engine="sklearn", perplexity=5, max_iter=250)
    embedder.set_params(random_state=0)
    with sklearn.config_context(array_api_dispatch=True):
        X = array_api_strict.asarray(points)
        assert embedder.fit(X).engine_ == "sklearn"
        with pytest.raises(ValueError, match=r"in 2 dimensions, but n_components=3"):
            embedder.set_params(engine="cuml").fit(X)
    assert not fake.calls


def test_tsne_by_cuml_needs_cupy(fake, points):
    embedder = TSNEEmbedder(engine="cuml", perplexity=5)
    with pytest.raises(ValueError, match=r"works on CuPy arrays.*got numpy\.ndarray"):
        embedder.fit(points)


def test_without_cuml(fake, points, monkeypatch):
    monkeypatch.setitem(sys.modules, "cuml", None)
    X = array_api_strict.asarray(points)
    expected = kmeans(points, 3, **SETTINGS)
    found = kmeans(X, 3, **SETTINGS)
    np.testing.assert_array_equal(np.asarray(found.labels), expected.labels)
    assert not fake.calls
    with pytest.raises(OptionalDependencyError, match=r"Example needs.*cuml-cu13"):
        _cuml.package_for(X, needed_by="Example")


def test_a_cuml_that_does_not_work_is_not_passed_over(fake, points, monkeypatch):
    def broken(name):
        message = f"libcuml++.so, of {name}"
        raise ImportError(message)

    monkeypatch.setattr(_cuml.importlib, "import_module", broken)
    with pytest.raises(ImportError, match="libcuml"):
        kmeans(array_api_strict.asarray(points), 3, **SETTINGS)


def test_nothing_looks_for_cuml_for_numpy(points, monkeypatch):
    def looked(name):
        pytest.fail(f"looked for {name}")

    monkeypatch.setattr(_cuml.importlib.util, "find_spec", looked)
    InSituSegmenter(n_clusters=3, random_state=0).fit(points)
    ImageClusterer(n_clusters=2, random_state=0).fit(points)
    assert _cuml.package_for(points) is None
    assert "cuml" not in sys.modules
