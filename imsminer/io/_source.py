"""The source of one imzML file: what its index knows, and its arrays on demand."""

import hashlib
import threading
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from imsminer.core.source import Source, SpectrumArrays, pixel_table, run_table
from imsminer.exceptions import ImzMLError
from imsminer.io._index import RunIndex, open_run
from imsminer.io._mixed import mixed_columns
from imsminer.io._text import run_name

__all__ = ["ImzMLSource"]


class ImzMLSource(Source):
    """The spectra of one imzML file.

    Parameters
    ----------
    path : path-like
        The ``.imzML`` file.
    ibd : path-like
        Its ``.ibd``.
    checksum : bool, default=False
        Compare the ``.ibd`` with the SHA-1 or MD5 that the imzML file gives.
    on_error : {"raise", "skip"}, default="raise"
        What to do about spectra that cannot be read.
    mmap : bool, default=True
        Read through a memory map; otherwise into buffers.
    spectrum_type : {"profile", "centroid"}, default=None
        What the spectra are, against what the file says.
    mobility : {"sum", "keep"}, default="sum"
        What to do about ion mobilities, where the file has such.

    Attributes
    ----------
    skipped : DataFrame
        Spectra that were left out.
    warnings : tuple of str
        What is odd about the file.
    """

    def __init__(
        self,
        path: str | PathLike,
        ibd: str | PathLike,
        *,
        checksum: bool = False,
        on_error: str = "raise",
        mmap: bool = True,
        spectrum_type: str | None = None,
        mobility: str = "sum",
    ) -> None:
        options: dict[str, Any] = {"on_error": on_error, "mapped": mmap}
        index = open_run(path, ibd, checksum=checksum, **options)
        self._set_up(index, options, spectrum_type, mobility)

    def _set_up(
        self,
        index: RunIndex,
        options: dict[str, Any],
        spectrum_type: str | None,
        mobility: str,
    ) -> None:
        self._index = index
        self._options = options
        self._spectrum_type = spectrum_type
        self._mobility = mobility
        self._lock = threading.Lock()
        self._axis: np.ndarray | None = None
        self._n_bytes = 0
        facts = index.facts
        kind = spectrum_type or facts.spectrum_type
        self.coordinates = index.coordinates
        self.n_rows = index.lengths.size
        name = run_name(index.path)
        self.pixels = pixel_table(index.coordinates, name)
        if index.flags is not None:
            columns = mixed_columns(index.flags)
            if spectrum_type is not None:
                columns.pop("spectrum_type", None)
            self.pixels = self.pixels.assign(**columns)
        self.runs = run_table(
            name=name,
            path=index.path,
            polarity=facts.polarity,
            mode="continuous" if index.shared else "processed",
            spectrum_type=kind,
            pixel_size_x=facts.pixel_size_x,
            pixel_size_y=facts.pixel_size_y,
            instrument=facts.instrument,
            uuid=facts.uuid,
            n_pixels=self.n_rows,
            mobility=facts.mobility,
        )
        self.run_bounds = np.array([0, self.n_rows], np.int64)
        self.profile = np.array([kind == "profile"])
        per_point = index.reader.intensity_type.itemsize + (0 if index.shared else 8)
        if facts.mobility is not None:
            per_point += 8
        self.row_bytes = index.lengths * per_point
        state = (index.path, index.stamp, facts.uuid, options["on_error"], kind)
        if facts.mobility is not None:
            state += (mobility,)  # type: ignore[assignment]
        self.identity = hashlib.sha256(repr(state).encode()).hexdigest()[:32]

    @property
    def mz(self) -> np.ndarray | None:  # type: ignore[override]
        """The axis that all spectra share, read on first use, or `None`."""
        if not self._index.shared:
            return None
        if self._axis is None:
            axis, n_bytes = self._index.reader.read_axis()
            axis.flags.writeable = False
            self._count(n_bytes)
            self._axis = axis
        return self._axis

    @property
    def n_mz(self) -> int | None:
        """Length of the shared axis, or `None`; nothing is read."""
        return int(self._index.lengths[0]) if self._index.shared else None

    @property
    def ibd(self) -> str:
        """Path of the binary file."""
        return self._index.ibd

    @property
    def in_place(self) -> bool:
        """Whether rows are views of the mapped file."""
        return self._index.shared and self._index.reader.in_place

    @property
    def skipped(self) -> pd.DataFrame:
        """Spectra that were left out, with the reason."""
        return self._index.skipped

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the file, a sentence each."""
        return tuple(
            f"{self._index.path}: {text}"
            for kind, text in self._index.oddities.items()
            if kind != "spectrum_type" or self._spectrum_type is None
        )

    @property
    def n_bytes_read(self) -> int:  # type: ignore[override]
        """Bytes of arrays delivered so far, as they are stored."""
        return self._n_bytes

    def _count(self, n_bytes: int) -> None:
        with self._lock:
            self._n_bytes += n_bytes

    def read(self, rows: np.ndarray | slice) -> SpectrumArrays:
        """Return m/z, intensity, indptr and ion mobility of some rows.

        Consecutive rows are delivered in place, as read-only views of the mapped file,
        where its layout and alignment allow; everything else is copied once.

        Raises
        ------
        ImzMLError
            When m/z values are not finite and ascending, or an array cannot be
            decompressed. For spectra with m/z arrays of their own, also when
            intensities or ion mobilities are not finite. With ion mobilities, m/z may
            come in any order. Intensities on a shared axis are delivered as
            they are. Negative intensities are accepted.
        """
        reader = self._index.reader
        if self._index.shared:
            mz = self.mz
            intensity, n_bytes = reader.read_matrix(rows)
            self._count(n_bytes)
            return SpectrumArrays(mz, intensity)  # type: ignore[arg-type]
        if reader.has_mobility:
            add = self._mobility == "sum"
            *arrays, n_bytes = reader.read_mobility(rows, add=add)
            self._count(n_bytes)
            return SpectrumArrays(*arrays)
        points, intensity, indptr, n_bytes = reader.read_ragged(rows)
        self._count(n_bytes)
        return SpectrumArrays(points, intensity, indptr)

    def _row_ends(self, start: int, stop: int) -> list[np.ndarray]:
        # Kept with the index: every task of a worker process has a source of its own.
        found = self._index.mz_ends.get((start, stop))
        if found is None:
            ends, n_bytes = self._index.reader.read_ends(slice(start, stop))
            self._count(n_bytes)
            found = [np.array([ends[0].min(), ends[1].max()])] if ends.size else []
            self._index.mz_ends[start, stop] = found
        return found

    def __reduce__(self) -> tuple:
        index = self._index
        return _reopen, (
            type(self),
            index.path,
            index.ibd,
            index.stamp,
            index.facts.uuid,
            self._options,
            self._spectrum_type,
            self._mobility,
        )


def _reopen(
    cls: type[ImzMLSource],
    path: str,
    ibd: str,
    stamp: tuple[int, int, int, int],
    uuid: str | None,
    options: dict[str, Any],
    spectrum_type: str | None,
    mobility: str,
) -> ImzMLSource:
    index = open_run(path, ibd, expected=stamp, **options)
    if index.facts.uuid != uuid:
        message = (
            f"{path} has changed since the Spectra was pickled: its UUID is "
            f"{index.facts.uuid}, expected {uuid}. Open it again with ImzMLReader."
        )
        raise ImzMLError(message)
    source = cls.__new__(cls)
    source._set_up(index, options, spectrum_type, mobility)
    return source
