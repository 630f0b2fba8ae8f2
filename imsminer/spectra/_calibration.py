"""Mass errors at reference masses, and what they say of each run.

Numbers, not estimators: :class:`imsminer.MassCalibrator` decides what is fitted on
what.
"""

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import find_peaks

from imsminer._array import array_namespace, to_numpy
from imsminer.core.axis import MassAxis
from imsminer.core.engine import axis_statistics, map_rows
from imsminer.core.spectra import Spectra
from imsminer.spectra._aligning import MatchChunk
from imsminer.spectra._calibrating import CalibrateSpectra
from imsminer.spectra._kernels.align_numba import match_rows
from imsminer.spectra._massmodel import MassModel, common_errors, relative_weights
from imsminer.spectra._polynomial import fit_polynomial, leave_one_out

__all__ = [
    "Calibration",
    "Measured",
    "calibrate_runs",
    "checked_references",
    "enough_references",
    "is_peak_table",
    "measure_array",
    "measure_list",
    "measure_profile",
    "measure_spectra",
    "measure_table",
]

#: Peaks stand out by this many times the noise, and by this part of the most prominent
#: one within the tolerance.
MIN_SNR, MIN_PART = 5.0, 0.02
#: So many references more than the polynomial needs say whether it helps.
SPARE = 2


def checked_references(given: Any, *, positive: bool) -> np.ndarray:
    """Return sorted, distinct reference m/z; raise when they are none."""
    if isinstance(given, pd.DataFrame) and "mz" in given.columns:
        given = given["mz"]
    if given is None:
        message = (
            "MassCalibrator: reference_mz is needed, the theoretical m/z of ions that "
            "are known to be in the spectra."
        )
        raise ValueError(message)
    reference = np.unique(np.asarray(given, dtype=np.float64).ravel())
    if reference.size == 0:
        message = "MassCalibrator: reference_mz is empty; give at least 1 m/z."
        raise ValueError(message)
    if not np.all(np.isfinite(reference)):
        message = "MassCalibrator: reference_mz must be finite m/z values."
        raise ValueError(message)
    if positive and reference[0] <= 0:
        message = f"MassCalibrator: reference_mz must be positive; got {reference[0]}."
        raise ValueError(message)
    return reference


def is_peak_table(X: Any) -> bool:
    """Whether `X` is a table of peaks and not of features."""
    return isinstance(X, pd.DataFrame) and "mz" in X.columns


# Measuring ---------------------------------------------------------------------------


class Measured(NamedTuple):
    """What was found at reference masses: NaN and 0 where nothing was."""

    place: np.ndarray
    height: np.ndarray


def measure_profile(
    mz: np.ndarray, mean: np.ndarray, reference: np.ndarray, width: np.ndarray
) -> Measured:
    """Find the nearest peak of a mean profile within `width` of each reference mass.

    A peak is a maximum that stands out of the noise, and that is not a ripple beside a
    much more prominent one. Its place is its centroid above half height.
    """
    place, height = np.full(reference.size, np.nan), np.zeros(reference.size)
    if mz.size < 3:
        return Measured(place, height)
    scatter = np.abs(np.diff(mean))
    scatter = scatter[scatter > 0]
    noise = 1.4826 * float(np.median(scatter)) / math.sqrt(2) if scatter.size else 0.0
    apex, found = find_peaks(mean, prominence=0)
    prominence = found["prominences"]
    # A profile without noise has only true maxima, which are no less for being low.
    top = float(prominence.max(initial=0.0))
    keep = prominence > min(MIN_SNR * noise, 0.01 * top)
    apex, prominence = apex[keep], prominence[keep]
    centroid = _centroids(mz, mean, apex)
    low = np.searchsorted(centroid, reference - width)
    high = np.searchsorted(centroid, reference + width, side="right")
    for k in np.flatnonzero(high > low):
        near = slice(low[k], high[k])
        strong = prominence[near] >= MIN_PART * prominence[near].max()
        distance = np.abs(centroid[near] - reference[k])
        best = low[k] + np.argmin(np.where(strong, distance, np.inf))
        place[k], height[k] = centroid[best], mean[apex[best]]
    return Measured(place, height)


def measure_list(
    mz: np.ndarray, height: np.ndarray, reference: np.ndarray, width: np.ndarray
) -> Measured:
    """Find the nearest of listed peaks within `width` of each reference mass."""
    order = np.argsort(mz, kind="stable")
    mz, height = mz[order], height[order]
    place, found = np.full(reference.size, np.nan), np.zeros(reference.size)
    if mz.size == 0:
        return Measured(place, found)
    after = np.clip(np.searchsorted(mz, reference), 1, max(mz.size - 1, 1))
    before, after = after - 1, np.minimum(after, mz.size - 1)
    closer = np.abs(mz[after] - reference) < np.abs(reference - mz[before])
    nearest = np.where(closer, after, before)
    inside = np.abs(mz[nearest] - reference) <= width
    place[inside], found[inside] = mz[nearest[inside]], height[nearest[inside]]
    return Measured(place, found)


def _centroids(mz: np.ndarray, mean: np.ndarray, apex: np.ndarray) -> np.ndarray:
    """Return the centroid of each maximum above its half height; increasing."""
    spacing = 0.5 * (mz[apex + 1] - mz[apex - 1])
    valley = 0.5 * np.diff(mz[apex], prepend=mz[0], append=mz[-1])
    reach = np.maximum(np.minimum(valley[:-1], valley[1:]), spacing)
    offset, height = np.empty((1, apex.size)), np.empty((1, apex.size))
    # Windows of a few samples contain the maximum; wider ones tell where it ends.
    narrow = np.minimum(reach, 12 * spacing)
    rows = (mean[None], mz, mz[apex], narrow, np.ones(apex.size))
    match_rows(*rows, True, offset, height)
    place = mz[apex] + np.where(height[0] > 0, offset[0], 0.0)
    return np.maximum.accumulate(place)


def measure_spectra(
    X: Spectra, reference: np.ndarray, width: np.ndarray, n_jobs: int | None
) -> dict[str, Measured]:
    """Find the reference masses in each run of some Spectra: one pass."""
    run_of_row = X.pixels["run"].to_numpy(dtype=object)
    profile = dict(zip(map(str, X.runs.index), X.run_profile, strict=True))
    found = {}
    axis = None
    for name in dict.fromkeys(map(str, run_of_row)):
        part = X[run_of_row == name]
        if X.mz is None and not profile[name]:
            found[name] = _measure_centroids(part, reference, width, n_jobs)
            continue
        if X.mz is None and axis is None:
            axis = MassAxis.estimate(X)
        mean = axis_statistics(part, axis, full=False, n_jobs=n_jobs)
        measure = measure_profile if profile[name] else measure_sticks
        found[name] = measure(mean.mz, mean.mean, reference, width)
    return found


def measure_table(
    peaks: pd.DataFrame, reference: np.ndarray, width: np.ndarray
) -> Measured:
    """Find the reference masses in a table of peaks."""
    mz = peaks["mz"].to_numpy(dtype=np.float64)
    height = np.ones(mz.size)
    if "height" in peaks.columns:
        height = peaks["height"].to_numpy(dtype=np.float64)
    keep = np.isfinite(mz) & (height > 0)
    return measure_list(mz[keep], height[keep], reference, width)


def measure_array(X: Any, reference: np.ndarray, width: np.ndarray) -> Measured:
    """Find the reference columns in the mean of the rows of an array."""
    mean = to_numpy(array_namespace(X).mean(X, axis=0)).astype(np.float64)
    return measure_profile(np.arange(mean.size, dtype=float), mean, reference, width)


def measure_sticks(
    mz: np.ndarray, mean: np.ndarray, reference: np.ndarray, width: np.ndarray
) -> Measured:
    """Find the nearest m/z of a common list that holds anything."""
    return measure_list(mz[mean > 0], mean[mean > 0], reference, width)


def _measure_centroids(
    part: Spectra, reference: np.ndarray, width: np.ndarray, n_jobs: int | None
) -> Measured:
    """Return the median over pixels of the highest centroids near each reference."""
    reach = float(np.max(1e6 * width / reference))
    model = MassModel.around(
        reference,
        ppm=True,
        tolerance=reach,
        max_shift=reach,
        min_matches=1,
        linear=False,
    )
    key = ("calibrate", reference.tobytes(), reach)
    table = map_rows(part, MatchChunk(model), key, n_jobs=n_jobs, label="Matching")
    errors, heights = np.split(table.astype(np.float64), 2, axis=1)
    median, weight = common_errors(errors, relative_weights(heights))
    seen = weight > 0
    place = np.where(seen, reference + median / model.unit, np.nan)
    return Measured(place, np.where(seen, heights.mean(axis=0), 0.0))


def enough_references(
    reference: np.ndarray,
    found: dict[str, Measured],
    degree: int,
    tolerance: float,
    *,
    ppm: bool,
) -> dict[str, Measured]:
    """Return what was found; raise, or for an array warn, where it is too little."""
    counts = {name: int(np.count_nonzero(p.height > 0)) for name, p in found.items()}
    poor = {name: count for name, count in counts.items() if count <= degree}
    if not poor:
        return found
    name, number = next(iter(poor.items()))
    where = f" in run {name!r}" if name else ""
    if len(poor) > 1:
        where += f" (and too few in {len(poor) - 1} other runs)"
    unit = "ppm" if ppm else "points"
    message = (
        f"MassCalibrator: {number} of {reference.size} reference masses were found "
        f"within tolerance={tolerance:g} {unit}{where}, but degree={degree} needs at "
        f"least {degree + 1}. The references lie from {reference[0]:.6g} to "
        f"{reference[-1]:.6g}. Raise the tolerance, lower the degree, or give "
        "reference_mz of ions that are in the spectra."
    )
    if ppm:
        raise ValueError(message)
    message += " The array stays as it is."
    warnings.warn(message, UserWarning, stacklevel=3)
    nothing = np.zeros(reference.size)
    return {name: Measured(nothing + np.nan, nothing) for name in found}


# Learning ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Calibration:
    """What `fit` learns: the step, its table of references, and its table of runs."""

    kernel: CalibrateSpectra | None
    report: pd.DataFrame
    runs: pd.DataFrame


def calibrate_runs(
    reference: np.ndarray,
    found: dict[str, Measured],
    n_pixels: dict[str, int],
    *,
    ppm: bool,
    degree: int,
    tolerance: float,
    guard: bool,
) -> Calibration:
    """Fit the polynomial of each run.

    Parameters
    ----------
    reference : ndarray of float64, shape (n,)
        All reference masses.
    found : dict
        What was measured, by run; at least ``degree + 1`` of each run, or nothing.
    n_pixels : dict
        Pixels of each run.
    ppm : bool
        Whether errors are in ppm; else in points.
    degree, tolerance, guard
        As those of the estimator.
    """
    known = np.any([part.height > 0 for part in found.values()], axis=0)
    some = reference[known] if known.any() else reference
    model = MassModel.around(
        some,
        ppm=ppm,
        tolerance=tolerance,
        max_shift=tolerance,
        min_matches=degree + 1,
        linear=degree > 0,
    )
    tables, rows, coefficients, used = [], {}, [], []
    for name, part in found.items():
        table, c = _calibrate(reference, part, model, degree, tolerance)
        tables.append(table.assign(run=name))
        rows[name] = _summary(table)
        coefficients.append(c)
        used.append(table["used"].to_numpy()[known])
    report = pd.concat(tables, ignore_index=True)
    report.insert(0, "run", report.pop("run"))
    runs = pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")
    judged = runs["n_used"] > degree + SPARE
    harm = judged & (runs["loo"] > runs["before"])
    applied = (runs["n_used"] > degree) & ~(harm & guard)
    runs["calibrated"] = applied
    unit = "ppm" if ppm else "points"
    report = report.rename(columns={c: f"{c}_{unit}" for c in ERRORS})
    runs = runs.rename(columns={c: f"{c}_{unit}" for c in (*ERRORS, *TAILS)})
    if not known.any():
        return Calibration(None, report, runs)
    weight = np.array([n_pixels[name] for name in found]) * applied.to_numpy()
    pooled = weight @ np.array(coefficients) / max(weight.sum(), 1)
    n = len(found) + 1
    kernel = CalibrateSpectra(
        replace(
            model,
            runs=tuple(found),
            applied=np.append(applied.to_numpy(), applied.any()),
            prior=np.zeros((n, 2)),
            precision=np.full((n, 2), 1.0),
            half_prior=np.zeros((2, n, 2)),
        ),
        np.vstack([*coefficients, pooled]),
        np.vstack([*used, np.any(used, axis=0)]),
    )
    return Calibration(kernel, report, runs)


ERRORS, TAILS = ("before", "after", "loo"), ("before_p90", "loo_p90")


def _calibrate(
    reference: np.ndarray,
    part: Measured,
    model: MassModel,
    degree: int,
    tolerance: float,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the table of the references of one run, and its polynomial."""
    seen = part.height > 0
    unit = 1e6 / reference if model.ppm else np.ones_like(reference)
    before = (part.place - reference) * unit
    after, loo = np.full((2, reference.size), np.nan)
    used, coefficients = np.zeros(reference.size, bool), np.zeros(degree + 1)
    if seen.sum() > degree:
        u = (part.place[seen] - model.centre) / model.half
        fit = fit_polynomial(u, before[seen], degree, tolerance)
        coefficients, used[seen] = fit.coefficients, fit.used
        after[seen] = before[seen] - fit(u)
        loo[seen] = leave_one_out(u, before[seen], degree, tolerance)
    table = {"reference_mz": reference, "measured_mz": part.place}
    table |= {"height": part.height, "before": before, "after": after, "loo": loo}
    return pd.DataFrame({**table, "used": used}), coefficients


def _summary(table: pd.DataFrame) -> dict[str, Any]:
    """Return numbers of found and used references, and sizes of the used errors."""
    used = table[table["used"]]
    row: dict[str, Any] = {
        "n_found": int((table["height"] > 0).sum()),
        "n_used": len(used),
    }
    for name in ERRORS:
        sizes = used[name].abs().dropna().to_numpy()
        row[name] = float(np.median(sizes)) if sizes.size else np.nan
        if name != "after":
            high = float(np.quantile(sizes, 0.9)) if sizes.size else np.nan
            row[f"{name}_p90"] = high
    return row
