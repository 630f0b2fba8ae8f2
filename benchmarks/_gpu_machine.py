"""What a benchmark of a GPU runs on: a card by CuPy, or stand-ins for both."""

import contextlib
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import imsminer

__all__ = ["ROOT", "Card", "machine"]

ROOT = Path(__file__).resolve().parents[1]


class Card:
    """A card by CuPy; times are those of CUDA events."""

    #: Repeated measurements, of which the median counts.
    repeats = 7
    #: Bytes that rates are measured with: more than the caches of any card hold.
    size = 1 << 30

    def __init__(self) -> None:
        import cupy

        self.namespace = self.cupy = cupy
        found = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
        self.name = found["name"].decode()

    def put(self, array: Any) -> Any:
        """Copy an array to the card."""
        return self.cupy.asarray(array)

    def get(self, array: Any) -> np.ndarray:
        """Copy an array, or a number, to the host."""
        return self.cupy.asnumpy(array)

    def forget(self) -> None:
        """Give back memory that no array uses."""
        self.cupy.get_default_memory_pool().free_all_blocks()

    def seconds(self, function: Callable[[], Any]) -> float:
        """Median time of a function on the card, after a call to warm up."""
        if self.repeats > 1:
            function()
        return statistics.median(self._once(function) for _ in range(self.repeats))

    def transfer(self, arrays: Iterable[np.ndarray]) -> float:
        """Seconds that arrays take from pinned memory to the card."""
        total = 0.0
        for array in arrays:
            pinned = self._pinned(array.nbytes)
            pinned[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            target = self.cupy.empty(array.nbytes, np.uint8)
            total += self.seconds(lambda p=pinned, t=target: t.set(p))
        return total

    def copy_rate(self) -> float:
        """Bytes a second that a copy on the card reads and writes together."""
        source = self.cupy.zeros(self.size, np.uint8)
        target = self.cupy.empty_like(source)
        copy = self.cupy.copyto
        return 2 * self.size / self.seconds(lambda: copy(target, source))

    def bus_rate(self) -> float:
        """Bytes a second from pinned memory to the card."""
        pinned, target = self._pinned(self.size), self.cupy.empty(self.size, np.uint8)
        pinned[:] = 0
        return self.size / self.seconds(lambda: target.set(pinned))

    def versions(self) -> dict[str, str]:
        """The card, and what drives it."""
        cuda = self.cupy.cuda.runtime.driverGetVersion()
        return {
            "card": self.name,
            "driver": f"{_driver()}, CUDA {cuda // 1000}.{cuda % 1000 // 10}",
            "CuPy": self.cupy.__version__,
            "numba-cuda": version("numba-cuda"),
            "NumPy": np.__version__,
            "imsminer": imsminer.__version__,
            "processor": f"{platform.processor() or platform.machine()}, 2 threads",
        }

    def _once(self, function: Callable[[], Any]) -> float:
        start, stop = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        start.record()
        function()
        stop.record()
        stop.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, stop) / 1000

    def _pinned(self, size: int) -> np.ndarray:
        memory = self.cupy.cuda.alloc_pinned_memory(size)
        return np.frombuffer(memory, np.uint8, size)


@contextlib.contextmanager
def machine(*, simulated: bool) -> Iterator[Card]:
    """The card; or CUDA's simulator and a stand-in for CuPy, where no time is true."""
    if not simulated:
        yield Card()
        return
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from tests.fake_cupy import installed

    with installed():
        import cupy

        # What it lacks, as it has no time.
        name = b"CUDA's simulator: its figures say nothing"
        cupy.cuda.runtime.getDeviceProperties = lambda device: {"name": name}
        cupy.cuda.runtime.driverGetVersion = lambda: 0
        cupy.cuda.get_elapsed_time = lambda start, stop: 1.0
        at = Card()
        at.repeats, at.size = 1, 4096
        yield at


def _driver() -> str:
    """Version of the driver, as nvidia-smi tells it."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.splitlines()[0].strip()
