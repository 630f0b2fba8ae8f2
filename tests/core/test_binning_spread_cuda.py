"""Profiles spread over bins on a GPU, or in its simulator, by the reference."""

import numpy as np
import pytest

from imsminer.core._kernels import binning_spread_xp

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer._cuda import THREADS
from imsminer.core._kernels import binning_spread_cuda

RNG = np.random.default_rng(0)
#: Cells that get wider, that are even, and that have no order at all, as edges.
CELLS = {
    "wider": np.linspace(10, 11, 41) ** 2,
    "even": np.linspace(100, 121, 43),
    "irregular": np.concatenate([[100], np.sort(RNG.uniform(100, 121, 25)), [121]]),
}
#: Bins narrower and wider than cells, beside them, in tiles that are not full, one.
AXES = {
    "narrow": np.linspace(103, 113, 2 * THREADS + 4),
    "wide": np.linspace(98, 123, THREADS + 2),
    "irregular": np.sort(RNG.uniform(102, 125, THREADS + 5)),
    "inside": np.linspace(104, 107, THREADS + 1),
    "one bin": np.array([104.0, 112.0]),
}


def profiles(cells, dtype=np.float32, seed=1):
    """Samples in cells and beyond them, spectra without and with a single one."""
    rng = np.random.default_rng(seed)
    middle = 0.5 * (cells[1:] + cells[:-1])
    beyond = np.array([97.0, 98.5, 122.0, 124.0, 130.0])
    parts = [
        np.concatenate([middle, beyond]),
        np.zeros(0),
        middle[5:6],
        rng.uniform(99, 124, 12),
        np.repeat(middle[3:6], 2),
    ]
    parts = [np.sort(part) for part in parts]
    indptr = np.concatenate([[0], np.cumsum([part.size for part in parts])])
    intensity = rng.normal(size=indptr[-1]) + 0.5
    return np.concatenate(parts), intensity.astype(dtype), indptr


def examples(put):
    """Yield each function with its arguments, for both types of intensities."""
    spread = binning_spread_cuda.spread_accumulate_points
    linear = binning_spread_cuda.linear_accumulate_points
    for name, cells in CELLS.items():
        dtype = np.float64 if name == "even" else np.float32
        arrays = tuple(map(put, profiles(cells, dtype)))
        for axis in AXES if name == "irregular" else ("narrow", "wide"):
            yield spread, (*arrays, put(cells), put(AXES[axis]))
    for name, edges in AXES.items():
        dtype = np.float64 if name == "wide" else np.float32
        mz, *rest = profiles(CELLS["even"], dtype)
        centers = 0.5 * (edges[1:] + edges[:-1])
        mz[[4, -3]] = edges[0], centers[-1]
        for array, start, stop in zip([mz] * 5, rest[1][:-1], rest[1][1:], strict=True):
            array[start:stop].sort()
        arrays = tuple(map(put, (mz, *rest, edges, centers)))
        yield linear, arrays
    yield binning_spread_cuda.linear_sum_points, arrays
    arrays = map(put, (*profiles(CELLS["wider"]), CELLS["wider"], AXES["wide"]))
    yield binning_spread_cuda.spread_sum_points, tuple(arrays)


def test_the_functions_are_those_of_the_reference():
    assert binning_spread_cuda.__all__ == binning_spread_xp.__all__


def test_results_are_those_of_the_reference(device):
    for function, arguments in examples(device.put):
        found = function(*arguments)
        host = [device.get(argument) for argument in arguments]
        expected = getattr(binning_spread_xp, function.__name__)(*host)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(device.get(ours), theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["spread", "linear"])
def test_ion_current_is_kept(device, kind):
    edges = AXES["narrow"]
    mz, intensity, indptr = profiles(CELLS["wider"], np.float64)
    inside = (mz >= edges[0]) & (mz < edges[-1])
    last = (CELLS["wider"], edges)
    if kind == "linear":
        last = edges, 0.5 * (edges[1:] + edges[:-1])
    arrays = map(device.put, (mz, intensity, indptr, *last))
    total, dropped = getattr(binning_spread_cuda, f"{kind}_sum_points")(*arrays)
    assert device.get(total).sum() == pytest.approx(intensity[inside].sum(), rel=1e-12)
    assert int(dropped) == np.count_nonzero(~inside)


def test_a_sample_in_a_cell_counts_once(device):
    # One sample of each spectrum reaches over several bins, and into each once.
    edges, cells = AXES["narrow"], np.array([100.0, 105.0, 110.0, 115.0])
    mz, indptr = np.array([107.5, 107.5, 107.5]), np.array([0, 1, 3])
    arrays = map(device.put, (mz, np.ones(3), indptr, cells, edges))
    found = binning_spread_cuda.spread_accumulate_points(*arrays)
    total, maximum, count, squares, _ = map(device.get, found)
    # Bins narrower than the cell: it is smoothed by the difference.
    half = 0.5 * (2 * 5.0 - (edges[1] - edges[0]))
    reached = (edges[1:] > 107.5 - half) & (edges[:-1] < 107.5 + half)
    assert count[reached].tolist() == [2] * np.count_nonzero(reached)
    assert not total[~reached].any()
    np.testing.assert_allclose(maximum, total * 2 / 3, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(squares, total**2 * 5 / 9, rtol=1e-12, atol=1e-12)
