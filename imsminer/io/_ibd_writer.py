"""The growing .ibd file: written in order, hashed beside."""

import hashlib
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

__all__ = ["IbdFile"]

# Small buffers are put together until they fill a piece, large ones go as they are.
PIECE = 1 << 21
LARGE = 1 << 18
# Writes and checksums of pieces that may wait, so that memory stays bounded.
WAITING = 16


class IbdFile:
    """A file that is written from start to end, with its SHA-1.

    Writing and hashing take about as long, and neither holds Python's lock: each has a
    thread of its own, beside the one that makes the data.

    Parameters
    ----------
    path : path-like
        The file; it must not exist.
    checksum : bool
        Whether to compute the SHA-1.

    Attributes
    ----------
    position : int
        Where the next byte will lie.
    """

    def __init__(self, path: str | os.PathLike, checksum: bool) -> None:
        self.position = 0
        self._file = open(path, "xb", buffering=0)
        self._piece = np.empty(PIECE, np.uint8).data
        self._used = 0
        self._sha1 = hashlib.sha1(usedforsecurity=False) if checksum else None
        self._writer = ThreadPoolExecutor(1, "imsminer-ibd")
        self._hasher = ThreadPoolExecutor(1, "imsminer-sha1")
        self._waiting: deque[Future] = deque()

    @property
    def hashed(self) -> bool:
        """Whether a checksum is computed."""
        return self._sha1 is not None

    def write(self, data: Any) -> None:
        """Append a contiguous buffer; it must not change before :meth:`settle`."""
        view = memoryview(data)
        if view.nbytes == 0:
            return
        view = view.cast("B")
        self.position += len(view)
        if len(view) >= LARGE:
            self._flush()
            self._emit(view)
            return
        if self._used + len(view) > PIECE:
            self._flush()
        self._piece[self._used : self._used + len(view)] = view
        self._used += len(view)

    def skip(self, n_bytes: int) -> None:
        """Append zeros as a hole; only without a checksum, which would have to know."""
        self._flush()
        self.settle()
        self.position += n_bytes
        self._file.seek(self.position)

    def settle(self) -> None:
        """Wait until the buffers given so far are needed no more."""
        self._wait(0)

    def finish(self) -> str | None:
        """Write what waits, close the file and return the SHA-1."""
        self._flush()
        self.settle()
        # A hole at the end counts only once the length is set.
        self._file.truncate(self.position)
        self.close()
        return None if self._sha1 is None else self._sha1.hexdigest()

    def close(self) -> None:
        """Close the file as it is, and end the threads."""
        for thread in (self._writer, self._hasher):
            thread.shutdown(cancel_futures=True)
        self._waiting.clear()
        self._file.close()

    def _flush(self) -> None:
        if self._used:
            filled = self._piece[: self._used]
            # The threads still read from this one.
            self._piece, self._used = np.empty(PIECE, np.uint8).data, 0
            self._emit(filled)

    def _emit(self, view: memoryview) -> None:
        for start in range(0, len(view), PIECE):
            piece = view[start : start + PIECE]
            self._waiting.append(self._writer.submit(self._put, piece))
            if self._sha1 is not None:
                self._waiting.append(self._hasher.submit(self._sha1.update, piece))
            self._wait(WAITING)

    def _put(self, piece: memoryview) -> None:
        done = 0
        while done < len(piece):
            done += self._file.write(piece[done:])

    def _wait(self, allowed: int) -> None:
        """Wait until at most `allowed` writes and checksums are not done."""
        while len(self._waiting) > allowed:
            # An error of a thread, such as a full disk, is raised here.
            self._waiting.popleft().result()
