"""Writing imzML against pyimzML: one shared axis, and an m/z array per spectrum.

Run ``python benchmarks/bench_writing.py``; each line gives the medians of interleaved
runs in one process, into the page cache, both with their checksum and their XML, and
the ratio beside the target. Files are removed between the runs, which is not timed.
Seconds of the processor, over all threads, tell how busy the machine was otherwise:
where a run takes about as many as seconds, it had no second core to itself.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pyimzml.ImzMLWriter import ImzMLWriter as Rival

from imsminer import Spectra
from imsminer.io.writer import write_imzml

N_PIXELS = 34_840
TARGET = 3.0


def positions(n: int) -> np.ndarray:
    """Return a raster of 260 columns."""
    return np.column_stack([np.arange(n) % 260, np.arange(n) // 260]) + 1


def continuous(size: float) -> tuple[Spectra, np.ndarray]:
    """Make spectra on a shared axis; rows repeat, which no writer looks at."""
    n_mz = round(size / 4 / N_PIXELS)
    axis = np.linspace(400, 1000, n_mz)
    rows = np.random.default_rng(0).random((512, n_mz), dtype=np.float32)
    intensity = np.tile(rows, (-(-N_PIXELS // 512), 1))[:N_PIXELS]
    spectra = Spectra.from_arrays(
        intensity, axis, positions(N_PIXELS), pixel_size=50, identity="continuous"
    )
    return spectra, axis


def processed(size: float) -> tuple[Spectra, None]:
    """Make spectra with float64 m/z of their own, of different lengths."""
    rng = np.random.default_rng(0)
    mean = size / 12 / N_PIXELS
    lengths = rng.integers(int(0.5 * mean), int(1.5 * mean), N_PIXELS)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    # Steps of one part in 2 ** 16 of a unit, so that all are exact and increase.
    mz = np.arange(indptr[-1]) - np.repeat(indptr[:-1], lengths)
    spectra = Spectra.from_arrays(
        rng.random(indptr[-1], dtype=np.float32),
        100 + mz / 2**16,
        positions(N_PIXELS),
        indptr=indptr,
        pixel_size=50,
        identity="processed",
    )
    return spectra, None


def rivals(
    spectra: Spectra, axis: np.ndarray | None, folder: Path
) -> dict[str, Callable[[], object]]:
    """Return what is timed: from arrays in memory to a pair of files."""
    mode = "processed" if axis is None else "continuous"
    rows = [
        (spectrum.mz, spectrum.intensity, tuple(position))
        for spectrum, position in zip(
            spectra, spectra.coordinates.tolist(), strict=True
        )
    ]

    def pyimzml() -> None:
        with Rival(str(folder / "a.imzML"), mode=mode) as writer:
            for mz, intensity, position in rows:
                writer.addSpectrum(mz, intensity, position)

    def imsminer() -> None:
        write_imzml(spectra, folder / "a.imzML")

    return {"pyimzML": pyimzml, "imsminer": imsminer}


def interleave(
    functions: dict[str, Callable[[], object]], folder: Path, repeats: int
) -> dict[str, tuple[float, float]]:
    """Return the median seconds of each, and those of the processor."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            start, busy = time.perf_counter(), time.process_time()
            function()
            passed = time.perf_counter() - start, time.process_time() - busy
            for ending in ("imzML", "ibd"):
                (folder / f"a.{ending}").unlink()
            if repeat:  # The first is the warm-up.
                taken[name].append(passed)
    return {
        name: (
            statistics.median(seconds for seconds, _ in values),
            statistics.median(busy for _, busy in values),
        )
        for name, values in taken.items()
    }


def main() -> None:
    """Write both layouts, print MB/s and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gb", type=float, default=1.5, help="size of the .ibd")
    parser.add_argument("--folder", default=None, help="where the files are written")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    size = options.gb * 1e9
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        for title, make in (("continuous", continuous), ("processed", processed)):
            spectra, axis = make(size)
            functions = rivals(spectra, axis, Path(name))
            found = interleave(functions, Path(name), options.repeats)
            ratio = found["pyimzML"][0] / found["imsminer"][0]
            speeds = ", ".join(
                f"{k} {wall:.2f} s ({size / wall / 1e6:,.0f} MB/s, processor "
                f"{busy:.2f} s)"
                for k, (wall, busy) in found.items()
            )
            print(
                f"{title}, {options.gb:g} GB: {speeds}: {ratio:.1f} × "
                f"(target {TARGET:g} ×)",
                flush=True,
            )


if __name__ == "__main__":
    main()
