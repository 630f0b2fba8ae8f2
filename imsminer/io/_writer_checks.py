"""Checks of what is to be written into an imzML file."""

from typing import Any

import numpy as np

__all__ = [
    "FLOATS",
    "check_mz",
    "check_ragged",
    "checked_coordinates",
    "checked_pixel_size",
    "one_of",
]

FLOATS = ("float64", "float32")


def one_of(name: str, value: Any, allowed: Any) -> Any:
    if value not in allowed:
        message = f"ImzMLWriter: {name} must be one of {list(allowed)}, got {value!r}."
        raise ValueError(message)
    return value


def checked_pixel_size(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    sizes = np.broadcast_to(np.asarray(value, dtype=np.float64), 2)
    if not (np.isfinite(sizes).all() and (sizes > 0).all()):
        message = f"ImzMLWriter: pixel_size must be positive (µm), got {value!r}."
        raise ValueError(message)
    return float(sizes[0]), float(sizes[1])


def checked_coordinates(values: Any) -> np.ndarray:
    values = np.asarray(values)
    if (
        values.ndim != 2
        or values.shape[1] not in (2, 3)
        or values.dtype.kind not in "iu"
    ):
        message = (
            "ImzMLWriter: coordinates must be whole numbers of shape (n, 2) or (n, 3), "
            f"got {values.dtype} of shape {values.shape}."
        )
        raise ValueError(message)
    result = np.ones((len(values), 3), dtype=np.int64)
    result[:, : values.shape[1]] = values
    return result


def check_ragged(
    mz: np.ndarray, intensity: np.ndarray, indptr: np.ndarray, n: int
) -> None:
    right = (
        mz.ndim == 1
        and mz.shape == intensity.shape
        and indptr.shape == (n + 1,)
        and indptr[0] == 0
        and indptr[-1] == mz.size
        and (np.diff(indptr) >= 0).all()
    )
    if not right:
        message = (
            "ImzMLWriter: mz and intensity must be flat and of one length, and indptr "
            f"run from 0 to it with one entry more than pixels; got mz {mz.shape}, "
            f"intensity {intensity.shape}, indptr {indptr.shape}, {n} pixels."
        )
        raise ValueError(message)
    check_mz(mz, indptr)


def check_mz(mz: np.ndarray, indptr: np.ndarray) -> None:
    """Refuse m/z that are not finite or fall within a spectrum."""
    falls = np.flatnonzero(~(mz[1:] >= mz[:-1])) + 1
    # A fall at the start of a spectrum is none; NaN and infinity are found below.
    wrong = np.setdiff1d(falls, indptr)
    if wrong.size or not np.isfinite(mz).all():
        message = (
            "ImzMLWriter: m/z must be finite and increase within each spectrum. Sort "
            "each spectrum by m/z first."
        )
        raise ValueError(message)
