"""Results that were printed before: the tests find them again."""

import numpy as np
import pytest

from imsminer.statistics import compare
from imsminer.statistics._comparison import adjusted
from tests.statistics.cases import P_VALUES, PLANTS, SLEEP, STOOLS, units


def plain(groups, test, **options):
    features, pixels = units(groups)
    return compare(
        features,
        pixels,
        group="group",
        unit="unit",
        test=test,
        transform=None,
        **options,
    )


def sleep(test):
    return plain(dict(zip(("1", "2"), SLEEP, strict=True)), test).iloc[0]


def test_paired_sleep_of_student_1908():
    row = sleep("paired")
    # As R prints it in the examples of t.test, with the sign of 2 minus 1.
    assert row["statistic"] == pytest.approx(4.0621, abs=5e-5)
    assert row["df"] == 9
    assert row["p"] == pytest.approx(0.002833, abs=5e-7)
    assert row["difference"] == pytest.approx(1.58)
    assert row["ci_low"] == pytest.approx(0.7001142, abs=5e-8)
    assert row["ci_high"] == pytest.approx(2.4598858, abs=5e-8)


def test_welch_sleep():
    row = sleep("welch")
    assert row["statistic"] == pytest.approx(1.8608, abs=5e-5)
    assert row["df"] == pytest.approx(17.776, abs=5e-4)
    assert row["p"] == pytest.approx(0.07939, abs=5e-6)
    assert row["ci_low"] == pytest.approx(-0.2054832, abs=5e-8)
    assert row["ci_high"] == pytest.approx(3.3654832, abs=5e-8)


def test_tukey_of_plant_growth():
    table = plain(PLANTS, "anova").set_index(["group_a", "group_b"])
    # As R prints aov and TukeyHSD.
    first = table.iloc[0]
    assert first["omnibus_statistic"] == pytest.approx(4.846, abs=5e-4)
    assert (first["omnibus_df"], first["omnibus_df_error"]) == (2, 27)
    assert first["omnibus_p"] == pytest.approx(0.01591, abs=5e-6)
    for pair, difference, low, high, p in (
        (("ctrl", "trt1"), -0.371, -1.0622161, 0.3202161, 0.3908711),
        (("ctrl", "trt2"), 0.494, -0.1972161, 1.1852161, 0.1979960),
        (("trt1", "trt2"), 0.865, 0.1737839, 1.5562161, 0.0120064),
    ):
        row = table.loc[pair]
        assert row["difference"] == pytest.approx(difference)
        assert row["ci_low"] == pytest.approx(low, abs=1e-6)
        assert row["ci_high"] == pytest.approx(high, abs=1e-6)
        assert row["p"] == pytest.approx(p, abs=1e-6)


@pytest.mark.parametrize("test", ["anova", "mixed"])
def test_stools_in_blocks(test):
    groups = {f"T{k + 1}": STOOLS[:, k] for k in range(4)}
    table = plain(groups, test, block="unit", reference="T1")
    # Pinheiro and Bates (2000), p. 16: effects, standard error 0.5186838, 24 df, t.
    np.testing.assert_allclose(
        table["difference"], [3.888889, 2.222222, 0.666667], atol=5e-7
    )
    np.testing.assert_allclose(
        table["statistic"], [7.497610, 4.284348, 1.285304], atol=1e-6
    )
    assert (table["df"] == 24).all()


def test_exact_mann_whitney_of_the_first_table():
    # Mann and Whitney (1947), Annals of Mathematical Statistics 18, 50, table I:
    # P(U <= 0), P(U <= 1), … for n = m = 4, one-sided, to three digits.
    low = np.array([1.0, 2.0, 3.0, 4.0])
    for highs, u, one_sided in (
        ([5.0, 6.0, 7.0, 8.0], 16, 0.014),
        ([3.5, 6.0, 7.0, 8.0], 15, 0.029),
        ([2.5, 6.0, 7.0, 8.0], 14, 0.057),
    ):
        row = plain({"a": low, "b": highs}, "mannwhitney").iloc[0]
        assert row["statistic"] == u
        assert row["auc"] == u / 16
        assert row["p"] / 2 == pytest.approx(one_sided, abs=5e-4)


def test_table_of_benjamini_and_hochberg_1995():
    q = adjusted(np.array(P_VALUES))
    assert (q <= 0.05).sum() == 4
    # Bonferroni finds three.
    assert (np.array(P_VALUES) * 15 <= 0.05).sum() == 3
    assert q[0] == pytest.approx(0.0001 * 15)
    assert q[3] == pytest.approx(0.0095 * 15 / 4)
    assert np.all(np.diff(q) >= 0)


def test_missing_p_values_do_not_count():
    p = np.array(P_VALUES)
    with_gaps = np.insert(p, [0, 4], np.nan)
    q = adjusted(with_gaps)
    assert np.isnan(q[[0, 5]]).all()
    np.testing.assert_allclose(q[~np.isnan(q)], adjusted(p))
