"""Reading the arrays of an .ibd file: in place where the layout allows, else gathered.

Integers are delivered as floating-point numbers that hold them (8 and 16 bits as
float32, 32 and 64 bits as float64); m/z always as float64.
"""

import numpy as np

from imsminer.core.memory import new_array
from imsminer.io import _vocabulary as cv
from imsminer.io._files import FileKey, open_binary
from imsminer.io._ibd_checks import ValueChecks
from imsminer.io._stored import (
    ITEM_SIZES,
    aligned_view,
    array_at,
    delivered_type,
    gather,
    read_only,
    rows_in_place,
    stored_bytes,
)

__all__ = ["ArrayReader"]

_FLOAT64 = np.dtype(np.float64)
_INT64 = cv.TYPES.index(np.dtype(np.int64))


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
    mobility : ndarray of ``MOBILITY``, default=None
        The places of their ion mobilities, where they have such.
    """

    def __init__(
        self,
        file: FileKey,
        spectra: np.ndarray,
        numbers: np.ndarray,
        mobility: np.ndarray | None = None,
    ) -> None:
        self.file = file
        self._checks = ValueChecks(file[0], numbers)
        self.intensity_type = delivered_type(np.unique(spectra["intensity_type"]))
        tables = {"mz": spectra, "intensity": spectra}
        if mobility is not None:
            tables["mobility"] = mobility
        self.has_mobility = mobility is not None
        # Plain columns: strided fields of records would be slow to take rows of.
        self._columns = {
            kind: tuple(
                np.ascontiguousarray(column)
                for column in (
                    table[f"{kind}_offset"],
                    table[f"{kind}_length"],
                    stored_bytes(table, kind),
                    table[f"{kind}_type"],
                    table[f"{kind}_zlib"],
                )
            )
            for kind, table in tables.items()
        }
        # Rows whose values have been found in order, so that this is done once.
        self._checked = np.zeros(spectra.size, np.bool_)
        # The stored type of each kind, where all spectra have one and none is packed.
        self._plain = {kind: self._common_type(kind) for kind in tables}
        self._wide = any(
            (columns[3] == _INT64).any() for columns in self._columns.values()
        )
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
            start, stop, _ = rows.indices(self._checked.size)
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
            self._checks.check_values(mz, intensity, indptr, rows)
            self._checked[rows] = True
        return mz, intensity, indptr, int(sizes.sum())

    def read_mobility(
        self, rows: np.ndarray | slice, *, add: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
        """Return m/z, intensity, indptr, mobility, and the number of bytes delivered.

        Points are sorted by m/z and mobility; with `add`, those of equal m/z are added
        up into one.
        """
        from imsminer.io._kernels.mobility_numba import (
            is_sorted,
            merge_points,
            sort_points,
        )

        columns = {
            kind: [column[rows] for column in all_rows]
            for kind, all_rows in self._columns.items()
        }
        lengths = columns["mz"][1]
        indptr = np.zeros(lengths.size + 1, np.int64)
        np.cumsum(lengths, out=indptr[1:])
        sizes = np.concatenate([part[2] for part in columns.values()])
        buffer, starts = open_binary(self.file).fetch(
            np.concatenate([part[0] for part in columns.values()]), sizes
        )
        mz, intensity, mobility = (
            read_only(self._assemble(buffer, places, part, indptr, rows, kind))
            for (kind, part), places in zip(
                columns.items(), np.split(starts, len(columns)), strict=True
            )
        )
        if is_sorted(mz, mobility, indptr, add):
            self._checks.check_values(mz, intensity, indptr, rows, mobility)
            return mz, intensity, indptr, mobility, int(sizes.sum())
        out = (np.empty_like(mz), np.empty_like(intensity), np.empty_like(mobility))
        sort_points(mz, intensity, mobility, indptr, *out)
        self._checks.check_values(*out[:2], indptr, rows, out[2])
        if add:
            # What sums overflow to is no number either.
            indptr, n_points = merge_points(*out, indptr)
            out = tuple(array[:n_points] for array in out)  # type: ignore[assignment]
            self._checks.check_values(*out[:2], indptr, rows, out[2])
        mz, intensity, mobility = out
        return mz, intensity, indptr, mobility, int(sizes.sum())

    def _read_one(
        self, row: int, mz_type: np.dtype, intensity_type: np.dtype
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Read one spectrum without the general case's detours: large ones pay."""
        mz_columns, intensity_columns = self._columns["mz"], self._columns["intensity"]
        # Plain integers all the way: arrays of two cost more than what they hold.
        n_mz, n_intensity = mz_columns[2].item(row), intensity_columns[2].item(row)
        buffer, (start_mz, start_intensity) = open_binary(self.file).fetch_two(
            (mz_columns[0].item(row), intensity_columns[0].item(row)),
            (n_mz, n_intensity),
        )
        mz = array_at(buffer, start_mz, n_mz, mz_type, _FLOAT64)
        intensity = array_at(
            buffer, start_intensity, n_intensity, intensity_type, self.intensity_type
        )
        indptr = np.array([0, mz.size], np.int64)
        if self._wide or not self._checked[row]:
            here = slice(row, row + 1)
            self._checks.check_exact(mz, mz_type, indptr, here, "mz")
            self._checks.check_exact(
                intensity, intensity_type, indptr, here, "intensity"
            )
            self._checks.check_values(mz, intensity, indptr, here)
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
        dtype = self.intensity_type if kind == "intensity" else _FLOAT64
        if lengths.size == 0:
            return np.empty(0, dtype)
        stored = self._plain[kind]
        if stored is not None:
            if stored == dtype and np.array_equal(starts[1:], starts[:-1] + sizes[:-1]):
                view = aligned_view(buffer, int(starts[0]), int(sizes.sum()), dtype)
                if view is not None:
                    return view
            out = new_array(int(indptr[-1]), dtype)
            gather(buffer, starts, lengths, stored, out, indptr[:-1])
            self._checks.check_exact(out, stored, indptr, rows, kind)
            return out
        out = new_array(int(indptr[-1]), dtype)
        for code in np.unique(types):
            stored = cv.TYPES[code]
            plain = np.flatnonzero((types == code) & ~packed)
            gather(buffer, starts[plain], lengths[plain], stored, out, indptr[plain])
            for i in np.flatnonzero((types == code) & packed).tolist():
                piece = buffer[starts[i] : starts[i] + sizes[i]]
                values = self._checks.unpack(
                    piece, stored, int(lengths[i]), rows, i, kind
                )
                out[indptr[i] : indptr[i + 1]] = values
            self._checks.check_exact(out, stored, indptr, rows, kind)
        return out

    # -- a shared axis ---------------------------------------------------------------
    def read_axis(self) -> tuple[np.ndarray, int]:
        """Return the m/z of the first spectrum, and the number of bytes delivered."""
        rows = slice(0, 1)
        columns = [column[rows] for column in self._columns["mz"]]
        buffer, starts = open_binary(self.file).fetch(columns[0], columns[2])
        indptr = np.array([0, columns[1][0]], np.int64)
        mz = self._assemble(buffer, starts, columns, indptr, rows, "mz")
        self._checks.check_order(mz, indptr, rows)
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
                flat = aligned_view(buffer, int(starts[0]), span, self.intensity_type)
                if flat is not None:
                    return rows_in_place(flat, offsets.size, n_mz, step), n_bytes
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
    def read_ends(self, rows: slice) -> tuple[np.ndarray, int]:
        """Return lowest and highest m/z of each spectrum that has points, shape (2, n).

        And the number of bytes delivered. Only the ends of the arrays are read, unless
        they are compressed, or may be in the order of their ion mobilities.
        """
        columns = [column[rows] for column in self._columns["mz"]]
        filled = np.flatnonzero(columns[1])
        if columns[4].any() or self.has_mobility:
            ends, n_bytes = self._read_extremes(rows, filled)
        else:
            offsets, lengths, _, types, _ = columns
            sizes = ITEM_SIZES[types[filled]]
            first = offsets[filled]
            last = first + (lengths[filled] - 1) * sizes
            codes = np.concatenate([types[filled], types[filled]])
            places, sizes = np.concatenate([first, last]), np.concatenate([sizes] * 2)
            buffer, starts = open_binary(self.file).fetch(places, sizes)
            flat = np.empty(places.size)
            for code in np.unique(codes):
                which = np.flatnonzero(codes == code)
                ones = np.ones(which.size, np.int64)
                gather(buffer, starts[which], ones, cv.TYPES[code], flat, which)
            ends, n_bytes = flat.reshape(2, -1), int(sizes.sum())
        wrong = ~np.isfinite(ends).all(axis=0) | (ends[0] > ends[1])
        if wrong.any():
            self._checks.refuse("mz", rows, int(filled[np.argmax(wrong)]))
        return ends, n_bytes

    def _read_extremes(self, rows: slice, filled: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the smallest and largest m/z of spectra that are read whole."""
        ends = np.empty((2, filled.size))
        n_bytes = 0
        for k, i in enumerate(filled.tolist()):
            row = slice(rows.start + i, rows.start + i + 1)
            columns = [column[row] for column in self._columns["mz"]]
            buffer, starts = open_binary(self.file).fetch(columns[0], columns[2])
            indptr = np.array([0, columns[1][0]], np.int64)
            mz = self._assemble(buffer, starts, columns, indptr, row, "mz")
            ends[:, k] = mz.min(), mz.max()
            n_bytes += int(columns[2][0])
        return ends, n_bytes
