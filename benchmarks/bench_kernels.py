"""Ratios of the core kernels to NumPy and to merely reading, in one process.

Run ``python benchmarks/bench_kernels.py``; it takes a minute and 1 GB of memory.
"""

import numba as nb
import numpy as np
from _timing import interleave

from imsminer import MassAxis
from imsminer.core._kernels import (
    accumulate_numba,
    binning_numba,
    binning_spread_numba,
    integrate_numba,
)

N_ROWS, N_COLUMNS = 1024, 90_000
N_SPECTRA, N_POINTS, N_WINDOWS = 200, 40_000, 200


@nb.njit(nogil=True, fastmath=True)
def _read_row(row):
    total = np.float32(0)
    for k in range(row.size):
        total += row[k]
    return total


@nb.njit(nogil=True)
def read(X):
    """Merely read: the bound of every pass."""
    total = 0.0
    for p in range(X.shape[0]):
        total += _read_row(X[p])
    return total


def columns() -> dict[str, float]:
    """Mean, and mean with maximum and standard deviation, of a continuous file."""
    X = np.random.default_rng(0).random((N_ROWS, N_COLUMNS), dtype=np.float32)
    total, maximum, squares = (np.zeros(N_COLUMNS) for _ in range(3))
    count = np.zeros(N_COLUMNS, np.int64)
    seconds = interleave(
        {
            "read": lambda: read(X),
            "sum": lambda: accumulate_numba.sum_rows(X, total),
            "fused": lambda: accumulate_numba.accumulate_rows(
                X, total, maximum, count, squares
            ),
            "numpy": lambda: (X.mean(0), X.std(0), X.max(0)),
        }
    )
    return {
        "mean: speed of merely reading (>= 0.7)": seconds["read"] / seconds["sum"],
        "mean + max + std against NumPy (>= 4)": seconds["numpy"] / seconds["fused"],
    }


def points() -> dict[str, float]:
    """Binning and integration of ragged spectra."""
    rng = np.random.default_rng(0)
    mz = np.sort(rng.uniform(300, 1500, (N_SPECTRA, N_POINTS)), axis=1)
    intensity = rng.random((N_SPECTRA, N_POINTS), dtype=np.float32)
    indptr = np.arange(N_SPECTRA + 1) * N_POINTS
    flat = mz.ravel(), intensity.ravel()
    # 0.005 is a quarter of the peak width at m/z 800 for a resolving power of 40,000.
    axes = {
        "even": MassAxis.even(0.005).resolve(300, 1500),
        "ppm": MassAxis.ppm(5).resolve(300, 1500),
    }
    ratios = {}
    for name, axis in axes.items():
        edges, n_bins = axis.edges, axis.n_bins
        guide = binning_numba.build_guide(edges)
        total = np.zeros(n_bins)

        def rival(name=name, edges=edges, n_bins=n_bins, total=total):
            for m, y in zip(mz, intensity, strict=True):
                if name == "even":
                    bins = (m - edges[0]) / 0.005
                else:
                    bins = np.log(m / edges[0]) / 5e-6
                total += np.bincount(bins.astype(np.int64), y, n_bins)

        seconds = interleave(
            {
                "ours": lambda guide=guide, edges=edges, total=total: (
                    binning_numba.sum_points(*flat, indptr, guide, edges, total)
                ),
                "bincount": rival,
            }
        )
        least = {"even": 4, "ppm": 1.6}[name]
        label = f"ragged mean, {name} axis, against np.bincount (>= {least})"
        ratios[label] = seconds["bincount"] / seconds["ours"]

    axis = MassAxis.ppm(5).resolve(300, 1500)
    edges, total = axis.edges, np.zeros(axis.n_bins)
    bins = (binning_numba.build_guide(edges), edges)
    seconds = interleave(
        {
            "linear": lambda: binning_spread_numba.linear_sum_points(
                *flat, *bins, axis.centers, total
            ),
            "spread": lambda: binning_spread_numba.spread_sum_points(
                *flat, *bins, *bins, total
            ),
        }
    )
    label = "linear shares against spreading over the same bins (>= 1.5)"
    ratios[label] = seconds["spread"] / seconds["linear"]

    centre = np.sort(rng.uniform(310, 1490, N_WINDOWS))
    low, high = centre * (1 - 20e-6), centre * (1 + 20e-6)
    out = np.empty((N_SPECTRA, N_WINDOWS), np.float32)
    cells = MassAxis.even(0.0035).resolve(300, 1500).edges
    guide = binning_numba.build_guide(cells)

    def reduceat():
        bounds = np.empty(2 * N_WINDOWS, np.int64)
        for row, m, y in zip(out, mz, intensity, strict=True):
            bounds[::2], bounds[1::2] = (
                np.searchsorted(m, low),
                np.searchsorted(m, high),
            )
            sums = np.add.reduceat(np.append(y, np.float32(0)), bounds)[::2]
            row[:] = np.where(bounds[1::2] > bounds[::2], sums, 0)

    seconds = interleave(
        {
            "sum": lambda: integrate_numba.integrate_points(
                *flat, indptr, low, high, out
            ),
            "area": lambda: integrate_numba.area_points(
                *flat, indptr, guide, cells, low, high, out
            ),
            "reduceat": reduceat,
        }
    )
    for name in ("sum", "area"):
        label = f"ragged {name} of windows against searchsorted + reduceat (>= 2.2)"
        ratios[label] = seconds["reduceat"] / seconds[name]
    return ratios


def main() -> None:
    """Print every ratio beside what it has to reach."""
    for label, ratio in {**columns(), **points()}.items():
        print(f"{ratio:6.2f} ×  {label}")


if __name__ == "__main__":
    main()
