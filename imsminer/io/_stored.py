"""Stored arrays as NumPy sees them: their types, views of their bytes, copies."""

import zlib

import numpy as np

from imsminer.io import _vocabulary as cv

__all__ = [
    "ITEM_SIZES",
    "aligned_view",
    "array_at",
    "delivered_type",
    "gather",
    "read_only",
    "rows_in_place",
    "stored_bytes",
    "unpack",
]

ITEM_SIZES = np.zeros(256, np.int64)
ITEM_SIZES[: len(cv.TYPES)] = [dtype.itemsize for dtype in cv.TYPES]
_WIDE = tuple(
    code for code, dtype in enumerate(cv.TYPES) if dtype.str in ("<f8", "<i4", "<i8")
)


def delivered_type(codes: np.ndarray) -> np.dtype:
    """Return the type in which intensities stored in these types are delivered."""
    return np.dtype(np.float64 if np.isin(codes, _WIDE).any() else np.float32)


def stored_bytes(spectra: np.ndarray, kind: str) -> np.ndarray:
    """Return the stored bytes of each ``"mz"`` or ``"intensity"`` array."""
    lengths = spectra[f"{kind}_length"]
    plain = lengths * ITEM_SIZES[spectra[f"{kind}_type"]]
    packed = spectra[f"{kind}_zlib"] & (lengths > 0)
    return np.where(packed, spectra[f"{kind}_encoded"], plain)


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a read-only view: compiled loops then exist in one version only."""
    view = array.view()
    view.flags.writeable = False
    return view


def aligned_view(
    buffer: np.ndarray, start: int, size: int, dtype: np.dtype
) -> np.ndarray | None:
    """View bytes as another type; `None` where the type's alignment forbids it."""
    view = buffer[start : start + size].view(dtype)
    return view if view.flags.aligned else None


def array_at(
    buffer: np.ndarray, start: int, size: int, stored: np.dtype, dtype: np.dtype
) -> np.ndarray:
    """Return one array of another type: a view where that is possible, else a copy."""
    view = aligned_view(buffer, start, size, stored)
    if view is None:
        # NumPy copies from addresses that do not suit the type.
        return buffer[start : start + size].view(stored).astype(dtype)
    return view if stored == dtype else view.astype(dtype)


def rows_in_place(
    flat: np.ndarray, n_rows: int, n_columns: int, step: int
) -> np.ndarray:
    """View equally spaced rows of a flat array as a matrix."""
    if step == n_columns * flat.itemsize:
        return flat.reshape(n_rows, n_columns)
    return np.lib.stride_tricks.as_strided(
        flat, (n_rows, n_columns), (step, flat.itemsize), writeable=False
    )


def gather(
    buffer: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    stored: np.dtype,
    out: np.ndarray,
    out_starts: np.ndarray,
) -> None:
    """Copy pieces at any byte offsets into an array of another type."""
    from imsminer.io._kernels import ibd_numba

    # One layout, so that one kernel per type is compiled.
    starts, lengths = np.ascontiguousarray(starts), np.ascontiguousarray(lengths)
    size = stored.itemsize
    phases = np.bincount(starts & (size - 1), minlength=size)
    for phase in np.flatnonzero(phases).tolist():
        n_elements = (buffer.size - phase) // size
        view = buffer[phase : phase + n_elements * size].view(stored)
        ibd_numba.gather(view, phase, starts, lengths, out, out_starts)


def unpack(data: np.ndarray, stored: np.dtype, length: int) -> np.ndarray:
    """Decompress an array; ``zlib.error`` says what was found where that fails."""
    if length == 0:
        return np.empty(0, stored)
    size = length * stored.itemsize
    stream = zlib.decompressobj()
    try:
        # One byte more than expected is enough to see that it is too much.
        values = stream.decompress(data.data, size + 1)
    except zlib.error as error:
        found = f"{data.size} bytes that zlib cannot decompress ({error})"
        raise zlib.error(found) from error
    if len(values) > size:
        found = f"more than {size} bytes after decompression"
        raise zlib.error(found)
    if not stream.eof:
        found = f"{data.size} bytes of zlib, which are cut off"
        raise zlib.error(found)
    if len(values) < size:
        found = f"{len(values)} bytes after decompression"
        raise zlib.error(found)
    return np.frombuffer(values, stored)
