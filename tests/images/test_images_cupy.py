"""Images on arrays with CuPy's manners: kernels in the simulator, results in kind."""

import os

import numpy as np
import pytest
import sklearn

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer import (
    ImageClusterer,
    ImageSmoother,
    InSituSegmenter,
    ShrunkenCentroidClassifier,
)
from imsminer._cuda import SIMULATED
from imsminer.images._kernels import kmeans_cuda
from imsminer.images._kmeans import kmeans

pytestmark = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1" or not SIMULATED,
    reason="needs SCIPY_ARRAY_API=1 and CUDA's simulator",
)

Y, X = np.divmod(np.arange(24), 6)
PLACES = np.column_stack([X, Y])
REGIONS = (X > 3) + 2 * (Y > 1)
SPATIAL = {"n_init": 1, "random_state": 0, "spatial_radius": 1}


@pytest.fixture(autouse=True)
def _look_often(monkeypatch):
    """Launches that find nothing to do are not free in the simulator."""
    monkeypatch.setattr(kmeans_cuda, "BATCH", 1)


def features(dtype=np.float32):
    rng = np.random.default_rng(0)
    means = 5 * rng.gamma(0.7, 1, (4, 40))[REGIONS]
    return (means * rng.gamma(9, 0.1, means.shape)).astype(dtype)


@pytest.mark.parametrize(
    ("estimator", "share"),
    [
        (InSituSegmenter(4, method="shrunken_centroids", **SPATIAL), 0.8),
        (ImageClusterer(3, n_init=1, random_state=0), 0.3),
        (ImageSmoother(), 0.01),
        (ShrunkenCentroidClassifier(spatial_radius=1), 0.5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_estimators_with_dispatch(fake_cupy, estimator, share):
    """Results are the host's, and less than `share` of X comes to the host."""
    import cupy

    values = features()
    supervised = isinstance(estimator, ShrunkenCentroidClassifier)

    def run(X, y):
        labels = {"y": y} if supervised else {}
        fitted = sklearn.clone(estimator).fit(X, coordinates=PLACES, **labels)
        if hasattr(fitted, "predict"):
            return fitted.predict(X, coordinates=PLACES)
        if isinstance(fitted, ImageClusterer):
            return fitted.labels_
        return fitted.transform(X, coordinates=PLACES)

    expected = run(values, REGIONS)
    with sklearn.config_context(array_api_dispatch=True):
        given = cupy.asarray(values), cupy.asarray(REGIONS)
        before = fake_cupy.to_host
        found = run(*given)
    assert isinstance(found, cupy.ndarray)
    assert fake_cupy.to_host - before <= share * values.nbytes
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.get(), expected, rtol=1e-5)


def test_kmeans_with_dispatch(fake_cupy):
    """One result of many starts, as scikit-learn's; labels alone come to the host."""
    import cupy

    values = features(np.float64)
    settings = {"n_init": 2, "max_iter": 50, "tol": 1e-4, "random_state": 3}
    expected = kmeans(values, 4, **settings)
    given, before = cupy.asarray(values), fake_cupy.to_host
    found = kmeans(given, 4, **settings)
    labels = (settings["n_init"] + 1) * expected.labels.nbytes
    assert fake_cupy.to_host - before <= labels + 1000
    np.testing.assert_array_equal(found.labels.get(), expected.labels)
    np.testing.assert_allclose(found.centers.get(), expected.centers, rtol=1e-12)
    assert found.inertia == pytest.approx(expected.inertia, rel=1e-12)
    assert found.n_iter == expected.n_iter
