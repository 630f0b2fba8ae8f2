"""Feeding a GPU: chunks are read into pinned memory and copied while others are used.

Threads read the next chunks into buffers of pinned memory. From there each is copied on
a stream of its own, beside what the current stream computes on the chunk before. Events
keep the order: a chunk is used after its copy, a buffer is written to after its copy,
and memory of the device is copied into after what used it last. Nothing else waits.
"""

import importlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from sklearn import config_context, get_config

from imsminer.core.chunk import SpectrumChunk
from imsminer.core.memory import offered

__all__ = ["device_chunk_bytes", "feed"]

#: Large enough for a copy at the full speed of the bus, and for a kernel on all of it.
CHUNK_BYTES = 64 * 2**20
#: Chunks that fit in the budget: three are on the device at a time (one in use, one
#: that is copied, one that the loop still holds), and steps make new ones of one.
CHUNKS_IN_BUDGET = 8
#: Threads that read: one alone fills memory slower than the bus empties it.
READERS = 4
#: Where arrays start in a buffer: as CuPy's own, so that reads are aligned.
ALIGNMENT = 512

FIELDS = ("intensity", "mz", "indptr", "mobility")


def device_chunk_bytes(budget: int | None, device: Any = None) -> int:
    """Return the size of chunks for a device.

    Parameters
    ----------
    budget : int or None
        Bytes of device memory for chunks and what steps make of them; half of what is
        free when `None`.
    device : Device or int, default=None
        The device of CuPy's; the current one when `None`.

    Returns
    -------
    int
    """
    if budget is None:
        cupy = importlib.import_module("cupy")
        with cupy.cuda.Device(device):
            free, _ = cupy.cuda.runtime.memGetInfo()
            pool = cupy.get_default_memory_pool()
            free += pool.free_bytes()
            if pool.get_limit():
                free = min(free, pool.get_limit() - pool.used_bytes())
        budget = free // 2
    return max(1, min(CHUNK_BYTES, budget // CHUNKS_IN_BUDGET))


def feed(
    read: Callable[[Any], SpectrumChunk],
    pieces: Sequence[Any],
    n_bytes: int,
    device: Any = None,
) -> Generator[SpectrumChunk, None, None]:
    """Read chunks on the host, and deliver them on a device, in order.

    Parameters
    ----------
    read : callable
        Takes a piece and returns its chunk on the host. Called in threads.
    pieces : sequence
        What `read` is called with.
    n_bytes : int
        Expected bytes of the arrays of the largest chunk.
    device : Device or int, default=None
        The device of CuPy's; the current one when `None`.

    Yields
    ------
    SpectrumChunk
        Its arrays are the receiver's to keep, and may be used on the stream that is
        current when it is delivered. A shared axis stays on the host.
    """
    feeder = _Feeder(read, len(pieces), n_bytes, device)
    try:
        yield from feeder.chunks(deque(pieces))
    finally:
        feeder.close()


class _Buffer:
    """Pinned memory, and the end of the last copy from it."""

    def __init__(self, cupy: ModuleType, n_bytes: int) -> None:
        self._cupy = cupy
        self._grow(n_bytes)
        self.copied = cupy.cuda.Event(block=True, disable_timing=True)

    def _grow(self, n_bytes: int) -> None:
        memory = self._cupy.cuda.alloc_pinned_memory(n_bytes)
        self.bytes = np.frombuffer(memory, np.uint8, n_bytes)
        self._used = 0

    def read(self, read: Callable[[Any], SpectrumChunk], piece: Any) -> SpectrumChunk:
        """Return the chunk of a piece, its arrays in the buffer.

        What the source does not write there itself is copied.
        """
        self._used = 0
        with offered(self._place):
            chunk = read(piece)
        arrays = {name: getattr(chunk, name) for name in _moving(chunk)}
        outside = [name for name in arrays if not self._holds(arrays[name])]
        if len(outside) == len(arrays):
            self._used = 0
        needed = sum(_padded(arrays[name].nbytes) for name in outside)
        if self._used + needed > self.bytes.size:
            self._grow(sum(_padded(array.nbytes) for array in arrays.values()))
            outside = list(arrays)
        for name in outside:
            place = self._place(arrays[name].size, arrays[name].dtype)
            place = place.reshape(arrays[name].shape)
            np.copyto(place, arrays[name])
            arrays[name] = place
        return chunk.replace(**arrays)

    def _place(self, size: int, dtype: Any) -> np.ndarray:
        """Return the next free part of the buffer, or other memory behind its end."""
        n_bytes = size * np.dtype(dtype).itemsize
        start, self._used = self._used, self._used + _padded(n_bytes)
        if self._used > self.bytes.size:
            return np.empty(size, dtype)
        return self.bytes[start : start + n_bytes].view(dtype)

    def _holds(self, array: np.ndarray) -> bool:
        within = byte_bounds(self.bytes)
        first, last = byte_bounds(array)
        return within[0] <= first and last <= within[1] and array.flags.c_contiguous


class _Feeder:
    """The buffers, the threads and the stream of one pass."""

    def __init__(
        self, read: Callable, n_pieces: int, n_bytes: int, device: Any
    ) -> None:
        self._cupy = cupy = importlib.import_module("cupy")
        self._number = cupy.cuda.Device(device).id
        self._read = read
        self._size = max(_padded(n_bytes) + len(FIELDS) * ALIGNMENT, ALIGNMENT)
        readers = max(1, min(READERS, n_pieces, os.cpu_count() or 1))
        with self._device():
            self._copying = cupy.cuda.Stream(non_blocking=True)
            # One more, to be read into while another is copied from.
            self._free = deque(
                _Buffer(cupy, self._size) for _ in range(min(readers + 1, n_pieces))
            )
        self._reading: deque[tuple[Future, _Buffer]] = deque()
        # What has been copied, or is being; it goes when the copies have ended.
        self._copied: deque[tuple[SpectrumChunk, Any]] = deque()
        self._threads = ThreadPoolExecutor(readers, "imsminer-reader")
        self._context = partial(config_context, **get_config())

    def _device(self) -> Any:
        """Return a context: not one for all threads, which keeps what was before."""
        return self._cupy.cuda.Device(self._number)

    def chunks(self, waiting: deque) -> Iterator[SpectrumChunk]:
        """Deliver the chunks of all pieces."""
        reading, copied = self._reading, self._copied
        while waiting or reading or copied:
            # The next chunk, and the one behind it if it has been read by now: it is
            # copied while the next one is in use.
            while len(copied) < 2:
                while waiting and self._free:
                    buffer = self._free.popleft()
                    task = self._threads.submit(self._fill, buffer, waiting.popleft())
                    reading.append((task, buffer))
                if not reading or (copied and not reading[0][0].done()):
                    break
                self._copy(*reading.popleft())
            chunk, end_of_copy = copied.popleft()
            with self._device():
                self._cupy.cuda.get_current_stream().wait_event(end_of_copy)
            yield chunk
            del chunk

    def _fill(self, buffer: _Buffer, piece: Any) -> SpectrumChunk:
        """Read a piece into a buffer, in a thread."""
        with self._device(), self._context():
            buffer.copied.synchronize()
            return buffer.read(self._read, piece)

    def _copy(self, task: Future, buffer: _Buffer) -> None:
        """Start the copy of a chunk that has been read, and give its buffer back."""
        try:
            chunk = task.result()
        finally:
            # An error would hold this frame, and this frame the error.
            del task
        cupy, names = self._cupy, _moving(chunk)
        with self._device():
            # One block for all arrays, of one size for all chunks: memory that comes
            # back fits again.
            needed = sum(_padded(getattr(chunk, name).nbytes) for name in names)
            block = cupy.empty(max(self._size, needed), cupy.uint8)
            # What used this memory before stands on the current stream.
            free = cupy.cuda.Event(disable_timing=True)
            free.record(cupy.cuda.get_current_stream())
            self._copying.wait_event(free)
            arrays, start = {}, 0
            for name in names:
                array = getattr(chunk, name)
                place = block[start : start + array.nbytes].view(array.dtype)
                arrays[name] = place.reshape(array.shape)
                start += _padded(array.nbytes)
            end = cupy.cuda.Event(disable_timing=True)
            # Where an error strikes below, the memory of both sides is held.
            self._copied.append((chunk.replace(**arrays), end))
            self._free.append(buffer)
            for name in names:
                if arrays[name].size:
                    arrays[name].set(getattr(chunk, name), stream=self._copying)
            buffer.copied.record(self._copying)
            end.record(self._copying)

    def close(self) -> None:
        """End threads and copies, and then let go of their memory."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._copying.synchronize()
        for held in (self._copied, self._reading, self._free):
            held.clear()


def _moving(chunk: SpectrumChunk) -> list[str]:
    """Return the arrays that go to the device."""
    if chunk.indptr is None:
        return ["intensity"]
    return [name for name in FIELDS if getattr(chunk, name) is not None]


def _padded(n_bytes: int) -> int:
    return -(-n_bytes // ALIGNMENT) * ALIGNMENT
