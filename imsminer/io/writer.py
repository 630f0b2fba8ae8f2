"""Writing imzML: spectra go to disk as they come, the XML follows at the end."""

import hashlib
import itertools
import os
import uuid as uuid_module
import zlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from imsminer.io._header import (
    MODES,
    POLARITIES,
    SPECTRUM_TYPES,
    TYPES,
    WriterFacts,
    header_xml,
    spectra_xml,
    tail_xml,
)
from imsminer.io._writer_checks import (
    FLOATS,
    check_mz,
    check_ragged,
    checked_coordinates,
    checked_pixel_size,
    one_of,
)

__all__ = ["ImzMLWriter"]

# Pieces of about this size go to the file and into the checksum at once.
PIECE = 1 << 22


class ImzMLWriter:
    """Write an imzML file and its .ibd, chunk by chunk.

    Both are written under temporary names beside `path` and renamed into place when
    the ``with`` block ends; when it ends by an error, nothing is left. Memory does not
    grow with the data, but by about 72 bytes a spectrum.

    Parameters
    ----------
    path : path-like
        The .imzML file; the .ibd gets the same stem.
    mode : {"processed", "continuous"}, default="processed"
        Whether each spectrum has its own m/z array, or all share the first one.
    mz_dtype : {"float64", "float32"}, default="float64"
        How m/z are stored.
    intensity_dtype : str, default="float32"
        How intensities are stored: float32, float64, int8, int16, int32 or int64.
    spectrum_type : {"profile", "centroid"}, default="profile"
        What the points are.
    polarity : {"positive", "negative"} or None, default=None
        Of all spectra; `None` when it is not known.
    pixel_size : float, (float, float) or None, default=None
        In µm; `None` when it is not known: the file then does not say.
    compression : {"zlib"} or None, default=None
        Compression of each array.
    uuid : str or None, default=None
        32 hexadecimal digits; drawn at random when `None`.
    checksum : bool, default=True
        Whether to compute the SHA-1 of the .ibd, which imzML demands.
    instrument : str or None, default=None
        Name of the instrument's model.
    processing : sequence of str, default=()
        What was done to the data, in order.
    overwrite : bool, default=False
        Whether files of these names may be replaced.

    Raises
    ------
    ValueError
        When a parameter is not one of those listed.
    FileExistsError
        When a file is there and `overwrite` is `False`.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from imsminer import ImzMLReader
    >>> from imsminer.io.writer import ImzMLWriter
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ImzMLWriter(f"{folder}/a.imzML", pixel_size=50) as writer:
    ...         writer.add([100.0, 200.0], [1, 2], (1, 1))
    ...         writer.add([150.0], [7], (2, 1))
    ...     ImzMLReader(f"{folder}/a.imzML")[1].intensity
    array([7.], dtype=float32)
    """

    def __init__(
        self,
        path: str | PathLike,
        *,
        mode: str = "processed",
        mz_dtype: Any = "float64",
        intensity_dtype: Any = "float32",
        spectrum_type: str = "profile",
        polarity: str | None = None,
        pixel_size: float | tuple[float, float] | None = None,
        compression: str | None = None,
        uuid: str | None = None,
        checksum: bool = True,
        instrument: str | None = None,
        processing: Sequence[str] = (),
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".imzml":
            message = f"ImzMLWriter: path must end in .imzML, got {str(path)!r}."
            raise ValueError(message)
        digits = (uuid or uuid_module.uuid4().hex).replace("-", "").lower()
        self._facts = WriterFacts(
            mode=one_of("mode", mode, MODES),
            mz_dtype=one_of("mz_dtype", np.dtype(mz_dtype).name, FLOATS),
            intensity_dtype=one_of(
                "intensity_dtype", np.dtype(intensity_dtype).name, TYPES
            ),
            spectrum_type=one_of("spectrum_type", spectrum_type, SPECTRUM_TYPES),
            polarity=one_of("polarity", polarity, (*POLARITIES, None)),
            pixel_size=checked_pixel_size(pixel_size),
            compression=one_of("compression", compression, ("zlib", None)),
            instrument=instrument,
            processing=tuple(processing),
            uuid=uuid_module.UUID(hex=digits).hex,
        )
        self._mz_dtype = np.dtype(self._facts.mz_dtype).newbyteorder("<")
        self._dtype = np.dtype(self._facts.intensity_dtype).newbyteorder("<")
        self._sha1 = hashlib.sha1(usedforsecurity=False) if checksum else None
        self._ibd_path = self.path.with_suffix(".ibd")
        self._overwrite = overwrite
        self._refuse_existing()
        self._position = 0
        self._mz: np.ndarray | None = None
        self._mz_entry = (0, 0, 0)
        self._coordinates: list[np.ndarray] = []
        self._arrays: list[np.ndarray] = []

    @property
    def uuid(self) -> str:
        """The UUID of both files, 32 hexadecimal digits."""
        return self._facts.uuid

    def __enter__(self) -> "ImzMLWriter":
        token = uuid_module.uuid4().hex[:12]
        folder, stem = self.path.parent, self.path.stem
        self._xml_part = folder / f".{stem}-{token}.imzML.part"
        self._ibd_part = folder / f".{stem}-{token}.ibd.part"
        self._file = open(self._ibd_part, "xb", buffering=0)
        try:
            self._write([bytes.fromhex(self._facts.uuid)])
        except BaseException:
            self._discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            # Spectra of zeros at the end are holes: only the length is written.
            self._file.truncate(self._position)
            self._file.close()
            self._write_xml()
            self._refuse_existing()
            os.replace(self._ibd_part, self._ibd_path)
            try:
                os.replace(self._xml_part, self.path)
            except BaseException:
                self._ibd_path.unlink(missing_ok=True)
                raise
        except BaseException:
            self._discard()
            raise

    def add(self, mz: Any, intensity: Any, position: Sequence[int]) -> None:
        """Write one spectrum.

        Parameters
        ----------
        mz, intensity : array-like, shape (n_points,)
            The spectrum. In continuous mode, m/z are those of the first spectrum;
            `None` stands for them.
        position : sequence of int, length 2 or 3
            x, y and z (1 if missing), as they go into the file.
        """
        intensity = np.asarray(intensity)
        coordinates = np.asarray(position)[np.newaxis]
        if self._facts.mode == "continuous":
            self.add_chunk(mz, intensity[np.newaxis], coordinates)
        else:
            self.add_chunk(mz, intensity, coordinates, [0, intensity.size])

    def add_chunk(
        self, mz: Any, intensity: Any, coordinates: Any, indptr: Any = None
    ) -> None:
        """Write many spectra at once.

        Parameters
        ----------
        mz : array-like of float, shape (n_mz,) or (n_points,), or None
            The axis that the spectra share, or the m/z of all points. In continuous
            mode the same at each call, or `None` after the first.
        intensity : array-like, shape (n, n_mz) or (n_points,)
            Intensities; two-dimensional on a shared axis, as in a `SpectrumChunk`.
        coordinates : array-like of int, shape (n, 2) or (n, 3)
            x, y and z (1 if missing).
        indptr : array-like of int, shape (n + 1,), or None
            Where each spectrum starts and ends in flat arrays.

        Raises
        ------
        ValueError
            When shapes do not fit, m/z are not finite and increasing, or intensities
            do not fit into the stored type.
        """
        coordinates = checked_coordinates(coordinates)
        intensity = self._stored(intensity)
        n = len(coordinates)
        if indptr is None:
            mz = self._shared_axis(mz, intensity, n)
            if self._facts.mode == "continuous":
                self._add_rows(intensity, coordinates)
                return
            indptr = np.arange(n + 1, dtype=np.int64) * mz.size
            mz, intensity = np.tile(mz, n), intensity.ravel()
        elif self._facts.mode == "continuous":
            message = (
                "ImzMLWriter: mode='continuous' stores one m/z array for all spectra, "
                "but these have one each. Use mode='processed', or bring them onto one "
                "axis first."
            )
            raise ValueError(message)
        else:
            indptr = np.asarray(indptr, dtype=np.int64)
            mz = np.asarray(mz, dtype=np.float64)
            check_ragged(mz, intensity, indptr, n)
        self._add_ragged(mz, intensity, indptr, coordinates)

    def add_zeros(self, coordinates: Any) -> None:
        """Add spectra of zeros that take no space on disk, in continuous mode.

        The .ibd gets holes where the file system knows them. It needs
        ``checksum=False`` and no compression, and a spectrum with the m/z before it.

        Parameters
        ----------
        coordinates : array-like of int, shape (n, 2) or (n, 3)
            x, y and z (1 if missing).
        """
        plain = self._sha1 is None and self._facts.compression is None
        if self._mz is None or not plain:
            message = (
                "ImzMLWriter.add_zeros needs mode='continuous', checksum=False, "
                "compression=None and a spectrum with its m/z before it."
            )
            raise ValueError(message)
        coordinates = checked_coordinates(coordinates)
        size = np.full(len(coordinates), self._mz.size * self._dtype.itemsize)
        self._note(coordinates, self._mz_entry, self._mz.size, size)
        self._position += int(size.sum())
        self._file.seek(self._position)

    # Binary ----------------------------------------------------------------------

    def _shared_axis(self, mz: Any, intensity: np.ndarray, n: int) -> np.ndarray:
        """Check a shared axis; in continuous mode, write the first."""
        if mz is None:
            if self._mz is None:
                message = "ImzMLWriter: the first spectra need their m/z, got None."
                raise ValueError(message)
            mz = self._mz
        else:
            mz = np.asarray(mz, dtype=np.float64)
        if intensity.shape != (n, mz.size) or mz.ndim != 1:
            message = (
                f"ImzMLWriter: intensity has shape {intensity.shape}, expected "
                f"{(n, mz.size)}: one row a pixel, one column an m/z."
            )
            raise ValueError(message)
        if self._mz is not None and mz is self._mz:
            return self._mz
        check_mz(mz, np.array([0, mz.size]))
        if self._facts.mode != "continuous":
            return mz
        if self._mz is None:
            data = self._packed(mz.astype(self._mz_dtype))
            self._mz_entry = (mz.size, len(data), self._position)
            self._write([data])
            self._mz = mz.copy()
        elif not np.array_equal(mz, self._mz):
            message = (
                "ImzMLWriter: in mode='continuous' all spectra share the m/z of the "
                "first; these differ. Use mode='processed'."
            )
            raise ValueError(message)
        return self._mz

    def _add_rows(self, intensity: np.ndarray, coordinates: np.ndarray) -> None:
        n, n_mz = intensity.shape
        if self._facts.compression is None:
            sizes = np.full(n, n_mz * self._dtype.itemsize, dtype=np.int64)
            parts: list[Any] = [np.ascontiguousarray(intensity)]
        else:
            parts = [self._packed(row) for row in intensity]
            sizes = np.array([len(part) for part in parts], dtype=np.int64)
        self._note(coordinates, self._mz_entry, n_mz, sizes)
        self._write(parts)

    def _add_ragged(
        self,
        mz: np.ndarray,
        intensity: np.ndarray,
        indptr: np.ndarray,
        coordinates: np.ndarray,
    ) -> None:
        bounds = indptr.tolist()
        stored = mz.astype(self._mz_dtype)
        if self._facts.compression is None:
            views = (stored.data.cast("B"), intensity.data.cast("B"))
            steps = (stored.itemsize, intensity.itemsize)
            parts: list[Any] = [
                view[start * step : stop * step]
                for start, stop in itertools.pairwise(bounds)
                for view, step in zip(views, steps, strict=True)
            ]
        else:
            parts = [
                self._packed(values[start:stop])
                for start, stop in itertools.pairwise(bounds)
                for values in (stored, intensity)
            ]
        sizes = np.array([len(part) for part in parts], dtype=np.int64)
        ends = self._position + np.cumsum(sizes)
        arrays = np.empty((len(coordinates), 6), dtype=np.int64)
        arrays[:, 0] = arrays[:, 3] = np.diff(indptr)
        arrays[:, 1], arrays[:, 4] = sizes[::2], sizes[1::2]
        arrays[:, 2], arrays[:, 5] = (ends - sizes)[::2], (ends - sizes)[1::2]
        self._coordinates.append(coordinates)
        self._arrays.append(arrays)
        self._write(parts)

    def _note(
        self,
        coordinates: np.ndarray,
        mz_entry: tuple[int, int, int],
        length: int,
        sizes: np.ndarray,
    ) -> None:
        """Note where intensities on the shared axis will lie."""
        arrays = np.empty((len(coordinates), 6), dtype=np.int64)
        arrays[:, :3] = mz_entry
        arrays[:, 3], arrays[:, 4] = length, sizes
        arrays[:, 5] = self._position + np.cumsum(sizes) - sizes
        self._coordinates.append(coordinates)
        self._arrays.append(arrays)

    def _stored(self, intensity: Any) -> np.ndarray:
        """Bring intensities into the stored type, or refuse."""
        intensity = np.asarray(intensity)
        if self._dtype.kind == "f":
            return np.ascontiguousarray(intensity, dtype=self._dtype)
        limits = np.iinfo(self._dtype)
        fits = (intensity >= limits.min) & (intensity <= limits.max)
        if not (fits.all() and (np.trunc(intensity) == intensity).all()):
            message = (
                "ImzMLWriter: some intensities do not fit into "
                f"intensity_dtype={self._dtype.name!r} (whole numbers from "
                f"{limits.min} to {limits.max}). Use 'float32' or round them."
            )
            raise ValueError(message)
        return np.ascontiguousarray(intensity, dtype=self._dtype)

    def _packed(self, values: np.ndarray) -> bytes:
        data = values.tobytes()
        return data if self._facts.compression is None else zlib.compress(data)

    def _write(self, parts: list[Any]) -> None:
        """Write pieces one after the other, small ones together."""
        waiting: list[Any] = []
        size = 0
        for part in parts:
            view = part if isinstance(part, bytes) else memoryview(part).cast("B")
            waiting.append(view)
            size += len(view)
            if size >= PIECE:
                self._flush(waiting)
                waiting, size = [], 0
        self._flush(waiting)

    def _flush(self, waiting: list[Any]) -> None:
        data = waiting[0] if len(waiting) == 1 else b"".join(waiting)
        view = memoryview(data)
        if self._sha1 is not None:
            self._sha1.update(view)
        done = 0
        while done < len(view):
            done += self._file.write(view[done:])
        self._position += len(view)

    # XML and names ---------------------------------------------------------------

    def _write_xml(self) -> None:
        coordinates = np.concatenate([np.empty((0, 3), np.int64), *self._coordinates])
        arrays = np.concatenate([np.empty((0, 6), np.int64), *self._arrays])
        sha1 = None if self._sha1 is None else self._sha1.hexdigest()
        with open(self._xml_part, "x", encoding="utf-8", newline="\n") as file:
            for line in header_xml(self._facts, sha1, coordinates):
                file.write(line + "\n")
            for text in spectra_xml(coordinates, arrays):
                file.write(text)
            file.write(tail_xml())

    def _refuse_existing(self) -> None:
        for path in (self.path, self._ibd_path):
            if path.exists() and not self._overwrite:
                message = f"{path} exists. Pass overwrite=True to replace it."
                raise FileExistsError(message)

    def _discard(self) -> None:
        self._file.close()
        self._xml_part.unlink(missing_ok=True)
        self._ibd_part.unlink(missing_ok=True)
