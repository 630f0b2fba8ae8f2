"""What alignment learns of the runs of a study, and the tables that say so."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import pandas as pd

from imsminer.core.engine import map_rows
from imsminer.core.spectra import Spectra
from imsminer.spectra._aligning import MatchChunk, rows_as_chunk
from imsminer.spectra._frames import map_blocks
from imsminer.spectra._massmodel import (
    HARM,
    MIN_GAIN,
    MassModel,
    Matches,
    RunFit,
    heldout_errors,
    learn_run,
    relative_weights,
    weighted_median,
)

__all__ = ["judge", "learn", "learned", "match_values", "pixel_table", "run_table"]


def match_values(values: Any, model: MassModel, n_jobs: int | None) -> Matches:
    """Match all spectra, or rows of an array: one pass."""
    reader = MatchChunk(model)
    if isinstance(values, Spectra):
        key = ("align", joblib.hash(model))
        table = map_rows(values, reader, key, n_jobs=n_jobs, label="Matching")
    else:
        parts = map_blocks(lambda block: reader(rows_as_chunk(block)), values, n_jobs)
        table = np.concatenate(parts)
    k = model.reference.size
    table = table.astype(np.float64)
    lines = None if model.grid is None else table[:, 2 * k :].reshape(-1, 3, 2)
    return Matches(table[:, :k], table[:, k : 2 * k], lines)


def take(found: Matches, rows: np.ndarray) -> Matches:
    """Return the matches of some rows."""
    return Matches(*(None if part is None else part[rows] for part in found))


def learn(
    model: MassModel, found: Matches, run_of_row: np.ndarray
) -> tuple[dict[str, RunFit], RunFit]:
    """Return what the pixels of each run say, and those of all runs together."""
    names = tuple(dict.fromkeys(run_of_row))
    if len(names) == 1:
        fit = learn_run(model, found)
        return {names[0]: fit}, fit
    fits = {name: learn_run(model, take(found, run_of_row == name)) for name in names}
    return fits, learn_run(model, found)


def judge(
    fits: Mapping[str, RunFit], pooled: RunFit, model: MassModel, *, guard: bool
) -> tuple[list[bool], list[str]]:
    """Return whether to align each run, then others; and why not where that is news.

    A run that needs no alignment is left alone in silence.
    """
    applied, messages = [], []
    for name, fit in [*fits.items(), (None, pooled)]:
        better = not guard or fit.gain >= MIN_GAIN
        nothing = fit.n_good == 0 and not fit.prior.any()
        applied.append(bool(better and not nothing and fit.before > 0))
        if name is None:
            continue
        if nothing:
            messages.append(
                f"run {name!r} is left as it is, because no pixel has min_matches="
                f"{model.min_matches} matches within tolerance={model.tolerance:g} of "
                "the reference peaks. Raise the tolerance, or lower min_matches."
            )
        elif not better and fit.gain < -HARM:
            messages.append(
                f"run {name!r} is left as it is, because alignment would raise its "
                f"median error on held-out peaks from {fit.before:.3g} to "
                f"{fit.after:.3g}. Look at runs_ and report_."
            )
    if len(fits) == 1:
        applied[1] = applied[0]
    return applied, messages


def learned(
    model: MassModel,
    fits: Mapping[str, RunFit],
    pooled: RunFit,
    applied: Iterable[bool],
) -> MassModel:
    """Return the model that knows the runs; its last entry is for others."""
    every = [*fits.values(), pooled]
    return replace(
        model,
        runs=tuple(fits),
        prior=np.array([fit.prior for fit in every]),
        precision=np.array([fit.precision for fit in every]),
        half_prior=np.stack([fit.half_prior for fit in every], axis=1),
        applied=np.array(list(applied), bool),
    )


def run_table(fits: Mapping[str, RunFit | None], ppm: bool) -> pd.DataFrame:
    """Return one row per run; NaN where nothing was learned."""
    unit = "ppm" if ppm else "points"
    columns = ["shift", "stretch", "spread", "before", "after"]
    values = np.full((len(fits), 6), np.nan)
    for row, fit in zip(values, fits.values(), strict=True):
        if fit is not None:
            spread = fit.precision[0] ** -0.5
            row[:] = (*fit.prior[:2], spread, fit.before, fit.after, fit.gain)
    table = pd.DataFrame(
        values,
        index=pd.Index(list(fits), name="run"),
        columns=[*(f"{name}_{unit}" for name in columns), "gain"],
    )
    return table.assign(n_accepted=0, aligned=False)


def pixel_table(
    model: MassModel | None,
    found: Matches | None,
    run_of_row: np.ndarray,
    ppm: bool,
) -> pd.DataFrame:
    """Return one row per pixel: its line, and errors before and after."""
    unit, n = "ppm" if ppm else "points", run_of_row.size
    p = 2 if model is None else model.knots.size
    theta, before, after = np.zeros((n, p)), np.full(n, np.nan), np.full(n, np.nan)
    accepted, matches = np.zeros(n, bool), np.zeros(n, np.int64)
    if model is not None and found is not None:
        numbers = {run: model.run_number(str(run)) for run in dict.fromkeys(run_of_row)}
        number = np.array([numbers[run] for run in run_of_row])
        lines = (model.prior[number], model.precision[number])
        theta, good, matches = model.fit_lines(found, *lines)
        applied = model.applied[number]
        accepted = good & applied
        theta = np.where(applied[:, None], theta, 0.0)
        halves = model.half_prior[:, number]
        raw, corrected = heldout_errors(model, found, halves, lines[1])
        corrected = np.where(applied[:, None], corrected, raw)
        weights = relative_weights(found.heights)
        before = weighted_median(np.abs(raw), weights)
        after = weighted_median(np.abs(corrected), weights)
    table: dict[str, Any] = {"run": run_of_row, "matches": matches}
    table |= {f"shift_{unit}": theta[:, 0], f"stretch_{unit}": theta[:, 1]}
    if p > 2:
        table[f"bend_{unit}"] = np.abs(theta[:, 2:]).max(axis=1)
    table |= {f"before_{unit}": before, f"after_{unit}": after, "accepted": accepted}
    return pd.DataFrame(table)
