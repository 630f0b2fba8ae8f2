"""Which ions are found where another ion, or a region, is."""

import numbers
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array

from imsminer._array import to_numpy
from imsminer.core.grid import coordinates_of
from imsminer.core.peaktable import feature_mz
from imsminer.images._similarity import (
    SIMILARITIES,
    image_filter,
    similarity_blocks,
    unit_blocks,
    unit_images,
)
from imsminer.images._ssim import measured_windows, structural_similarity

__all__ = ["colocalization", "colocalization_matrix"]

METHODS = (*SIMILARITIES, "ssim")


def colocalization(
    features: Any,
    target: Any,
    *,
    method: str = "thresholded_cosine",
    ppm: float = 10.0,
    median_filter: Any = "auto",
    coordinates: Any = None,
    runs: Any = None,
) -> pd.DataFrame:
    """Rank ions by how alike their images and that of a target are.

    Parameters
    ----------
    features : DataFrame or array-like of shape (n_pixels, n_features)
        Ion images, one a column. Finite. Arrays of any library are read on the host.
    target : str, float, int or array-like of shape (n_pixels,)
        The name of a feature; an m/z (a float: the nearest feature within `ppm`); the
        position of a column (an int); or one value per pixel, such as the mask of a
        region of interest.
    method : {"thresholded_cosine", "cosine", "pearson", "spearman", "ssim"}, \
            default="thresholded_cosine"
        ``"thresholded_cosine"`` sets what lies below an image's median to 0, applies a
        median filter, and takes the cosine: of the measures compared in [1]_ it agreed
        best with the ranking of experts. ``"ssim"`` is the structural similarity of
        images divided by their maximum, in windows of 7 × 7 pixels (5 or 3 where a run
        is too small), averaged over the windows that hold no gap.
    ppm : float, default=10
        Largest distance of the m/z `target` from that of a feature.
    median_filter : {"auto", 0, 3}, default="auto"
        Width of the median filter of ``"thresholded_cosine"``, in pixels; no other
        method filters. Windows reach into no other run, plane or gap. ``"auto"`` is 3
        where the pixels have coordinates, and 0 where nothing says where they are.
    coordinates : array-like of shape (n_pixels, 2 or 3), default=None
        Integer x, y and maybe z of the pixels. By default from the index of
        `features`.
    runs : array-like of shape (n_pixels,), default=None
        The run of each pixel. By default from the index, else a single run. Medians
        and ranks are those of all runs together.

    Returns
    -------
    DataFrame
        One row per feature, the most similar first: ``feature``, its name or position;
        ``mz``, NaN where its name has none; ``score``, -1 to 1; ``rank``, from 1. A
        feature that is the target is left out. Images without any variation (without
        any signal, for the cosines) have the score 0. ``attrs`` holds the method and
        the name of the target.

    Raises
    ------
    ValueError
        When no feature is the target, a parameter is not allowed, or something says
        not where the pixels are that needs it: ``median_filter=3`` and ``"ssim"``.

    See Also
    --------
    colocalization_matrix : All pairs of ions.
    imsminer.ImageClusterer : Groups of ions.

    References
    ----------
    .. [1] Ovchinnikova K. et al. (2020). ColocML: machine learning quantifies
       co-localization between mass spectrometry images. Bioinformatics 36, 3215.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from imsminer import colocalization
    >>> X = pd.DataFrame(
    ...     [[5.0, 9.0, 0.0], [4, 8, 1], [0, 0, 7], [1, 1, 9]],
    ...     columns=["mz_700.5", "mz_725.1", "mz_810.4"],
    ... )
    >>> colocalization(X, 700.5).round(2)
        feature     mz  score  rank
    0  mz_725.1  725.1    1.0     1
    1  mz_810.4  810.4    0.0     2
    """
    _check(method, median_filter, ppm)
    values, names, mz = _images(features)
    found, own, name = _target(features, values, names, mz, target, ppm)
    if method == "ssim":
        pixels = coordinates_of(
            features, coordinates, runs, estimator="colocalization with method='ssim'"
        )
        score = structural_similarity(found, values.T, measured_windows(pixels))
    else:
        filtered = image_filter(
            features,
            method,
            median_filter,
            coordinates,
            runs,
            estimator="colocalization",
        )
        image = unit_images(found[:, None], method, filtered)[:, 0]
        score = np.empty(values.shape[1])
        for columns, block in unit_blocks(values, method, filtered):
            score[columns] = image @ block
        score = np.clip(score, -1, 1)
    table = pd.DataFrame({"feature": names, "mz": mz, "score": score})
    if own is not None:
        table = table.drop(index=own)
    table = table.sort_values("score", ascending=False, kind="stable")
    table = table.reset_index(drop=True)
    table["rank"] = np.arange(1, len(table) + 1)
    table.attrs = {"method": method, "target": name}
    return table


def colocalization_matrix(
    features: Any,
    method: str = "thresholded_cosine",
    *,
    median_filter: Any = "auto",
    coordinates: Any = None,
    runs: Any = None,
) -> Any:
    """Similarity of the images of all pairs of ions.

    Parameters
    ----------
    features : DataFrame or array-like of shape (n_pixels, n_features)
        Ion images, one a column. Finite. Arrays of any library are read on the host.
    method, median_filter, coordinates, runs
        As in :func:`colocalization`. ``"ssim"`` compares pair by pair: it takes some
        milliseconds for each, where the others take microseconds.

    Returns
    -------
    DataFrame or ndarray of float32, shape (n_features, n_features)
        -1 to 1, symmetric; 1 on the diagonal, or 0 for an image that says nothing. A
        DataFrame with the names of the features when `features` is one.

    Raises
    ------
    ValueError
        As from :func:`colocalization`.

    Notes
    -----
    Images are prepared block by block, in their own precision, and multiplied in
    float32. What this holds beside `features` stays within scikit-learn's
    ``working_memory`` (:func:`sklearn.set_config`), except for the result and for one
    image at a time.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import colocalization_matrix
    >>> X = np.array([[5.0, 9, 0], [4, 8, 1], [0, 0, 7], [1, 1, 9]])
    >>> colocalization_matrix(X, "pearson").round(2)
    array([[ 1.  ,  0.99, -0.93],
           [ 0.99,  1.  , -0.96],
           [-0.93, -0.96,  1.  ]], dtype=float32)
    """
    _check(method, median_filter)
    values, names, _ = _images(features)
    if method == "ssim":
        pixels = coordinates_of(
            features,
            coordinates,
            runs,
            estimator="colocalization_matrix with method='ssim'",
        )
        matrix = _ssim_matrix(values, measured_windows(pixels))
    else:
        filtered = image_filter(
            features,
            method,
            median_filter,
            coordinates,
            runs,
            estimator="colocalization_matrix",
        )
        matrix = similarity_blocks(values, method, filtered)
    if isinstance(features, pd.DataFrame):
        return pd.DataFrame(matrix, index=names, columns=names)
    return matrix


def _check(method: Any, median_filter: Any, ppm: float = 1.0) -> None:
    """Refuse what no method knows."""
    if method not in METHODS:
        message = f"method must be one of {', '.join(METHODS)}; got {method!r}."
        raise ValueError(message)
    if median_filter not in ("auto", 0, 3):
        message = f"median_filter must be 'auto', 0 or 3; got {median_filter!r}."
        raise ValueError(message)
    if not ppm > 0:
        message = f"ppm must be above 0; got {ppm!r}."
        raise ValueError(message)


def _images(features: Any) -> tuple[np.ndarray, Any, np.ndarray]:
    """Values of features on the host, their names or positions, and their m/z."""
    is_frame = isinstance(features, pd.DataFrame)
    values = check_array(
        features if is_frame else to_numpy(features),
        dtype=[np.float64, np.float32],
        input_name="features",
    )
    names = features.columns if is_frame else pd.RangeIndex(values.shape[1])
    return values, names, feature_mz(names)


def _target(
    features: Any,
    values: np.ndarray,
    names: Any,
    mz: np.ndarray,
    target: Any,
    ppm: float,
) -> tuple[np.ndarray, int | None, Any]:
    """One value per pixel of the target; its column, if it is one; and its name."""
    column: int
    if isinstance(target, str):
        where = np.flatnonzero(np.asarray(names == target))
        if where.size != 1:
            message = (
                f"target: {where.size or 'no'} features are named {target!r}; pass an "
                "m/z as a float, or the position of a column as an int."
            )
            raise ValueError(message)
        column = int(where[0])
    elif isinstance(target, numbers.Integral) and not isinstance(target, bool):
        column = int(target)
        if not -len(names) <= column < len(names):
            message = (
                f"target={column} is the position of a column, but there are "
                f"{len(names)} features; an m/z is a float: {column}.0."
            )
            raise ValueError(message)
        column %= len(names)
    elif isinstance(target, numbers.Real) and not isinstance(target, bool):
        column = _nearest(mz, float(target), ppm)
    else:
        return _values_of_target(features, values, target), None, "values"
    return values[:, column], column, names[column]


def _nearest(mz: np.ndarray, target: float, ppm: float) -> int:
    """Position of the feature nearest to an m/z."""
    if np.isnan(mz).all():
        message = (
            f"target={target} is an m/z, but no feature is named like mz_885.5499. "
            "Pass features as PeakIntegrator returns them, or the position of a column."
        )
        raise ValueError(message)
    distance = np.abs(mz - target)
    column = int(np.nanargmin(distance))
    if not distance[column] <= 1e-6 * ppm * target:
        off = 1e6 * (mz[column] - target) / target if target else np.inf
        message = (
            f"target: no feature lies within {ppm:g} ppm of m/z {target}; the nearest "
            f"is m/z {mz[column]}, {off:+.1f} ppm from it."
        )
        raise ValueError(message)
    return column


def _values_of_target(features: Any, values: np.ndarray, target: Any) -> np.ndarray:
    index = getattr(features, "index", None)
    if isinstance(target, pd.Series) and index is not None:
        if not target.index.equals(index):
            message = (
                "target is a Series with another index than features; select the same "
                "pixels in the same order, or pass target.to_numpy()."
            )
            raise ValueError(message)
    found = to_numpy(target)
    if found.shape != values.shape[:1]:
        message = (
            "target must be the name of a feature, its m/z (a float), its position (an "
            f"int), or one value for each of {values.shape[0]} pixels; got an array of "
            f"shape {found.shape}."
        )
        raise ValueError(message)
    # Its own precision, unless that is not a float's.
    return check_array(
        found, dtype=[np.float64, np.float32], ensure_2d=False, input_name="target"
    )


def _ssim_matrix(values: np.ndarray, windows: Any) -> np.ndarray:
    n = values.shape[1]
    matrix = np.zeros((n, n), dtype=np.float32)
    for i in range(n):
        others = values.T[i:]
        matrix[i, i:] = structural_similarity(values[:, i], others, windows)
        matrix[i:, i] = matrix[i, i:]
    return matrix
