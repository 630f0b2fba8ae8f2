"""Spectra of the host's memory, added up and integrated on a GPU, against the bus."""

import statistics
import time

import numpy as np
from _gpu_checks import largest_error
from _gpu_data import Size, ragged, shared
from _gpu_machine import Card
from _tables import Table

from imsminer import MassAxis, Spectra
from imsminer.core.cache import cache
from imsminer.core.engine import axis_statistics
from imsminer.core.windows import integrate_windows

__all__ = ["end_to_end"]


def datasets(size: Size) -> dict[str, tuple[Spectra, int]]:
    """Spectra on a shared axis and with an axis each, and their bytes."""
    X = shared(size)
    mz = 300 + np.arange(size.columns) * 0.013
    flat, intensity, indptr = ragged(size)
    return {
        "shared axis": (Spectra.from_arrays(X, mz, profile=True), X.nbytes),
        "own axes": (
            Spectra.from_arrays(intensity, flat, indptr=indptr, profile=False),
            intensity.nbytes + flat.nbytes,
        ),
    }


def end_to_end(only: str, size: Size, at: Card, tolerance: float) -> tuple[Table, bool]:
    """Time passes from the host's memory to results; a row for each."""
    table = Table(
        "From the host's memory to results",
        ("pass", "CPU ms", "GPU ms", "×", "of the bus", "error", "wanted"),
    )
    bus, good = at.bus_rate(), True
    centre = np.linspace(310, min(1490, 300 + size.columns * 0.013), size.windows)
    low, high = centre * (1 - 2e-5), centre * (1 + 2e-5)
    axis = MassAxis.ppm(size.ppm).resolve(300, 1500)
    for name, (spectra, n_bytes) in datasets(size).items():
        there = spectra.to(at.namespace)
        own = None if name == "shared axis" else axis

        def mean(rows: Spectra, own=own) -> np.ndarray:
            return axis_statistics(rows, own, n_jobs=2).mean

        def windows(rows: Spectra):
            return integrate_windows(rows, low, high, "sum", n_jobs=2)

        for what, function in (("mean", mean), ("windows", windows)):
            label = f"{what}, {name}"
            if only not in label:
                continue
            cpu, expected = _median(function, spectra, size.repeats)
            gpu, found = _median(function, there, size.repeats)
            error = largest_error(at, found, expected)
            good = good and error <= tolerance
            table.add(
                label,
                f"{1e3 * cpu:.1f}",
                f"{1e3 * gpu:.1f}",
                f"{cpu / gpu:.1f}",
                f"{n_bytes / gpu / bus:.0%}",
                f"{error:.0e}" + ("" if error <= tolerance else " TOO LARGE"),
                ">= 70 % of the bus",
            )
    return table, good


def _median(function, spectra: Spectra, repeats: int) -> tuple[float, np.ndarray]:
    """Median seconds after a call to warm up, and the result on the host."""
    times = []
    for _ in range(repeats + (repeats > 1)):
        # Else the first result would be given again.
        cache.clear()
        start = time.perf_counter()
        found = function(spectra)
        found = found if isinstance(found, np.ndarray) else found.get()
        times.append(time.perf_counter() - start)
    return statistics.median(times[-repeats:]), found
