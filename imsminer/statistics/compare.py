"""Test for differences between groups, with units as samples."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from imsminer.statistics._cells import (
    PSEUDO_COUNT_RULE,
    as_features,
    cells_of,
    pseudo_counts,
    reduce_pixels,
)
from imsminer.statistics._comparison import Comparison, comparison_table
from imsminer.statistics._design import (
    collapse,
    design_of,
    group_names,
    group_pairs,
    model_blocks,
)

__all__ = ["compare"]

TESTS = ("welch", "paired", "mannwhitney", "anova", "mixed")
REPLICATES = ("biological", "technical")


def compare(
    features: Any,
    pixels: pd.DataFrame,
    *,
    group: str | None = None,
    unit: str | Sequence[str] | None = None,
    test: str = "welch",
    reference: Any = None,
    block: str | Sequence[str] | bool | None = None,
    technical: str | Sequence[str] | None = None,
    transform: str | None = "log2",
    pseudo_count: Any = None,
    confidence: float = 0.95,
    replicates: str = "biological",
) -> pd.DataFrame:
    """Compare groups of pixels, feature by feature, with units as samples.

    The pixels of each group and unit become one value, and the test is made of these.

    Parameters
    ----------
    features : DataFrame or array of shape (n_pixels, n_features)
        Intensities; finite. Arrays of any library are read on the host.
    pixels : DataFrame with n_pixels rows
        What is known of each pixel, in the same order: ``Spectra.pixels`` with columns
        of yours. Pixels without a value (NaN, None, ``""``) in a column that is named
        below are left out and counted.
    group : str
        Column whose values are compared, such as ``"condition"`` or ``"roi"``.
    unit : str or sequence of str
        Column(s) that say which animal, sample or replicate a pixel is of. Required:
        pixels are not samples.
    test : {"welch", "paired", "mannwhitney", "anova", "mixed"}, default="welch"
        Welch's t, Student's t of pairs (the same unit, or block, in both groups),
        Mann–Whitney's U, analysis of variance with Tukey's pairs, or a mixed model with
        a random intercept per block, or per unit with `technical` repeats, also with
        Tukey's pairs. The first three use the data of the pair only.
    reference : group, default=None
        Compare each other group to it; `None` compares all pairs.
    block : str, sequence of str, False or None, default=None
        Column(s) of what was measured or treated together, for ``"paired"``,
        ``"anova"`` and ``"mixed"``; units of one block and group are averaged first.
        `None` finds blocks for the last two: where runs hold several groups, the units
        if each is in every group, else the runs if each holds every group. False is
        for none.
    technical : str or sequence of str, default=None
        Column(s) of repeated measurements within a unit. They are averaged with equal
        weights, or with ``test="mixed"`` and no block modelled.
    transform : {"log2", None}, default="log2"
        Value of a unit: the mean of log2(x + c) over its pixels, or the mean of x.
    pseudo_count : float or array-like of shape (n_features,), default=None
        c, in units of the intensity. `None` takes half of the 5 % quantile of the
        positive pixels of each feature, which stands for its limit of detection; less
        in proportion where less than 5 % of the pixels are 0, so nothing where none is.
    confidence : float, default=0.95
        Of the intervals; simultaneous over the pairs with Tukey's.
    replicates : {"biological", "technical"}, default="biological"
        What units are. From repeated measurements of one sample, results are about the
        measurement, not about the population; the table says so.

    Returns
    -------
    DataFrame
        One row per pair and feature, pair by pair:

        ``feature``, ``mz``, ``group_a``, ``group_b``
            What is compared; m/z is NaN when the name does not say it.
        ``mean_a``, ``mean_b``
            Mean intensity of the units, geometric with ``transform="log2"`` (that is
            2^mean(log2(x + c)) − c).
        ``log2_fold_change``
            log2((mean_b + c) / (mean_a + c)): positive when there is more in b. NaN
            when a mean is not positive. The model's estimate where blocks are not
            complete, or units have unequal numbers of repeats.
        ``difference``, ``ci_low``, ``ci_high``
            What is tested, b minus a on the transformed scale, with its interval; with
            ``"log2"`` this is the fold change. Mann–Whitney's interval is that of the
            shift (Hodges–Lehmann), infinite where units are too few for one.
        ``statistic``, ``df``, ``p``
            t (of the pair, with ``"anova"`` and ``"mixed"`` too) or U; two-sided p.
        ``q``
            p adjusted over the features of the pair (Benjamini and Hochberg 1995).
        ``auc``
            Chance that a unit of b exceeds one of a; ties count ½.
        ``n_a``, ``n_b``
            Units, pairs or blocks of the groups.
        ``test``, ``inference``
            As asked: `test` and `replicates`.
        ``pseudo_count``, ``note``
            c, and why there is no p-value.
        ``omnibus_statistic``, ``omnibus_df``, ``omnibus_df_error``, ``omnibus_p``, …
            F of all groups, its degrees of freedom, p and q; with ``"anova"`` and
            ``"mixed"`` only.

        ``attrs`` hold the settings, the blocks in use, ``n_pixels``, and ``left_out``,
        the number of pixels without a value by column.

    Raises
    ------
    TypeError
        When `group` or `unit` is not named, or `pixels` is no DataFrame.
    ValueError
        When an option or column does not exist, units are pixels, there is a single
        group, no pair can be formed, or a logarithm would be taken of a value that is
        not positive.

    Warns
    -----
    UserWarning
        When a group has fewer than 3 units (below 2 there is no p-value), or values of
        one run are taken for independent.

    Notes
    -----
    Degrees of freedom of the mixed model are those of containment: Wald's test, which
    statistical packages often give, finds too much with few units.

    References
    ----------
    Bemis, K. A. et al. (2019). Statistical detection of differentially abundant ions in
    mass spectrometry-based imaging experiments with complex designs. International
    Journal of Mass Spectrometry 437, 49.

    Benjamini, Y. and Hochberg, Y. (1995). Controlling the false discovery rate. Journal
    of the Royal Statistical Society B 57, 289.

    Kang, H. M. et al. (2008). Efficient control of population structure in model
    organism association mapping. Genetics 178, 1709. (The likelihood of the mixed
    model for many features.)

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from imsminer.statistics import compare
    >>> pixels = pd.DataFrame(
    ...     {"condition": np.repeat(["control", "treated"], 40),
    ...      "animal": np.repeat(np.arange(8), 10)}
    ... )
    >>> x = np.random.default_rng(0).lognormal(3.0, 0.3, (80, 2))
    >>> x[40:, 1] *= 2
    >>> features = pd.DataFrame(x, columns=["mz_700.5000", "mz_885.5499"])
    >>> table = compare(features, pixels, group="condition", unit="animal")
    >>> table[["mz", "log2_fold_change", "p", "q", "n_a", "n_b"]].round(4)
             mz  log2_fold_change       p       q  n_a  n_b
    0  700.5000           -0.1298  0.2692  0.2692    4    4
    1  885.5499            0.9540  0.0000  0.0001    4    4
    """
    caller = "compare"
    _check_choices(test, transform, confidence, replicates)
    design = design_of(group, unit, block, technical, test)
    table = as_features(features, pixels, caller)
    columns = [design.group, *design.unit, *design.block, *design.technical]
    cells = cells_of(pixels, list(dict.fromkeys(columns)), caller)
    names = group_names(cells, design.group)
    pairs = group_pairs(names, reference)
    design = model_blocks(pixels, cells, design, test, find=block is None)
    # Blocks that were found may be a column that no cell has been split by.
    columns = [design.group, *design.unit, *design.block, *design.technical]
    cells = cells_of(pixels, list(dict.fromkeys(columns)), caller)
    pseudo = pseudo_counts(table, cells.used, pseudo_count, caller)
    statistic = "mean" if transform is None else "mean_log"
    values = reduce_pixels(table, cells, statistic, pseudo, caller)
    repeats = cells.keys, values
    by_unit = [design.group, *dict.fromkeys([*design.unit, *design.block])]
    units = collapse(*repeats, by_unit)
    if design.block:
        units = collapse(*units, [design.group, *design.block])
    comparison = Comparison(
        design, test, names, pairs, units, repeats, transform, pseudo, confidence
    )
    result = comparison_table(comparison, table.names, replicates)
    result.attrs = {
        "group": design.group,
        "unit": design.unit,
        "block": design.block or None,
        "technical": design.technical or None,
        "test": test,
        "transform": transform,
        "pseudo_count": PSEUDO_COUNT_RULE if pseudo_count is None else "given",
        "confidence": confidence,
        "inference": replicates,
        "n_pixels": int(cells.used.sum()),
        "left_out": cells.left_out,
    }
    return result


def _check_choices(
    test: str, transform: str | None, confidence: float, replicates: str
) -> None:
    for name, value, allowed in (
        ("test", test, TESTS),
        ("transform", transform, ("log2", None)),
        ("replicates", replicates, REPLICATES),
    ):
        if value not in allowed:
            message = (
                f"compare: {name} must be one of {', '.join(map(repr, allowed))}; got "
                f"{value!r}."
            )
            raise ValueError(message)
    if not 0 < confidence < 1:
        message = f"compare: confidence must lie between 0 and 1; got {confidence!r}."
        raise ValueError(message)
