"""Scores of peak picking that need no labels and no true peaks."""

from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from imsminer._array import to_numpy
from imsminer.core.moran import moran_i
from imsminer.core.peaktable import match_peaks
from imsminer.core.spectra import Spectra
from imsminer.core.windows import integrate_windows
from imsminer.spectra.peaks import PeakPicker

__all__ = ["peak_reproducibility_score", "spatial_structure_score"]

TOLERANCE_PPM = 10.0
#: A peak counts as found again at this share of `loq`.
FOUND = 0.5
#: Distances of an off-peak window from its peak, in widths of the window.
OFFSETS = tuple(sign * k for k in np.arange(1.5, 20.0, 0.5) for sign in (1, -1))


def peak_reproducibility_score(estimator: Any, X: Any, y: Any = None) -> float:
    """Count the peaks that are found again in other pixels, minus those that are not.

    For ``scoring=`` of a grid search over the parameters of a
    :class:`~imsminer.PeakPicker`, with ``cv=SpatialBlockSplit()``.

    Parameters
    ----------
    estimator : PeakPicker or Pipeline
        Fitted. In a pipeline the picker may have any place; steps behind it are not
        run.
    X : Spectra or array of shape (n_pixels, n_bins)
        Other pixels than those of `fit`.
    y : None
        Ignored.

    Returns
    -------
    float
        The mean number of peaks matched over both directions, minus the number of
        peaks without a match in both. Peaks picked with the picker's `loq` in one set
        of pixels have a match when they are found with half of it in the other (within
        10 ppm, one to one; within one bin for arrays, whose columns have no m/z).

    Notes
    -----
    The share of matched peaks alone always prefers the strictest setting, with a
    handful of sure peaks. Here each peak that is found again counts for a setting, and
    each that is not counts twice against it: lists are rewarded as long as two thirds
    of what they add is real.

    One pass over `X` for all settings of a search that read the same spectra on the
    same axis.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import PeakPicker, Spectra
    >>> from imsminer.model_selection import peak_reproducibility_score
    >>> mz = np.arange(500, 510, 0.01)
    >>> shape = np.exp(-0.5 * ((mz - 503.5) / 0.03) ** 2)
    >>> noise = np.random.default_rng(0).normal(size=(50, mz.size))
    >>> spectra = Spectra.from_arrays(1e3 * shape + noise, mz)
    >>> picker = PeakPicker().fit(spectra[:25])
    >>> peak_reproducibility_score(picker, spectra[25:])
    1.0

    In a search:

    >>> from sklearn.model_selection import GridSearchCV
    >>> from imsminer.model_selection import SpatialBlockSplit
    >>> search = GridSearchCV(
    ...     PeakPicker(),
    ...     {"loq": [5, 10], "min_points": [4, 6]},
    ...     cv=SpatialBlockSplit(2, block_size=5),
    ...     scoring=peak_reproducibility_score,
    ... )
    >>> search.fit(spectra).best_params_
    {'loq': 5, 'min_points': 4}
    """
    picker, X = _at_picker(estimator, X, "peak_reproducibility_score")
    low = FOUND * picker.loq
    matched, unmatched = [], 0
    for strict, loose in (
        (picker.peaks_, picker.pick(X, loq=low)),
        (picker.pick(X), picker.pick(loq=low)),
    ):
        pairs = match_peaks(strict["mz"], loose["mz"], _tolerance(X, strict["mz"]))
        matched.append(pairs[0].size)
        unmatched += len(strict) - pairs[0].size
    return float(np.mean(matched) - unmatched)


def spatial_structure_score(estimator: Any, X: Any, y: Any = None) -> float:
    """Return how much more spatial structure picked ions have than what lies between.

    For ``scoring=`` of a grid search, as :func:`peak_reproducibility_score`.

    Parameters
    ----------
    estimator : PeakPicker or Pipeline
        Fitted. In a pipeline the picker may have any place; steps behind it are not
        run.
    X : Spectra
        Pixels, of `fit` or others.
    y : None
        Ignored.

    Returns
    -------
    float
        Mean Moran's I of the images of the picked ions, minus that of windows of the
        same widths beside them that touch no peak; 0 when there is no peak, and at
        most 1.

    Raises
    ------
    TypeError
        When the steps before the picker do not answer with Spectra.

    Notes
    -----
    One pass over `X` for each distinct list of windows.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import PeakPicker, Spectra
    >>> from imsminer.model_selection import spatial_structure_score
    >>> mz = np.arange(500, 510, 0.01)
    >>> row, column = np.mgrid[:10, :10].reshape(2, -1)
    >>> shape = np.exp(-0.5 * ((mz - 503.5) / 0.03) ** 2)
    >>> noise = np.random.default_rng(0).normal(size=(100, mz.size))
    >>> intensity = 100 * np.outer(column < 5, shape) + noise
    >>> spectra = Spectra.from_arrays(intensity, mz, np.stack([column, row], axis=1))
    >>> spatial_structure_score(PeakPicker().fit(spectra), spectra) > 0.7
    True
    """
    picker, X = _at_picker(estimator, X, "spatial_structure_score")
    if not isinstance(X, Spectra):
        message = (
            "spatial_structure_score reads the windows between the peaks, so it needs "
            f"Spectra; the steps before the PeakPicker gave {type(X).__name__}."
        )
        raise TypeError(message)
    peaks = picker.peaks_
    if peaks.empty:
        return 0.0
    low, high = peaks["left"].to_numpy(), peaks["right"].to_numpy()
    beside = _off_peak_windows(low, high, X.source.mz_range())
    windows = np.concatenate([low, beside[:, 0]]), np.concatenate([high, beside[:, 1]])
    order = np.argsort(windows[0], kind="stable")
    images = integrate_windows(
        X, windows[0][order], windows[1][order], "sum", n_jobs=picker.n_jobs
    )
    structure = np.empty(order.size)
    structure[order] = moran_i(to_numpy(images), X.pixels)
    between = structure[low.size :]
    return float(
        structure[: low.size].mean() - (between.mean() if between.size else 0.0)
    )


def _tolerance(X: Any, mz: Any) -> Any:
    if isinstance(X, Spectra):
        return TOLERANCE_PPM
    return 1e6 / np.maximum(np.asarray(mz), 1.0)


def _at_picker(estimator: Any, X: Any, score: str) -> tuple[PeakPicker, Any]:
    """Return the picker of a pipeline, and what it gets of `X`."""
    found = _walk(estimator, X)
    if found is None:
        message = (
            f"{score} needs a fitted PeakPicker, or a Pipeline with one in it; got "
            f"{type(estimator).__name__}."
        )
        raise TypeError(message)
    return found


def _walk(estimator: Any, X: Any) -> tuple[PeakPicker, Any] | None:
    if isinstance(estimator, PeakPicker):
        return estimator, X
    if not isinstance(estimator, Pipeline) or not _holds_picker(estimator):
        return None
    for _, step in estimator.steps:
        if step is None or step == "passthrough":
            continue
        if _holds_picker(step):
            return _walk(step, X)
        X = step.transform(X)
    return None


def _holds_picker(step: Any) -> bool:
    if isinstance(step, Pipeline):
        return any(_holds_picker(inner) for _, inner in step.steps)
    return isinstance(step, PeakPicker)


def _off_peak_windows(
    low: np.ndarray, high: np.ndarray, mz_range: tuple[float, float]
) -> np.ndarray:
    """Return windows of the peaks' widths beside them, clear of all peaks.

    A peak without room nearby has none.
    """
    order = np.argsort(low, kind="stable")
    starts, ends = low[order], np.maximum.accumulate(high[order])
    result = []
    for left, right in zip(low, high, strict=True):
        width = right - left
        for offset in OFFSETS:
            a, b = left + offset * width, right + offset * width
            # Peaks that start before the window ends, and end behind its start.
            before = np.searchsorted(starts, b)
            free = before == 0 or ends[before - 1] <= a
            if free and a >= mz_range[0] and b <= mz_range[1]:
                result.append((a, b))
                break
    return np.array(result).reshape(-1, 2)
