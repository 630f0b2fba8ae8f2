"""Reading the arrays of an .ibd file: in place where the layout allows, else gathered.

Integers are delivered as floating-point numbers that hold them (8 and 16 bits as
float32, 32 and 64 bits as float64); m/z always as float64.
"""

import zlib

import numpy as np

from imsminer.exceptions import ImzMLError
from imsminer.io import _vocabulary as cv
from imsminer.io._files import FileKey, open_binary

__all__ = ["ArrayReader", "delivered_type", "stored_bytes"]

_FLOAT64 = np.dtype(np.float64)
_ITEM_SIZES = np.zeros(256, np.int64)
_ITEM_SIZES[: len(cv.TYPES)] = [dtype.itemsize for dtype in cv.TYPES]
_WIDE = tuple(
    code for code, dtype in enumerate(cv.TYPES) if dtype.str in ("<f8", "<i4", "<i8")
)


def delivered_type(codes: np.ndarray) -> np.dtype:
    """Return the type in which intensities stored in these types are delivered."""
    return np.dtype(np.float64 if np.isin(codes, _WIDE).any() else np.float32)


def stored_bytes(spectra: np.ndarray, kind: str) -> np.ndarray:
    """Return the stored bytes of each ``"mz"`` or ``"intensity"`` array."""
    plain = spectra[f"{kind}_length"] * _ITEM_SIZES[spectra[f"{kind}_type"]]
    return np.where(spectra[f"{kind}_zlib"], spectra[f"{kind}_encoded"], plain)


class ArrayReader:
    """Reads the arrays of one run.

    Parameters
    ----------
    file : tuple
        Key of the ``.ibd``.
    spectra : ndarray of ``SPECTRUM``
        Their places; checked against the size of the file.
    numbers : ndarray of int64
        Their numbers in the file, for messages.
    """

    def __init__(self, file: FileKey, spectra: np.ndarray, numbers: np.ndarray) -> None:
        self.file = file
        self.numbers = numbers
        self.intensity_type = delivered_type(np.unique(spectra["intensity_type"]))
        # Plain columns: strided fields of records would be slow to take rows of.
        self._columns = {
            kind: tuple(
                np.ascontiguousarray(column)
                for column in (
                    spectra[f"{kind}_offset"],
                    spectra[f"{kind}_length"],
                    stored_bytes(spectra, kind),
                    spectra[f"{kind}_type"],
                    spectra[f"{kind}_zlib"],
                )
            )
            for kind in ("mz", "intensity")
        }
        # Rows whose values have been found in order, so that this is done once.
        self._checked = np.zeros(spectra.size, np.bool_)
        # The stored type of each kind, where all spectra have one and none is packed.
        self._plain = {kind: self._common_type(kind) for kind in ("mz", "intensity")}
        self._stride = self._regular_stride()

    def _common_type(self, kind: str) -> np.dtype | None:
        *_, types, packed = self._columns[kind]
        if packed.any() or (types != types[0]).any():
            return None
        return cv.TYPES[types[0]]

    @property
    def storage(self) -> str:
        """How the arrays are stored, such as ``"m/z float64, intensity float32"``."""
        parts = []
        for kind, name in (("mz", "m/z"), ("intensity", "intensity")):
            *_, types, packed = self._columns[kind]
            names = [cv.TYPES[code].name for code in np.unique(types)]
            text = f"{name} {' and '.join(names)}"
            if packed.any():
                text += " (zlib)" if packed.all() else " (partly zlib)"
            parts.append(text)
        return ", ".join(parts)

    # -- ragged spectra --------------------------------------------------------------
    def read_ragged(
        self, rows: np.ndarray | slice
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Return m/z, intensity, indptr, and the number of bytes delivered."""
        if isinstance(rows, slice) and rows.step in (None, 1):
            start, stop, _ = rows.indices(self.numbers.size)
            mz_type, intensity_type = self._plain["mz"], self._plain["intensity"]
            if stop - start == 1 and mz_type is not None and intensity_type is not None:
                return self._read_one(start, mz_type, intensity_type)
        mz_columns = [column[rows] for column in self._columns["mz"]]
        intensity_columns = [column[rows] for column in self._columns["intensity"]]
        lengths = mz_columns[1]
        indptr = np.zeros(lengths.size + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        sizes = np.concatenate([mz_columns[2], intensity_columns[2]])
        buffer, starts = open_binary(self.file).fetch(
            np.concatenate([mz_columns[0], intensity_columns[0]]), sizes
        )
        n = lengths.size
        mz = self._assemble(buffer, starts[:n], mz_columns, indptr, rows, "mz")
        intensity = self._assemble(
            buffer, starts[n:], intensity_columns, indptr, rows, "intensity"
        )
        if not self._checked[rows].all():
            self._check(mz, intensity, indptr, rows)
            self._checked[rows] = True
        return mz, intensity, indptr, int(sizes.sum())

    def _read_one(
        self, row: int, mz_type: np.dtype, intensity_type: np.dtype
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Read one spectrum without the general case's detours: large ones pay."""
        mz_columns, intensity_columns = self._columns.values()
        offsets = np.array([mz_columns[0][row], intensity_columns[0][row]])
        sizes = np.array([mz_columns[2][row], intensity_columns[2][row]])
        buffer, starts = open_binary(self.file).fetch(offsets, sizes)
        n_mz, n_intensity = sizes.tolist()
        start_mz, start_intensity = starts.tolist()
        mz = _piece(buffer, start_mz, n_mz, mz_type, _FLOAT64)
        intensity = _piece(
            buffer, start_intensity, n_intensity, intensity_type, self.intensity_type
        )
        indptr = np.array([0, mz.size], np.int64)
        if not self._checked[row]:
            self._check(mz, intensity, indptr, slice(row, row + 1))
            self._checked[row] = True
        return mz, intensity, indptr, n_mz + n_intensity

    def _assemble(
        self,
        buffer: np.ndarray,
        starts: np.ndarray,
        columns: list[np.ndarray],
        indptr: np.ndarray,
        rows: np.ndarray | slice,
        kind: str,
    ) -> np.ndarray:
        """Return the arrays one after the other: a view where they lie so, else new."""
        _, lengths, sizes, types, packed = columns
        dtype = _FLOAT64 if kind == "mz" else self.intensity_type
        if lengths.size == 0:
            return np.empty(0, dtype)
        stored = self._plain[kind]
        if stored is not None:
            if stored == dtype and np.array_equal(starts[1:], starts[:-1] + sizes[:-1]):
                view = _aligned_view(buffer, int(starts[0]), int(sizes.sum()), dtype)
                if view is not None:
                    return view
            out = np.empty(int(indptr[-1]), dtype)
            _gather(buffer, starts, lengths, stored, out, indptr[:-1])
            return out
        out = np.empty(int(indptr[-1]), dtype)
        for code in np.unique(types):
            stored = cv.TYPES[code]
            plain = np.flatnonzero((types == code) & ~packed)
            _gather(buffer, starts[plain], lengths[plain], stored, out, indptr[plain])
            for i in np.flatnonzero((types == code) & packed).tolist():
                piece = buffer[starts[i] : starts[i] + sizes[i]]
                values = self._unpack(piece, stored, int(lengths[i]), rows, i, kind)
                out[indptr[i] : indptr[i + 1]] = values
        return out

    def _unpack(
        self,
        piece: np.ndarray,
        stored: np.dtype,
        length: int,
        rows: np.ndarray | slice,
        i: int,
        kind: str,
    ) -> np.ndarray:
        """Decompress one array."""
        if length == 0:
            return np.empty(0, stored)
        try:
            data = zlib.decompress(piece.data)
        except zlib.error as error:
            found = f"{piece.size} bytes that zlib cannot decompress ({error})"
        else:
            if len(data) == length * stored.itemsize:
                return np.frombuffer(data, stored)
            found = f"{len(data)} bytes after decompression"
        name = "m/z" if kind == "mz" else kind
        message = (
            f"{self.file[0]}: the {name} array of spectrum {self._number(rows, i)} has "
            f"{found}, expected {length * stored.itemsize} ({length} values of "
            f"{stored.name}). Copy or export the file again."
        )
        raise ImzMLError(message)

    def _check(
        self,
        mz: np.ndarray,
        intensity: np.ndarray,
        indptr: np.ndarray,
        rows: np.ndarray | slice,
    ) -> None:
        from imsminer.io._kernels.ibd_numba import first_not_finite, first_unsorted

        bad = first_unsorted(_read_only(mz), indptr)
        if bad >= 0:
            self._complain("m/z", self._number(rows, bad))
        bad = first_not_finite(_read_only(intensity), indptr)
        if bad >= 0:
            self._complain("intensity", self._number(rows, bad))

    def _complain(self, kind: str, number: int) -> None:
        if kind == "m/z":
            found, expected = "NaN, infinite or unsorted", "finite, ascending values"
        else:
            found, expected = "NaN or infinite", "finite values"
        message = (
            f"{self.file[0]}: the {kind} array of spectrum {number} holds {found} "
            f"values, expected {expected}. Select other rows, or repair the file."
        )
        raise ImzMLError(message)

    def _number(self, rows: np.ndarray | slice, i: int) -> int:
        return int(self.numbers[rows][i])

    # -- a shared axis ---------------------------------------------------------------
    def read_axis(self) -> tuple[np.ndarray, int]:
        """Return the m/z of the first spectrum, and the number of bytes delivered."""
        rows = slice(0, 1)
        columns = [column[rows] for column in self._columns["mz"]]
        buffer, starts = open_binary(self.file).fetch(columns[0], columns[2])
        indptr = np.array([0, columns[1][0]], np.int64)
        mz = self._assemble(buffer, starts, columns, indptr, rows, "mz")
        from imsminer.io._kernels.ibd_numba import first_unsorted

        if first_unsorted(_read_only(mz), indptr) >= 0:
            self._complain("m/z", int(self.numbers[0]))
        # A copy, so that the axis does not keep a map of the file alive.
        return np.array(mz), int(columns[2][0])

    def read_matrix(self, rows: np.ndarray | slice) -> tuple[np.ndarray, int]:
        """Return intensities (n, n_mz) on the shared axis, and the bytes delivered."""
        columns = [column[rows] for column in self._columns["intensity"]]
        offsets, _, sizes, *_ = columns
        n_mz = int(self._columns["mz"][1][0])
        n_bytes = int(sizes.sum())
        if offsets.size == 0 or n_mz == 0:
            return np.empty((offsets.size, n_mz), self.intensity_type), n_bytes
        buffer, starts = open_binary(self.file).fetch(offsets, sizes)
        if self._stride is not None and isinstance(rows, slice):
            step = self._stride * (rows.step or 1)
            span = step * (offsets.size - 1) + n_mz * self.intensity_type.itemsize
            if step > 0 and int(starts[-1] - starts[0]) == step * (offsets.size - 1):
                flat = _aligned_view(buffer, int(starts[0]), span, self.intensity_type)
                if flat is not None:
                    return _rows_in_place(flat, offsets.size, n_mz, step), n_bytes
        indptr = np.arange(offsets.size + 1, dtype=np.int64) * n_mz
        flat = self._assemble(buffer, starts, columns, indptr, rows, "intensity")
        return flat.reshape(offsets.size, n_mz), n_bytes

    @property
    def in_place(self) -> bool:
        """Whether consecutive rows on a shared axis are views of the mapped file.

        Where the type's alignment forbids it after all, they are copied.
        """
        return self._stride is not None and self.file[3]

    def _regular_stride(self) -> int | None:
        """Bytes from one stored intensity row to the next, where that is constant."""
        # NumPy takes None for float64, so the comparison alone will not do.
        stored = self._plain["intensity"]
        if stored is None or stored != self.intensity_type:
            return None
        steps = np.unique(np.diff(self._columns["intensity"][0]))
        if steps.size > 1:
            return None
        step = int(steps[0]) if steps.size else self.intensity_type.itemsize
        return step if step % self.intensity_type.itemsize == 0 else None

    # -- ends of ragged spectra ------------------------------------------------------
    def read_ends(self, rows: slice) -> tuple[np.ndarray, int] | None:
        """Return first and last m/z of each spectrum that has points, shape (2, n).

        And the number of bytes delivered. `None` when arrays are compressed, so that
        they must be read whole.
        """
        offsets, lengths, _, types, packed = (
            column[rows] for column in self._columns["mz"]
        )
        if packed.any():
            return None
        filled = np.flatnonzero(lengths)
        sizes = _ITEM_SIZES[types[filled]]
        first = offsets[filled]
        last = first + (lengths[filled] - 1) * sizes
        places = np.concatenate([first, last])
        sizes = np.concatenate([sizes, sizes])
        buffer, starts = open_binary(self.file).fetch(places, sizes)
        flat = np.empty(places.size)
        codes = np.concatenate([types[filled], types[filled]])
        for code in np.unique(codes):
            which = np.flatnonzero(codes == code)
            ones = np.ones(which.size, np.int64)
            _gather(buffer, starts[which], ones, cv.TYPES[code], flat, which)
        ends = flat.reshape(2, -1)
        wrong = ~np.isfinite(ends).all(axis=0) | (ends[0] > ends[1])
        if wrong.any():
            self._complain("m/z", self._number(rows, int(filled[np.argmax(wrong)])))
        return ends, int(sizes.sum())


def _read_only(array: np.ndarray) -> np.ndarray:
    """Return a read-only view: compiled loops then exist in one version only."""
    view = array.view()
    view.flags.writeable = False
    return view


def _aligned_view(
    buffer: np.ndarray, start: int, size: int, dtype: np.dtype
) -> np.ndarray | None:
    """View bytes as another type; `None` where the type's alignment forbids it."""
    view = buffer[start : start + size].view(dtype)
    return view if view.flags.aligned else None


def _piece(
    buffer: np.ndarray, start: int, size: int, stored: np.dtype, dtype: np.dtype
) -> np.ndarray:
    """Return one array of another type: a view where that is possible, else a copy."""
    view = _aligned_view(buffer, start, size, stored)
    if view is None:
        # NumPy copies from addresses that do not suit the type.
        return buffer[start : start + size].view(stored).astype(dtype)
    return view if stored == dtype else view.astype(dtype)


def _rows_in_place(
    flat: np.ndarray, n_rows: int, n_columns: int, step: int
) -> np.ndarray:
    """View equally spaced rows of a flat array as a matrix."""
    if step == n_columns * flat.itemsize:
        return flat.reshape(n_rows, n_columns)
    return np.lib.stride_tricks.as_strided(
        flat, (n_rows, n_columns), (step, flat.itemsize), writeable=False
    )


def _gather(
    buffer: np.ndarray,
    starts: np.ndarray,
    lengths: np.ndarray,
    stored: np.dtype,
    out: np.ndarray,
    out_starts: np.ndarray,
) -> None:
    """Copy pieces at any byte offsets into an array of another type."""
    from imsminer.io._kernels.ibd_numba import gather

    size = stored.itemsize
    phases = np.bincount(starts & (size - 1), minlength=size)
    for phase in np.flatnonzero(phases).tolist():
        n_elements = (buffer.size - phase) // size
        view = buffer[phase : phase + n_elements * size].view(stored)
        gather(view, phase, starts, lengths, out, out_starts)
