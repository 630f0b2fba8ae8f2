"""One value per region and replicate: the units that tests are made of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from imsminer.statistics._cells import (
    PSEUDO_COUNT_RULE,
    STATISTICS,
    as_features,
    cells_of,
    pseudo_counts,
    reduce_pixels,
)

__all__ = ["aggregate"]


def aggregate(
    features: Any,
    pixels: pd.DataFrame,
    by: str | Sequence[str] = ("roi", "replicate"),
    *,
    statistic: str = "mean_log",
    pseudo_count: Any = None,
) -> pd.DataFrame:
    """Sum up the pixels of each region and replicate.

    Parameters
    ----------
    features : DataFrame or array of shape (n_pixels, n_features)
        Intensities; finite. Arrays of any library are read on the host.
    pixels : DataFrame with n_pixels rows
        What is known of each pixel, in the same order: ``Spectra.pixels`` with columns
        of yours.
    by : str or sequence of str, default=("roi", "replicate")
        Columns of `pixels` whose values make a cell together. Pixels without a value
        (NaN, None, ``""``) in one of them are left out.
    statistic : {"mean_log", "log_mean", "mean", "median", "frequency"}
        ``"mean_log"``, the default, is the mean of log2(x + c) over the pixels,
        ``"log_mean"`` is log2(mean + c), with the pseudo-count c; ``"frequency"`` the
        share of the pixels above 0.
    pseudo_count : float or array-like of shape (n_features,), default=None
        c, in units of the intensity. `None` takes half of the 5 % quantile of the
        positive pixels of each feature, which stands for its limit of detection; less
        in proportion where less than 5 % of the pixels are 0, so nothing where none is.

    Returns
    -------
    DataFrame
        One row per cell, with `by` as its index, sorted. Columns are the features, in
        float64, and ``n_pixels``. ``attrs`` hold ``statistic``, ``scale`` (``"log2"``,
        ``"linear"`` or ``"share"``), ``pseudo_count``, and ``left_out``, the number of
        pixels without a value by column.

    Raises
    ------
    TypeError
        When `pixels` is no DataFrame.
    ValueError
        When shapes or pixels do not match, columns do not exist, no pixel is left, or a
        logarithm would be taken of a value that is not positive.

    See Also
    --------
    compare : Test for differences.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer.statistics import aggregate
    >>> features = pd.DataFrame({"mz_773.5272": [1.0, 3.0, 7.0, 15.0, 99.0]})
    >>> pixels = pd.DataFrame(
    ...     {"roi": ["a", "a", "b", "b", ""], "replicate": [1, 1, 1, 1, 1]}
    ... )
    >>> aggregate(features, pixels, pseudo_count=1)
                   mz_773.5272  n_pixels
    roi replicate
    a   1                  1.5         2
    b   1                  3.5         2
    """
    caller = "aggregate"
    if statistic not in STATISTICS:
        message = (
            f"{caller}: statistic must be one of {', '.join(map(repr, STATISTICS))}; "
            f"got {statistic!r}."
        )
        raise ValueError(message)
    columns = [by] if isinstance(by, str) else list(by)
    if not columns or len(set(columns)) < len(columns):
        message = f"{caller}: by must name one or more different columns; got {by!r}."
        raise ValueError(message)
    table = as_features(features, pixels, caller)
    cells = cells_of(pixels, columns, caller)
    scale = STATISTICS[statistic]
    pseudo = None
    if scale == "log2":
        pseudo = pseudo_counts(table, cells.used, pseudo_count, caller)
    values = reduce_pixels(table, cells, statistic, pseudo, caller)
    index = (
        pd.Index(cells.keys[columns[0]], name=columns[0])
        if len(columns) == 1
        else pd.MultiIndex.from_frame(cells.keys)
    )
    result = pd.DataFrame(values, index=index, columns=table.names)
    result["n_pixels"] = np.bincount(cells.codes, minlength=len(index))
    result.attrs = {
        "statistic": statistic,
        "scale": scale,
        "pseudo_count": _said(pseudo_count) if scale == "log2" else None,
        "left_out": cells.left_out,
    }
    return result


def _said(pseudo_count: Any) -> Any:
    """The pseudo-count as it is written beside a result."""
    if pseudo_count is None:
        return PSEUDO_COUNT_RULE
    return np.asarray(pseudo_count, dtype=np.float64).tolist()
