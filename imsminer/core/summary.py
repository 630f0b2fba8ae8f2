"""What each run of a study holds, in numbers."""

from typing import Any

import numpy as np
import pandas as pd

from imsminer.core.engine import row_statistics

__all__ = ["run_statistics"]


def run_statistics(spectra: Any, *, n_jobs: int | None = None) -> pd.DataFrame:
    """Describe the spectra of each run: a look at a study before it is processed.

    One pass over the data, shared with other steps that need ion currents.

    Parameters
    ----------
    spectra : Spectra
        The spectra, queued steps included.
    n_jobs : int, default=None
        Blocks at a time, as in joblib (threads by default).

    Returns
    -------
    DataFrame
        One row per run that has pixels: `n_pixels`, `n_empty` (pixels without signal),
        `points` (median number of points above 0 per pixel), `tic` (median total ion
        current of the pixels with signal), `tic_cv` (its standard deviation over its
        mean), `max_intensity`, and the range `mz_min`, `mz_max` of the run's file.

    Raises
    ------
    ValueError
        When an intensity is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import Spectra
    >>> spectra = Spectra.from_arrays(np.array([[1.0, 3.0], [0.0, 0.0], [2.0, 2.0]]))
    >>> from imsminer.core.summary import run_statistics
    >>> run_statistics(spectra)[["n_pixels", "n_empty", "tic"]]
         n_pixels  n_empty  tic
    run
    run         3        1  4.0
    """
    statistics = row_statistics(spectra, n_jobs=n_jobs)
    names = spectra.runs.index
    code = names.get_indexer(spectra.pixels["run"])
    rows = []
    for number in np.unique(code).tolist():
        own = code == number
        tic = statistics.total[own]
        filled = tic[statistics.n_points[own] > 0]
        low, high = spectra.source.run_mz_range(number)
        rows.append(
            {
                "n_pixels": tic.size,
                "n_empty": tic.size - filled.size,
                "points": float(np.median(statistics.n_points[own])),
                "tic": float(np.median(filled)) if filled.size else 0.0,
                "tic_cv": filled.std() / filled.mean() if filled.size else np.nan,
                "max_intensity": float(statistics.maximum[own].max()),
                "mz_min": low,
                "mz_max": high,
            }
        )
    return pd.DataFrame(rows, index=names[np.unique(code)])
