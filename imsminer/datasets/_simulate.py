"""Spectra of a simulated run, chunk by chunk, from what is true of it."""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.special import ndtri

from imsminer.datasets._kernels import synthetic_numba as kernels
from imsminer.datasets.truth import Truth

__all__ = ["CHUNK_BYTES", "simulate_spectra"]

# Bytes of simulated spectra that wait for being written.
CHUNK_BYTES = 32 << 20

Part = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]
"""Rows, m/z, intensities, and where each spectrum starts, as the writer takes them."""


def simulate_spectra(truth: Truth, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Part]:
    """Yield rows, m/z, intensities and indptr, chunk by chunk."""
    law, noise = truth.analyser, truth.noise
    mz = truth.peaks["mz"].to_numpy()
    sigma, lever = law.sigma(mz), truth.lever(mz)
    shifts = np.column_stack([truth.shifts, truth.stretches])
    table = ndtri((np.arange(65536) + 0.5) / 65536)
    noise_row = np.array([noise.gain, noise.sd, noise.count, noise.height])
    seed = np.uint64(truth.seed)
    if truth.spectrum_type == "centroid":
        samples = law.samples(mz)
        member = truth.entries[1]
        order = np.argsort(member, kind="stable")
        order = order[member[order] >= 0]
        bounds = np.flatnonzero(np.diff(member[order], prepend=-1))
        groups = (np.append(bounds, order.size), order)
        span = np.array([noise.low, noise.high])

        def simulate(rows: np.ndarray, room: int) -> tuple[int, tuple]:
            out = np.empty(room), np.empty(room), np.zeros(rows.size + 1, np.int64)
            done = kernels.simulate_centroids(
                *out, noise.threshold, seed, rows, span, groups,
                (mz, sigma, lever, samples), shifts[rows], truth.heights[rows],
                noise_row, table,
            )  # fmt: skip
            return done, out

        yield from _grow(simulate, truth.n_pixels, chunk_bytes // 16, lambda m: m)
        return
    grid = truth.axis
    base = noise.base(grid)
    quantiles = noise.quantiles()
    background = (base, *quantiles.place(base), quantiles.skip(base, noise))
    first, step = quantiles.scores[0], quantiles.scores[1] - quantiles.scores[0]
    tables = (table, quantiles.values, first, 1 / step, float(quantiles.levels[-1]))
    margin = kernels.REACH * sigma
    margin += 1e-6 * mz * (np.abs(shifts).sum(axis=1).max() if len(shifts) else 0.0)
    ions = (
        mz, sigma, lever,
        np.searchsorted(grid, mz - margin), np.searchsorted(grid, mz + margin),
    )  # fmt: skip
    width = law.sigma_law

    def common(rows: np.ndarray) -> tuple:
        return (
            noise.threshold, seed, rows, grid, background, ions, width, shifts[rows],
            truth.heights[rows], noise_row, tables,
        )  # fmt: skip

    if truth.spectrum_type == "sparse" and truth.mode == "processed":

        def simulate(rows: np.ndarray, room: int) -> tuple[int, tuple]:
            out = (
                np.empty(room, np.int64),
                np.empty(room),
                np.zeros(rows.size + 1, np.int64),
            )
            return kernels.simulate_sparse(*out, *common(rows)), out

        yield from _grow(simulate, truth.n_pixels, chunk_bytes // 16, grid.__getitem__)
        return
    step = max(1, chunk_bytes // (8 * grid.size))
    for start in range(0, truth.n_pixels, step):
        rows = np.arange(start, min(start + step, truth.n_pixels))
        out = np.empty((rows.size, grid.size))
        kernels.simulate_dense(out, *common(rows))
        yield rows, grid, out, None


def _grow(
    simulate: Callable, n_pixels: int, room: int, to_mz: Callable
) -> Iterator[Part]:
    """Simulate spectra of unknown length into buffers that have room for some."""
    start, step = 0, 512
    while start < n_pixels:
        rows = np.arange(start, min(start + step, n_pixels))
        done, (places, intensity, indptr) = simulate(rows, room)
        if done == 0:
            room *= 2
            continue
        filled = indptr[done]
        yield (
            rows[:done],
            to_mz(places[:filled]),
            intensity[:filled],
            indptr[: done + 1],
        )
        start += done
