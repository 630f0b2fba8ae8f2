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
# Pieces that may wait for the checksum, so that memory stays bounded.
WAITING = 8


class IbdFile:
    """A file that is written from start to end, with its SHA-1.

    The checksum is computed in a thread of its own: writing and hashing take about as
    long, and neither holds Python's lock.

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
        self._hasher = ThreadPoolExecutor(1, "imsminer-sha1") if checksum else None
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
        self.position += n_bytes
        self._file.seek(self.position)

    def settle(self) -> None:
        """Wait until the buffers given so far are needed no more."""
        while self._waiting:
            self._waiting.popleft().result()

    def finish(self) -> str | None:
        """Write what waits, close the file and return the SHA-1."""
        self._flush()
        # A hole at the end counts only once the length is set.
        self._file.truncate(self.position)
        self.settle()
        self.close()
        return None if self._sha1 is None else self._sha1.hexdigest()

    def close(self) -> None:
        """Close the file as it is, and end the thread."""
        if self._hasher is not None:
            self._hasher.shutdown(cancel_futures=True)
        self._waiting.clear()
        self._file.close()

    def _flush(self) -> None:
        if not self._used:
            return
        filled = self._piece[: self._used]
        self._used = 0
        if self._hasher is not None:
            # The checksum still reads from this one.
            self._piece = np.empty(PIECE, np.uint8).data
        self._emit(filled)

    def _emit(self, view: memoryview) -> None:
        for start in range(0, len(view), PIECE):
            piece = view[start : start + PIECE]
            if self._hasher is not None and self._sha1 is not None:
                self._waiting.append(self._hasher.submit(self._sha1.update, piece))
            done = 0
            while done < len(piece):
                done += self._file.write(piece[done:])
            while len(self._waiting) > WAITING:
                self._waiting.popleft().result()
