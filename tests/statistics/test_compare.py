"""Tests of two groups, against SciPy feature by feature; the table and its labels."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imsminer.statistics import aggregate, compare
from tests.statistics.cases import random_units

COLUMNS = [
    *("feature", "mz", "group_a", "group_b", "mean_a", "mean_b", "log2_fold_change"),
    *("difference", "ci_low", "ci_high", "statistic", "df", "p", "q", "auc"),
    *("n_a", "n_b", "test", "inference", "pseudo_count", "note"),
]


def run(values, pixels, test="welch", **options):
    options = {"group": "group", "unit": "unit", "transform": None, **options}
    return compare(values, pixels, test=test, **options)


def arms(values, pixels, *names):
    return [values[(pixels["group"] == name).to_numpy(bool)] for name in names]


@pytest.fixture
def ten():
    """50 features, groups of 4, 3 and 6 units."""
    return random_units(50, (4, 3, 6))


@pytest.fixture
def study():
    """40 features of 2 conditions × 4 animals × 5 to 14 pixels, with zeros."""
    rng = np.random.default_rng(3)
    size = rng.integers(5, 15, 8)
    pixels = pd.DataFrame(
        {
            "run": np.repeat([f"run{k}" for k in range(8)], size),
            "condition": np.repeat(["control"] * 4 + ["drug"] * 4, size),
            "animal": np.repeat([1, 2, 3, 4] * 2, size),
        }
    )
    pixels["x"] = np.arange(len(pixels))
    values = rng.lognormal(3, 1, (len(pixels), 40))
    values[rng.uniform(size=values.shape) < 0.1] = 0
    names = [f"mz_{700 + k}.5000" for k in range(40)]
    return pd.DataFrame(values, columns=names), pixels


def test_welch_equals_scipy(ten):
    table = run(*ten, confidence=0.9)
    assert len(table) == 3 * 50
    for pair, part in table.groupby(["group_a", "group_b"]):
        a, b = arms(*ten, *pair)
        found = stats.ttest_ind(b, a, axis=0, equal_var=False)
        interval = found.confidence_interval(0.9)
        np.testing.assert_allclose(part["statistic"], found.statistic, rtol=1e-9)
        np.testing.assert_allclose(part["df"], found.df, rtol=1e-9)
        np.testing.assert_allclose(part["p"], found.pvalue, rtol=1e-9)
        np.testing.assert_allclose(part["ci_low"], interval.low, rtol=1e-9)
        np.testing.assert_allclose(part["ci_high"], interval.high, rtol=1e-9)


def test_paired_equals_scipy():
    values, pixels = random_units(50, (5, 5))
    part = run(values, pixels, "paired")
    a, b = arms(values, pixels, "a", "b")
    found = stats.ttest_rel(b, a, axis=0)
    np.testing.assert_allclose(part["p"], found.pvalue, rtol=1e-9)
    np.testing.assert_allclose(part["statistic"], found.statistic, rtol=1e-9)
    interval = found.confidence_interval(0.95)
    np.testing.assert_allclose(part["ci_low"], interval.low, rtol=1e-9)
    assert (part["df"] == 4).all()


def test_pairs_are_found_by_name_and_the_rest_is_left_out():
    values, pixels = random_units(20, (5, 5))
    order = np.random.default_rng(1).permutation(10)
    order = order[~((pixels["group"] == "b") & (pixels["unit"] == 2)).to_numpy()[order]]
    part = run(values[order], pixels.iloc[order], "paired")
    a, b = (arm[[0, 1, 3, 4]] for arm in arms(values, pixels, "a", "b"))
    np.testing.assert_allclose(part["p"], stats.ttest_rel(b, a, axis=0).pvalue)
    np.testing.assert_allclose(part["mean_a"], a.mean(axis=0))
    assert (part["n_a"] == 4).all()
    assert (part["n_b"] == 4).all()


@pytest.mark.parametrize("sizes", [(3, 3), (4, 6), (8, 20), (9, 12)])
def test_mann_whitney_equals_scipy_feature_by_feature(sizes):
    values, pixels = random_units(30, sizes)
    part = run(values, pixels, "mannwhitney")
    a, b = arms(values, pixels, "a", "b")
    for k in range(30):
        found = stats.mannwhitneyu(b[:, k], a[:, k])
        assert part["p"].iloc[k] == pytest.approx(found.pvalue, rel=1e-12)
        assert part["statistic"].iloc[k] == found.statistic


def test_ties_of_few_units_have_an_exact_p():
    # Three zeros against three ones: one of 20 arrangements on either side. The normal
    # approximation calls this 0.047 < 0.05.
    pixels = pd.DataFrame({"group": list("aaabbb"), "unit": range(6)})
    values = np.array([[0, 1], [0, 1], [0, 2], [1, 2], [1, 3], [1, 3]], float)
    part = run(values, pixels, "mannwhitney")
    assert part["p"].iloc[0] == pytest.approx(2 / 20)
    found = stats.permutation_test(
        (values[3:, 1], values[:3, 1]),
        lambda b, a: stats.mannwhitneyu(b, a).statistic,
        permutation_type="independent",
        vectorized=False,
    )
    assert part["p"].iloc[1] == pytest.approx(found.pvalue)


def test_ties_of_many_units_are_scipys():
    values, pixels = random_units(10, (12, 15))
    values = np.round(values / 50)
    part = run(values, pixels, "mannwhitney")
    a, b = arms(values, pixels, "a", "b")
    found = stats.mannwhitneyu(b, a, axis=0, method="asymptotic")
    np.testing.assert_allclose(part["p"], found.pvalue, rtol=1e-12)


@pytest.mark.parametrize("sizes", [(4, 4), (5, 7), (12, 11)])
def test_shift_interval_holds_the_shifts_that_the_test_accepts(sizes):
    values, pixels = random_units(5, sizes, seed=5)
    part = run(values, pixels, "mannwhitney")
    a, b = arms(values, pixels, "a", "b")
    method = "exact" if min(sizes) <= 8 else "asymptotic"
    for k in range(5):
        for end, inwards in (("ci_low", 1), ("ci_high", -1)):
            edge = part[end].iloc[k]
            for step, accepted in ((1e-6, True), (-1e-6, False)):
                moved = b[:, k] - (edge + inwards * step)
                p = stats.mannwhitneyu(moved, a[:, k], method=method).pvalue
                assert (p > 0.05) == accepted


def test_three_against_three_have_no_shift_interval():
    part = run(*random_units(4, (3, 3)), "mannwhitney")
    assert np.isneginf(part["ci_low"]).all()
    assert np.isposinf(part["ci_high"]).all()
    assert (part["p"] >= 0.1 - 1e-12).all()


def test_pairs_use_their_own_data(ten):
    values, pixels = ten
    other = values.copy()
    other[(pixels["group"] == "c").to_numpy()] *= 100
    for test in ("welch", "mannwhitney"):
        one, two = (
            run(x, pixels, test, pseudo_count=1).query("group_b == 'b'")
            for x in (values, other)
        )
        pd.testing.assert_frame_equal(one, two)


def test_auc_counts_ties_as_half():
    pixels = pd.DataFrame({"group": list("aabbb"), "unit": range(5)})
    with pytest.warns(UserWarning, match="fewer than 3 units"):
        part = run(np.array([[1.0], [2.0], [2.0], [3.0], [0.0]]), pixels)
    # Of six pairs b exceeds a in 2 > 1, 3 > 1, 3 > 2; 2 = 2 counts one half.
    assert part["auc"].iloc[0] == pytest.approx(3.5 / 6)


def test_columns_and_order(ten):
    table = run(*ten)
    assert list(table.columns) == COLUMNS
    pairs = table[["group_a", "group_b"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["a", "b"], ["a", "c"], ["b", "c"]]
    assert table["feature"].tolist() == list(range(50)) * 3
    assert isinstance(table.index, pd.RangeIndex)


def test_q_is_adjusted_within_each_pair(ten):
    for _, part in run(*ten).groupby(["group_a", "group_b"]):
        np.testing.assert_allclose(part["q"], stats.false_discovery_control(part["p"]))


def test_reference_is_a_and_turns_the_signs(ten):
    table = run(*ten, reference="b")
    pairs = table[["group_a", "group_b"]].drop_duplicates().to_numpy().tolist()
    assert pairs == [["b", "a"], ["b", "c"]]
    one = table.query("group_b == 'a'").reset_index(drop=True)
    two = run(*ten).query("group_a == 'a' and group_b == 'b'")
    np.testing.assert_allclose(one["statistic"], -two["statistic"])
    np.testing.assert_allclose(one["log2_fold_change"], -two["log2_fold_change"])
    np.testing.assert_allclose(one["auc"], 1 - two["auc"])
    np.testing.assert_allclose(one["p"], two["p"])


def test_fold_change_is_the_ratio_of_means(study):
    features, pixels = study
    for transform in ("log2", None):
        table = compare(
            features, pixels, group="condition", unit="animal", transform=transform
        )
        c = table["pseudo_count"]
        ratio = (table["mean_b"] + c) / (table["mean_a"] + c)
        np.testing.assert_allclose(table["log2_fold_change"], np.log2(ratio))
    units = features.groupby([pixels["condition"], pixels["animal"]]).mean()
    means = units.groupby("condition").mean()
    np.testing.assert_allclose(table["mean_a"], means.loc["control"])
    np.testing.assert_allclose(
        table["difference"], means.loc["drug"] - means.loc["control"]
    )
    np.testing.assert_allclose(table["mz"], [700.5 + k for k in range(40)])


def test_values_are_means_of_logarithms_over_the_pixels_of_a_unit(study):
    features, pixels = study
    table = compare(features, pixels, group="condition", unit="animal", pseudo_count=2)
    units = (
        np.log2(features + 2).groupby([pixels["condition"], pixels["animal"]]).mean()
    )
    a, b = units.loc["control"], units.loc["drug"]
    np.testing.assert_allclose(
        table["p"], stats.ttest_ind(b, a, equal_var=False).pvalue, rtol=1e-9
    )
    np.testing.assert_allclose(table["log2_fold_change"], b.mean() - a.mean())
    np.testing.assert_allclose(table["mean_a"], 2 ** a.mean() - 2)


def test_results_do_not_depend_on_row_order_or_container(study):
    features, pixels = study
    options = {"group": "condition", "unit": "animal"}
    table = compare(features, pixels, **options)
    order = np.random.default_rng(0).permutation(len(pixels))
    mixed = compare(features.iloc[order], pixels.iloc[order], **options)
    pd.testing.assert_frame_equal(table, mixed, rtol=1e-9)
    array = compare(features.to_numpy(), pixels, **options)
    pd.testing.assert_frame_equal(
        table.drop(columns=["feature", "mz"]), array.drop(columns=["feature", "mz"])
    )
    assert array["mz"].isna().all()


def test_units_of_intensity_do_not_matter(study):
    features, pixels = study
    options = {"group": "condition", "unit": "animal"}
    one, two = (compare(x, pixels, **options) for x in (features, 1e4 * features))
    for name in ("p", "q", "auc", "log2_fold_change", "ci_low"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-6)


def test_pixels_without_group_or_unit_are_left_out_and_counted(study):
    features, pixels = study
    options = {"group": "condition", "unit": "animal"}
    plain = compare(features, pixels, **options)
    extra = pd.concat([pixels, pixels.iloc[:5], pixels.iloc[:3]], ignore_index=True)
    extra["animal"] = extra["animal"].astype(float)
    extra.loc[len(pixels) : len(pixels) + 4, "condition"] = ["", None, np.nan, " ", ""]
    extra.loc[len(pixels) + 5 :, "animal"] = np.nan
    rows = pd.concat([features, features.iloc[:5] * 9, features.iloc[:3]])
    table = compare(rows, extra, **options)
    pd.testing.assert_frame_equal(table, plain)
    assert table.attrs["left_out"] == {"condition": 5, "animal": 3}
    assert table.attrs["n_pixels"] == len(pixels)


def test_categories_keep_their_order(study):
    features, pixels = study
    order = ["drug", "control", "never seen"]
    pixels["condition"] = pd.Categorical(pixels["condition"], categories=order)
    table = compare(features, pixels, group="condition", unit="animal")
    assert table["group_a"].unique().tolist() == ["drug"]
    assert len(table) == 40


def test_technical_replicates_count_alike_and_once():
    # Animal 1 has 30 pixels on one slide and 2 on another; each slide is half of it.
    pixels = pd.DataFrame(
        {
            "group": ["a"] * 34 + ["b"] * 6,
            "animal": [1] * 32 + [2, 3] + [4, 4, 5, 5, 6, 6],
            "slide": [1] * 30 + [2] * 2 + [1] * 2 + [1, 2] * 3,
        }
    )
    values = np.r_[[1.0] * 30, [5.0] * 2, 3.5, 2.5, np.arange(6.0)][:, None]
    table = compare(
        values, pixels, group="group", unit="animal", technical="slide", transform=None
    )
    assert table["mean_a"].iloc[0] == pytest.approx(3.0)
    assert table["n_a"].iloc[0] == 3
    pooled = compare(values, pixels, group="group", unit="animal", transform=None)
    assert pooled["mean_a"].iloc[0] == pytest.approx((40 / 32 + 6) / 3)


def test_the_table_says_what_units_are(ten):
    assert set(run(*ten)["inference"]) == {"biological"}
    table = run(*ten, replicates="technical")
    assert set(table["inference"]) == {"technical"}
    assert table.attrs["inference"] == "technical"
    assert table.attrs["unit"] == ["unit"]


def test_one_unit_gives_fold_change_and_auc_only():
    values, pixels = random_units(6, (1, 4, 3))
    with pytest.warns(UserWarning, match="2 of 3 comparisons have fewer than 2 units"):
        table = run(values, pixels)
    few = table.query("group_a == 'a'")
    assert few[["p", "q", "statistic", "df", "ci_low", "ci_high"]].isna().all(axis=None)
    assert few[["log2_fold_change", "auc", "mean_a"]].notna().all(axis=None)
    assert set(few["note"]) == {"fewer than 2 units in a group"}
    rest = table.query("group_a == 'b'")
    assert rest["p"].notna().all()
    assert set(rest["note"]) == {""}


@pytest.mark.parametrize("test", ["welch", "mannwhitney", "anova"])
def test_features_that_do_not_vary_have_no_p(test):
    values, pixels = random_units(3, (3, 3))
    values[:, 0] = 7.1
    values[:, 1] = np.repeat([0.0, 3.0], 3)
    table = run(values, pixels, test)
    assert np.isnan(table["p"].iloc[0])
    assert table["note"].iloc[0] == "values do not vary"
    assert table["auc"].iloc[0] == 0.5
    if test != "mannwhitney":
        assert np.isnan(table["p"].iloc[1])
        assert table["note"].iloc[1] == "no variation within groups"
    assert table["note"].iloc[2] == ""
    # A missing p does not count among the tests.
    known = table["p"].notna()
    assert table.loc[known, "q"].min() <= table.loc[known, "p"].min() * known.sum()


def test_one_group_that_does_not_vary_is_tested():
    values, pixels = random_units(1, (4, 4))
    values[:4] = 0.0
    row = run(values, pixels).iloc[0]
    assert row["df"] == pytest.approx(3)
    one = stats.ttest_1samp(values[4:, 0], 0.0)
    assert row["p"] == pytest.approx(one.pvalue)


def test_negative_values_need_no_logarithm():
    values, pixels = random_units(2, (3, 3))
    table = run(values - 1000, pixels)
    assert table["p"].notna().all()
    assert table["log2_fold_change"].isna().all()
    with pytest.raises(ValueError, match="feature 0 needs values above 0"):
        run(values - 1000, pixels, transform="log2")


def test_shared_runs_are_not_independent():
    values, pixels = random_units(4, (4, 4))
    pixels["run"] = pixels["unit"]
    with pytest.warns(UserWarning, match="4 runs hold several of the groups"):
        run(values, pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(values, pixels, block=False)
        run(values, pixels, "paired")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"unit": None}, TypeError, "Pixels are not samples"),
        ({"unit": ["run", "x"]}, ValueError, "Pixels are not samples"),
        ({"unit": "nobody"}, ValueError, "no column 'nobody'; it has 'run'"),
        ({"unit": "condition"}, ValueError, "group itself"),
        ({"group": None}, TypeError, "group= must name"),
        ({"group": "one"}, ValueError, "have only 1"),
        ({"test": "student"}, ValueError, "test must be one of 'welch'"),
        ({"transform": "log10"}, ValueError, "transform must be one of 'log2', None"),
        ({"replicates": "both"}, ValueError, "replicates must be one of"),
        ({"confidence": 95}, ValueError, "between 0 and 1"),
        (
            {"reference": "placebo"},
            ValueError,
            "groups 'control', 'drug'; got 'placebo'",
        ),
        ({"block": "run"}, ValueError, "test='welch' has no blocks"),
        ({"block": True}, ValueError, "block must be a column"),
        ({"technical": "animal"}, ValueError, "another column than unit"),
        ({"pseudo_count": -1}, ValueError, "pseudo_count must be"),
        ({"test": "mixed"}, ValueError, "needs block= .* or technical="),
        ({"test": "paired", "block": "run"}, ValueError, "no value of run in both"),
    ],
)
def test_errors_say_what_to_do(study, options, error, message):
    features, pixels = study
    options = {"group": "condition", "unit": "animal", **options}
    with pytest.raises(error, match=message):
        compare(features, pixels.assign(one=1), **options)


def test_features_and_pixels_must_belong_together(study):
    features, pixels = study
    options = {"group": "condition", "unit": "animal"}
    with pytest.raises(ValueError, match="Select the same rows"):
        compare(features.iloc[1:], pixels, **options)
    with pytest.raises(TypeError, match="must be a DataFrame"):
        compare(features, pixels.to_numpy(), **options)
    index = pd.MultiIndex.from_frame(pixels[["run", "x"]].iloc[::-1])
    with pytest.raises(ValueError, match="another order: row 0 has run = 'run7'"):
        compare(features.set_axis(index), pixels, **options)
    holed = features.copy()
    holed.iloc[3, 5] = np.nan
    with pytest.raises(ValueError, match=r"1 of 40 .* first is 'mz_705.5000'"):
        compare(holed, pixels, **options)


def test_input_is_not_changed(study):
    features, pixels = study
    before = features.copy(), pixels.copy()
    compare(features, pixels, group="condition", unit="animal")
    aggregate(features, pixels, by="animal")
    pd.testing.assert_frame_equal(features, before[0])
    pd.testing.assert_frame_equal(pixels, before[1])
