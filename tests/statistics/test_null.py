"""Under the null hypothesis no test finds more than it should; pixels do."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.ndimage import gaussian_filter

from imsminer.statistics import compare

N_IONS, EDGE = 5000, 8


def sections(n_units, groups, *, between=0.4, run_effect=0.0, seed=0):
    """Intensities of independent ions in spatially correlated sections, no difference.

    Unit k of each group shares the effect of run k.
    """
    rng = np.random.default_rng(seed)
    unit = np.tile(np.arange(n_units), groups)
    noise = rng.normal(size=(unit.size, EDGE, EDGE, N_IONS)).astype(np.float32)
    field = gaussian_filter(noise, (0, 1, 1, 0), mode="wrap")
    field = 0.5 * field / field.std() + 0.3 * noise
    level = between * rng.normal(size=(unit.size, N_IONS))
    level += run_effect * rng.normal(size=(n_units, N_IONS))[unit]
    values = np.exp(3 + field.reshape(unit.size, -1, N_IONS) + level[:, None])
    pixels = pd.DataFrame(
        {
            "group": np.repeat(np.repeat(list("abc")[:groups], n_units), EDGE**2),
            "unit": np.repeat(unit, EDGE**2),
        }
    )
    return values.reshape(-1, N_IONS).astype(np.float32), pixels


def size(data, test, **options):
    """Share of ions with p < 0.05, of all groups at once where there are more."""
    table = compare(*data, group="group", unit="unit", test=test, **options)
    p = table["omnibus_p"][:N_IONS] if "omnibus_p" in table else table["p"]
    assert len(p) == N_IONS
    assert p.notna().all()
    return (p < 0.05).mean()


@pytest.fixture(scope="module")
def five():
    return sections(5, 2, seed=1)


def test_welch_holds_its_size(five):
    assert 0.04 <= size(five, "welch") <= 0.06


def test_pixels_as_samples_do_not(five):
    features, pixels = five
    logs = np.log2(features)
    a, b = (logs[(pixels["group"] == g).to_numpy(bool)] for g in "ab")
    p = stats.ttest_ind(a, b, axis=0, equal_var=False).pvalue
    assert (p < 0.05).mean() > 0.5


def test_mann_whitney_is_cautious(five):
    # Its exact size at 5 against 5 is 0.032.
    assert 0.02 <= size(five, "mannwhitney") <= 0.04


def test_welch_of_three_is_cautious():
    assert 0.02 <= size(sections(3, 2, seed=2), "welch") <= 0.05


def test_pairs_and_blocks_hold_their_size():
    data = sections(5, 2, run_effect=0.5, seed=3)
    assert 0.04 <= size(data, "paired") <= 0.06
    data = sections(5, 3, run_effect=0.5, seed=4)
    for test in ("anova", "mixed"):
        assert 0.04 <= size(data, test, block="unit") <= 0.06


@pytest.mark.parametrize("between", [0.0, 1.0])
@pytest.mark.parametrize("balanced", [True, False])
def test_mixed_models_of_repeats_hold_their_size(between, balanced):
    rng = np.random.default_rng(5)
    unit = np.repeat(np.arange(10), 3)
    if not balanced:
        unit = np.delete(unit, [0, 4, 5, 17, 26])
    level = between * rng.normal(size=(10, N_IONS))
    values = level[unit] + rng.normal(size=(unit.size, N_IONS))
    pixels = pd.DataFrame(
        {"group": np.where(unit < 5, "a", "b"), "unit": unit, "slide": range(unit.size)}
    )
    options = {"technical": "slide", "transform": None}
    found = size((values, pixels), "mixed", **options)
    # Of unequal repeats the bound at a variance of 0 makes it cautious.
    low = 0.04 if balanced or between else 0.01
    assert low <= found <= 0.06


def test_tukey_holds_the_size_of_the_family():
    rng = np.random.default_rng(6)
    pixels = pd.DataFrame({"group": np.repeat(list("abcd"), 4), "unit": range(16)})
    table = compare(
        rng.normal(size=(16, N_IONS)),
        pixels,
        group="group",
        unit="unit",
        test="anova",
        transform=None,
    )
    any_pair = table["p"].to_numpy().reshape(6, N_IONS).min(axis=0) < 0.05
    assert 0.04 <= any_pair.mean() <= 0.06
