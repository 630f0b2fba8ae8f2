"""Checks of what is to be written into an imzML file."""

import re
from typing import Any

import numpy as np

from imsminer.io._header import KINDS, POLARITIES, SPECTRUM_TYPES, Step
from imsminer.io._kernels.ibd_numba import first_not_finite, first_unsorted

__all__ = [
    "FLOATS",
    "check_finite",
    "check_mz",
    "check_ragged",
    "checked_coordinates",
    "checked_mobility",
    "checked_pixel_size",
    "checked_polarity",
    "checked_steps",
    "one_of",
    "spectrum_kinds",
    "stored",
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


def checked_polarity(value: Any, n: int) -> list[str | None]:
    """Return the polarity of each of `n` spectra; one text or `None` is for all."""
    if value is None or isinstance(value, str):
        value = [value] * n
    found = [None if v is None or v != v else v for v in value]
    wrong = sorted({repr(v) for v in found} - {repr(v) for v in (*POLARITIES, None)})
    if wrong or len(found) != n:
        message = (
            f"ImzMLWriter: polarity must be one of {[*POLARITIES, None]}, or one of "
            f"them for each of {n} spectra, got {wrong or len(found)}."
        )
        raise ValueError(message)
    return found


def spectrum_kinds(spectrum_type: Any, polarity: Any, n: int) -> np.ndarray:
    """Return the number of each spectrum's kind; see `KINDS`."""
    types = [spectrum_type] * n if isinstance(spectrum_type, str) else spectrum_type
    for name in set(types):
        one_of("spectrum_type", name, SPECTRUM_TYPES)
    signs = checked_polarity(polarity, n)
    number = {kind: k for k, kind in enumerate(KINDS)}
    return np.array([number[kind] for kind in zip(types, signs, strict=True)], np.uint8)


def checked_steps(processing: Any) -> tuple[Step, ...]:
    """Return steps of processing with their parameters; a text stands for its name."""
    return tuple(
        (step, {}) if isinstance(step, str) else (str(step[0]), dict(step[1]))
        for step in processing
    )


def checked_mobility(name: str) -> str:
    """Return the name of a kind of ion mobility, without the word "array"."""
    name = name.strip().removesuffix(" array")
    if not re.search("mobility|drift.?time", name, re.IGNORECASE):
        message = (
            "ImzMLWriter: mobility must name an ion mobility or a drift time, such as "
            f"'mean inverse reduced ion mobility', got {name!r}."
        )
        raise ValueError(message)
    return name


def check_ragged(
    mz: np.ndarray,
    intensity: np.ndarray,
    indptr: np.ndarray,
    n: int,
    mobility: np.ndarray | None,
) -> None:
    """Refuse flat arrays that do not fit together."""
    right = (
        mz.ndim == 1
        and mz.shape == intensity.shape
        and (mobility is None or mobility.shape == mz.shape)
        and indptr.shape == (n + 1,)
        and indptr[0] == 0
        and indptr[-1] == mz.size
        and (np.diff(indptr) >= 0).all()
    )
    if not right:
        also = "" if mobility is None else f", mobility {mobility.shape}"
        message = (
            "ImzMLWriter: mz and intensity must be flat and of one length, and indptr "
            f"run from 0 to it with one entry more than pixels; got mz {mz.shape}, "
            f"intensity {intensity.shape}{also}, indptr {indptr.shape}, {n} pixels."
        )
        raise ValueError(message)


def check_mz(mz: np.ndarray, indptr: np.ndarray, coordinates: np.ndarray) -> None:
    """Refuse m/z that are not finite or fall within a spectrum."""
    row = first_unsorted(mz, indptr)
    if row >= 0:
        message = (
            "ImzMLWriter: m/z must be finite and increase within each spectrum; those "
            f"{_where(coordinates, row)} do not. Sort each spectrum by m/z first."
        )
        raise ValueError(message)


def check_finite(
    name: str, values: np.ndarray, indptr: np.ndarray, coordinates: np.ndarray
) -> None:
    """Refuse values that are not finite, as they are stored."""
    row = first_not_finite(values, indptr)
    if row >= 0:
        message = (
            f"ImzMLWriter: {name} must be finite in the stored type, {values.dtype}; "
            f"NaN, an infinity or a value too large was found "
            f"{_where(coordinates, row)}. Replace it, or store {name} as 'float64'."
        )
        raise ValueError(message)


def stored(intensity: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Bring intensities into the stored type, or refuse where whole numbers wrap."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):  # Infinities are found by check_finite.
            return np.ascontiguousarray(intensity, dtype)
    if intensity.dtype == dtype:
        return np.ascontiguousarray(intensity)
    limits = np.iinfo(dtype)
    # The upper limit of int64 is no float: compare with the number behind it.
    fits = (intensity >= limits.min) & (intensity < float(limits.max + 1))
    if not (fits.all() and (np.trunc(intensity) == intensity).all()):
        message = (
            "ImzMLWriter: some intensities do not fit into "
            f"intensity_dtype={dtype.name!r} (whole numbers from {limits.min} to "
            f"{limits.max}). Use 'float32' or 'float64', or round them."
        )
        raise ValueError(message)
    return np.ascontiguousarray(intensity, dtype)


def _where(coordinates: np.ndarray, row: int) -> str:
    # A shared axis belongs to no pixel alone.
    if row >= len(coordinates):
        return "of the shared axis"
    x, y, z = coordinates[row].tolist()
    return f"of the spectrum at x={x}, y={y}, z={z}"
