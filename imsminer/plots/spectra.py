"""Spectra: the mean spectrum with its picked peaks, a spectrum with its baseline."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from sklearn.base import clone

from imsminer._array import to_numpy
from imsminer.core.spectra import Spectra
from imsminer.plots._labels import intensity_axis, label_peaks

__all__ = ["baseline", "decimate", "mean_spectrum"]

#: Columns that a line is reduced to: more than any screen shows.
N_COLUMNS = 4000
#: Points below a baseline that are taken for noise.
LONGEST_BRIDGE = 50


def mean_spectrum(
    mz: Any,
    intensity: Any,
    peaks: Any = None,
    *,
    ax: Axes | None = None,
    title: str | None = None,
    top: int = 10,
    noise: Any = None,
    loq: float | None = None,
    mz_range: tuple[float, float] | None = None,
    label: str = "mean intensity (a.u.)",
) -> Axes:
    """Draw a spectrum, mark its picked peaks and label the highest of them.

    Of a dense spectrum only the minimum and maximum in each of 4,000 columns are
    drawn, which looks the same and is quick for millions of points.

    Parameters
    ----------
    mz, intensity : array-like of shape (n_points,)
        The spectrum, such as ``picker.axis_.centers`` and
        ``picker.reference_spectrum_``. NaN in `intensity` leaves a gap.
    peaks : DataFrame or array-like of float, default=None
        Peaks with the columns `mz` and perhaps `height`, such as ``picker.peaks_``, or
        m/z values. Without heights, those of the spectrum at the next point.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.
    title : str, default=None
        `None` writes the number of peaks.
    top : int, default=10
        How many of the highest peaks to label with their m/z. Labels that would
        overlap are left out in favour of the next peak.
    noise : float or array-like of shape (n_points,), default=None
        Noise level, drawn as a line.
    loq : float, default=None
        Draws the threshold of picking, `loq` × `noise`, as well.
    mz_range : (float, float), default=None
        Part of the m/z axis to draw.
    label : str, default="mean intensity (a.u.)"
        Quantity and unit of the y axis.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        When the lengths of `mz` and `intensity` differ, `mz` is not sorted, nothing
        lies in `mz_range`, or `loq` comes without `noise`.

    Examples
    --------
    >>> from imsminer import plots
    >>> ax = plots.mean_spectrum([500.0, 500.1, 500.2], [0.0, 3.0, 0.0], [500.1])
    >>> ax.get_title(loc="left")
    '1 peak'
    """
    mz, intensity = _checked(mz, intensity)
    if loq is not None and noise is None:
        message = "mean_spectrum draws loq × noise: pass noise as well."
        raise ValueError(message)
    levels = None if noise is None else np.broadcast_to(to_numpy(noise), mz.shape)
    apexes = None if peaks is None else _apexes(peaks, mz, intensity)
    if mz_range is not None:
        low, high = mz_range
        inside = (mz >= low) & (mz <= high)
        if not inside.any():
            message = f"the spectrum has no point in mz_range {mz_range}."
            raise ValueError(message)
        mz, intensity = mz[inside], intensity[inside]
        levels = None if levels is None else levels[inside]
        if apexes is not None:
            kept = (apexes[0] >= low) & (apexes[0] <= high)
            apexes = apexes[0][kept], apexes[1][kept]
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
    line = decimate(mz, intensity, N_COLUMNS)
    ax.plot(*line, color="0.15", linewidth=0.8)
    if levels is not None:
        at = decimate(mz, levels, N_COLUMNS)
        ax.plot(*at, color="#D55E00", linewidth=1, label="noise")
        if loq is not None:
            limit = f"{loq:g} × noise"
            ax.plot(at[0], loq * at[1], color="#E69F00", linewidth=1, label=limit)
    if apexes is not None:
        marks: Any = {"marker": "v", "s": 9, "linewidths": 0, "zorder": 3}
        ax.scatter(*apexes, color="#0072B2", label="picked peaks", **marks)
    _frame(ax, mz, intensity, apexes, label)
    if title is None and apexes is not None:
        title = f"{len(apexes[0]):,} peak{'' if len(apexes[0]) == 1 else 's'}"
    if title is not None:
        ax.set_title(title, loc="left", fontsize="medium")
    if levels is not None:
        # Above the frame, where it covers neither peaks nor labels.
        style: Any = {"fontsize": "small", "frameon": False, "borderaxespad": 0.2}
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, **style)
    if apexes is not None and top > 0:
        order = np.argsort(-apexes[1], kind="stable")
        label_peaks(ax, *apexes, order, top, envelope=line)
    return ax


def baseline(
    mz: Any,
    intensity: Any,
    baseline: Any,
    *,
    ax: Axes | None = None,
    title: str | None = None,
    mz_range: tuple[float, float] | None = None,
    max_intensity: float | None = None,
    label: str = "intensity (a.u.)",
) -> Axes:
    """Draw a spectrum with the baseline that is found for it.

    Parameters
    ----------
    mz, intensity : array-like of shape (n_points,)
        A profile spectrum, such as ``spectra[0]``.
    baseline : array-like of shape (n_points,) or BaselineSubtractor
        The baseline, or a subtractor, fitted or not, which is asked for it. Of a
        fitted one with ``reference="mean"``, the curve that it learned.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.
    title : str, default=None
        `None` writes the method of a subtractor.
    mz_range : (float, float), default=None
        Part of the m/z axis to draw. The baseline is that of the whole spectrum.
    max_intensity : float, default=None
        Upper end of the y axis; `None` shows the highest peak. A low one shows the
        baseline among high peaks.
    label : str, default="intensity (a.u.)"
        Quantity and unit of the y axis.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        When lengths differ, `mz` is not sorted, or nothing lies in `mz_range`.

    Examples
    --------
    >>> from imsminer import BaselineSubtractor, plots
    >>> mz, intensity = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 2.0, 9.0, 2.0, 2.0]
    >>> ax = plots.baseline(mz, intensity, BaselineSubtractor(half_window=1))
    >>> [line.get_label() for line in ax.lines]
    ['spectrum', 'baseline']
    """
    mz, intensity = _checked(mz, intensity)
    if hasattr(baseline, "transform"):
        title = f"method={baseline.method!r}" if title is None else title
        level = _baseline_of(baseline, mz, intensity)
    else:
        _, level = _checked(mz, baseline)
    if mz_range is not None:
        inside = (mz >= mz_range[0]) & (mz <= mz_range[1])
        if not inside.any():
            message = f"the spectrum has no point in mz_range {mz_range}."
            raise ValueError(message)
        mz, intensity, level = mz[inside], intensity[inside], level[inside]
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 3.8), layout="constrained")
    line, under = decimate(mz, intensity, N_COLUMNS), decimate(mz, level, N_COLUMNS)
    ax.plot(*line, color="0.45", linewidth=0.7, label="spectrum")
    ax.plot(*under, color="#D55E00", linewidth=1.6, label="baseline")
    ax.fill_between(*under, color="#D55E00", alpha=0.15, linewidth=0)
    _frame(ax, mz, intensity, None, label)
    if max_intensity is not None:
        ax.set_ylim(top=max_intensity)
    if title is not None:
        ax.set_title(title, loc="left", fontsize="medium")
    # Above the frame, where it covers no peak.
    style: Any = {"fontsize": "small", "frameon": False, "borderaxespad": 0.2}
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, **style)
    return ax


def _baseline_of(subtractor: Any, mz: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    """Ask a subtractor for the baseline of one spectrum.

    Where it runs above the spectrum, nothing is left to tell it: short runs of such
    points, which are noise, are bridged.
    """
    curve = getattr(subtractor, "baseline_", None)
    if curve is not None and subtractor.mz_ is not None:
        return np.interp(mz, subtractor.mz_, to_numpy(curve))
    if curve is not None:
        # Fitted on an array, which has no m/z: a value for each of its columns.
        if curve.shape != mz.shape:
            message = (
                f"baseline: the subtractor was fitted on an array of {curve.shape[0]} "
                f"columns, but the spectrum has {mz.size} points. Fit it on Spectra."
            )
            raise ValueError(message)
        return to_numpy(curve)
    spectra = Spectra.from_arrays(intensity[None, :], mz)
    clean = clone(subtractor).fit(spectra).transform(spectra)[0].intensity
    above = to_numpy(clean) > 0
    level = np.maximum(intensity, 0) - to_numpy(clean)
    if not above.any():
        return level
    at = np.arange(mz.size)
    known = at[above]
    after = np.searchsorted(known, at)
    length = np.diff(known, prepend=-1, append=mz.size)[after]
    bridged = np.maximum(level, np.interp(at, known, level[known]))
    return np.where(above | (length > LONGEST_BRIDGE), level, bridged)


def decimate(
    mz: np.ndarray, intensity: np.ndarray, n_columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Keep the minimum and maximum of each of `n_columns` equal parts of the axis.

    Parameters
    ----------
    mz, intensity : ndarray of shape (n_points,)
        A sorted spectrum.
    n_columns : int
        Parts; each keeps at most its first, lowest, highest and last point.

    Returns
    -------
    mz, intensity : ndarray
        At most ``4 * n_columns`` of the points, in their order.
    """
    if mz.size <= 4 * n_columns:
        return mz, intensity
    edges = np.linspace(mz[0], mz[-1], n_columns + 1)[:-1]
    starts = np.unique(np.searchsorted(mz, edges))
    part = np.repeat(np.arange(starts.size), np.diff(np.append(starts, mz.size)))
    # Ordered by part, then by intensity: each part's ends are its extremes (NaN last).
    order = np.lexsort((intensity, part))
    kept = np.unique(
        np.concatenate(
            [
                starts,
                order[starts],
                order[np.append(starts[1:], mz.size) - 1],
                np.append(starts[1:], mz.size) - 1,
            ]
        )
    )
    return mz[kept], intensity[kept]


def _checked(mz: Any, intensity: Any) -> tuple[np.ndarray, np.ndarray]:
    mz = np.asarray(to_numpy(mz), dtype=np.float64)
    intensity = np.asarray(to_numpy(intensity), dtype=np.float64)
    if mz.ndim != 1 or mz.shape != intensity.shape or mz.size == 0:
        message = (
            "mz and intensity must be 1-D, of one length and not empty; got the shapes "
            f"{mz.shape} and {intensity.shape}."
        )
        raise ValueError(message)
    if np.any(np.diff(mz) < 0):
        message = "mz must be sorted in ascending order."
        raise ValueError(message)
    return mz, intensity


def _apexes(
    peaks: Any, mz: np.ndarray, intensity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """m/z and height of the peaks."""
    table = peaks if isinstance(peaks, pd.DataFrame) else pd.DataFrame({"mz": peaks})
    at = table["mz"].to_numpy(dtype=np.float64)
    if "height" in table:
        return at, table["height"].to_numpy(dtype=np.float64)
    after = np.clip(np.searchsorted(mz, at), 1, max(mz.size - 1, 1))
    before = after - 1
    after = np.minimum(after, mz.size - 1)
    nearest = np.where(mz[after] - at < at - mz[before], after, before)
    return at, intensity[nearest]


def _frame(
    ax: Axes, mz: np.ndarray, intensity: np.ndarray, apexes: Any, label: str
) -> None:
    """Set limits with room for labels, and name the axes."""
    top = float(np.nanmax(intensity, initial=0.0))
    if apexes is not None:
        top = max(top, float(np.nanmax(apexes[1], initial=0.0)))
    bottom = min(float(np.nanmin(intensity, initial=0.0)), 0.0)
    span = (top - bottom) or 1.0
    ax.set_ylim(bottom - (0.03 * span if bottom < 0 else 0), top + 0.15 * span)
    if mz[0] < mz[-1]:
        ax.set_xlim(mz[0], mz[-1])
    ax.set_xlabel("$m/z$")
    ax.set_ylabel(intensity_axis([ax], label))
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
