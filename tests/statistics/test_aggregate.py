"""Sums over the pixels of each region and replicate."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from imsminer import ImzMLReader, PeakIntegrator
from imsminer.datasets import make_ims
from imsminer.statistics import aggregate, compare


@pytest.fixture
def table():
    """300 features, more than one block, of 3 regions × 2 replicates; with zeros."""
    rng = np.random.default_rng(0)
    pixels = pd.DataFrame(
        {
            "roi": rng.choice(["a", "b", "c"], 120),
            "replicate": rng.integers(1, 3, 120),
        }
    )
    values = rng.lognormal(2, 1, (120, 300)).astype(np.float32)
    values[rng.uniform(size=values.shape) < 0.2] = 0
    return pd.DataFrame(
        values, columns=[f"mz_{500 + k}.0000" for k in range(300)]
    ), pixels


@pytest.mark.parametrize(
    ("statistic", "function"),
    [
        ("mean", lambda x: x.mean()),
        ("median", lambda x: x.median()),
        ("mean_log", lambda x: np.log2(x + 3).mean()),
        ("log_mean", lambda x: np.log2(x.mean() + 3)),
        ("frequency", lambda x: (x > 0).mean()),
    ],
)
def test_each_statistic_equals_a_loop_over_cells(table, statistic, function):
    features, pixels = table
    found = aggregate(features, pixels, statistic=statistic, pseudo_count=3)
    assert found.index.names == ["roi", "replicate"]
    assert found.index.is_monotonic_increasing
    for roi, replicate in found.index:
        rows = (pixels["roi"] == roi) & (pixels["replicate"] == replicate)
        expected = function(features[rows.to_numpy()].astype(float))
        cell = found.loc[(roi, replicate)]
        np.testing.assert_allclose(cell[features.columns], expected, rtol=1e-12)
        assert cell["n_pixels"] == rows.sum()
    assert list(found.columns) == [*features.columns, "n_pixels"]
    assert (found.dtypes[:-1] == np.float64).all()


def test_the_default_pseudo_count_is_half_the_limit_of_detection(table):
    features, pixels = table
    found = aggregate(features, pixels, by="roi")
    column = features.iloc[:, 0].astype(float)
    assert (column == 0).mean() > 0.05
    c = 0.5 * np.quantile(column[column > 0], 0.05)
    expected = np.log2(column + c).groupby(pixels["roi"]).mean()
    np.testing.assert_allclose(found.iloc[:, 0], expected)
    assert found.attrs["scale"] == "log2"
    assert found.attrs["pseudo_count"].startswith("half of the 5 % quantile")


def test_few_zeros_make_a_small_pseudo_count_and_none_make_none():
    pixels = pd.DataFrame({"roi": ["a"] * 100})
    values = np.full((100, 3), 8.0)
    values[0, 1] = 0
    values[:20, 2] = 0
    found = aggregate(values, pixels, by="roi").iloc[0]
    c = 0.5 * 8 * 0.2
    few = (99 * np.log2(8 + c) + np.log2(c)) / 100
    many = (80 * np.log2(8 + 4) + 20 * np.log2(4)) / 100
    np.testing.assert_allclose(found[:3], [3.0, few, many])


def test_a_feature_without_signal_stays_finite(table):
    features, pixels = table
    features = features.assign(**{"mz_500.0000": 0.0})
    found = aggregate(features, pixels)
    assert (found["mz_500.0000"] == 0).all()


def test_pseudo_counts_of_each_feature(table):
    features, pixels = table
    counts = np.linspace(1, 5, 300)
    found = aggregate(features, pixels, by="roi", pseudo_count=counts)
    one = aggregate(features.iloc[:, [299]], pixels, by="roi", pseudo_count=5.0)
    np.testing.assert_allclose(found.iloc[:, 299], one.iloc[:, 0])


def test_row_order_does_not_matter(table):
    features, pixels = table
    order = np.random.default_rng(1).permutation(len(pixels))
    for statistic in ("mean_log", "median"):
        one = aggregate(features, pixels, statistic=statistic)
        two = aggregate(features.iloc[order], pixels.iloc[order], statistic=statistic)
        pd.testing.assert_frame_equal(one, two, rtol=1e-9)


def test_pixels_without_a_name_are_left_out(table):
    features, pixels = table
    pixels.loc[:9, "roi"] = ""
    pixels.loc[10:14, "roi"] = None
    found = aggregate(features, pixels)
    assert found["n_pixels"].sum() == 105
    assert found.attrs["left_out"] == {"roi": 15, "replicate": 0}
    pixels["roi"] = ""
    with pytest.raises(ValueError, match="120 lack 'roi'"):
        aggregate(features, pixels)


def test_arrays_of_other_libraries(table):
    xp = pytest.importorskip("array_api_strict")
    features, pixels = table
    found = aggregate(xp.asarray(features.to_numpy()), pixels)
    expected = aggregate(features.to_numpy(), pixels)
    pd.testing.assert_frame_equal(found, expected)
    assert found.columns[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"statistic": "sum"}, "statistic must be one of 'mean_log'"),
        ({"by": []}, "by must name one or more"),
        ({"by": ["roi", "roi"]}, "by must name one or more"),
        ({"by": "condition"}, "no column 'condition'"),
        ({"pseudo_count": 0}, "needs values above 0"),
        ({"pseudo_count": [1, 2]}, "one for each of the 300 features"),
    ],
)
def test_errors(table, options, message):
    with pytest.raises(ValueError, match=message):
        aggregate(*table, **options)


def test_text_is_no_intensity(table):
    features, pixels = table
    with pytest.raises(ValueError, match="table of numbers"):
        aggregate(features.astype(str), pixels)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Four runs: two of a control, two where the first ion is twice as strong."""
    folder = tmp_path_factory.mktemp("study")
    y, x = np.divmod(np.arange(36), 6)
    mz, paths = [610.0, 640.0, 670.0], []
    for k in range(4):
        ions = np.tile([2.0 if k >= 2 else 1.0, 1.0, 1.0], (36, 1))
        make_ims(
            folder / f"run{k}.imzML",
            distributions=ions,
            coordinates=np.column_stack([x + 1, y + 1]),
            mz=mz,
            mz_range=(600, 700),
            isotopes=False,
            height=500.0,
            random_state=k,
        )
        paths.append(folder / f"run{k}.imzML")
    spectra = ImzMLReader(paths)
    codes = pd.factorize(spectra.pixels["run"])[0]
    spectra.pixels["condition"] = np.where(codes < 2, "control", "drug")
    spectra.pixels["replicate"] = codes
    features = PeakIntegrator(peaks=mz, window="ppm", width=60).fit_transform(spectra)
    return spectra, features


def test_a_study_from_files_finds_the_ion_that_differs(study):
    spectra, features = study
    with pytest.warns(UserWarning, match="fewer than 3 units"):
        table = compare(features, spectra.pixels, group="condition", unit="replicate")
    assert table["mz"].tolist() == [610.0, 640.0, 670.0]
    fold = table["log2_fold_change"]
    # Mean abundance is the same in all runs' scale, so only ratios between ions count.
    assert fold[0] - fold[1:].mean() == pytest.approx(1.0, abs=0.1)
    assert abs(fold[1] - fold[2]) < 0.15
    assert table["n_a"].tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match="another order"):
        compare(features[::-1], spectra.pixels, group="condition", unit="replicate")


def test_real_pixels(shared_data):
    """The bladder's 79 ions in halves: the same means as pandas."""
    with np.load(shared_data / "bladder" / "bladder_79peaks.npz") as file:
        parts = file["data"], file["indices"], file["indptr"]
        values = sparse.csr_array(parts, shape=tuple(file["shape"])).toarray()
    pixels = pd.DataFrame({"half": np.arange(len(values)) % 2})
    found = aggregate(values, pixels, by="half", statistic="mean")
    np.testing.assert_allclose(
        found.iloc[:, :79], [values[k::2].mean(axis=0, dtype=float) for k in range(2)]
    )
