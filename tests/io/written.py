"""Spectra to write, and how what is read back is compared with them."""

import warnings
from dataclasses import dataclass

import numpy as np

from imsminer import ImzMLReader, Spectra
from imsminer.core.chunk import ChunkKernel
from imsminer.exceptions import ImzMLWarning

__all__ = ["SPACE", "Scale", "assert_same", "ragged", "read", "shared"]

SPACE = "{http://psi.hupo.org/ms/mzml}"


@dataclass(frozen=True)
class Scale(ChunkKernel):
    """Multiply intensities and shift m/z."""

    factor: float
    table: np.ndarray | None = None

    def __call__(self, chunk):
        return chunk.replace(
            intensity=chunk.intensity * np.float32(self.factor), mz=chunk.mz + 1
        )

    def transform_axis(self, mz):
        return mz + 1


def shared(n=40, n_mz=25, dtype="float32", seed=0, **options):
    rng = np.random.default_rng(seed)
    intensity = rng.random((n, n_mz)).astype(dtype)
    position = np.column_stack([np.arange(n) % 8, np.arange(n) // 8]) + 1
    mz = np.cumsum(rng.uniform(0.1, 2, n_mz)) + 100
    return Spectra.from_arrays(intensity, mz, position, **options)


def ragged(n=40, dtype="float32", seed=0, **options):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 30, n)
    lengths[[0, n // 2]] = 0
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    mz = np.concatenate([np.sort(rng.uniform(100, 900, k)) for k in lengths])
    intensity = rng.normal(size=mz.size).astype(dtype)
    position = np.column_stack([np.arange(n) % 8, np.arange(n) // 8]) + 1
    return Spectra.from_arrays(intensity, mz, position, indptr=indptr, **options)


def read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImzMLWarning)
        return ImzMLReader(path, **options)


def assert_same(found, expected, mz_dtype="float64"):
    """Every value, position and type is what it was."""
    assert len(found) == len(expected)
    assert np.array_equal(found.coordinates, expected.coordinates)
    for got, want in zip(found, expected, strict=True):
        assert got.intensity.dtype == want.intensity.dtype
        assert np.array_equal(got.intensity, want.intensity)
        assert np.array_equal(got.mz, want.mz.astype(mz_dtype))
