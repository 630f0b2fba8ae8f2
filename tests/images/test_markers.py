"""segment_markers against SciPy and scikit-learn, one ion at a time."""

import array_api_strict
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from imsminer.images import markers
from imsminer.images.markers import segment_markers
from imsminer.images.shrunken import ShrunkenCentroidClassifier


@pytest.fixture
def tissue():
    """Counts with many ties, four segments of unequal size, ions that mark some."""
    random = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c", "d"], [50, 120, 31, 9])
    random.shuffle(labels)
    X = random.poisson(2, size=(len(labels), 40)).astype(np.float32)
    X[labels == "b", 7] += 6
    X[labels == "d", 3] += 30
    columns = [f"mz_{700 + i}.1250" for i in range(40)]
    return pd.DataFrame(X, columns=columns), labels


def test_each_row_is_what_scipy_says(tissue):
    X, labels = tissue
    table = segment_markers(X, labels, top=None)
    assert len(table) == 4 * 40
    for row in table.itertuples():
        inside = labels == row.segment
        one, two = X.loc[inside, row.feature], X.loc[~inside, row.feature]
        one, two = one.to_numpy(np.float64), two.to_numpy(np.float64)
        expected = stats.ttest_ind(one, two, equal_var=False).statistic
        np.testing.assert_allclose(row.t, expected, rtol=1e-9)
        expected = roc_auc_score(inside, X[row.feature])
        np.testing.assert_allclose(row.auc, expected, rtol=1e-12)
        np.testing.assert_allclose(row.mean_inside, one.mean(), rtol=1e-12)
        np.testing.assert_allclose(row.mean_outside, two.mean(), rtol=1e-12)
        expected = np.log2(one.mean() / two.mean())
        np.testing.assert_allclose(row.log2_ratio, expected, rtol=1e-9)
        assert row.feature == f"mz_{row.mz:.4f}"


@pytest.mark.parametrize("by", ["t", "auc"])
@pytest.mark.parametrize("statistic", ["welch", "shrunken"])
def test_markers_come_first(tissue, by, statistic):
    X, labels = tissue
    table = segment_markers(X, labels, by=by, statistic=statistic, top=3)
    assert list(table["segment"]) == sorted(["a", "b", "c", "d"] * 3)
    first = table.groupby("segment").first()
    assert first.loc["b", "mz"] == 707.125
    assert first.loc["d", "mz"] == 703.125
    for _, part in table.groupby("segment"):
        assert part[by].is_monotonic_decreasing
        every = segment_markers(X, labels, by=by, statistic=statistic, top=None)
        every = every[every["segment"] == part["segment"].iloc[0]]
        assert part[by].min() >= every[by].nlargest(3).min()


def test_shrunken_t_is_that_of_the_classifier(tissue):
    X, labels = tissue
    model = ShrunkenCentroidClassifier(shrinkage=1.5).fit(X, labels)
    table = segment_markers(X, labels, statistic="shrunken", shrinkage=1.5, top=None)
    wide = table.pivot(index="segment", columns="feature", values="t")
    np.testing.assert_allclose(wide[X.columns], model.statistic_, atol=1e-12)


def test_unlabelled_pixels_are_left_out(tissue):
    X, labels = tissue
    labels = pd.Series(labels, dtype=object)
    labels[::3] = None
    known = labels.notna().to_numpy()
    for statistic in ("welch", "shrunken"):
        found = segment_markers(X, labels, statistic=statistic)
        expected = segment_markers(X[known], labels[known], statistic=statistic)
        pd.testing.assert_frame_equal(found, expected)


def test_blocks_order_and_namespace_do_not_matter(tissue, monkeypatch):
    X, labels = tissue
    expected = segment_markers(X, labels, top=None)
    order = np.random.default_rng(1).permutation(len(X))
    monkeypatch.setattr(markers, "BLOCK", 7)
    found = segment_markers(X.iloc[order], labels[order], top=None)
    pd.testing.assert_frame_equal(found, expected)
    plain = segment_markers(array_api_strict.asarray(X.to_numpy()), labels, top=None)
    np.testing.assert_array_equal(plain["feature"], [
        X.columns.get_loc(name) for name in expected["feature"]
    ])  # fmt: skip
    assert plain["mz"].isna().all()
    np.testing.assert_allclose(plain["t"], expected["t"], rtol=1e-10)


def test_ions_without_variation():
    X = np.zeros((6, 3))
    X[:3, 1] = 5
    X[:, 2] = 4
    table = segment_markers(X, [1, 1, 1, 2, 2, 2]).set_index(["segment", "feature"])
    assert table.loc[(1, 1), "t"] == np.inf
    assert table.loc[(2, 1), "t"] == -np.inf
    assert table.loc[(1, 1), "log2_ratio"] == np.inf
    assert table.loc[(1, 1), "auc"] == 1
    for feature in (0, 2):
        row = table.loc[(1, feature)]
        assert row["t"] == row["log2_ratio"] == 0
        assert row["auc"] == 0.5
    alone = segment_markers(np.eye(4), [0, 1, 1, 1]).set_index(["segment", "feature"])
    assert alone["t"].isna().all()
    assert alone.loc[(0, 0), "auc"] == 1


def test_errors(tissue):
    X, labels = tissue
    for wrong, message in (
        ({"by": "p"}, "by must be 't' or 'auc'"),
        ({"statistic": "z"}, "statistic 'welch' or 'shrunken'"),
        ({"top": 0}, "top must be 1 or more"),
        ({"shrinkage": 1}, "needs statistic='shrunken'"),
    ):
        with pytest.raises(ValueError, match=message):
            segment_markers(X, labels, **wrong)
    with pytest.raises(ValueError, match="labels has 3 values, but features has 210"):
        segment_markers(X, labels[:3])
    with pytest.raises(
        ValueError, match=r"two segments or more to compare, found \['a"
    ):
        segment_markers(X, np.full(len(X), "a"))
    X.iloc[4, 39] = np.nan
    with pytest.raises(ValueError, match="features has entries that are NaN"):
        segment_markers(X, labels)
