"""Passes over a continuous file in page cache, through the public interface.

Rivals read the same 1.1 GB file in the same process: a compiled loop that merely reads
the mapped bytes, pyimzML's ``getspectrum`` and NumPy.
"""

import tempfile
import warnings
from pathlib import Path

import numba as nb
import numpy as np
from _timing import interleave
from pyimzml.ImzMLParser import ImzMLParser

from imsminer import ImzMLReader
from imsminer.core.cache import cache
from imsminer.core.engine import axis_statistics
from imsminer.core.windows import integrate_windows
from imsminer.io.writer import ImzMLWriter

N_PIXELS, N_BINS, N_WINDOWS = 3_072, 90_000, 152


@nb.njit(nogil=True, fastmath=True)
def _sum(row):
    total = np.float32(0)
    for j in range(row.size):
        total += row[j]
    return total


@nb.njit(nogil=True)
def merely_read(X):
    """Touch every value once."""
    total = 0.0
    for p in range(X.shape[0]):
        total += _sum(X[p])
    return total


def write(path: Path) -> None:
    """Write exponential noise, which is as fast to read as anything."""
    rng = np.random.default_rng(0)
    mz = np.linspace(300.0, 1500.0, N_BINS)
    with ImzMLWriter(path, mode="continuous", pixel_size=20) as writer:
        for start in range(0, N_PIXELS, 64):
            pixel = np.arange(start, start + 64)
            values = rng.exponential(size=(64, N_BINS)).astype(np.float32)
            writer.add_chunk(mz, values, np.column_stack([pixel % 64, pixel // 64]) + 1)


def main() -> None:
    """Print the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "continuous.imzML"
        write(path)
        reader = ImzMLReader(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parser = ImzMLParser(str(path))
        matrix = reader.source.read(slice(0, N_PIXELS))[1]
        left = np.linspace(50, N_BINS - 100, N_WINDOWS).astype(np.int64)
        right = left + 37
        low, high = reader.mz[left], reader.mz[right]
        bounds = np.column_stack([left, right]).ravel()

        def fresh(function, *arguments, **keywords):
            def run():
                cache.clear()
                return function(*arguments, **keywords)

            return run

        def getspectrum_mean():
            total = np.zeros(N_BINS)
            for i in range(N_PIXELS):
                total += parser.getspectrum(i)[1]
            return total / N_PIXELS

        def getspectrum_windows():
            out = np.empty((N_PIXELS, N_WINDOWS), np.float32)
            for i in range(N_PIXELS):
                out[i] = np.add.reduceat(parser.getspectrum(i)[1], bounds)[::2]
            return out

        functions = {
            "read": lambda: merely_read(matrix),
            "mean": fresh(axis_statistics, reader, full=False),
            "full": fresh(axis_statistics, reader),
            "windows": fresh(integrate_windows, reader, low, high, "sum"),
            "getspectrum mean": getspectrum_mean,
            "getspectrum windows": getspectrum_windows,
            "numpy": lambda: (matrix.mean(0), matrix.std(0), matrix.max(0)),
        }
        np.testing.assert_allclose(
            functions["mean"]().mean, getspectrum_mean(), rtol=1e-6
        )
        np.testing.assert_allclose(
            functions["windows"](), getspectrum_windows(), rtol=1e-5
        )
        t = interleave(functions, repeats=7)
        for name, ratio, target in (
            ("mean: speed of merely reading", t["read"] / t["mean"], 0.7),
            ("mean against getspectrum", t["getspectrum mean"] / t["mean"], 4.5),
            ("mean + max + std against NumPy", t["numpy"] / t["full"], 4),
            (
                f"{N_WINDOWS} windows against getspectrum + reduceat",
                t["getspectrum windows"] / t["windows"],
                6,
            ),
        ):
            print(f"{ratio:6.2f} ×  {name} (>= {target})")
        parser.m.close()


if __name__ == "__main__":
    main()
