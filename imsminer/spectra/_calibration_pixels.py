"""Lines of single pixels around the polynomial of their run."""

from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import pandas as pd

from imsminer.spectra._aligning import MatchChunk, each_pixel, runs_of
from imsminer.spectra._calibrating import CalibrateSpectra
from imsminer.spectra._massmodel import FLAT, Matches
from imsminer.spectra._runfit import learn_run

__all__ = ["learn_pixels", "pixel_table"]

#: From so many references on, even and odd ones tell drift of pixels from noise.
MIN_SPLIT = 6


def learn_pixels(
    kernel: CalibrateSpectra, values: Any, n_jobs: int | None
) -> CalibrateSpectra:
    """Return the step with what the pixels of each run say of their variance.

    With few references there is no telling, and each pixel follows its own matches.
    """
    kernel, run_of_row = replace(kernel, pixels=True), runs_of(values)
    errors, heights = _match(kernel, values, n_jobs)
    model = kernel.model
    precision = np.full(model.precision.shape, FLAT)
    for run, name in enumerate(model.runs):
        rows, used = run_of_row == name, kernel.used[run]
        if used.sum() < MIN_SPLIT:
            continue
        rest = errors[rows] - kernel.error(model.reference, run)
        # Of the references that count, so that both halves have their share.
        part = {
            key: getattr(model, key)[used] for key in ("reference", "width", "unit")
        }
        found = Matches(rest[:, used], heights[rows][:, used])
        fit = learn_run(replace(model, **part), found)
        precision[run] = fit.precision
    precision[-1] = np.median(precision[:-1], axis=0)
    return replace(kernel, model=replace(model, precision=precision))


def pixel_table(
    kernel: CalibrateSpectra | None, values: Any, unit: str, n_jobs: int | None
) -> pd.DataFrame:
    """Return the line of each pixel, and whether it is one of its own."""
    run_of_row = runs_of(values)
    n = run_of_row.size
    theta, good, matches = np.zeros((n, 2)), np.zeros(n, bool), np.zeros(n, np.int64)
    if kernel is not None and kernel.pixels:
        errors, heights = _match(kernel, values, n_jobs)
        for name in dict.fromkeys(run_of_row):
            rows, run = run_of_row == name, kernel.model.run_number(str(name))
            if kernel.model.applied[run]:
                fit = kernel.fit_pixels(errors[rows], heights[rows], run)
                theta[rows], good[rows], matches[rows] = fit
    table = {"run": run_of_row, "matches": matches}
    table |= {f"shift_{unit}": theta[:, 0], f"stretch_{unit}": theta[:, 1]}
    return pd.DataFrame({**table, "accepted": good})


def _match(
    kernel: CalibrateSpectra, values: Any, n_jobs: int | None
) -> tuple[np.ndarray, np.ndarray]:
    reader = MatchChunk(kernel.model)
    key = ("calibrate pixels", joblib.hash(reader))
    table = each_pixel(values, reader, key, n_jobs)
    errors, heights = np.split(table.astype(np.float64), 2, axis=1)
    return errors, heights
