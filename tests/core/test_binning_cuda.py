"""Points into bins on a GPU, or in its simulator, by the reference."""

import numpy as np
import pytest

from imsminer.core._kernels import binning_xp

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer._cuda import THREADS
from imsminer.core._kernels import binning_cuda

N_BINS = 2 * THREADS + 3
AXES = {
    "even": np.linspace(100, 110, N_BINS + 1),
    "ppm": np.geomspace(100, 2000, N_BINS + 1),
    "irregular": np.sort(np.random.default_rng(0).uniform(100, 300, N_BINS + 1)),
    "one bin": np.array([100.0, 101.0]),
}


def points(edges, dense, dtype=np.float32):
    """Spectra below, above and inside the axis, empty, with ties and at the edges."""
    rng = np.random.default_rng(1)
    n_bins = edges.size - 1
    sizes = [n_bins, n_bins // 2 + 1] if dense else [3, 1]
    inside = [rng.uniform(edges[0], edges[-1], n) for n in sizes]
    outside = [edges[0] - 1, np.nextafter(edges[0], 0), edges[-1], edges[-1] + 1]
    parts = [
        np.concatenate([inside[0], outside]),
        np.zeros(0),
        edges if dense else edges[-2:],
        np.repeat(inside[1], 2),
    ]
    parts = [np.sort(part) for part in parts]
    indptr = np.concatenate([[0], np.cumsum([part.size for part in parts])])
    intensity = rng.normal(size=indptr[-1]) + 0.5
    return np.concatenate(parts), intensity.astype(dtype), indptr


def examples(put):
    """Yield each function with its arguments, where bins gather and where not."""
    for name, edges in AXES.items():
        for dense in (True, False):
            dtype = np.float64 if name == "ppm" else np.float32
            mz, intensity, indptr = map(put, points(edges, dense, dtype))
            arguments = mz, intensity, indptr, put(edges)
            yield binning_cuda.find_bins, (mz, put(edges))
            yield binning_cuda.accumulate_points, arguments
            if name == "even":
                yield binning_cuda.sum_points, arguments


def test_the_functions_are_those_of_the_reference():
    assert binning_cuda.__all__ == binning_xp.__all__


def test_results_are_those_of_the_reference(device):
    for function, arguments in examples(device.put):
        found = function(*arguments)
        host = [device.get(argument) for argument in arguments]
        expected = getattr(binning_xp, function.__name__)(*host)
        if not isinstance(found, tuple):
            np.testing.assert_array_equal(device.get(found), expected)
            continue
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(device.get(ours), theirs, rtol=1e-12, atol=1e-12)


def test_both_ways_are_tried():
    edges = AXES["even"]
    work = [
        binning_cuda.SPARSE * mz.size >= (indptr.size - 1) * N_BINS
        for mz, _, indptr in (points(edges, dense) for dense in (True, False))
    ]
    assert work == [True, False]


@pytest.mark.parametrize("name", ["even", "ppm", "irregular"])
def test_neighbours_of_edges_are_told_apart(device, name):
    edges = AXES[name]
    for mz, shift in ((np.nextafter(edges, 0), -1), (edges, 0)):
        expected = np.arange(edges.size) + shift
        expected[expected == N_BINS] = -1
        bins = binning_cuda.find_bins(device.put(mz), device.put(edges))
        np.testing.assert_array_equal(device.get(bins), expected)


@pytest.mark.parametrize("dense", [True, False])
def test_a_nan_shows_in_its_bin_alone(device, dense):
    edges = AXES["even"]
    mz, intensity, indptr = points(edges, dense)
    k = np.flatnonzero((mz >= edges[0]) & (mz < edges[-1]))[0]
    intensity[k] = np.nan
    arrays = map(device.put, (mz, intensity, indptr, edges))
    total = device.get(binning_cuda.sum_points(*arrays)[0])
    bad = np.searchsorted(edges, mz[k], side="right") - 1
    assert np.flatnonzero(np.isnan(total)).tolist() == [bad]


def test_no_points(device):
    edges = device.put(AXES["even"])
    none = device.put(np.zeros(0)), device.put(np.zeros(0, np.float32))
    for indptr in (np.zeros(3, np.int64), np.zeros(1, np.int64)):
        found = binning_cuda.accumulate_points(*none, device.put(indptr), edges)
        assert not any(np.any(device.get(part)) for part in found)
