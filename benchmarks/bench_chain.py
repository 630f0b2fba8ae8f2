"""Baseline, alignment, picking and integration, in units of one pass of SNIP.

    python benchmarks/bench_chain.py [--pixels N] [--bins M] [--repeats R] [--folder F]

Writes a continuous float32 file of 4,355 × 90,000 (1.6 GB) with a baseline, noise and
peaks that are shifted from pixel to pixel, and removes it afterwards. The unit is a
pass that reads the file, subtracts the baseline and adds up each row; seconds are those
of the processor, on one thread. Steps are lazy, so each step that reads runs those
before it again: printed is how often the file is read by each. `SpectraCache` writes
what the baseline leaves once instead; the file that needs no alignment is the same
without shifts.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from imsminer import (
    BaselineSubtractor,
    ImzMLReader,
    MassAligner,
    PeakIntegrator,
    PeakPicker,
    SpectraCache,
)
from imsminer.core.cache import cache
from imsminer.core.engine import row_statistics
from imsminer.io.writer import ImzMLWriter

ROWS, N_PEAKS, RESOLVING_POWER, TARGET = 64, 300, 20_000, 6.0


def write(path: Path, n_pixels: int, n_bins: int, shift_sd: float) -> None:
    """Write Gaussian peaks, shifted by so many ppm, on a baseline with noise."""
    rng = np.random.default_rng(0)
    # Six samples to a peak's width at half height.
    step = 1 / (6 * RESOLVING_POWER)
    mz = 500 * np.exp(step * np.arange(n_bins))
    places = np.linspace(1.002 * mz[0], 0.998 * mz[-1], N_PEAKS)
    places *= 1 + rng.uniform(-2e-4, 2e-4, N_PEAKS)
    heights = 50 + rng.gamma(1.0, 400.0, N_PEAKS)
    base = (300 * np.exp(-np.arange(n_bins) / (0.25 * n_bins)) + 40).astype(np.float32)
    near = np.arange(-24, 25)
    centers = np.log(places / 500) / step
    first = np.round(centers).astype(np.int64)
    columns = first[:, None] + near
    number = int(np.sqrt(n_pixels))
    with ImzMLWriter(path, mode="continuous", pixel_size=20) as writer:
        for start in range(0, n_pixels, ROWS):
            pixel = np.arange(start, min(start + ROWS, n_pixels))
            values = np.tile(base, (pixel.size, 1))
            shifts = rng.normal(0.0, 1.0, pixel.size) * shift_sd * 1e-6 / step
            for row, shift in zip(values, shifts, strict=True):
                height = heights * rng.gamma(4.0, 0.25, N_PEAKS)
                offset = columns - (centers + shift)[:, None]
                np.add.at(row, columns, height[:, None] * np.exp(-(offset**2) / 13))
            noise = rng.standard_normal(values.shape, np.float32)
            values = np.maximum(values + np.sqrt(values) * noise, 0)
            coordinates = np.column_stack([pixel % number, pixel // number]) + 1
            writer.add_chunk(mz, values, coordinates)


def snip_pass(reader: ImzMLReader) -> None:
    """Read, subtract the baseline, add up the rows."""
    cache.clear()
    row_statistics(BaselineSubtractor().fit_transform(reader))


def chain(reader: ImzMLReader, folder: Path | None = None) -> dict[str, tuple]:
    """Return seconds and passes over the file of each step."""
    cache.clear()
    steps = [BaselineSubtractor(), MassAligner(), PeakPicker(), PeakIntegrator()]
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
        steps.insert(1, SpectraCache(folder))
    size = reader.source.row_bytes.sum()
    spectra, found = reader, {}
    for step in steps:
        read, started = reader.source.n_bytes_read, time.process_time()
        spectra = step.fit_transform(spectra)
        seconds = time.process_time() - started
        passes = (reader.source.n_bytes_read - read) / size
        found[type(step).__name__] = seconds, passes
    return found


def main() -> None:
    """Write, measure interleaved, print the ratios of the medians, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--pixels", type=int, default=4_355)
    parser.add_argument("--bins", type=int, default=90_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        readers = {}
        for label, shift_sd in (("shifted", 4.0), ("no shifts", 0.0)):
            path = folder / f"{label}.imzML"
            write(path, arguments.pixels, arguments.bins, shift_sd)
            readers[label] = ImzMLReader(path)
        kept = folder / "cache"
        variants = {
            "shifted": lambda: chain(readers["shifted"]),
            "shifted, SpectraCache": lambda: chain(readers["shifted"], kept),
            "no shifts": lambda: chain(readers["no shifts"]),
        }
        unit, found = [], {name: [] for name in variants}
        for repeat in range(arguments.repeats + 1):
            started = time.process_time()
            snip_pass(readers["shifted"])
            seconds = time.process_time() - started
            results = {name: variant() for name, variant in variants.items()}
            if repeat == 0:
                continue  # The first compiles.
            unit.append(seconds)
            for name, result in results.items():
                found[name].append(result)
        one = statistics.median(unit)
        print(f"one pass of SNIP: {arguments.pixels / one:,.0f} spectra/s")
        for name, results in found.items():
            total = statistics.median(
                sum(seconds for seconds, _ in result.values()) for result in results
            )
            print(f"{name}: {total / one:.2f} × one pass of SNIP (<= {TARGET:g})")
            for step, (_, passes) in results[0].items():
                seconds = statistics.median(result[step][0] for result in results)
                print(f"  {step:20s}{seconds / one:6.2f} ×{passes:6.2f} passes")


if __name__ == "__main__":
    main()
