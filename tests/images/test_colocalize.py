"""Colocalization against plain NumPy, SciPy and scikit-image; bounded memory."""

import tracemalloc

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats
from skimage.metrics import structural_similarity
from sklearn import config_context

from imsminer.core.grid import coordinates_of, neighbor_matrix
from imsminer.images.cluster import ImageClusterer
from imsminer.images.colocalize import colocalization, colocalization_matrix

METHODS = ["thresholded_cosine", "cosine", "pearson", "spearman", "ssim"]
SHAPE = (16, 20)


def ions(n_ions=9, runs=("a",), seed=0, dtype=np.float64):
    """Noisy images of three regions; ion i belongs to region i % 3."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].reshape(2, -1)
    discs = np.stack(
        [(x - cx) ** 2 + (y - cy) ** 2 < 30 for cx, cy in ((5, 5), (14, 6), (9, 12))],
        axis=1,
    )
    tables = []
    for run in runs:
        values = (0.1 + discs[:, np.arange(n_ions) % 3]) * random.gamma(
            4, 1, (x.size, n_ions)
        )
        values *= 10.0 ** (np.arange(n_ions) % 4)
        index = pd.MultiIndex.from_arrays(
            [np.full(x.size, run), x, y, 0 * x], names=["run", "x", "y", "z"]
        )
        columns = [f"mz_{700 + i}.5000" for i in range(n_ions)]
        tables.append(pd.DataFrame(values.astype(dtype), index=index, columns=columns))
    return pd.concat(tables)


def reference_cosine(X, filtered):
    """Threshold at the median, filter by a plain loop, and take the cosine."""
    near = neighbor_matrix(coordinates_of(X, estimator="test")).toarray()
    near = near + np.eye(len(X)) > 0
    images = []
    for image in X.to_numpy().T:
        image = np.where(image < np.median(image), 0, image)
        if filtered:
            image = np.array([np.median(image[row]) for row in near])
        images.append(image / np.linalg.norm(image))
    return np.array(images) @ np.array(images).T


@pytest.mark.parametrize("filtered", [True, False])
def test_thresholded_cosine_is_a_plain_one(filtered):
    X = ions(runs=("a", "b"))
    X = X[np.random.default_rng(0).random(len(X)) < 0.8]
    expected = reference_cosine(X, filtered)
    width = 3 if filtered else 0
    matrix = colocalization_matrix(X, median_filter=width)
    np.testing.assert_allclose(matrix, expected, atol=1e-6)
    for target in (0, 4):
        table = colocalization(X, target, median_filter=width)
        order = np.argsort(-expected[target], kind="stable")
        order = order[order != target]
        assert list(table["feature"]) == list(X.columns[order])
        np.testing.assert_allclose(table["score"], expected[target][order])


def test_inside_a_rectangle_the_filter_is_scipys():
    X = ions(2)
    images = [
        ndimage.median_filter(
            np.where(x < np.median(x), 0, x).reshape(SHAPE), 3, mode="constant"
        )
        for x in X.to_numpy().T
    ]
    # Zeros around, which count in SciPy's windows: only the rim differs.
    a, b = (image[1:-1, 1:-1].ravel() for image in images)
    inside = X[
        (X.index.get_level_values("x") % (SHAPE[1] - 1) > 0)
        & (X.index.get_level_values("y") % (SHAPE[0] - 1) > 0)
    ]
    expected = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    found = colocalization_matrix(inside).iloc[0, 1]
    # Medians of all pixels and of those inside are not quite the same.
    assert found == pytest.approx(expected, abs=0.03)


def test_pearson_spearman_and_cosine_are_scipys():
    X = ions()
    X.iloc[::3] = np.rint(X.iloc[::3])
    values = X.to_numpy()
    unit = values / np.linalg.norm(values, axis=0)
    expected = {
        "pearson": np.corrcoef(values.T),
        "spearman": stats.spearmanr(values)[0],
        "cosine": unit.T @ unit,
    }
    for method, matrix in expected.items():
        found = colocalization_matrix(X, method)
        np.testing.assert_allclose(found, matrix, atol=1e-6)
        table = colocalization(X, "mz_704.5000", method=method).set_index("feature")
        np.testing.assert_allclose(
            table["score"].reindex(X.columns.drop("mz_704.5000")),
            np.delete(matrix[4], 4),
            atol=1e-12,
        )


def test_ssim_is_scikit_images():
    X = ions(5, runs=("a", "b"))
    values = X.to_numpy() / X.to_numpy().max(axis=0)
    images = values.reshape(2, *SHAPE, 5)
    expected = np.eye(5)
    for i in range(5):
        for j in range(5):
            expected[i, j] = np.mean(
                [
                    structural_similarity(run[..., i], run[..., j], data_range=1.0)
                    for run in images
                ]
            )
    found = colocalization_matrix(X, "ssim")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    table = colocalization(X, 2, method="ssim").set_index("feature")["score"]
    np.testing.assert_allclose(
        table.reindex(X.columns.drop("mz_702.5000")), np.delete(expected[2], 2)
    )


def test_ssim_looks_at_measured_windows_only():
    X = ions(4)
    x, y = (X.index.get_level_values(level) for level in "xy")
    left = X[np.asarray(x) < 9]
    # Far away pixels make the box larger, and have no window of their own.
    far = X[(np.asarray(x) == 15) & (np.asarray(y) % 5 == 0)] * 100
    both = pd.concat([left, far])
    scale = both.max()
    expected = structural_similarity(
        (left / scale).iloc[:, 0].to_numpy().reshape(16, 9),
        (left / scale).iloc[:, 1].to_numpy().reshape(16, 9),
        data_range=1.0,
    )
    assert colocalization_matrix(both, "ssim").iloc[0, 1] == pytest.approx(expected)
    with pytest.raises(ValueError, match="windows of 3 × 3 measured pixels"):
        colocalization_matrix(far, "ssim")


def test_small_runs_get_a_smaller_window():
    X = ions(2)
    x, y = (np.asarray(X.index.get_level_values(level)) for level in "xy")
    small = X[(x < 6) & (y < 5)]
    scaled = (small / small.max()).to_numpy().reshape(5, 6, 2)
    expected = structural_similarity(
        scaled[..., 0], scaled[..., 1], win_size=5, data_range=1.0
    )
    assert colocalization_matrix(small, "ssim").iloc[0, 1] == pytest.approx(expected)


@pytest.mark.parametrize("method", METHODS)
def test_ions_of_the_same_region_come_first(method):
    X = ions(12)
    table = colocalization(X, 701.5, method=method)
    assert list(table.columns) == ["feature", "mz", "score", "rank"]
    assert list(table["rank"]) == list(range(1, 12))
    assert (np.diff(table["score"]) <= 0).all()
    assert set(table["mz"][:3]) == {704.5, 707.5, 710.5}
    assert table.attrs == {"method": method, "target": "mz_701.5000"}


def test_ways_to_name_the_target():
    X = ions()
    expected = colocalization(X, "mz_703.5000")
    for target in (703.5, 703.5021, np.float32(703.5), 3, np.int64(3), -6):
        pd.testing.assert_frame_equal(colocalization(X, target), expected)
    values = colocalization(X, X["mz_703.5000"])
    assert values["feature"][0] == "mz_703.5000"
    assert values["score"][0] == pytest.approx(1)
    np.testing.assert_allclose(values["score"][1:], expected["score"])
    assert values.attrs["target"] == "values"


def test_a_region_of_interest_finds_its_ions():
    X = ions(12)
    x, y = (np.asarray(X.index.get_level_values(level)) for level in "xy")
    region = (x - 14) ** 2 + (y - 6) ** 2 < 30
    for method in METHODS:
        table = colocalization(X, region, method=method)
        assert set(table["mz"][:4]) == {701.5, 704.5, 707.5, 710.5}


@pytest.mark.parametrize("method", METHODS)
def test_order_of_pixels_arrays_and_types(method):
    X = ions(4, runs=("a", "b"))
    expected = colocalization_matrix(X, method)
    assert isinstance(expected, pd.DataFrame)
    assert list(expected.index) == list(expected.columns) == list(X.columns)
    shuffled = X.sample(frac=1, random_state=0)
    np.testing.assert_allclose(
        colocalization_matrix(shuffled, method), expected, atol=1e-6
    )
    where = X.index.to_frame(index=False)
    for array in (X.to_numpy(), array_api_strict.asarray(X.to_numpy())):
        plain = colocalization_matrix(
            array, method, coordinates=where[["x", "y"]], runs=where["run"]
        )
        assert isinstance(plain, np.ndarray)
        assert plain.dtype == np.float32
        np.testing.assert_array_equal(plain, expected)
    np.testing.assert_array_equal(plain, plain.T)
    np.testing.assert_allclose(np.diag(plain), 1, atol=1e-6)
    table = colocalization(
        X.to_numpy(), 1, method=method, coordinates=where[["x", "y"]], runs=where["run"]
    )
    assert table["mz"].isna().all()
    assert sorted(table["feature"]) == [0, 2, 3]
    single = colocalization_matrix(X.astype(np.float32), method)
    np.testing.assert_allclose(single, expected, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_images_that_say_nothing(method):
    X = ions(3).assign(zero=0.0)
    X.iloc[:, 0] *= 1e200
    matrix = colocalization_matrix(X, method)
    assert (matrix["zero"] == 0).all()
    assert np.isfinite(matrix).all(axis=None)
    assert (colocalization(X, "zero", method=method)["score"] == 0).all()
    if method in ("pearson", "spearman", "ssim"):
        assert (colocalization(X, np.ones(len(X)), method=method)["score"] == 0).all()


def test_blocks_change_nothing():
    X = ions(100, dtype=np.float32)
    for method in METHODS[:4]:
        whole = colocalization_matrix(X, method)
        # Room for the images of about 26 ions, and of 2.
        for megabytes in (0.064, 0.005):
            with config_context(working_memory=megabytes):
                parts = colocalization_matrix(X, method)
            np.testing.assert_allclose(parts, whole, atol=3e-6)


def test_agrees_with_the_clusterer():
    X = ions()
    similarity = ImageClusterer(3, random_state=0).fit(X).similarity_
    np.testing.assert_allclose(colocalization_matrix(X), similarity, atol=1e-6)


@pytest.mark.parametrize("method", ["thresholded_cosine", "spearman"])
def test_memory_is_bounded(method):
    """By working_memory and the result, whatever the number of ions and pixels."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:100, :60].reshape(2, -1)
    X = random.random((x.size, 120), dtype=np.float32)
    where = np.stack([x, y], axis=1)
    colocalization_matrix(X[:100, :3], method, coordinates=where[:100])
    with config_context(working_memory=1):
        tracemalloc.start()
        colocalization_matrix(X, method, coordinates=where)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # To find neighbours takes some numbers for each of 9, before there are images.
    graph = 60 * 9 * x.size if method == "thresholded_cosine" else 0
    assert peak < max(1.25 * 2**20, graph)
    # All images at a time would not fit.
    assert 1.25 * 2**20 < X.nbytes / 2


def test_errors():
    X = ions()
    plain = X.to_numpy()
    cases = [
        ((X, "mz_1"), {}, r"no features are named 'mz_1'; pass an m/z as a float"),
        (
            (X, 703.6),
            {},
            r"no feature lies within 10 ppm of m/z 703\.6; .* -142\.1 ppm",
        ),
        ((X, 703), {}, r"target=703 is the position of a column.*9 features.*703\.0"),
        ((plain, 703.5), {}, "no feature is named like mz_885.5499"),
        ((X, plain[:5, 0]), {}, r"one value for each of 320 pixels.*shape \(5,\)"),
        ((X, X.iloc[::-1, 0]), {}, "a Series with another index"),
        ((X, np.full(320, np.nan)), {}, "target contains NaN"),
        ((X.mask(X > 5), 0), {}, "features contains NaN"),
        ((X, 0), {"method": "cos"}, "method must be one of thresholded_cosine,.*'cos'"),
        ((X, 0), {"median_filter": 5}, "median_filter must be 'auto', 0 or 3; got 5"),
        ((X, 700.5), {"ppm": 0}, "ppm must be above 0"),
        ((plain, 0), {"method": "ssim"}, "method='ssim' needs to know where the pix"),
        ((plain, 0), {"median_filter": 3}, "colocalization needs to know where"),
    ]
    for arguments, keywords, message in cases:
        with pytest.raises(ValueError, match=message):
            colocalization(*arguments, **keywords)
    with pytest.raises(ValueError, match="colocalization_matrix needs to know where"):
        colocalization_matrix(plain, median_filter=3)


def test_ions_of_the_bladder(shared_data):
    """Ions of the urothelium and of the muscle, which the pictures show."""
    path = shared_data / "bladder" / "bladder_79peaks.npz"
    if not path.is_file():
        pytest.skip("no bladder beside this checkout")
    table = np.load(path)
    X = np.zeros(table["shape"], dtype=np.float32)
    rows = np.repeat(np.arange(len(X)), np.diff(table["indptr"]))
    X[rows, table["indices"]] = table["data"]
    names = [f"mz_{m:.4f}" for m in table["mz"]]
    where = np.stack([table["x"], table["y"]], axis=1)
    matrix = colocalization_matrix(pd.DataFrame(X, columns=names), coordinates=where)
    assert np.isfinite(matrix).all(axis=None)
    mz = table["mz"]
    urothelium, muscle = (int(np.argmin(np.abs(mz - m))) for m in (743.547, 741.53))
    assert matrix.iloc[urothelium, urothelium] == pytest.approx(1, abs=1e-5)
    assert matrix.iloc[urothelium, muscle] < 0.5
