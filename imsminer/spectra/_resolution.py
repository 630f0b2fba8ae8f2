"""The resolving power of a dataset, from the widths of its peaks."""

import numpy as np
import pandas as pd
from scipy.stats import theilslopes

__all__ = ["fit_resolving_power"]

#: Weaker peaks have widths that are mostly noise.
LEAST_SNR = 20.0
#: Fewer peaks, or a range of m/z narrower than this ratio, tell no slope.
LEAST_PEAKS, LEAST_RANGE = 10, 1.1
#: The slopes of all pairs are looked at: enough of them.
MOST_PEAKS = 1000


def fit_resolving_power(
    peaks: pd.DataFrame, low: float, high: float
) -> tuple[float, float]:
    """Return intercept and slope of R(m) = a + b · m through picked peaks, robustly.

    The slope is the median of those of all pairs (Theil and Sen), the intercept the
    median of what is left. With few peaks, or where the line would not be positive from
    `low` to `high`, the slope is 0.

    Raises
    ------
    ValueError
        When no peak has a width.
    """
    usable = peaks[(peaks["resolving_power"] > 0) & (peaks["snr"] >= LEAST_SNR)]
    if len(usable) < 3:
        usable = peaks[peaks["resolving_power"] > 0]
    if usable.empty:
        message = (
            "PeakPicker: no picked peak has a width, so the resolving power is not "
            "known. Lower loq, or give MassAxis.resolving_power(r, at_mz)."
        )
        raise ValueError(message)
    usable = usable.nlargest(MOST_PEAKS, "snr")
    mz = usable["mz"].to_numpy()
    power = usable["resolving_power"].to_numpy()
    if mz.size >= LEAST_PEAKS and mz.max() >= LEAST_RANGE * mz.min():
        slope = float(theilslopes(power, mz).slope)
        intercept = float(np.median(power - slope * mz))
        if min(intercept + slope * low, intercept + slope * high) > 0:
            return intercept, slope
    return float(np.median(power)), 0.0
