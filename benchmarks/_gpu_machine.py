"""What a benchmark of a GPU runs on: a card by CuPy, or CUDA's simulator."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import imsminer

__all__ = ["Card", "Simulator", "machine"]


class Simulator:
    """NumPy in place of CuPy: nothing is fast, but every line of a script runs."""

    name = "CUDA's simulator: its figures say nothing"
    #: Repeated measurements, of which the median counts.
    repeats = 1
    #: Module that ``Spectra.to`` takes.
    namespace = np

    def put(self, array: Any) -> Any:
        """Copy an array to the device."""
        return np.array(array)

    def get(self, array: Any) -> Any:
        """Copy an array, or a number, to the host."""
        return np.asarray(array)

    def forget(self) -> None:
        """Give back memory that no array uses."""

    def seconds(self, function: Callable[[], Any]) -> float:
        """Median time of a function on the device, after a call to warm up."""
        if self.repeats > 1:
            function()
        return statistics.median(self._once(function) for _ in range(self.repeats))

    def transfer(self, arrays: Iterable[np.ndarray]) -> float:
        """Seconds that arrays take from pinned memory to the device."""
        return sum(self._once(lambda a=a: np.array(a)) for a in arrays)

    def copy_rate(self) -> float:
        """Bytes a second that a copy on the device reads and writes together."""
        return self._rate(4096, twice=True)

    def bus_rate(self) -> float:
        """Bytes a second from pinned memory to the device."""
        return self._rate(4096, twice=False)

    def versions(self) -> dict[str, str]:
        """The card, and what drives it."""
        return {"card": self.name, **_host_versions()}

    def _once(self, function: Callable[[], Any]) -> float:
        start = time.perf_counter()
        function()
        return max(time.perf_counter() - start, 1e-9)

    def _rate(self, size: int, *, twice: bool) -> float:
        source, target = np.zeros(size, np.uint8), np.ones(size, np.uint8)
        return (1 + twice) * size / self.seconds(lambda: np.copyto(target, source))


class Card(Simulator):
    """A card, by CuPy; times are those of CUDA events."""

    repeats = 7
    #: Bytes that copies are measured with: more than the caches of any card hold.
    SIZE = 1 << 30

    def __init__(self) -> None:
        import cupy

        self.namespace = self.cupy = cupy
        found = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
        self.name = found["name"].decode()

    def put(self, array: Any) -> Any:
        return self.cupy.asarray(array)

    def get(self, array: Any) -> Any:
        return self.cupy.asnumpy(array)

    def forget(self) -> None:
        self.cupy.get_default_memory_pool().free_all_blocks()

    def transfer(self, arrays: Iterable[np.ndarray]) -> float:
        total = 0.0
        for array in arrays:
            pinned = self._pinned(array.nbytes)
            pinned[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            target = self.cupy.empty(array.nbytes, np.uint8)
            total += self.seconds(lambda p=pinned, t=target: t.set(p))
        return total

    def copy_rate(self) -> float:
        source = self.cupy.zeros(self.SIZE, np.uint8)
        target = self.cupy.empty_like(source)
        copy = self.cupy.copyto
        return 2 * self.SIZE / self.seconds(lambda: copy(target, source))

    def bus_rate(self) -> float:
        pinned, target = self._pinned(self.SIZE), self.cupy.empty(self.SIZE, np.uint8)
        pinned[:] = 0
        return self.SIZE / self.seconds(lambda: target.set(pinned))

    def versions(self) -> dict[str, str]:
        runtime = self.cupy.cuda.runtime
        driver = runtime.driverGetVersion()
        found = {
            "card": self.name,
            "driver's CUDA": f"{driver // 1000}.{driver % 1000 // 10}",
            "CuPy": self.cupy.__version__,
            **_host_versions(),
        }
        smi = os.popen("nvidia-smi --query-gpu=driver_version --format=csv,noheader")
        with smi:
            found["driver"] = smi.readline().strip() or "unknown"
        return found

    def _pinned(self, size: int) -> np.ndarray:
        memory = self.cupy.cuda.alloc_pinned_memory(size)
        return np.frombuffer(memory, np.uint8, size)

    def _once(self, function: Callable[[], Any]) -> float:
        events = [self.cupy.cuda.Event(), self.cupy.cuda.Event()]
        events[0].record()
        function()
        events[1].record()
        events[1].synchronize()
        return self.cupy.cuda.get_elapsed_time(*events) / 1000


def machine(*, simulated: bool) -> Simulator:
    """Return the card, or what stands in for it."""
    return Simulator() if simulated else Card()


def _host_versions() -> dict[str, str]:
    from importlib.metadata import version

    return {
        "numba-cuda": version("numba-cuda"),
        "NumPy": np.__version__,
        "imsminer": imsminer.__version__,
        "processor": f"{platform.processor() or platform.machine()}, 2 threads",
    }
