"""Hot spots and noise: against NumPy, scikit-image, plain loops, and invariances."""

import os
import pickle

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from skimage.restoration import denoise_bilateral, denoise_tv_chambolle
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from imsminer.core.grid import coordinates_of, neighbor_matrix
from imsminer.images._kernels import process_numba
from imsminer.images._smoothing import nonzero_quantile, smooth
from imsminer.images.process import HotspotClipper, ImageSmoother

needs_dispatch = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)
SMOOTHERS = [
    ImageSmoother("median"),
    ImageSmoother("median", width=5),
    ImageSmoother("gaussian"),
    ImageSmoother("gaussian", width=5),
    ImageSmoother("bilateral", width=5, strength=0.2),
    ImageSmoother("tv", strength=0.2),
]


def name(model):
    return f"{model.method}-{model.width}"


def features(shape=(12, 9), n_ions=3, seed=0, dtype=np.float64, runs=("a",)):
    """Noisy discs in full rectangles, with coordinates in the index."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]].reshape(2, -1)
    disc = (x - 4) ** 2 + (y - 5) ** 2 < 12
    tables = []
    for run in runs:
        values = (1 + 4 * disc[:, None]) * random.gamma(6, 1, (x.size, n_ions))
        values *= 10.0 ** np.arange(n_ions)
        index = pd.MultiIndex.from_arrays(
            [np.full(x.size, run), x + 3, y + 7, 0 * x], names=["run", "x", "y", "z"]
        )
        columns = [f"mz_{700 + i}.1000" for i in range(n_ions)]
        tables.append(pd.DataFrame(values.astype(dtype), index=index, columns=columns))
    return pd.concat(tables)


def holed(X, share=0.7, seed=1):
    """The table without some of its pixels, in another order."""
    keep = np.random.default_rng(seed).random(len(X)) < share
    return X[keep].sample(frac=1, random_state=seed)


@parametrize_with_checks([HotspotClipper(), HotspotClipper(quantile=0.5)])
def test_sklearn_checks(estimator, check):
    check(estimator)


# Smoothing that does nothing needs no coordinates, which the checks do not have.
@parametrize_with_checks(
    [
        ImageSmoother(width=1),
        ImageSmoother("bilateral", width=1),
        ImageSmoother("tv", strength=0),
    ]
)
def test_sklearn_checks_without_places(estimator, check):
    check(estimator)


class SmootherOfARow(ImageSmoother):
    """Takes rows that say nothing about where they are for a row of pixels."""

    def _pixels(self, X, coordinates, runs, mask):
        if coordinates is None:
            X = X if hasattr(X, "shape") else np.asarray(X)
            row = np.arange(X.shape[0])
            coordinates = np.stack([row, 0 * row], axis=1)
        return super()._pixels(X, coordinates, runs, mask)


def of_neighbors(estimator):
    reason = "a smoothed pixel depends on the pixels beside it"
    checks = [
        "check_methods_subset_invariance",
        "check_methods_sample_order_invariance",
    ]
    return dict.fromkeys(checks, reason)


@parametrize_with_checks(
    [
        SmootherOfARow(),
        SmootherOfARow("gaussian"),
        SmootherOfARow("bilateral"),
        SmootherOfARow("tv"),
    ],
    expected_failed_checks=of_neighbors,
    xfail_strict=True,
)
def test_sklearn_checks_with_places(estimator, check):
    check(estimator)


def test_limits_are_numpys_quantiles_of_non_zero_pixels():
    random = np.random.default_rng(0)
    X = random.lognormal(0, 2, (501, 130)) * (random.random((501, 130)) < 0.3)
    X[::7, 3] = np.nan
    for quantile in (0.5, 0.99, 1.0):
        limits = HotspotClipper(quantile).fit(X).limits_
        expected = [np.quantile(x[(x != 0) & np.isfinite(x)], quantile) for x in X.T]
        np.testing.assert_allclose(limits, expected, rtol=1e-12)
    clipped = HotspotClipper(0.5).fit_transform(X)
    expected = np.minimum(X, HotspotClipper(0.5).fit(X).limits_)
    np.testing.assert_array_equal(clipped, expected)
    assert np.isnan(clipped[0, 3])


def test_rare_ions_keep_their_signal():
    X = np.zeros((1000, 1))
    X[:5, 0] = [1, 2, 3, 4, 1000]
    clipped = HotspotClipper(0.8).fit_transform(X)
    # A quantile of all pixels would be 0.
    assert clipped.max() == pytest.approx(4 + 0.2 * 996)
    np.testing.assert_array_equal(clipped[:4], X[:4])


def test_limits_come_from_fit_and_leave_the_unknown_alone():
    model = HotspotClipper(0.5).fit([[1.0, 0, -3], [3, 0, -1], [5, 0, 0]])
    np.testing.assert_array_equal(model.limits_, [3, np.inf, 0])
    out = model.transform([[9.0, 9, -2], [2, 0, 0]])
    np.testing.assert_array_equal(out, [[3, 9, -2], [2, 0, 0]])


def test_infinity_is_refused():
    with pytest.raises(ValueError, match="infinity"):
        HotspotClipper().fit([[1.0], [np.inf]])
    with pytest.raises(ValueError, match="'quantile' parameter of HotspotClipper"):
        HotspotClipper(0).fit([[1.0]])


@pytest.mark.parametrize("width", [3, 5])
def test_median_and_gaussian_are_plain_loops_over_present_neighbors(width):
    X = holed(features(runs=("a", "b")))
    pixels = coordinates_of(X, estimator="test")
    near = neighbor_matrix(pixels, width // 2).toarray() + np.eye(len(X)) > 0
    at = pixels.coordinates
    values = X.to_numpy()
    median = ImageSmoother("median", width=width).fit_transform(X)
    gaussian = ImageSmoother("gaussian", width=width).fit_transform(X)
    sigma = width / 4
    for i in range(len(X)):
        rows = np.flatnonzero(near[i])
        np.testing.assert_allclose(median.iloc[i], np.median(values[rows], axis=0))
        d2 = ((at[rows] - at[i]) ** 2).sum(axis=1)
        weight = np.exp(-d2 / (2 * sigma**2))
        expected = (weight[:, None] * values[rows]).sum(axis=0) / weight.sum()
        np.testing.assert_allclose(gaussian.iloc[i], expected)


def test_bilateral_is_a_plain_loop_over_present_neighbors():
    X = holed(features(runs=("a", "b")))
    pixels = coordinates_of(X, estimator="test")
    near = neighbor_matrix(pixels, 2).toarray() + np.eye(len(X)) > 0
    model = ImageSmoother("bilateral", width=5, strength=0.15).fit(X)
    found = model.transform(X)
    values, at = X.to_numpy(), pixels.coordinates
    for i in range(len(X)):
        rows = np.flatnonzero(near[i])
        d2 = ((at[rows] - at[i]) ** 2).sum(axis=1)[:, None]
        delta = (values[rows] - values[i]) / (0.15 * model.scale_)
        weight = np.exp(-d2 / (2 * 1.25**2) - delta**2 / 2)
        expected = (weight * values[rows]).sum(axis=0) / weight.sum(axis=0)
        np.testing.assert_allclose(found.iloc[i], expected)


def test_bilateral_is_scikit_images_inside_a_rectangle():
    """With equal weights in space: its Gaussian ones are skewed in odd windows."""
    X = features((20, 15), n_ions=1)
    image = X.to_numpy().reshape(20, 15) / X.to_numpy().max()
    expected = denoise_bilateral(
        image, win_size=5, sigma_color=0.1, sigma_spatial=1e6, bins=200_000
    )
    around = neighbor_matrix(coordinates_of(X, estimator="test"), 2).astype(float)
    around = sparse.csr_array(around + sparse.eye_array(len(X)))
    found = np.empty((1, len(X)))
    process_numba.bilateral(
        image.reshape(1, -1), around.indptr, around.indices, around.data, 0.1, found
    )
    inside = (slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(
        found.reshape(20, 15)[inside], expected[inside], atol=1e-4
    )


def test_total_variation_is_scikit_images_on_a_rectangle():
    X = features((20, 15))
    model = ImageSmoother("tv", strength=0.2).fit(X)
    found = model.transform(X)
    for j in range(X.shape[1]):
        image = X.iloc[:, j].to_numpy().reshape(20, 15) / model.scale_[j]
        expected = denoise_tv_chambolle(image, weight=0.2)
        np.testing.assert_allclose(
            found.iloc[:, j].to_numpy().reshape(20, 15),
            expected * model.scale_[j],
            rtol=1e-10,
        )


def test_total_variation_minimises_its_objective_under_a_mask():
    X = holed(features(n_ions=1), 0.8)
    model = ImageSmoother("tv", strength=0.3).fit(X)
    given = X.iloc[:, 0].to_numpy() / model.scale_[0]
    found = model.transform(X).iloc[:, 0].to_numpy() / model.scale_[0]
    at = {tuple(c): i for i, c in enumerate(X.index.to_frame()[["x", "y"]].to_numpy())}
    edges = [
        (i, at.get((x + 1, y), i), at.get((x, y + 1), i)) for (x, y), i in at.items()
    ]
    own, right, down = np.array(edges).T

    def objective(u):
        variation = np.hypot(u[right] - u[own], u[down] - u[own]).sum()
        return ((u - given) ** 2).sum() / 2 + 0.3 * variation

    reached = objective(found)
    random = np.random.default_rng(0)
    assert reached < objective(given)
    for size in (0.3, 0.1):
        moved = found + size * random.normal(size=found.size)
        assert reached < objective(moved)
    # Of constants, the mean is best.
    assert reached < objective(np.full(found.size, given.mean()))


@pytest.mark.parametrize("model", SMOOTHERS, ids=name)
def test_what_was_not_measured_does_not_bleed_in(model):
    """An even tissue stays even up to its ragged edge and around its holes."""
    X = holed(features())
    X[:] = 7.0
    np.testing.assert_allclose(clone(model).fit_transform(X), 7.0, rtol=1e-12)


@pytest.mark.parametrize("model", SMOOTHERS, ids=name)
def test_runs_planes_and_sides_of_the_mask_are_apart(model):
    X = features(runs=("a", "b"))
    fitted = clone(model).fit(X)
    both = fitted.transform(X)
    for run in ("a", "b"):
        alone = fitted.transform(X.loc[[run]])
        pd.testing.assert_frame_equal(alone, both.loc[[run]])
    # The same pixels as planes of one run, and as sides of a mask.
    xy = X.index.to_frame(index=False)[["x", "y"]].to_numpy()
    second = X.index.get_level_values("run") == "b"
    planes = np.column_stack([xy, second])
    values = X.to_numpy()
    plain = clone(model).fit(values, coordinates=planes)
    np.testing.assert_array_equal(plain.transform(values, coordinates=planes), both)
    a = X.loc[["a"]]
    tissue = np.asarray(a.index.get_level_values("x") < 8)
    masked = fitted.transform(a, mask=tissue)
    pd.testing.assert_frame_equal(masked[tissue], fitted.transform(a[tissue]))
    pd.testing.assert_frame_equal(masked[~tissue], fitted.transform(a[~tissue]))
    assert not np.allclose(masked, fitted.transform(a))


@pytest.mark.parametrize("model", SMOOTHERS, ids=name)
def test_order_of_rows_type_and_names(model):
    X = holed(features(runs=("a", "b"), dtype=np.float32))
    out = clone(model).fit_transform(X)
    assert isinstance(out, pd.DataFrame)
    assert (out.dtypes == np.float32).all()
    assert out.index.equals(X.index)
    assert list(out.columns) == list(X.columns)
    assert np.isfinite(out.to_numpy()).all()
    assert not np.allclose(out, X)
    again = clone(model).fit_transform(X.sort_index())
    pd.testing.assert_frame_equal(again.loc[out.index], out, rtol=1e-5)
    frame = X.index.to_frame(index=False)
    plain = clone(model).fit_transform(
        X.to_numpy(), coordinates=frame[["x", "y"]], runs=frame["run"]
    )
    assert isinstance(plain, np.ndarray)
    np.testing.assert_array_equal(plain, out)


@pytest.mark.parametrize("model", SMOOTHERS, ids=name)
def test_noise_shrinks_and_edges_stay(model):
    y, x = np.mgrid[:40, :40].reshape(2, -1)
    truth = np.where((x - 18) ** 2 + (y - 22) ** 2 < 150, 5.0, 1.0)
    X = truth[:, None] * np.random.default_rng(0).gamma(6, 1 / 6, (x.size, 1))
    out = clone(model).fit_transform(X, coordinates=np.stack([x, y], axis=1))
    error = [np.sqrt(np.mean((image[:, 0] - truth) ** 2)) for image in (X, out)]
    assert error[1] < 0.75 * error[0]


def test_needs_to_know_where_pixels_are():
    X = features().to_numpy()
    with pytest.raises(ValueError, match=r"ImageSmoother needs to know where.*or pass"):
        ImageSmoother().fit(X)
    xy = features().index.to_frame(index=False)[["x", "y"]]
    fitted = ImageSmoother().fit(X, coordinates=xy)
    with pytest.raises(ValueError, match="ImageSmoother needs to know where"):
        fitted.transform(X)
    with pytest.raises(ValueError, match=r"width must be odd.*got 4. Take 3 or 5"):
        ImageSmoother(width=4).fit(X, coordinates=xy)
    twice = np.concatenate([X, X])
    with pytest.raises(ValueError, match=r"108 positions occur more than once.*runs="):
        fitted.transform(twice, coordinates=np.concatenate([xy, xy]))
    with pytest.raises(
        ValueError, match="mask must hold True or False for each of 108"
    ):
        fitted.transform(X, coordinates=xy, mask=np.ones(5, bool))
    with pytest.raises(ValueError, match="'method' parameter of ImageSmoother"):
        ImageSmoother("mean").fit(X, coordinates=xy)


def test_pipeline_pickle_and_output():
    X = features(dtype=np.float32)
    pipe = make_pipeline(HotspotClipper(0.95), ImageSmoother("tv"))
    out = pipe.fit_transform(X)
    assert isinstance(out, pd.DataFrame)
    assert list(pipe.get_feature_names_out()) == list(X.columns)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(pipe)).transform(X), out)
    pipe.set_output(transform="pandas")
    pd.testing.assert_frame_equal(pipe.fit_transform(X), out)


def test_empty_and_extreme_images():
    X = features(n_ions=4)
    X.iloc[:, 0] = 0
    X.iloc[:, 1] *= 1e200
    X.iloc[:, 2] *= -1e-200
    for model in SMOOTHERS:
        out = clone(model).fit_transform(X)
        assert np.isfinite(out.to_numpy()).all()
        assert (out.iloc[:, 0] == 0).all()
        assert not np.allclose(out.iloc[:, 1] / 1e200, X.iloc[:, 1] / 1e200)
        assert (out.iloc[:, 2] < 0).all()
    assert np.isfinite(HotspotClipper().fit_transform(X)).all(axis=None)


@pytest.mark.parametrize("method", ["median", "gaussian", "bilateral", "tv"])
@pytest.mark.parametrize("width", [3, 5])
def test_kernels_of_another_namespace(method, width):
    X = holed(features(runs=("a", "b")))
    pixels = coordinates_of(X, estimator="test")
    expected = smooth(X.to_numpy(), pixels, method, width=width)
    strict = array_api_strict.asarray(X.to_numpy())
    found = smooth(strict, pixels, method, width=width)
    assert found.__array_namespace__() is array_api_strict
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-10)
    single = smooth(X.to_numpy(np.float32), pixels, method, width=width)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-3)
    quantiles = nonzero_quantile(strict, 0.9)
    np.testing.assert_allclose(
        np.asarray(quantiles), np.quantile(X.to_numpy(), 0.9, axis=0), rtol=1e-12
    )


@needs_dispatch
def test_other_namespaces_agree_array_api():
    X = holed(features())
    xy = X.index.to_frame(index=False)[["x", "y"]].to_numpy()
    strict = array_api_strict.asarray(X.to_numpy())
    with config_context(array_api_dispatch=True):
        clipper = HotspotClipper(0.9).fit(strict)
        assert clipper.limits_.__array_namespace__() is array_api_strict
        clipped = clipper.transform(strict)
        smoothed = [
            clone(model).fit_transform(clipped, coordinates=xy) for model in SMOOTHERS
        ]
    expected = HotspotClipper(0.9).fit_transform(X)
    np.testing.assert_allclose(np.asarray(clipped), expected)
    for model, found in zip(SMOOTHERS, smoothed, strict=True):
        assert found.__array_namespace__() is array_api_strict
        np.testing.assert_allclose(
            np.asarray(found), clone(model).fit_transform(expected), rtol=1e-10
        )
