"""Open .ibd files, shared by all readers of a process and safe in threads.

Nothing here has a position: files are mapped, or read at given offsets. At most
`MAX_OPEN` stay open; one that was closed is opened again when it is needed.
"""

import mmap
import os
import threading
import weakref
from collections import OrderedDict

import numpy as np

from imsminer.exceptions import ImzMLError

__all__ = ["BinaryFile", "FileKey", "open_binary"]

MAX_OPEN = 64
FileKey = tuple[str, int, int, bool, tuple[int, ...]]
"""Path, size, time of change (ns), whether to map, and marks that tell files apart."""

_open: "OrderedDict[FileKey, BinaryFile]" = OrderedDict()
_lock = threading.Lock()


def open_binary(key: FileKey) -> "BinaryFile":
    """Return the open file of a key, which must not have changed since."""
    with _lock:
        file = _open.get(key)
        if file is None:
            file = _open[key] = BinaryFile(key)
            while len(_open) > MAX_OPEN:
                # Arrays that view an evicted map keep it alive by themselves.
                _open.popitem(last=False)
        else:
            _open.move_to_end(key)
    return file


class BinaryFile:
    """One open file: `fetch` delivers bytes at given offsets.

    Parameters
    ----------
    key : tuple
        Path, size and time of change (ns), which the file must have; whether to map
        it; and what else tells it from another file of this name.
    """

    def __init__(self, key: FileKey) -> None:
        self.path, size, changed, mapped, _ = key
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(descriptor)
            if (status.st_size, status.st_mtime_ns) != (size, changed):
                message = (
                    f"{self.path} has changed since it was opened: it has "
                    f"{status.st_size} bytes, expected {size}, or is newer. Open the "
                    "imzML file again with ImzMLReader."
                )
                raise ImzMLError(message)
            self._map: np.ndarray | None = None
            if mapped:
                view = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
                self._map = np.frombuffer(view, np.uint8)
        except BaseException:
            os.close(descriptor)
            raise
        if mapped:
            os.close(descriptor)
        else:
            self._descriptor = descriptor
            self._seek_lock = threading.Lock()
            weakref.finalize(self, os.close, descriptor)

    def fetch(
        self, offsets: np.ndarray, sizes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return bytes, and where in them the pieces start.

        Parameters
        ----------
        offsets, sizes : ndarray of int64, shape (n,)
            Pieces of the file, in bytes.

        Returns
        -------
        buffer : ndarray of uint8
            The mapped file itself, or what was read of it.
        starts : ndarray of int64, shape (n,)
            Start of each piece in `buffer`.
        """
        if self._map is not None:
            return self._map, offsets
        filled = sizes > 0
        if not filled.all():
            # The offsets of empty pieces may be anything, and are not looked at.
            starts = np.zeros(offsets.size, np.int64)
            buffer = np.empty(0, np.uint8)
            if filled.any():
                buffer, starts[filled] = self.fetch(offsets[filled], sizes[filled])
            return buffer, starts
        if offsets.size == 0:
            return np.empty(0, np.uint8), offsets
        first, last = int(offsets.min()), int((offsets + sizes).max())
        total = int(sizes.sum())
        if last - first <= 2 * total + (1 << 16):
            buffer = np.empty(last - first, np.uint8)
            self._read(buffer, first)
            buffer.flags.writeable = False
            return buffer, offsets - first
        # Scattered pieces: each on its own, at an address that suits every type.
        room = -(-sizes // 8) * 8
        ends = np.cumsum(room)
        starts = ends - room
        buffer = np.empty(int(ends[-1]), np.uint8)
        for offset, size, start in zip(
            offsets.tolist(), sizes.tolist(), starts.tolist(), strict=True
        ):
            self._read(buffer[start : start + size], offset)
        # Read-only, as a map is: compiled loops then exist in one version only.
        buffer.flags.writeable = False
        return buffer, starts

    def fetch_two(
        self, offsets: tuple[int, int], sizes: tuple[int, int]
    ) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the bytes of two pieces, as :meth:`fetch` does."""
        if self._map is not None:
            return self._map, offsets
        buffer, starts = self.fetch(np.array(offsets), np.array(sizes))
        return buffer, tuple(starts.tolist())

    def _read(self, buffer: np.ndarray, offset: int) -> None:
        view = buffer.data
        done = 0
        while done < len(view):
            if hasattr(os, "preadv"):
                n = os.preadv(self._descriptor, [view[done:]], offset + done)
            else:
                with self._seek_lock:
                    os.lseek(self._descriptor, offset + done, os.SEEK_SET)
                    piece = os.read(self._descriptor, min(len(view) - done, 1 << 26))
                n = len(piece)
                view[done : done + n] = piece
            if n == 0:
                message = (
                    f"{self.path} ends at byte {offset + done}, expected "
                    f"{offset + len(view)}: it was cut while it was being read. Copy "
                    "the file again."
                )
                raise ImzMLError(message)
            done += n
