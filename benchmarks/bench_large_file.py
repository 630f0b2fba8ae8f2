"""A dense 12 GB continuous file to features, with peak anonymous memory.

    python benchmarks/bench_large_file.py --folder FOLDER [--pixels N] [--bins M]

Writes a file of 34,840 × 90,000 float32 (12.5 GB) unless told otherwise, after a look
whether it fits, and removes it afterwards. The tests do the same on a sparse file that
takes no disk.
"""

import argparse
import shutil
import threading
import time
from pathlib import Path

import numpy as np

from imsminer import ImzMLReader, PeakIntegrator, PeakPicker
from imsminer.io.writer import ImzMLWriter

ROWS = 64


def write(path: Path, n_pixels: int, n_bins: int) -> None:
    """Write Gaussian peaks and noise, `ROWS` spectra at a time."""
    rng = np.random.default_rng(0)
    mz = np.linspace(300.0, 1500.0, n_bins)
    centers = np.linspace(320.0, 1480.0, 152)
    width = 4 * (mz[1] - mz[0])
    shape = np.zeros(n_bins, np.float32)
    for center in centers:
        near = slice(*np.searchsorted(mz, [center - 6 * width, center + 6 * width]))
        shape[near] += 100 * np.exp(-0.5 * ((mz[near] - center) / width) ** 2)
    noise = rng.exponential(size=(ROWS, n_bins)).astype(np.float32)
    columns = int(np.sqrt(n_pixels))
    with ImzMLWriter(path, mode="continuous", pixel_size=20) as writer:
        for start in range(0, n_pixels, ROWS):
            pixel = np.arange(start, min(start + ROWS, n_pixels))
            scale = rng.uniform(0.2, 2.0, (pixel.size, 1)).astype(np.float32)
            coordinates = np.column_stack([pixel % columns, pixel // columns]) + 1
            writer.add_chunk(mz, noise[: pixel.size] + scale * shape, coordinates)


def watch(peak: list[float], done: threading.Event) -> None:
    """Keep the largest anonymous memory of this process, in MB."""
    while not done.is_set():
        status = Path("/proc/self/status").read_text(encoding="ascii")
        for line in status.splitlines():
            if line.startswith("RssAnon"):
                peak[0] = max(peak[0], int(line.split()[1]) / 1e3)
        time.sleep(0.05)


def main() -> None:
    """Write, run, report, remove."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--pixels", type=int, default=34_840)
    parser.add_argument("--bins", type=int, default=90_000)
    arguments = parser.parse_args()
    size = arguments.pixels * arguments.bins * 4
    free = shutil.disk_usage(arguments.folder).free
    if free < 1.2 * size:
        message = f"{size / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free."
        raise SystemExit(message)
    path = arguments.folder / "imsminer-large.imzML"
    try:
        started = time.perf_counter()
        write(path, arguments.pixels, arguments.bins)
        print(f"wrote {size / 1e9:.1f} GB in {time.perf_counter() - started:.0f} s")
        peak, done = [0.0], threading.Event()
        threading.Thread(target=watch, args=(peak, done), daemon=True).start()
        started = time.perf_counter()
        reader = ImzMLReader(path)
        spectra = PeakPicker().fit_transform(reader)
        picked = time.perf_counter()
        features = PeakIntegrator().fit_transform(spectra)
        finished = time.perf_counter()
        done.set()
        print(f"features {features.shape}; peak anonymous memory {peak[0]:,.0f} MB")
        for name, seconds in (
            ("picking", picked - started),
            ("integration", finished - picked),
        ):
            print(f"{name:12s} {seconds:6.1f} s, {size / 1e9 / seconds:.2f} GB/s")
    finally:
        path.unlink(missing_ok=True)
        path.with_suffix(".ibd").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
