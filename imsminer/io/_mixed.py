"""Runs whose spectra differ in polarity, MS level, or in being profile or centroid."""

import numpy as np

from imsminer.io import _vocabulary as cv

__all__ = ["mixed_columns", "mixed_oddities"]

# Column of the pixel table, and the two flags and values that it tells apart. Flag 0
# is that of the spectra without the other one.
_PAIRS = {
    "polarity": ((cv.POSITIVE, "positive"), (cv.NEGATIVE, "negative")),
    "spectrum_type": ((cv.PROFILE, "profile"), (cv.CENTROID, "centroid")),
    "ms_level": ((0, "MS1"), (cv.MSN, "MSn")),
}


def mixed_columns(flags: np.ndarray) -> dict[str, np.ndarray]:
    """Return columns for the pixel table: what differs between spectra, and its values.

    Parameters
    ----------
    flags : ndarray of uint8, shape (n,)
        Flags of each spectrum.

    Returns
    -------
    dict of ndarray of object, shape (n,)
        `None` where a spectrum is neither one nor the other, or both.
    """
    columns = {}
    for name, ((first, one), (second, two)) in _PAIRS.items():
        is_second = flags & second > 0
        is_first = flags & first > 0 if first else ~is_second
        if is_first.any() and is_second.any():
            values = np.array([None, one, two, None], object)
            columns[name] = values[is_first + 2 * is_second]
    return columns


def mixed_oddities(flags: np.ndarray) -> dict[str, str]:
    """Say what differs between spectra, and how to select."""
    oddities = {}
    for name, values in mixed_columns(flags).items():
        counts = [
            f"{int((values == value).sum()):,} {value}" for _, value in _PAIRS[name]
        ]
        value = _PAIRS[name][0][1]
        oddities[name] = (
            f"the file mixes {' and '.join(counts)} spectra. Select those of one kind: "
            f"reader[reader.pixels[{name!r}] == {value!r}]"
        )
        oddities[name] += (
            "; or pass spectrum_type= to ImzMLReader, if the flags are wrong."
            if name == "spectrum_type"
            else "."
        )
    return oddities
