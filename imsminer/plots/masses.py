"""Mass errors: over the tissue, and at reference masses."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from imsminer.plots.images import ion_image

__all__ = ["mass_residuals", "shift_image"]

ORANGE, BLUE = "#D55E00", "#0072B2"


def shift_image(
    report: pd.DataFrame,
    coordinates: Any,
    *,
    column: str | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    cmap: Any = "PuOr",
    limit: float | None = None,
    pixel_size: float | tuple[float, float] | None = None,
) -> Axes:
    """Draw the mass shift of each pixel over the tissue.

    Pixels without a correction of their own, which follow their run, are light grey.

    Parameters
    ----------
    report : DataFrame
        One row per pixel: `MassAligner.report_`, or `MassCalibrator.pixels_`.
    coordinates : array-like, DataFrame, Spectra or MultiIndex
        Where the pixels are: the Spectra of `fit`, or as in :func:`ion_image`.
    column : str, default=None
        What to draw; the shift when `None`.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.
    title : str, default=None
        `None` writes how many pixels have a correction of their own.
    cmap : str or Colormap, default="PuOr"
        White at 0; the default can be read with colour-blind eyes.
    limit : float, default=None
        Both ends of the colour scale; the 99 % quantile of the sizes when `None`.
    pixel_size : float or (float, float), default=None
        As in :func:`ion_image`.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        When there is no such column.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer.plots.masses import shift_image
    >>> report = pd.DataFrame({"shift_ppm": [-1.0, 2.0], "accepted": [True, True]})
    >>> shift_image(report, [[1, 1], [2, 1]]).get_title()
    '2 of 2 pixels with a correction of their own'
    """
    if column is None:
        shifts = [name for name in report.columns if name.startswith("shift_")]
        column = shifts[0] if shifts else "shift_ppm"
    if column not in report.columns:
        message = (
            f"shift_image: the report has no column {column!r}; it has "
            f"{', '.join(map(str, report.columns))}."
        )
        raise ValueError(message)
    values = report[column].to_numpy(dtype=np.float64).copy()
    own = report.get("accepted", pd.Series(True, index=report.index)).to_numpy(bool)
    values[~own] = np.nan
    sizes = np.abs(values[own])
    if limit is None:
        limit = float(np.quantile(sizes, 0.99)) if sizes.size else 1.0
    limit = limit if limit > 0 else 1.0
    if title is None:
        title = f"{own.sum():,} of {own.size:,} pixels with a correction of their own"
    name, _, unit = column.rpartition("_")
    return ion_image(
        values,
        coordinates,
        ax=ax,
        title=title,
        cmap=cmap,
        pixel_size=pixel_size,
        vmin=-limit,
        vmax=limit,
        label=f"{name} ({unit})" if unit in ("ppm", "points") else column,
    )


def mass_residuals(
    report: pd.DataFrame,
    *,
    run: str | None = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Axes:
    """Draw the errors at reference masses before and after calibration.

    Errors *after* are those that the fit to all other references leaves. References
    that were rejected are crosses.

    Parameters
    ----------
    report : DataFrame
        `MassCalibrator.report_`.
    run : str, default=None
        Which run; all of them when `None`.
    ax : Axes, default=None
        Where to draw; `None` makes a figure.
    title : str, default=None
        `None` writes the medians of the absolute errors.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        When nothing was found in the run.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from imsminer.plots.masses import mass_residuals
    >>> from imsminer.spectra.calibrate import MassCalibrator
    >>> masses = np.linspace(500, 900, 9)
    >>> table = pd.DataFrame({"mz": masses * (1 + 3e-6)})
    >>> calibrator = MassCalibrator(masses).fit(table)
    >>> mass_residuals(calibrator.report_).get_title(loc="left")
    'median error 3.00 → 0.00 ppm, 9 of 9 references used'
    """
    unit = "points" if "before_points" in report.columns else "ppm"
    table = report if run is None else report[report["run"] == run]
    table = table[table["height"] > 0]
    if table.empty:
        message = f"mass_residuals: no reference was found in run {run!r}."
        raise ValueError(message)
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
    used = table["used"].to_numpy(bool)
    mz = table["reference_mz"].to_numpy()
    before = table[f"before_{unit}"].to_numpy()
    after = table[f"loo_{unit}"].to_numpy()
    ax.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    ax.vlines(mz[used], before[used], after[used], color="0.85", linewidth=1, zorder=1)
    style: Any = {"s": 22, "zorder": 3, "linewidths": 1.2}
    ax.scatter(
        mz[used], before[used], **style, label="before", color=ORANGE, facecolors="none"
    )
    ax.scatter(mz[used], after[used], **style, label="after, left out", color=BLUE)
    if not used.all():
        ax.scatter(
            mz[~used], before[~used], **style, marker="x", color="0.4", label="rejected"
        )
    # One wrong reference far away must not squeeze the others.
    reach = 1.25 * float(np.nanmax(np.abs(np.r_[before[used], after[used], 1e-9])))
    outside = np.abs(before) > reach
    ax.set_ylim(-reach, reach)
    for x, value in zip(mz[outside], before[outside], strict=True):
        edge = np.sign(value) * reach * 0.97
        ax.annotate(
            f"{value:+.1f}",
            (x, edge),
            ha="center",
            va="top" if value > 0 else "bottom",
            fontsize="x-small",
            color="0.4",
        )
    ax.set_xlabel("position (points)" if unit == "points" else "$m/z$")
    ax.set_ylabel(f"mass error ({unit})")
    for spine in ("top", "right"):
        ax.spines[spine].set_visible(False)
    ax.legend(fontsize="small", frameon=False, loc="upper right", ncols=3,
              bbox_to_anchor=(1, 1.14), borderaxespad=0.2)  # fmt: skip
    if title is None:
        known = used & np.isfinite(after)
        one = np.median(np.abs(before[used])) if used.any() else np.nan
        other = np.median(np.abs(after[known])) if known.any() else np.nan
        title = (
            f"median error {one:.2f} → {other:.2f} {unit}, "
            f"{used.sum()} of {used.size} references used"
        )
    ax.set_title(title, loc="left", fontsize="small")
    return ax
