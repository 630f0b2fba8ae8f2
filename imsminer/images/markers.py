"""Which ions mark a segment."""

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from imsminer._array import to_numpy
from imsminer.core.peaktable import feature_mz
from imsminer.images._shrunken import shrunken_centroids

__all__ = ["segment_markers"]

#: Features that are held in float64, and ranked, at a time.
BLOCK = 32

_STATISTICS = ("welch", "shrunken")


def segment_markers(
    features: Any,
    labels: Any,
    *,
    top: int | None = 10,
    by: str = "t",
    statistic: str = "welch",
    shrinkage: float = 0.0,
) -> pd.DataFrame:
    """Rank the ions by how well they tell each segment from all other pixels.

    Parameters
    ----------
    features : DataFrame or array of shape (n_pixels, n_features)
        Intensities. Finite. Arrays of any library are read on the host.
    labels : array-like of shape (n_pixels,)
        Segment, or region, of each pixel: numbers or names. Pixels without a label
        (NaN, None) are left out.
    top : int or None, default=10
        How many ions to return for each segment; `None` returns all.
    by : {"t", "auc"}, default="t"
        What they are ranked by, the largest first. t asks how certain a difference of
        means is, `auc` how well single pixels are told apart.
    statistic : {"welch", "shrunken"}, default="welch"
        ``"welch"`` is the difference of means inside and outside over its standard
        error, from both variances. ``"shrunken"`` is that of shrunken centroids: the
        mean inside minus that of *all* pixels, over a standard error that pools the
        spread within all segments and adds its median over ions to it, so that ions
        without much spread do not win.
    shrinkage : float, default=0.0
        Only for ``"shrunken"``: subtracted from the size of each t.

    Returns
    -------
    DataFrame
        One row per segment and ion, ranked within each segment:

        - ``segment``, ``feature`` (its name, or its column number), ``mz`` (from names
          such as ``mz_773.5272``; else NaN);
        - ``t``: positive where the segment is brighter. Infinite where neither side
          varies; NaN where one side is a single pixel;
        - ``auc``: probability that a random pixel of the segment is brighter than a
          random other one, ties counted as one half;
        - ``mean_inside``, ``mean_outside``, in the units of `features`;
        - ``log2_ratio`` of the two: infinite where one is 0, 0 where both are, NaN
          where one is negative.

    Raises
    ------
    ValueError
        When there are fewer than two segments, `labels` or `features` do not fit or
        are not finite, or an argument is not one of those allowed.

    Notes
    -----
    No p-values are given: the segments were found in the same data, so that some ions
    differ by construction, and neighbouring pixels are not independent. Compare samples
    to test.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import segment_markers
    >>> X = np.array([[9.0, 1], [7, 2], [1, 2], [2, 1], [1, 8]])
    >>> table = segment_markers(X, ["rim", "rim", "core", "core", "core"], top=1)
    >>> table[["segment", "feature", "auc", "mean_inside"]].round(2)
      segment  feature   auc  mean_inside
    0    core        1  0.67         3.67
    1     rim        0  1.00         8.00
    """
    if by not in ("t", "auc") or statistic not in _STATISTICS:
        message = (
            "segment_markers: by must be 't' or 'auc', and statistic 'welch' or "
            f"'shrunken'; got {by!r} and {statistic!r}."
        )
        raise ValueError(message)
    if top is not None and (not isinstance(top, Integral) or top < 1):
        message = f"segment_markers: top must be 1 or more, or None; got {top!r}."
        raise ValueError(message)
    if not shrinkage >= 0 or (shrinkage and statistic == "welch"):
        message = (
            "segment_markers: shrinkage must be 0 or more, and needs "
            f"statistic='shrunken'; got {shrinkage!r} with {statistic!r}."
        )
        raise ValueError(message)
    values = to_numpy(features)
    if values.ndim != 2:
        message = f"segment_markers: features must be 2-D, got shape {values.shape}."
        raise ValueError(message)
    codes, segments = _segments(labels, values.shape[0])
    names: Any = np.arange(values.shape[1])
    if isinstance(features, pd.DataFrame):
        names = features.columns.to_numpy()
    columns = _compare(values, codes, len(segments), statistic, shrinkage)
    ranked = np.where(np.isnan(columns[by]), -np.inf, columns[by])
    parts = []
    for k, segment in enumerate(segments):
        order = np.argsort(-ranked[k], kind="stable")[:top]
        part = {"segment": [segment] * order.size, "feature": names[order]}
        part["mz"] = feature_mz(names[order])
        part |= {name: column[k, order] for name, column in columns.items()}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _segments(labels: Any, n_pixels: int) -> tuple[np.ndarray, list[Any]]:
    """Code of each pixel, -1 where there is none, and the segments."""
    given = labels if isinstance(labels, pd.Series) else pd.Series(to_numpy(labels))
    if len(given) != n_pixels:
        message = (
            f"segment_markers: labels has {len(given)} values, but features has "
            f"{n_pixels} pixels."
        )
        raise ValueError(message)
    codes, segments = pd.factorize(given, sort=True)
    if len(segments) < 2:
        message = (
            "segment_markers: labels must hold two segments or more to compare, found "
            f"{list(segments)}."
        )
        raise ValueError(message)
    return codes, list(segments)


def _compare(
    values: np.ndarray, codes: np.ndarray, n: int, statistic: str, shrinkage: float
) -> dict[str, np.ndarray]:
    """Columns of the table, each of shape (n_segments, n_features)."""
    rows = np.flatnonzero(codes >= 0)
    member = np.equal.outer(np.arange(n), codes[rows]).astype(np.float64)
    inside = member.sum(axis=1, keepdims=True)
    outside = rows.size - inside
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("t", "auc", "mean_inside", "mean_outside")
    }
    for start in range(0, values.shape[1], BLOCK):
        block = values[rows, start : start + BLOCK].astype(np.float64)
        if not np.isfinite(block).all():
            message = (
                "segment_markers: features has entries that are NaN or infinite; fill "
                "or drop them first."
            )
            raise ValueError(message)
        sums = member @ block
        mean_in = sums / inside
        mean_out = (sums.sum(axis=0) - sums) / outside
        squares = member @ (block - mean_in[codes[rows]]) ** 2
        parts["t"].append(_welch(mean_in, mean_out, squares, inside, outside))
        above = member @ rankdata(block, axis=0) - inside * (inside + 1) / 2
        parts["auc"].append(above / (inside * outside))
        parts["mean_inside"].append(mean_in)
        parts["mean_outside"].append(mean_out)
    found = {name: np.concatenate(blocks, axis=1) for name, blocks in parts.items()}
    if statistic == "shrunken":
        labelled = values if rows.size == codes.size else values[rows]
        found["t"] = shrunken_centroids(labelled, codes[rows], n, shrinkage).statistic
    found["log2_ratio"] = _log2_ratio(found["mean_inside"], found["mean_outside"])
    return found


def _welch(
    mean_in: np.ndarray,
    mean_out: np.ndarray,
    squares: np.ndarray,
    inside: np.ndarray,
    outside: np.ndarray,
) -> np.ndarray:
    """Welch's t of each segment against all others, from sums of squares within."""
    # Around the mean outside of segment k there are the squares within each other
    # segment, and those of its mean.
    away = inside[:, None] * (mean_in[:, None] - mean_out[None]) ** 2 + squares[:, None]
    own = np.arange(len(mean_in))
    away[own, own] = 0
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = squares / (inside - 1) / inside
        variance += away.sum(axis=0) / (outside - 1) / outside
        t = (mean_in - mean_out) / np.sqrt(variance)
    return np.where((mean_in == mean_out) & (variance == 0), 0.0, t)


def _log2_ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """log2 of the ratio; 0 where both are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log2(above) - np.log2(below)
    return np.where((above == 0) & (below == 0), 0.0, ratio)
