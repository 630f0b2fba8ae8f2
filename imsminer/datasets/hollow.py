"""Files larger than memory and disk: continuous runs whose .ibd is mostly holes."""

from os import PathLike
from pathlib import Path

import numpy as np

from imsminer.datasets._kernels.synthetic_numba import add_gaussians
from imsminer.io.writer import ImzMLWriter

__all__ = ["make_hollow_ims"]

PEAK_SAMPLES = 3.0  # standard deviation of a peak, in samples
REACH = 5.0


def make_hollow_ims(
    path: str | PathLike,
    *,
    n_pixels: int = 34_840,
    n_mz: int = 90_000,
    mz_range: tuple[float, float] = (400.0, 1000.0),
    n_peaks: int = 100,
    n_filled: int = 40,
    width: int = 260,
    height: float = 1e6,
) -> tuple[np.ndarray, np.ndarray]:
    """Write a continuous run of any size that takes hardly any disk.

    A few pixels, spread evenly, hold the same peaks; all others are zeros that the file
    system stores as holes. Reading it delivers all bytes of a dense file.

    Parameters
    ----------
    path : path-like
        The .imzML file to write; it must not exist.
    n_pixels, n_mz : int, default=34,840 and 90,000
        Size; the .ibd appears to have ``4 * n_pixels * n_mz`` bytes.
    mz_range : (float, float), default=(400, 1000)
        m/z range, evenly sampled.
    n_peaks : int, default=100
        Peaks, evenly spaced on samples.
    n_filled : int, default=40
        Pixels that hold peaks, the first one always.
    width : int, default=260
        Pixels in a line.
    height : float, default=1e6
        Apex of the peaks.

    Returns
    -------
    mz : ndarray of float64, shape (n_peaks,)
        Peaks.
    rows : ndarray of int64, shape (n_filled,)
        Pixels that hold them.

    Examples
    --------
    >>> import tempfile
    >>> from imsminer.datasets import make_hollow_ims
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mz, rows = make_hollow_ims(
    ...         f"{folder}/a.imzML", n_pixels=100, n_mz=10_000, n_peaks=3, n_filled=2
    ...     )
    >>> rows
    array([ 0, 99])
    """
    grid = np.linspace(*mz_range, n_mz)
    places = np.linspace(0, n_mz - 1, n_peaks + 2).round().astype(np.int64)[1:-1]
    sigma = np.full(n_peaks, PEAK_SAMPLES * (grid[1] - grid[0]))
    spectrum = np.zeros(n_mz)
    add_gaussians(spectrum, grid, grid[places], sigma, np.full(n_peaks, height), REACH)
    number = np.arange(n_pixels)
    coordinates = np.column_stack([number % width + 1, number // width + 1])
    rows = np.unique(np.linspace(0, n_pixels - 1, n_filled).round().astype(np.int64))
    with ImzMLWriter(
        Path(path), mode="continuous", checksum=False, pixel_size=50.0
    ) as writer:
        for row, after in zip(rows, [*rows[1:], n_pixels], strict=True):
            writer.add_chunk(grid, spectrum[np.newaxis], coordinates[row : row + 1])
            if after > row + 1:
                writer.add_zeros(coordinates[row + 1 : after])
    return grid[places], rows
