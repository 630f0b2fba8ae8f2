"""Spectra into an .ibd file: each checked, brought into the stored types and put."""

from typing import Any

import numpy as np

from imsminer.io import _writer_checks as checks
from imsminer.io._header import WriterFacts
from imsminer.io._ibd_writer import IbdFile
from imsminer.io._packing_writer import ArrayPacker

__all__ = ["ArrayWriter"]


class ArrayWriter:
    """Put spectra into an .ibd file, as the header will describe them.

    Parameters
    ----------
    file : IbdFile
        The file, which grows.
    facts : WriterFacts
        Mode, types and compression.
    n_jobs : int
        Number of threads that compress.
    """

    def __init__(self, file: IbdFile, facts: WriterFacts, n_jobs: int) -> None:
        self._file = file
        self._facts = facts
        self._packer = ArrayPacker(file, facts.compression is not None, n_jobs)
        self._mz_dtype = np.dtype(facts.mz_dtype).newbyteorder("<")
        self._dtype = np.dtype(facts.intensity_dtype).newbyteorder("<")
        self._n_arrays: int | None = None
        self._mz: np.ndarray | None = None
        self._axis = (0, 0, 0)

    def add(
        self,
        mz: Any,
        intensity: Any,
        coordinates: np.ndarray,
        indptr: Any,
        mobility: Any,
    ) -> np.ndarray:
        """Check and write spectra; their arrays must not change before `settle`.

        Returns
        -------
        ndarray of int64, shape (n, 3 * n_arrays)
            Length, encoded length and offset of each array of each spectrum.
        """
        intensity = checks.stored(np.asarray(intensity), self._dtype)
        self._check_arrays(2 if mobility is None else 3)
        if indptr is None:
            if mobility is not None:
                message = "ImzMLWriter: ion mobilities need flat arrays and indptr."
                raise ValueError(message)
            return self._on_axis(mz, intensity, coordinates)
        if self._facts.mode == "continuous":
            message = (
                "ImzMLWriter: mode='continuous' stores one m/z array for all spectra, "
                "but these have one each. Use mode='processed', or bring them onto one "
                "axis first."
            )
            raise ValueError(message)
        return self._ragged(mz, intensity, coordinates, indptr, mobility)

    def add_zeros(self, n: int) -> np.ndarray:
        """Leave out `n` spectra of zeros on the axis that is there; see `add`."""
        plain = not self._file.hashed and self._facts.compression is None
        if self._mz is None or not plain:
            message = (
                "ImzMLWriter.add_zeros needs mode='continuous', checksum=False, "
                "compression=None and a spectrum with its m/z before it."
            )
            raise ValueError(message)
        return self._packer.zeros(self._axis, n, self._dtype.itemsize)

    def settle(self) -> None:
        """Wait until the arrays given so far are needed no more."""
        self._file.settle()

    def close(self) -> None:
        """End the threads that compress."""
        self._packer.close()

    def _on_axis(
        self, mz: Any, intensity: np.ndarray, coordinates: np.ndarray
    ) -> np.ndarray:
        n = len(coordinates)
        continuous = self._facts.mode == "continuous"
        axis = self._shared_axis(mz)
        if intensity.shape != (n, axis.size):
            message = (
                f"ImzMLWriter: intensity has shape {intensity.shape}, expected "
                f"{(n, axis.size)}: one row a pixel, one column an m/z."
            )
            raise ValueError(message)
        bounds = np.arange(n + 1) * axis.size
        self._check_finite("intensity", intensity.reshape(-1), bounds, coordinates)
        if not continuous:
            return self._packer.repeated(axis.astype(self._mz_dtype), intensity)
        if self._mz is None:
            self._axis = self._packer.axis(axis.astype(self._mz_dtype))
            self._mz = axis.copy()
        return self._packer.rows(self._axis, intensity)

    def _shared_axis(self, mz: Any) -> np.ndarray:
        """Check a shared axis; in continuous mode against the first."""
        if mz is None:
            if self._mz is None:
                message = "ImzMLWriter: the first spectra need their m/z, got None."
                raise ValueError(message)
            return self._mz
        mz = np.ascontiguousarray(mz, dtype=np.float64)
        if self._mz is not None and np.array_equal(mz, self._mz):
            return self._mz
        if self._mz is not None:
            message = (
                "ImzMLWriter: in mode='continuous' all spectra share the m/z of the "
                "first; these differ. Use mode='processed'."
            )
            raise ValueError(message)
        if mz.ndim != 1:
            message = f"ImzMLWriter: mz must be flat, got shape {mz.shape}."
            raise ValueError(message)
        none, bounds = np.empty((0, 3), np.int64), np.array([0, mz.size])
        checks.check_mz(mz, bounds, none)
        with np.errstate(over="ignore"):
            self._check_finite("mz", mz.astype(self._mz_dtype), bounds, none)
        return mz

    def _ragged(
        self,
        mz: Any,
        intensity: np.ndarray,
        coordinates: np.ndarray,
        indptr: Any,
        mobility: Any,
    ) -> np.ndarray:
        indptr = np.asarray(indptr, dtype=np.int64)
        mz = np.ascontiguousarray(mz, dtype=np.float64)
        arrays = [mz, intensity]
        if mobility is not None:
            mobility = np.ascontiguousarray(mobility, dtype="<f8")
            arrays.append(mobility)
        checks.check_ragged(mz, intensity, indptr, len(coordinates), mobility)
        checks.check_mz(mz, indptr, coordinates)
        self._check_finite("intensity", intensity, indptr, coordinates)
        if mobility is not None:
            self._check_finite("mobility", mobility, indptr, coordinates)
        if self._mz_dtype != mz.dtype:
            with np.errstate(over="ignore"):
                arrays[0] = mz.astype(self._mz_dtype)
            self._check_finite("mz", arrays[0], indptr, coordinates)
        return self._packer.ragged(arrays, indptr)

    def _check_finite(
        self, name: str, values: np.ndarray, indptr: Any, coordinates: np.ndarray
    ) -> None:
        if values.dtype.kind == "f":
            checks.check_finite(name, values, indptr, coordinates)

    def _check_arrays(self, n_arrays: int) -> None:
        """Let all spectra have ion mobilities, or none."""
        if self._n_arrays not in (None, n_arrays):
            message = (
                "ImzMLWriter: some spectra have ion mobilities and others have none; a "
                "file holds them for all or for none. Write two files, or leave them "
                "out."
            )
            raise ValueError(message)
        self._n_arrays = n_arrays
