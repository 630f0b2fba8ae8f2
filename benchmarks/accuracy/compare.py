"""How often tests find a difference where there is none.

Run ``python benchmarks/accuracy/compare.py``; it takes some minutes. Ions are
independent and no group differs: each unit (an animal with one section of 12 × 12
pixels) has a level of its own for each ion, and inside of the section intensities are
spatially correlated. What is printed is the share of 5,000 ions with p < 0.05, in
percent: 5 is right, less is cautious, more finds what is not there. The same data are
then tested with pixels as samples.
"""

import numpy as np
import pandas as pd
from _tables import Table, show
from scipy import stats
from scipy.ndimage import gaussian_filter

from imsminer.statistics import compare

N_IONS, EDGE = 5000, 12
UNITS = (2, 3, 5, 10)
#: Range of the correlation in pixels, and standard deviations of log intensities.
RANGE, FIELD, NOISE = 1.0, 0.4, 0.6


def sections(n: int, n_ions: int, rng: np.random.Generator) -> np.ndarray:
    """Log intensities of `n` sections, (n, EDGE², n_ions), float32."""
    noise = rng.normal(size=(n, EDGE, EDGE, n_ions)).astype(np.float32)
    # A filter in space only; then back to unit variance.
    field = gaussian_filter(noise, (0, RANGE, RANGE, 0), mode="wrap")
    field *= FIELD / field.std()
    field += NOISE * rng.normal(size=field.shape).astype(np.float32)
    return field.reshape(n, EDGE * EDGE, n_ions)


def study(
    n_units: int,
    n_groups: int,
    *,
    between: float,
    run_effect: float = 0.0,
    n_ions: int = N_IONS,
    seed: int = 0,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Simulate intensities without any difference between groups.

    Parameters
    ----------
    n_units, n_groups : int
        Units per group.
    between, run_effect : float
        Standard deviations of a unit's own level, and of what the units of one number
        share, both of the logarithm.
    n_ions : int
        Independent ions.
    seed : int
        Of the random numbers.

    Returns
    -------
    features : ndarray of float32, shape (n_pixels, n_ions)
    pixels : DataFrame
        Columns `group` and `unit`; unit k of each group shares the effect of run k.
    """
    rng = np.random.default_rng(seed)
    n = n_units * n_groups
    level = between * rng.normal(size=(n, 1, n_ions))
    shared = run_effect * rng.normal(size=(n_units, n_ions))
    unit = np.tile(np.arange(n_units), n_groups)
    values = sections(n, n_ions, rng) + (level + shared[unit][:, None]).astype("f4")
    pixels = pd.DataFrame(
        {
            "group": np.repeat(np.repeat(list("abcdef")[:n_groups], n_units), EDGE**2),
            "unit": np.repeat(unit, EDGE**2),
        }
    )
    return np.exp(3 + values).reshape(-1, n_ions), pixels


def share(p: pd.Series | np.ndarray) -> float:
    """Percentage of p-values below 0.05, of those there are."""
    p = np.asarray(p)
    return 100 * float(np.mean(p[~np.isnan(p)] < 0.05))


def of_units(data: tuple[np.ndarray, pd.DataFrame], test: str, **options) -> str:
    """What a test with units as samples finds."""
    table = compare(*data, group="group", unit="unit", test=test, **options)
    if "omnibus_p" in table:
        one = table[table["group_b"] == table["group_b"].iloc[0]]
        return f"{share(one['omnibus_p']):.1f}"
    return f"{share(table['p']):.1f}"


def of_pixels(data: tuple[np.ndarray, pd.DataFrame], test: str) -> str:
    """What the same test finds when pixels are its samples."""
    features, pixels = data
    names = pixels["group"].unique()
    arms = [np.log2(features[(pixels["group"] == g).to_numpy()]) for g in names]
    if test == "anova":
        return f"{share(stats.f_oneway(*arms, axis=0).pvalue):.1f}"
    if test == "paired":
        return f"{share(stats.ttest_rel(*arms[:2], axis=0).pvalue):.1f}"
    if test == "mannwhitney":
        return f"{share(stats.mannwhitneyu(*arms[:2], axis=0).pvalue):.1f}"
    return f"{share(stats.ttest_ind(*arms[:2], axis=0, equal_var=False).pvalue):.1f}"


def two_groups() -> Table:
    table = Table(
        "Share of ions without a difference that have p < 0.05 (%)",
        ["samples", "test", *(f"n = {n}" for n in UNITS)],
    )
    rows = {
        (kind, test): []
        for kind in ("units", "pixels")
        for test in ("welch", "mannwhitney", "paired", "anova, 3 groups", "mixed")
    }
    for n in UNITS:
        two = study(n, 2, between=0.4, seed=n)
        paired = study(n, 2, between=0.4, run_effect=0.4, seed=10 + n)
        three = study(n, 3, between=0.4, run_effect=0.4, seed=20 + n)
        for test in ("welch", "mannwhitney"):
            rows["units", test].append(of_units(two, test))
            rows["pixels", test].append(of_pixels(two, test))
        rows["units", "paired"].append(of_units(paired, "paired"))
        rows["pixels", "paired"].append(of_pixels(paired, "paired"))
        for name, test in (("anova, 3 groups", "anova"), ("mixed", "mixed")):
            rows["units", name].append(of_units(three, test, block="unit"))
        rows["pixels", "anova, 3 groups"].append(of_pixels(three, "anova"))
    for (kind, test), found in rows.items():
        if found:
            table.add(kind, test, *found)
    return table


def correlation() -> Table:
    """How pixels mislead with what units have of their own."""
    levels = (0.0, 0.1, 0.2, 0.4)
    table = Table(
        "Pixels as samples, 5 units per group: share of ions with p < 0.05 (%), by the "
        "spread of units (sd of the logarithm)",
        ["samples", *(f"{level:g}" for level in levels)],
    )
    data = [study(5, 2, between=level, seed=40) for level in levels]
    table.add("units", *(of_units(one, "welch") for one in data))
    table.add("pixels", *(of_pixels(one, "welch") for one in data))
    return table


if __name__ == "__main__":
    import warnings

    # Two units per group are part of what is shown.
    warnings.filterwarnings("ignore", message="compare: .* fewer than")
    show([two_groups(), correlation()])
