"""Quality over the time of acquisition."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from imsminer._array import to_numpy

__all__ = ["acquisition_order"]

#: The running median is taken over this share of the pixels, at least so many.
SHARE, LEAST = 0.02, 15
#: More points than this are drawn as a picture inside of vector files.
N_VECTOR = 5000


def acquisition_order(
    values: Any,
    runs: Any = None,
    *,
    ax: Axes | None = None,
    label: str = "total ion current",
    zero: bool = False,
    title: str | None = None,
) -> Axes:
    """Draw a number of each pixel over the order in which the pixels were acquired.

    A drift of sensitivity or of the mass scale, and a break between two runs, show
    here; a picture on the tissue shows where.

    Parameters
    ----------
    values : array-like of shape (n_pixels,)
        In the order of the file, such as ``TICNormalizer().fit(X).factors_``. NaN
        where there is none.
    runs : array-like of shape (n_pixels,), default=None
        The run of each pixel; a line divides the runs. `None` takes the index of a
        Series, if it has a level ``"run"``.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.
    label : str, default="total ion current"
        Quantity and unit.
    zero : bool, default=False
        Draw a line at 0, as for errors.
    title : str, default=None
        Title.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        When `runs` has another length than `values`.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import plots
    >>> ax = plots.acquisition_order(np.linspace(100, 80, 50))
    >>> ax.get_xlabel()
    'pixel, in order of acquisition'
    """
    if runs is None and isinstance(values, pd.Series) and "run" in values.index.names:
        runs = values.index.get_level_values("run")
    y = np.asarray(to_numpy(values), np.float64).ravel()
    names = None if runs is None else np.asarray(runs, dtype=object)
    if names is not None and names.shape != y.shape:
        message = (
            f"acquisition_order: runs has shape {names.shape}, values {y.shape}; give "
            "one run per pixel."
        )
        raise ValueError(message)
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
    x = np.arange(1, y.size + 1)
    ax.plot(
        x,
        y,
        linestyle="none",
        marker=".",
        markersize=2.5,
        color="0.6",
        rasterized=y.size > N_VECTOR,
        label="pixel",
    )
    starts = np.zeros(1, np.int64)
    if names is not None and y.size:
        starts = np.append(starts, 1 + np.flatnonzero(names[1:] != names[:-1]))
    stops = np.append(starts[1:], y.size)
    width = max(LEAST, int(SHARE * y.size))
    for k, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        part = pd.Series(y[start:stop])
        smooth = part.rolling(width, center=True, min_periods=1).median()
        name = "running median" if k == 0 else None
        ax.plot(x[start:stop], smooth, color="#0072B2", linewidth=1.4, label=name)
    if zero:
        ax.axhline(0, color="0.3", linewidth=0.6)
    if len(starts) > 1 and names is not None:
        for start in starts[1:]:
            ax.axvline(start + 0.5, color="#D55E00", linewidth=0.8, linestyle="--")
        if len(starts) <= 8:
            for start, stop in zip(starts, stops, strict=True):
                ax.text(
                    (start + stop + 1) / 2,
                    1.0,
                    str(names[start]),
                    transform=ax.get_xaxis_transform(),
                    ha="center",
                    va="bottom",
                    fontsize="small",
                    color="0.3",
                )
    ax.set_xlim(0.5, max(y.size, 1) + 0.5)
    ax.set_xlabel("pixel, in order of acquisition")
    ax.set_ylabel(label)
    if title is not None:
        # Above the names of the runs.
        pad = 16 if len(starts) > 1 else None
        ax.set_title(title, loc="left", fontsize="medium", pad=pad)
    style: Any = {"fontsize": "small", "frameon": False}
    ax.legend(loc="upper right", ncols=2, markerscale=3, **style)
    return ax
