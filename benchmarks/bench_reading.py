"""Reading imzML against pyimzML: opening, small spectra, large spectra.

Run ``python benchmarks/bench_reading.py``; each line gives the medians of interleaved
runs in one process, files in the page cache, and their ratio beside the target.
"""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _timing import interleave
from pyimzml.ImzMLParser import ImzMLParser
from pyimzml.ImzMLWriter import ImzMLWriter

from imsminer import ImzMLReader
from imsminer.io import _index

N_PIXELS = 34_840


def write_small(folder: Path, n_pixels: int = N_PIXELS) -> Path:
    """Write spectra of about 15 centroids."""
    path = folder / "small.imzML"
    rng = np.random.default_rng(0)
    with ImzMLWriter(str(path), mode="processed", mz_dtype=np.float64) as writer:
        for i in range(n_pixels):
            n = int(rng.integers(10, 21))
            mz = np.sort(rng.uniform(100, 1000, n))
            position = (i % 260 + 1, i // 260 + 1, 1)
            writer.addSpectrum(mz, rng.random(n).astype(np.float32), position)
    return path


def write_large(folder: Path, n_pixels: int = 500, n_points: int = 40_000) -> Path:
    """Write profile spectra of many points, with an m/z array each."""
    path = folder / "large.imzML"
    rng = np.random.default_rng(0)
    with ImzMLWriter(str(path), mode="processed", mz_dtype=np.float64) as writer:
        for i in range(n_pixels):
            mz = np.sort(rng.uniform(100, 1000, n_points))
            intensity = rng.random(n_points).astype(np.float32)
            writer.addSpectrum(mz, intensity, (i % 50 + 1, i // 50 + 1, 1))
    return path


def open_again(path: Path) -> ImzMLReader:
    """Open a file as a process does that has not seen it before."""
    _index._indexed.clear()
    _index._recent.clear()
    return ImzMLReader(path)


def parse(path: Path) -> None:
    """Open a file with pyimzML."""
    ImzMLParser(str(path)).m.close()


def opening(path: Path) -> dict[str, Callable[[], object]]:
    """Open an imzML file of many spectra."""
    return {"pyimzML": lambda: parse(path), "imsminer": lambda: open_again(path)}


def small_spectra(path: Path) -> dict[str, Callable[[], object]]:
    """Read all spectra: a getspectrum loop, or one ragged chunk."""
    parser = ImzMLParser(str(path))
    source = ImzMLReader(path).source

    def loop() -> None:
        for i in range(source.n_rows):
            parser.getspectrum(i)

    return {"pyimzML": loop, "imsminer": lambda: source.read(slice(0, source.n_rows))}


def large_spectra(path: Path) -> dict[str, Callable[[], object]]:
    """Get each spectrum's arrays: a copy, or a view of the mapped file."""
    parser = ImzMLParser(str(path))
    source = ImzMLReader(path).source

    def loop() -> None:
        for i in range(source.n_rows):
            parser.getspectrum(i)

    def in_place() -> None:
        for i in range(source.n_rows):
            source.read(slice(i, i + 1))

    return {"pyimzML": loop, "imsminer": in_place}


def large_spectra_summed(path: Path) -> dict[str, Callable[[], object]]:
    """Get each spectrum's arrays and add them up, so that every value is touched."""
    parser = ImzMLParser(str(path))
    source = ImzMLReader(path).source

    def loop() -> float:
        result = 0.0
        for i in range(source.n_rows):
            mz, intensity = parser.getspectrum(i)
            result += mz.sum() + intensity.sum()
        return result

    def in_place() -> float:
        result = 0.0
        for i in range(source.n_rows):
            mz, intensity = source.read(slice(i, i + 1))[:2]
            result += mz.sum() + intensity.sum()
        return result

    assert loop() == in_place()
    return {"pyimzML": loop, "imsminer": in_place}


def main() -> None:
    """Write the files, time all, print the ratios."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        small, large = write_small(Path(name)), write_large(Path(name))
        for title, functions, target in (
            (f"open {N_PIXELS:,} spectra", opening(small), 20),
            (f"{N_PIXELS:,} small spectra into one chunk", small_spectra(small), 15),
            ("500 × 40,000 points in place", large_spectra(large), 2),
            ("500 × 40,000 points, summed", large_spectra_summed(large), None),
        ):
            seconds = interleave(functions)
            ratio = seconds["pyimzML"] / seconds["imsminer"]
            times = ", ".join(f"{k} {v * 1e3:,.1f} ms" for k, v in seconds.items())
            goal = "no target" if target is None else f"target {target} ×"
            print(f"{title}: {times}: {ratio:.1f} × ({goal})", flush=True)


if __name__ == "__main__":
    main()
