"""Ions of both polarities in one reference spectrum."""

import warnings
from typing import Any

import numpy as np

from imsminer.core.spectra import Spectra

__all__ = ["warn_of_mixed_polarity"]

POLARITIES = ("positive", "negative")


def warn_of_mixed_polarity(estimator: Any, X: Spectra) -> None:
    """Warn when what is learned from all pixels is learned from both polarities.

    Runs say their polarity in ``X.runs``; files that switch it between spectra have a
    column of ``X.pixels``.

    Parameters
    ----------
    estimator : estimator
        Who learns, for the message.
    X : Spectra
        The spectra.
    """
    found, select = _of_pixels(X), 'X[X.pixels["polarity"] == "positive"]'
    if len(found) < 2:
        found, first = _of_runs(X)
        select = f'X[X.pixels["run"].isin({first})]'
    if len(found) < 2:
        return
    message = (
        f"{type(estimator).__name__}: X holds {' and '.join(found)} spectra, which "
        "share no ions, and one reference spectrum is made of both. Select one "
        f"polarity before, such as {select}."
    )
    warnings.warn(message, UserWarning, stacklevel=3)


def _of_pixels(X: Spectra) -> list[str]:
    """Return counts such as "3 positive" where pixels say what they are."""
    if "polarity" not in X.source.pixels.columns:
        return []
    values = X.pixels["polarity"].to_numpy()
    counts = [(int((values == name).sum()), name) for name in POLARITIES]
    return [f"{count:,} {name}" for count, name in counts if count]


def _of_runs(X: Spectra) -> tuple[list[str], list[str]]:
    """Return the same where runs do, and the names of the runs of the first kind."""
    polarity = X.runs["polarity"].to_numpy()
    if not all((polarity == name).any() for name in POLARITIES):
        return [], []
    runs = np.searchsorted(X.source.run_bounds, X.rows, side="right") - 1
    of_rows = polarity[runs]
    found, names = [], []
    for name in POLARITIES:
        mask = of_rows == name
        if mask.any():
            found.append(f"{int(mask.sum()):,} {name}")
            names.append([str(X.runs.index[run]) for run in np.unique(runs[mask])])
    return found, names[0] if names else []
