"""Sizes, random data, and what a step of a benchmark of a GPU is."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

__all__ = [
    "FULL",
    "QUICK",
    "TINY",
    "Size",
    "Step",
    "features",
    "in_two",
    "merged",
    "part",
    "ragged",
    "shared",
]


class Size(NamedTuple):
    """How much data there is."""

    rows: int
    """Spectra on a shared axis,"""
    columns: int
    """of so many points."""
    spectra: int
    """Spectra with an axis each,"""
    points: int
    """of so many points."""
    windows: int
    pixels: int
    """Rows of a table of features,"""
    ions: int
    """and its columns."""
    starts: int = 10
    """Starts of k-means."""
    repeats: int = 3
    ppm: float = 5.0
    """Width of bins."""


FULL = Size(512, 90_000, 1_000, 40_000, 200, 34_840, 152)
QUICK = Size(64, 20_000, 100, 10_000, 50, 5_000, 50, 10, 1)
TINY = Size(2, 60, 2, 12, 2, 16, 3, 1, 1, 40_000.0)


class Step(NamedTuple):
    """The same work on both sides."""

    cpu: Callable[[], Any]
    gpu: Callable[[], Any]
    inputs: tuple
    """Arrays of the host that the device needs first."""
    n_bytes: int | None = None
    """Least traffic of the device's memory, for work that memory bounds."""
    wanted: str = "–"


def in_two(function: Callable[[slice], Any], n: int) -> list:
    """Call a function for both halves of n rows, in two threads."""
    halves = slice(0, n // 2), slice(n // 2, n)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, halves))


def shared(size: Size) -> np.ndarray:
    """Spectra on a shared axis, float32, with some negative values."""
    X = np.random.default_rng(0).standard_exponential(
        (size.rows, size.columns), dtype=np.float32
    )
    X -= np.float32(0.1)
    return X


def ragged(size: Size) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spectra with an axis each."""
    rng = np.random.default_rng(1)
    mz = np.sort(rng.uniform(300, 1500, (size.spectra, size.points)), axis=1).ravel()
    intensity = rng.standard_exponential(mz.size, dtype=np.float32)
    return mz, intensity, np.arange(size.spectra + 1) * size.points


def part(indptr: np.ndarray, rows: slice) -> tuple[slice, np.ndarray]:
    """Points of a slice of spectra, and where each begins."""
    bounds = indptr[rows.start : rows.stop + 1]
    return slice(bounds[0], bounds[-1]), bounds - bounds[0]


def merged(halves: list) -> tuple:
    """Statistics of both halves together."""
    (a, b, c, d), (e, f, g, h) = halves
    return a + e, np.maximum(b, f), c + g, d + h


def features(size: Size) -> np.ndarray:
    """Pixels of seven kinds, scaled as the segmenter scales them."""
    rng = np.random.default_rng(3)
    kinds = rng.gamma(0.7, 1, (7, size.ions))
    labels = rng.integers(0, 7, size.pixels)
    X = kinds[labels] * rng.gamma(2, 0.5, (size.pixels, size.ions))
    X /= X.max(axis=0)
    return (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)
