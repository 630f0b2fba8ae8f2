"""What alignment learns of the runs of a study, and the tables that say so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import joblib
import numpy as np
import pandas as pd

from imsminer.core.chunk import SpectrumChunk
from imsminer.core.spectra import Spectra
from imsminer.spectra._aligning import MatchChunk, each_pixel, match_on_host
from imsminer.spectra._massmodel import (
    HARM,
    MIN_GAIN,
    MassModel,
    Matches,
    relative_weights,
    weighted_median,
)
from imsminer.spectra._runfit import RunFit, heldout_errors, learn_run

__all__ = [
    "describe_matches",
    "describe_values",
    "judge",
    "learn",
    "learned",
    "match_values",
    "pixel_table",
    "run_table",
    "sample_pixels",
]

#: Runs are learned from about this many pixels together, and this many each at least.
SAMPLE, LEAST_SAMPLE = 8_192, 1_024
#: What is reported of each pixel, besides the bends.
FACTS = ("shift", "stretch", "bend", "before", "after", "matches", "accepted")


def sample_pixels(values: Any, run_of_row: np.ndarray) -> np.ndarray | None:
    """Return pixels of each run to learn from, evenly spread over it; `None`: all.

    Matches take hundreds of bytes per pixel. Rows are counted as in the source, so that
    the order of a selection does not matter.
    """
    names = list(dict.fromkeys(run_of_row))
    most = max(SAMPLE // len(names), LEAST_SAMPLE)
    if run_of_row.size <= most * len(names):
        return None
    number = values.rows if isinstance(values, Spectra) else np.arange(run_of_row.size)
    chosen = []
    for name in names:
        own = np.flatnonzero(run_of_row == name)
        own = own[np.argsort(number[own], kind="stable")]
        if own.size > most:
            own = own[np.linspace(0, own.size - 1, most).astype(np.int64)]
        chosen.append(own)
    return np.concatenate(chosen)


def match_values(values: Any, model: MassModel, n_jobs: int | None) -> Matches:
    """Match all spectra, or rows of an array: one pass."""
    table = each_pixel(values, MatchChunk(model), ("align", joblib.hash(model)), n_jobs)
    k = model.reference.size
    table = table.astype(np.float64)
    lines = None if model.grid is None else table[:, 2 * k :].reshape(-1, 3, 2)
    return Matches(table[:, :k], table[:, k : 2 * k], lines)


def describe_values(values: Any, model: MassModel, n_jobs: int | None) -> np.ndarray:
    """Return the facts of all spectra, or rows of an array, (n, 7): one pass."""
    key = ("align report", joblib.hash(model))
    return each_pixel(values, DescribePixels(model), key, n_jobs)


@dataclass(frozen=True)
class DescribePixels:
    """The facts of each spectrum, for a pass over chunks."""

    model: MassModel

    def __call__(self, chunk: SpectrumChunk) -> np.ndarray:
        run = self.model.run_number(chunk.run)
        return _describe(self.model, match_on_host(chunk, self.model), run)


def describe_matches(
    model: MassModel, found: Matches, run_of_row: np.ndarray
) -> np.ndarray:
    """Return the facts of pixels whose matches are known, (n, 7)."""
    facts = np.empty((run_of_row.size, len(FACTS)))
    for name in dict.fromkeys(run_of_row):
        rows = run_of_row == name
        facts[rows] = _describe(model, take(found, rows), model.run_number(str(name)))
    return facts


def _describe(model: MassModel, found: Matches, run: int) -> np.ndarray:
    precision = model.precision[run]
    theta, good, matches = model.fit_lines(found, model.prior[run], precision)
    halves = model.half_prior[:, run, None]
    raw, corrected = heldout_errors(model, found, halves, precision[None])
    if not model.applied[run]:
        theta, good, corrected = np.zeros_like(theta), np.zeros_like(good), raw
    weights = relative_weights(found.heights)
    bend = np.abs(theta[:, 2:]).max(axis=1, initial=0.0)
    before = weighted_median(np.abs(raw), weights)
    after = weighted_median(np.abs(corrected), weights)
    return np.column_stack([theta[:, :2], bend, before, after, matches, good])


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
        if model.grid is None:
            nothing = fit.n_good == 0 and not fit.prior.any()
        else:
            # A search finds a best line in whatever it searches.
            nothing = fit.n_matched == 0
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
    facts: np.ndarray | None, run_of_row: np.ndarray, ppm: bool, *, bent: bool = False
) -> pd.DataFrame:
    """Return one row per pixel: its line, and errors before and after."""
    if facts is None:
        facts = np.zeros((run_of_row.size, len(FACTS)))
        facts[:, 3:5] = np.nan
    unit = "ppm" if ppm else "points"
    column = dict(zip(FACTS, facts.T, strict=True))
    table: dict[str, Any] = {"run": run_of_row}
    table["matches"] = column.pop("matches").astype(np.int64)
    accepted = column.pop("accepted").astype(bool)
    if not bent:
        column.pop("bend")
    # Copies: a view would keep the whole of the facts.
    table |= {f"{name}_{unit}": values.copy() for name, values in column.items()}
    return pd.DataFrame({**table, "accepted": accepted})
