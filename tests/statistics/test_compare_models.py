"""Analysis of variance and mixed models, against statsmodels one feature at a time."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from imsminer.statistics import compare
from imsminer.statistics._linear import tukey_p
from tests.statistics.cases import random_units


def run(values, pixels, test, **options):
    options = {"group": "group", "unit": "unit", "transform": None, **options}
    return compare(values, pixels, test=test, **options)


@pytest.fixture
def blocks():
    """12 features in 5 runs that hold each of 4 groups, with an effect of the run."""
    values, pixels = random_units(12, (5, 5, 5, 5), spread=0.3)
    pixels["run"] = pixels["unit"]
    shift = np.random.default_rng(9).normal(0, 100, (5, 12))
    return values + shift[pixels["run"]], pixels


@pytest.fixture
def repeats():
    """8 features of 3 groups of 4, 3 and 5 animals, each measured 1 to 4 times."""
    rng = np.random.default_rng(4)
    times = [3, 2, 4, 1, 3, 3, 2, 2, 4, 1, 3, 2]
    animal = np.repeat(np.arange(12), times)
    pixels = pd.DataFrame(
        {
            "group": np.repeat(np.repeat(list("abc"), [4, 3, 5]), times),
            "unit": animal,
            "slide": np.arange(animal.size),
        }
    )
    own = rng.normal(0, 2, (12, 8)) * np.linspace(0, 2, 8)
    return 50 + own[animal] + rng.normal(0, 1, (animal.size, 8)), pixels


def fitted(formula, column, pixels):
    from statsmodels.formula.api import ols

    return ols(formula, pixels.assign(y=column)).fit()


def test_one_way_equals_scipy_and_statsmodels():
    from statsmodels.stats.multicomp import pairwise_tukeyhsd

    values, pixels = random_units(6, (4, 3, 6))
    table = run(values, pixels, "anova", confidence=0.9)
    groups = [values[(pixels["group"] == g).to_numpy(bool)] for g in "abc"]
    found = stats.f_oneway(*groups, axis=0)
    for k in range(6):
        rows = table[table["feature"] == k]
        assert rows["omnibus_statistic"].to_numpy() == pytest.approx(found.statistic[k])
        assert rows["omnibus_p"].to_numpy() == pytest.approx(found.pvalue[k])
        tukey = pairwise_tukeyhsd(values[:, k], pixels["group"], alpha=0.1)
        np.testing.assert_allclose(rows["difference"], tukey.meandiffs, rtol=1e-9)
        np.testing.assert_allclose(rows["p"], tukey.pvalues, rtol=1e-4, atol=1e-7)
        ends = rows[["ci_low", "ci_high"]]
        np.testing.assert_allclose(ends, tukey.confint, rtol=1e-5, atol=1e-3)


def test_two_groups_are_students_t():
    values, pixels = random_units(20, (4, 6))
    table = run(values, pixels, "anova")
    a, b = (values[(pixels["group"] == g).to_numpy(bool)] for g in "ab")
    found = stats.ttest_ind(b, a, axis=0)
    np.testing.assert_allclose(table["p"], found.pvalue, rtol=1e-9)
    np.testing.assert_allclose(table["omnibus_p"], found.pvalue, rtol=1e-9)
    interval = found.confidence_interval()
    np.testing.assert_allclose(table["ci_low"], interval.low, rtol=1e-9)


@pytest.mark.parametrize("complete", [True, False])
def test_blocks_equal_statsmodels(blocks, complete):
    from statsmodels.stats.anova import anova_lm

    values, pixels = blocks
    if not complete:
        kept = np.delete(np.arange(20), [3, 11, 12])
        values, pixels = values[kept], pixels.iloc[kept].reset_index(drop=True)
    table = run(values, pixels, "anova", block="run")
    for k in range(12):
        fit = fitted("y ~ C(run) + C(group)", values[:, k], pixels)
        row = table[table["feature"] == k].iloc[0]
        effect = fit.params["C(group)[T.b]"]
        assert row["difference"] == pytest.approx(effect)
        assert row["statistic"] == pytest.approx(fit.tvalues["C(group)[T.b]"])
        assert row["df"] == fit.df_resid
        line = anova_lm(fit).loc["C(group)"]
        assert row["omnibus_statistic"] == pytest.approx(line["F"])
        assert row["omnibus_p"] == pytest.approx(line["PR(>F)"])
        tukey = stats.studentized_range.sf(
            np.sqrt(2) * abs(row["statistic"]), 4, row["df"]
        )
        assert row["p"] == pytest.approx(tukey, rel=1e-4)


def test_runs_that_hold_all_groups_become_blocks(blocks):
    values, pixels = blocks
    found = run(values, pixels, "anova")
    assert found.attrs["block"] == ["unit"]
    named = run(values, pixels, "anova", block="run")
    assert named.attrs["block"] == ["run"]
    pd.testing.assert_frame_equal(found, named)
    # Parts of the tissue as units: the runs they lie in are the blocks.
    parts = pixels.assign(unit=pixels["group"] + pixels["run"].astype(str))
    by_run = run(values, parts, "anova")
    assert by_run.attrs["block"] == ["run"]
    pd.testing.assert_frame_equal(by_run, named)
    without = run(values, pixels, "anova", block=False)
    assert without.attrs["block"] is None
    assert (without["df"] == 16).all()
    assert (found["df"] == 12).all()
    # Runs differ more than groups, so taking them out finds more.
    assert np.median(found["p"]) < np.median(without["p"])


def test_shared_runs_that_are_no_blocks_give_a_warning(blocks):
    values, pixels = blocks
    with pytest.warns(UserWarning, match="5 runs hold several of the groups, but"):
        table = run(values[1:], pixels.iloc[1:], "anova")
    assert table.attrs["block"] is None


def test_runs_of_one_group_each_are_no_blocks():
    values, pixels = random_units(3, (4, 4))
    pixels["run"] = pixels["group"] + pixels["unit"].astype(str)
    assert run(values, pixels, "anova").attrs["block"] is None


def test_units_of_a_block_are_averaged_first(blocks):
    values, pixels = blocks
    noise = np.random.default_rng(2).normal(0, 5, values.shape)
    pixels = pixels.assign(unit=np.arange(20))
    twice = pd.concat([pixels, pixels.assign(unit=20 + np.arange(20))])
    for test in ("anova", "paired", "mixed"):
        options = {"block": "run", "pseudo_count": 1000}
        one = run(values, pixels, test, **options)
        two = run(np.r_[values + noise, values - noise], twice, test, **options)
        pd.testing.assert_frame_equal(one, two, rtol=1e-7)
        assert (two["n_a"] == 5).all()


def test_unconnected_blocks_raise():
    values, pixels = random_units(2, (3, 3))
    pixels["block"] = np.arange(6)
    with pytest.raises(ValueError, match="do not connect"):
        run(values, pixels, "anova", block="block")


def mixed_of_statsmodels(column, pixels, level):
    """Effects, their covariance by generalized least squares, ratio of variances.

    statsmodels' own standard errors add the curvature along the variances to it, which
    near a variance of 0 is 9 % off what lme4 and nlme have.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pixels.assign(y=column)
        model = MixedLM.from_formula("y ~ 0 + C(group)", data, groups=data[level])
        fit = model.fit(reml=True, method="powell")
    same = pixels[level].to_numpy()[:, None] == pixels[level].to_numpy()
    V = fit.scale * np.eye(len(pixels)) + float(fit.cov_re.iloc[0, 0]) * same
    X = model.exog
    ratio = float(fit.cov_re.iloc[0, 0]) / fit.scale
    return fit.fe_params.to_numpy(), np.linalg.inv(X.T @ np.linalg.inv(V) @ X), ratio


def check_mixed(table, values, pixels, level, n_groups):
    names = sorted(pixels["group"].unique())
    compared = 0
    for k in range(values.shape[1]):
        effects, covariance, ratio = mixed_of_statsmodels(values[:, k], pixels, level)
        if ratio < 1e-4:
            # Its variances cannot be negative.
            continue
        compared += 1
        rows = table[table["feature"] == k]
        for _, row in rows.iterrows():
            i, j = names.index(row["group_a"]), names.index(row["group_b"])
            difference = effects[j] - effects[i]
            error = np.sqrt(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
            assert row["difference"] == pytest.approx(difference, rel=1e-3, abs=1e-4)
            assert row["statistic"] == pytest.approx(
                difference / error, rel=1e-3, abs=1e-4
            )
        contrast = np.eye(n_groups)[1:] - np.eye(n_groups)[0]
        step = contrast @ effects
        wald = step @ np.linalg.solve(contrast @ covariance @ contrast.T, step)
        found = rows["omnibus_statistic"].to_numpy()
        assert found == pytest.approx(wald / (n_groups - 1), rel=1e-3)
    assert compared >= values.shape[1] / 2


def test_mixed_repeats_equal_statsmodels(repeats):
    values, pixels = repeats
    table = run(values, pixels, "mixed", technical="slide")
    check_mixed(table, values, pixels, "unit", 3)
    # 12 animals, 3 groups.
    assert (table["df"] == 9).all()
    assert (table["omnibus_df_error"] == 9).all()


def test_mixed_incomplete_blocks_equal_statsmodels(blocks):
    values, pixels = blocks
    kept = np.delete(np.arange(20), [3, 11, 12])
    values, pixels = values[kept], pixels.iloc[kept].reset_index(drop=True)
    table = run(values, pixels, "mixed", block="run")
    check_mixed(table, values, pixels, "run", 4)
    # 17 values less 5 runs and 3 differences.
    assert (table["df"] == 9).all()


def test_mixed_equals_anova_in_complete_blocks(blocks):
    values, pixels = blocks
    mixed = run(values, pixels, "mixed", block="run")
    anova = run(values, pixels, "anova", block="run")
    same = ["difference", "df", "p", "ci_low", "omnibus_statistic", "omnibus_p"]
    pd.testing.assert_frame_equal(mixed[same], anova[same], rtol=1e-5)


def test_mixed_equals_anova_of_means_of_balanced_repeats():
    rng = np.random.default_rng(0)
    pixels = pd.DataFrame(
        {
            "group": np.repeat(list("abc"), 12),
            "unit": np.repeat(np.arange(12), 3),
            "slide": np.arange(36),
        }
    )
    values = np.repeat(rng.normal(0, 5, (12, 20)), 3, axis=0) + rng.normal(
        0, 1, (36, 20)
    )
    mixed = run(values, pixels, "mixed", technical="slide")
    anova = run(values, pixels, "anova", technical="slide")
    np.testing.assert_allclose(mixed["p"], anova["p"], rtol=1e-4)
    np.testing.assert_allclose(mixed["omnibus_p"], anova["omnibus_p"], rtol=1e-4)


def test_mixed_without_repeats_says_so():
    values, pixels = random_units(2, (3, 3))
    pixels["slide"] = np.arange(6)
    with pytest.raises(ValueError, match="no unit has two of slide"):
        run(values, pixels, "mixed", technical="slide")


@pytest.mark.parametrize("test", ["anova", "mixed"])
def test_a_group_of_one_has_no_p_and_no_part_in_the_model(test):
    values, pixels = random_units(4, (1, 4, 4, 4))
    pixels["slide"] = 0
    if test == "mixed":
        twice = pixels.assign(slide=1)
        values, pixels = np.r_[values, values + 1], pd.concat([pixels, twice])
    options = {"technical": "slide", "pseudo_count": 0}
    with pytest.warns(UserWarning, match="fewer than 2 units"):
        table = run(values, pixels, test, **options)
    without = (pixels["group"] != "a").to_numpy(bool)
    rest = run(values[without], pixels[without], test, **options)
    kept = table.query("group_a != 'a'").reset_index(drop=True)
    names = ["p", "statistic", "ci_low", "omnibus_p", "log2_fold_change"]
    pd.testing.assert_frame_equal(kept[names], rest[names], rtol=1e-6, atol=1e-9)
    few = table.query("group_a == 'a'")
    assert few["p"].isna().all()
    assert set(few["note"]) == {"fewer than 2 units in a group"}
    assert few["auc"].notna().all()


def test_mixed_does_not_mind_large_offsets_and_scales(repeats):
    values, pixels = repeats
    one = run(values, pixels, "mixed", technical="slide")
    two = run(1e6 * values + 1e8, pixels, "mixed", technical="slide")
    np.testing.assert_allclose(one["p"], two["p"], rtol=1e-4)


@pytest.mark.parametrize(("k", "df"), [(3, 2.0), (3, 27.0), (6, 20.0), (10, 6.0)])
def test_interpolated_tukey_equals_scipy(k, df):
    t = np.random.default_rng(0).gamma(2, 1.5, 300)
    p = tukey_p(t, k, df)
    some = np.flatnonzero(p > 1e-6)[:12]
    np.testing.assert_allclose(
        p[some], stats.studentized_range.sf(np.sqrt(2) * t[some], k, df), rtol=1e-4
    )
    order = np.argsort(t)
    assert (np.diff(p[order]) <= 0).all()
    assert (p > 0).all()
    assert (p <= 1).all()


def test_far_tail_of_tukey_stays_a_number():
    p = tukey_p(np.array([0.0, 3.0, 40.0, 400.0, np.inf, np.nan]), 4, 12.0)
    assert p[0] == pytest.approx(1)
    assert np.all(np.diff(p[:5]) < 0)
    assert p[4] == 0
    assert np.isnan(p[5])
