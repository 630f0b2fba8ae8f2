"""ImageClusterer: known groups, similarities against SciPy, and invariances."""

import os
import pickle

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats
from sklearn import config_context
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.pipeline import make_pipeline

from imsminer.core.grid import coordinates_of, gaussian_weights, neighbor_matrix
from imsminer.images._neighbors import mean_over_neighbors, median_over_neighbors
from imsminer.images.cluster import ImageClusterer
from imsminer.images.segment import InSituSegmenter

needs_dispatch = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)
SIDE = 20


def ions(n_per_group=(9, 6, 3), noise=1.0, dtype=np.float32, seed=0):
    """Noisy images of three overlapping discs, of very unequal intensities."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE].reshape(2, -1)
    discs = [
        (x - cx) ** 2 + (y - cy) ** 2 < 40 for cx, cy in ((5, 6), (13, 7), (9, 14))
    ]
    truth = np.repeat([0, 1, 2], n_per_group)
    shape = np.stack(discs, axis=1)[:, truth] * 3 + 0.2
    X = shape * random.exponential(1, shape.shape) ** noise
    X *= 10 ** random.uniform(-2, 4, size=len(truth))
    index = pd.MultiIndex.from_arrays(
        [0 * x, x, y, 0 * x], names=["run", "x", "y", "z"]
    )
    columns = [f"mz_{500 + i}.1" for i in range(len(truth))]
    return pd.DataFrame(X.astype(dtype), index=index, columns=columns), truth


@pytest.mark.parametrize("method", ["kmeans", "average"])
@pytest.mark.parametrize(
    "similarity", ["thresholded_cosine", "cosine", "pearson", "spearman"]
)
def test_finds_the_groups(similarity, method):
    X, truth = ions(noise=0.5)
    model = ImageClusterer(3, similarity=similarity, method=method, random_state=0)
    # The largest group is cluster 0.
    np.testing.assert_array_equal(model.fit(X).labels_, truth)
    assert model.labels_.dtype == np.int32


def test_similarities_are_scipys():
    X = ions(dtype=np.float64)[0].to_numpy()
    found = {
        name: ImageClusterer(3, similarity=name, random_state=0).fit(X).similarity_
        for name in ("thresholded_cosine", "cosine", "pearson", "spearman")
    }
    np.testing.assert_allclose(found["cosine"], cosine_similarity(X.T))
    np.testing.assert_allclose(found["pearson"], np.corrcoef(X.T), atol=1e-12)
    np.testing.assert_allclose(found["spearman"], stats.spearmanr(X)[0], atol=1e-12)
    above = np.where(X < np.median(X, axis=0), 0, X)
    np.testing.assert_allclose(found["thresholded_cosine"], cosine_similarity(above.T))


def test_spearman_shares_the_ranks_of_ties():
    X = ions(dtype=np.float64)[0].to_numpy()
    X = np.floor(3 * X / X.max(axis=0))
    model = ImageClusterer(3, similarity="spearman", random_state=0).fit(X)
    np.testing.assert_allclose(model.similarity_, stats.spearmanr(X)[0], atol=1e-12)


def test_median_filter_is_scipys_inside_the_image():
    X = ions(dtype=np.float64)[0]
    values = np.where(X < X.median(), 0, X)
    pixels = coordinates_of(X, estimator="test")
    found = median_over_neighbors(values, pixels)
    for j in range(values.shape[1]):
        image = values[:, j].reshape(SIDE, SIDE)
        expected = ndimage.median_filter(image, 3)[1:-1, 1:-1]
        np.testing.assert_array_equal(
            found[:, j].reshape(SIDE, SIDE)[1:-1, 1:-1], expected
        )


@pytest.fixture
def holed():
    random = np.random.default_rng(5)
    cells = np.stack(np.meshgrid(range(9), range(8), (0, 1)), -1).reshape(-1, 3)
    cells = cells[random.random(len(cells)) < 0.5]
    random.shuffle(cells)
    values = random.normal(size=(len(cells), 4)) * (
        random.random((len(cells), 4)) < 0.7
    )
    pixels = coordinates_of(values, cells[:, :2], cells[:, 2], estimator="test")
    return values, pixels


def test_median_respects_the_mask(holed):
    values, pixels = holed
    near = neighbor_matrix(pixels).toarray() + np.eye(len(values)) > 0
    expected = [np.median(values[row], axis=0) for row in near]
    np.testing.assert_allclose(median_over_neighbors(values, pixels), expected)
    single = values.astype(np.float32)
    assert median_over_neighbors(single, pixels).dtype == np.float32


@pytest.mark.parametrize("radius", [1, 2])
def test_neighborhoods_in_another_namespace(holed, radius):
    values, pixels = holed
    strict = array_api_strict.asarray(values)
    np.testing.assert_array_equal(
        np.asarray(median_over_neighbors(strict, pixels, radius)),
        median_over_neighbors(values, pixels, radius),
    )
    expected = gaussian_weights(pixels, radius).toarray() @ values
    for given in (strict, values):
        found = np.asarray(mean_over_neighbors(given, pixels, radius))
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_when_the_median_filter_applies():
    X, _ = ions()
    plain = X.to_numpy()
    xy = X.index.to_frame(index=False)[["x", "y"]].to_numpy()
    model = ImageClusterer(3, random_state=0)
    with_index = clone(model).fit(X)
    assert with_index.median_filter_ == 3
    assert clone(model).fit(plain).median_filter_ == 0
    for filter_ in ("auto", 3):
        given = (
            clone(model).set_params(median_filter=filter_).fit(plain, coordinates=xy)
        )
        assert given.median_filter_ == 3
        np.testing.assert_array_equal(given.similarity_, with_index.similarity_)
    off = clone(model).set_params(median_filter=0).fit(X)
    assert off.median_filter_ == 0
    assert np.abs(off.similarity_ - with_index.similarity_).max() > 0.05
    with pytest.raises(ValueError, match="ImageClusterer needs to know where"):
        clone(model).set_params(median_filter=3).fit(plain)
    cosine = clone(model).set_params(similarity="cosine", median_filter=3)
    assert cosine.fit(plain).median_filter_ == 0


@pytest.mark.parametrize("n_clusters", [2, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gram_matrix_gives_kmeans_of_the_images(n_clusters, dtype):
    X = ions((12, 11, 10, 9)[:3], noise=1.5, dtype=dtype)[0].to_numpy()
    model = ImageClusterer(n_clusters, similarity="cosine", random_state=2).fit(X)
    unit = (X / np.linalg.norm(X, axis=0)).T
    rival = KMeans(n_clusters, n_init=10, tol=0, random_state=2).fit(unit)
    assert adjusted_rand_score(rival.labels_, model.labels_) == 1


def test_fewer_pixels_than_images():
    X, truth = ions((30, 20, 10), noise=0.3)
    few = X.iloc[::9]
    assert few.shape[0] < few.shape[1]
    labels = ImageClusterer(3, similarity="cosine", random_state=0).fit(few).labels_
    np.testing.assert_array_equal(labels, truth)


def test_transform_is_the_mean_of_scaled_images():
    X, _ = ions(dtype=np.float64)
    model = ImageClusterer(3, random_state=0).fit(X)
    values = X.to_numpy()
    scaled = values / np.sqrt((values**2).mean(axis=0))
    expected = [scaled[:, model.labels_ == k].mean(axis=1) for k in range(3)]
    np.testing.assert_allclose(model.transform(X), np.stack(expected, axis=1))
    # The scale is that of fit, whatever is transformed.
    np.testing.assert_allclose(model.transform(3 * X), 3 * model.transform(X))
    np.testing.assert_allclose(model.fit_transform(X), model.transform(X))


def test_intensity_of_an_ion_does_not_matter():
    X, _ = ions(dtype=np.float64)
    factor = 10.0 ** np.random.default_rng(0).uniform(-30, 30, X.shape[1])
    model = ImageClusterer(3, random_state=0)
    expected = model.fit(X).labels_
    images = model.transform(X)
    scaled = clone(model).fit(X * factor)
    np.testing.assert_array_equal(scaled.labels_, expected)
    np.testing.assert_allclose(scaled.transform(X * factor), images)


@pytest.mark.parametrize("similarity", ["thresholded_cosine", "pearson", "spearman"])
def test_images_without_variation(similarity):
    X, _ = ions()
    X = X.assign(zero=np.float32(0), constant=np.float32(0.1))
    model = ImageClusterer(4, similarity=similarity, random_state=0).fit(X)
    np.testing.assert_array_equal(model.similarity_[-2], 0)
    if similarity != "thresholded_cosine":
        np.testing.assert_array_equal(model.similarity_[-1], 0)
    assert np.isfinite(model.transform(X)).all()
    assert model.scale_[-2] == 1


def test_more_clusters_than_features():
    X = ions()[0].iloc[:, :5]
    with pytest.warns(UserWarning, match="n_clusters=8, but X has only 5 features"):
        model = ImageClusterer(random_state=0).fit(X)
    assert model.n_clusters_ == 5
    np.testing.assert_array_equal(model.labels_, range(5))
    with pytest.warns(UserWarning, match="n_clusters=8, but X has only 1 feat"):
        one = ImageClusterer(method="average").fit(X.iloc[:, :1])
    np.testing.assert_array_equal(one.labels_, [0])


def test_output_names_and_pipeline():
    X, _ = ions()
    model = ImageClusterer(3, random_state=0).set_output(transform="pandas")
    table = model.fit_transform(X)
    names = [f"imagecluster{k}" for k in range(3)]
    assert list(table.columns) == names
    assert list(model.get_feature_names_out()) == names
    assert table.index.equals(X.index)
    with config_context(transform_output="pandas"):
        pipe = make_pipeline(
            ImageClusterer(3, random_state=0),
            InSituSegmenter(3, spatial_radius=1, random_state=0),
        )
        labels = pipe.fit_predict(X)
        np.testing.assert_array_equal(
            pickle.loads(pickle.dumps(pipe)).predict(X), labels
        )


def test_errors():
    X = ions()[0].copy()
    with pytest.raises(ValueError, match="'similarity' parameter of ImageClusterer"):
        ImageClusterer(similarity="ssim").fit(X)
    with pytest.raises(ValueError, match="'median_filter' parameter"):
        ImageClusterer(median_filter=5).fit(X)
    X.iloc[2, 2] = np.nan
    with pytest.raises(ValueError, match="ImageClusterer does not accept missing"):
        ImageClusterer().fit(X)


@needs_dispatch
@pytest.mark.parametrize("method", ["kmeans", "average"])
@pytest.mark.parametrize("similarity", ["thresholded_cosine", "pearson", "spearman"])
def test_other_namespaces_agree_array_api(similarity, method):
    frame, _ = ions(noise=1.5, dtype=np.float64)
    xy = frame.index.to_frame(index=False)[["x", "y"]].to_numpy()
    model = ImageClusterer(4, similarity=similarity, method=method, random_state=1)
    expected = clone(model).fit(frame.to_numpy(), coordinates=xy)
    strict = array_api_strict.asarray(frame.to_numpy())
    with config_context(array_api_dispatch=True):
        found = clone(model).fit(strict, coordinates=xy)
        images = found.transform(strict)
    for name in ("labels_", "similarity_", "scale_"):
        value = getattr(found, name)
        assert value.__array_namespace__() is array_api_strict
        np.testing.assert_allclose(
            np.asarray(value), getattr(expected, name), atol=1e-12
        )
    np.testing.assert_allclose(np.asarray(images), expected.transform(frame.to_numpy()))
