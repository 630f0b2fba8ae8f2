"""What a GPU does that the host sees: memory, streams, events, and who waits for whom.

Copies from pinned memory are deferred until something waits for them, as late as a GPU
may run them: a buffer that is written to too early gives wrong numbers here as there.
Everything else runs at once. Each stream counts what it was given, and remembers how
far it has waited for others (a vector clock): use of memory that no event puts in order
is noted in `Gpu.races`, even where the numbers happen to be right.
"""

import threading
import weakref
from collections import Counter, deque

import numpy as np


class OutOfMemoryError(MemoryError):
    """What CuPy raises when an allocation does not fit."""


class PinnedMemory(bytearray):
    """Pinned memory of the host; full of garbage at first."""

    def __new__(cls, size):
        return super().__new__(cls, size)

    def __init__(self, size):
        super().__init__(b"\xff" * size)


def root_of(array):
    """Return the array that owns the memory of a view."""
    root = array
    while getattr(root, "base", None) is not None:
        root = root.base
    return root if isinstance(root, np.ndarray) else array


class Allocation:
    """A piece of device memory, and when each stream has used it last."""

    def __init__(self, size, stream):
        self.size, self.owner = size, stream
        self.read, self.written = {}, {stream: stream.clock}

    def use(self, stream, gpu, *, write):
        """Note a use; it races with those that `stream` has not waited for."""
        others = [*self.written.items(), *(self.read.items() if write else ())]
        for other, clock in others:
            if not gpu.ordered(other, clock, stream):
                gpu.races.append(f"{stream} uses memory that {other} works on")
        (self.written if write else self.read)[stream] = stream.clock


class Gpu:
    """The state of the device since it was installed."""

    def __init__(self, memory=2**30):
        self.lock = threading.RLock()
        self.memory, self.limit = memory, 0
        #: Bytes that crossed the bus, each way.
        self.to_device = self.to_host = 0
        #: Bytes of arrays on the device, now and at most; bytes of pinned memory.
        self.live = self.peak = self.pinned = 0
        #: Those of them that a stream was given, which does not wait.
        self.streamed = 0
        #: Number of copies that each stream was given.
        self.copies = Counter()
        #: What went wrong in the order of streams.
        self.races = []
        self.allocations = {}
        self.seen_by_host = {}
        self.null = Stream(gpu=self, null=True)
        self.blocking = weakref.WeakSet()
        self.local = threading.local()

    @property
    def stream(self):
        """The current stream of this thread."""
        return getattr(self.local, "stream", self.null)

    def ordered(self, other, clock, stream):
        """Whether what `other` did at `clock` has ended before `stream` goes on."""
        waits = self.null in (other, stream) and not (
            other.non_blocking or stream.non_blocking
        )
        return (
            other is stream
            or waits
            or stream.seen.get(other, 0) >= clock
            or self.seen_by_host.get(other, 0) >= clock
        )

    def start(self):
        """Begin some work on the current stream, behind all that it was given."""
        stream = self.stream
        stream.clock += 1
        stream.flush()
        if stream is self.null:
            for other in list(self.blocking):
                other.flush()
        return stream

    def note_host_saw(self, seen):
        for stream, clock in seen.items():
            self.seen_by_host[stream] = max(self.seen_by_host.get(stream, 0), clock)

    # Memory ------------------------------------------------------------------------

    def allocation(self, array):
        """Return the memory under an array of the device; new arrays take new."""
        root = root_of(array)
        known = self.allocations.get(id(root))
        if known is None:
            low, high = np.lib.array_utils.byte_bounds(root)
            known = self._allocate(root, high - low if root.size else 0)
        return known

    def require(self, size):
        """Raise when there is no room for so many bytes."""
        if self.live + size > (self.limit or self.memory):
            message = f"Out of memory allocating {size:,} bytes"
            raise OutOfMemoryError(message)

    def _allocate(self, root, size):
        self.require(size)
        made = Allocation(size, self.stream)
        self.live += size
        self.peak = max(self.peak, self.live)
        key = id(root)
        self.allocations[key] = made
        weakref.finalize(root, self._free, key).atexit = False
        return made

    def _free(self, key):
        with self.lock:
            gone = self.allocations.pop(key)
            self.live -= gone.size
            for uses in (gone.read, gone.written):
                for stream, clock in uses.items():
                    if not self.ordered(stream, clock, gone.owner):
                        text = f"memory went back to {gone.owner} while {stream}"
                        self.races.append(f"{text} may still use it")

    def pin(self, size):
        """Return pinned memory."""
        made = PinnedMemory(size)
        with self.lock:
            self.pinned += size
        weakref.finalize(made, self._unpin, size).atexit = False
        return made

    def _unpin(self, size):
        with self.lock:
            self.pinned -= size


class Stream:
    """As ``cupy.cuda.Stream``: work in order, beside that of other streams."""

    gpu = None  # Set when a device is installed.
    _numbers = iter(range(1, 2**62))

    def __init__(self, null=False, non_blocking=False, ptds=False, *, gpu=None):
        self._gpu = gpu or Stream.gpu
        self.ptr = 0 if null else 4096 * next(self._numbers)
        self.non_blocking = non_blocking
        self.clock, self.seen, self.waiting = 0, {}, deque()
        self._before = []
        if not (null or non_blocking):
            self._gpu.blocking.add(self)

    def __repr__(self):
        return f"stream {self.ptr}" if self.ptr else "the default stream"

    def __enter__(self):
        self._before.append(self._gpu.stream)
        self._gpu.local.stream = self
        return self

    def __exit__(self, *error):
        self._gpu.local.stream = self._before.pop()

    def use(self):
        self._gpu.local.stream = self
        return self

    def defer(self, work):
        """Queue some work until this stream has to get on."""
        self.waiting.append((self.clock, work))

    def flush(self, until=None):
        """Do what was queued, up to a time of this stream's clock."""
        with self._gpu.lock:
            while self.waiting and (until is None or self.waiting[0][0] <= until):
                self.waiting.popleft()[1]()

    def wait_event(self, event):
        """Let what comes next wait for what had been queued when `event` was set."""
        with self._gpu.lock:
            self.clock += 1
            if event.stream is None:
                return
            for stream, clock in event.seen.items():
                self.seen[stream] = max(self.seen.get(stream, 0), clock)
            stream, clock = event.stream, event.clock
            self.defer(lambda: stream.flush(clock))

    def record(self, event=None):
        event = Event() if event is None else event
        event.record(self)
        return event

    def synchronize(self):
        with self._gpu.lock:
            self.flush()
            self._gpu.note_host_saw({**self.seen, self: self.clock})

    @property
    def done(self):
        return not self.waiting


class Event:
    """As ``cupy.cuda.Event``: a point in the work of a stream."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.stream, self.clock, self.seen = None, 0, {}

    def record(self, stream=None):
        gpu = Stream.gpu
        with gpu.lock:
            self.stream = gpu.stream if stream is None else stream
            self.stream.clock += 1
            self.clock = self.stream.clock
            self.seen = {**self.stream.seen, self.stream: self.clock}

    def synchronize(self):
        if self.stream is not None:
            with Stream.gpu.lock:
                self.stream.flush(self.clock)
                Stream.gpu.note_host_saw(self.seen)

    @property
    def done(self):
        return (
            self.stream is None
            or not self.stream.waiting
            or (self.stream.waiting[0][0] > self.clock)
        )
