"""Chunks of CuPy arrays go to the CUDA kernels, and give what the reference gives.

In the simulator NumPy's arrays pass for CuPy's.
"""

import numpy as np
import pytest

from imsminer import _array
from imsminer.core import binning, engine, moran, windows
from imsminer.core.binning import Binner
from imsminer.core.chunk import SpectrumChunk
from imsminer.core.windows import WindowReader, cell_edges
from imsminer.features import _reading
from imsminer.features._reading import FeatureReader

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

GRID = np.linspace(10, 11, 31) ** 2
MODULES = (binning, engine, moran, windows, _reading)


@pytest.fixture
def on_device(device, monkeypatch):
    """Return a function that runs one on the device, and says which kernels it used."""
    used = set()

    def choose(array, reference):
        kernels = _array.device_kernels(array, reference)
        used.add(kernels.__name__.rpartition(".")[2])
        return kernels

    def run(function, *arguments, cuda=True):
        used.clear()
        with monkeypatch.context() as patch:
            if device.xp is np or not cuda:
                patch.setattr(_array, "is_cupy_array", lambda array: cuda)
                for module in MODULES:
                    patch.setattr(module, "is_numpy_array", lambda array: False)
            for module in MODULES:
                patch.setattr(module, "device_kernels", choose)
            return function(*arguments), set(used)

    return run


@pytest.fixture
def on_host(on_device):
    """Return a function that runs one on NumPy's arrays, by the reference."""

    def run(function, *arguments):
        result, used = on_device(function, *arguments, cuda=False)
        assert all(name.endswith("_xp") for name in used)
        return result

    return run


def chunks(profile, put=np.asarray, shared=False):
    """Two chunks of two and one spectra."""
    rng = np.random.default_rng(0)
    for n in (2, 1):
        common = {
            "rows": np.arange(n),
            "coordinates": np.zeros((n, 3), np.int64),
            "profile": profile,
        }
        if shared:
            X = put(rng.exponential(size=(n, GRID.size)).astype(np.float32))
            yield SpectrumChunk(mz=GRID, intensity=X, **common)
            continue
        sizes = rng.integers(8, 20, n)
        mz = np.concatenate([np.sort(rng.permutation(GRID)[:size]) for size in sizes])
        yield SpectrumChunk(
            mz=put(mz),
            intensity=put(rng.exponential(size=mz.size).astype(np.float32)),
            indptr=put(np.concatenate([[0], np.cumsum(sizes)])),
            mobility=put(rng.uniform(size=mz.size)),
            **common,
        )


BINS = np.linspace(101, 118, 10)
BINNERS = {
    "points": (False, False, None, "binning_cuda"),
    "spread": (True, False, cell_edges(GRID), "binning_spread_cuda"),
    "shared": (True, True, None, "accumulate_cuda"),
}


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("name", BINNERS)
def test_statistics_of_an_axis(device, on_device, on_host, name, full):
    profile, shared, cells, kernels = BINNERS[name]
    centers = 0.5 * (BINS[1:] + BINS[:-1])
    binner = Binner(centers, BINS, cells, True, name)

    def statistics(put):
        accumulator = binner.accumulator(full=full)
        for chunk in chunks(profile, put, shared):
            accumulator.add(chunk)
        return accumulator.result()

    expected = on_host(statistics, np.asarray)
    found, used = on_device(statistics, device.put)
    assert kernels in used
    assert (found.n_pixels, found.n_dropped) == (3, expected.n_dropped)
    for part in ("total", "maximum", "count", "squares")[: 4 if full else 1]:
        ours, theirs = getattr(found, part), getattr(expected, part)
        assert isinstance(ours, np.ndarray)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("shared", [True, False])
def test_totals_of_rows(device, on_device, on_host, shared):
    for chunk, own in zip(
        chunks(True, np.asarray, shared), chunks(True, device.put, shared), strict=True
    ):
        found, used = on_device(engine._row_totals, own)
        assert used == {"accumulate_cuda"}
        expected = on_host(engine._row_totals, chunk)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


LOW, HIGH = np.array([102.0, 108, 115, 130]), np.array([104.0, 113, 115.001, 131])


@pytest.mark.parametrize("method", ["area", "sum", "max", "mean"])
@pytest.mark.parametrize("shared", [True, False])
def test_windows(device, on_device, on_host, method, shared):
    reader = WindowReader(LOW, HIGH, method, cell_edges(GRID))
    chunk = next(chunks(True, np.asarray, shared))
    own = next(chunks(True, device.put, shared))
    found, used = on_device(reader, own)
    assert used == {"integrate_cuda"}
    found = device.get(found)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, on_host(reader, chunk), rtol=1e-6)


@pytest.mark.parametrize("method", ["area", "max"])
def test_windows_of_mobility(device, on_device, on_host, method):
    windows = WindowReader(LOW, HIGH, method, cell_edges(GRID))
    mobility = np.tile([0.2, 0.9], (LOW.size, 1))
    reader = FeatureReader(windows, 0.5 * (LOW + HIGH), mobility, True)
    found, used = on_device(reader, next(chunks(True, device.put)))
    assert used == {"observe_cuda"}
    expected = on_host(reader, next(chunks(True)))
    np.testing.assert_allclose(device.get(found), expected, rtol=1e-6, atol=1e-9)


def test_morans_i(device, on_device, on_host):
    y, x = np.mgrid[:4, :5].reshape(2, -1)
    places = np.stack([x, y], axis=1), (x > 2).astype(int)
    images = np.random.default_rng(1).normal(size=(20, 2)) + 3
    run = np.asarray(places[1])
    around = moran.neighbor_matrix(
        moran.coordinates_of(images, *places, estimator="Moran's I"), 1
    )
    once = moran.sparse.csr_array(moran.sparse.triu(around, k=1))
    expected = on_host(moran._sums_xp, images, run, once, 2)
    found, used = on_device(moran._sums_xp, device.put(images), run, once, 2)
    assert used == {"moran_cuda"}
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
