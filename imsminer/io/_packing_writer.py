"""Arrays of spectra into an .ibd file, compressed or as they are."""

import itertools
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from imsminer.io._ibd_writer import IbdFile

__all__ = ["ArrayPacker"]


class ArrayPacker:
    """Put arrays into an .ibd file, one after the other.

    Parameters
    ----------
    file : IbdFile
        The file, which grows.
    compressed : bool
        Whether each array is compressed with zlib.
    n_jobs : int
        Number of threads that compress.
    """

    def __init__(self, file: IbdFile, compressed: bool, n_jobs: int) -> None:
        self._file = file
        self._compressed = compressed
        self._n_jobs = n_jobs
        threaded = compressed and n_jobs > 1
        self._pool = ThreadPoolExecutor(n_jobs, "imsminer-zlib") if threaded else None

    def axis(self, mz: np.ndarray) -> tuple[int, int, int]:
        """Write a shared axis; return its length, encoded length and offset."""
        data = zlib.compress(mz.data) if self._compressed else mz.tobytes()
        entry = (mz.size, len(data), self._file.position)
        self._file.write(data)
        return entry

    def rows(self, axis: tuple[int, int, int], intensity: np.ndarray) -> np.ndarray:
        """Write intensities on the shared axis, a row a spectrum.

        Returns
        -------
        ndarray of int64, shape (n, 6)
            Length, encoded length and offset of the axis and of the row.
        """
        n, n_mz = intensity.shape
        offset = self._file.position
        if self._compressed:
            sizes = self._write(self._packed(list(intensity)))
        else:
            sizes = np.full(n, n_mz * intensity.itemsize, np.int64)
            self._file.write(intensity)
        return _on_axis(axis, n_mz, sizes, offset)

    def zeros(self, axis: tuple[int, int, int], n: int, itemsize: int) -> np.ndarray:
        """Leave out the bytes of `n` rows of zeros; see :meth:`rows`."""
        offset = self._file.position
        sizes = np.full(n, axis[0] * itemsize, np.int64)
        self._file.skip(int(sizes.sum()))
        return _on_axis(axis, axis[0], sizes, offset)

    def ragged(self, arrays: Sequence[np.ndarray], indptr: np.ndarray) -> np.ndarray:
        """Write flat arrays of the same points, spectrum by spectrum.

        Returns
        -------
        ndarray of int64, shape (n, 3 * n_arrays)
            Length, encoded length and offset of each array of each spectrum.
        """
        offset = self._file.position
        pairs = list(itertools.pairwise(indptr.tolist()))
        if self._compressed:
            pieces = [a[start:stop] for start, stop in pairs for a in arrays]
            sizes = self._write(self._packed(pieces))
        else:
            steps = [array.itemsize for array in arrays]
            sizes = np.outer(np.diff(indptr), steps).ravel()
            # An empty array has no bytes to look at.
            views = [a.data.cast("B") for a in arrays if a.size]
            write = self._file.write
            for start, stop in pairs if views else ():
                for view, step in zip(views, steps, strict=True):
                    write(view[start * step : stop * step])
        return _entries(np.diff(indptr), sizes, offset, len(arrays))

    def repeated(self, mz: np.ndarray, intensity: np.ndarray) -> np.ndarray:
        """Write the same m/z before each row of intensities; see :meth:`ragged`."""
        n, n_mz = intensity.shape
        offset = self._file.position
        packed = zlib.compress(mz.data) if self._compressed else mz.tobytes()
        rows: list[Any] = list(intensity)
        rows = self._packed(rows) if self._compressed else rows
        sizes = self._write([part for row in rows for part in (packed, row)])
        return _entries(np.full(n, n_mz), sizes, offset, 2)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _write(self, parts: Sequence[Any]) -> np.ndarray:
        for part in parts:
            self._file.write(part)
        return np.array([memoryview(part).nbytes for part in parts], np.int64)

    def _packed(self, arrays: Sequence[np.ndarray]) -> list[bytes]:
        """Compress arrays, in about equal shares where there are several threads."""
        if self._pool is None:
            return _compress(arrays)
        step = max(-(-len(arrays) // self._n_jobs), 1)
        shares = [arrays[k : k + step] for k in range(0, len(arrays), step)]
        return list(itertools.chain(*self._pool.map(_compress, shares)))


def _compress(arrays: Sequence[np.ndarray]) -> list[bytes]:
    return [zlib.compress(array.data) for array in arrays]


def _on_axis(
    axis: tuple[int, int, int], length: int, sizes: np.ndarray, offset: int
) -> np.ndarray:
    arrays = np.empty((sizes.size, 6), np.int64)
    arrays[:, :3] = axis
    arrays[:, 3], arrays[:, 4] = length, sizes
    arrays[:, 5] = offset + np.cumsum(sizes) - sizes
    return arrays


def _entries(
    lengths: np.ndarray, sizes: np.ndarray, offset: int, n_arrays: int
) -> np.ndarray:
    """Return length, encoded length and offset of arrays that follow each other."""
    arrays = np.empty((lengths.size, n_arrays, 3), np.int64)
    arrays[:, :, 0] = lengths[:, np.newaxis]
    arrays[:, :, 1] = sizes.reshape(-1, n_arrays)
    arrays[:, :, 2] = (offset + np.cumsum(sizes) - sizes).reshape(-1, n_arrays)
    return arrays.reshape(lengths.size, 3 * n_arrays)
