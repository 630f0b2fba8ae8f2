"""Chunks of CuPy arrays go to the CUDA kernels, and give what the reference gives."""

import importlib
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from imsminer import _array
from imsminer.core import binning, engine, moran, windows
from imsminer.core.binning import Binner
from imsminer.core.chunk import SpectrumChunk
from imsminer.core.grid import coordinates_of, neighbor_matrix
from imsminer.core.windows import WindowReader, cell_edges
from imsminer.features import _reading
from imsminer.features._reading import FeatureReader

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

GRID = np.linspace(10, 11, 31) ** 2
MODULES = (binning, engine, moran, windows, _reading)


@pytest.fixture
def gpu(device, request):
    """A GPU with its CuPy, or the simulator with the stand-in for CuPy."""
    if device.xp is not np:
        return SimpleNamespace(put=device.put, to_host=lambda: 0)
    counters = request.getfixturevalue("fake_cupy")
    cupy = importlib.import_module("cupy")
    return SimpleNamespace(put=cupy.asarray, to_host=lambda: counters.to_host)


@pytest.fixture
def kernels(monkeypatch):
    """Return the names of the kernels that were chosen."""
    used = set()

    def choose(array, reference):
        chosen = _array.device_kernels(array, reference)
        used.add(chosen.__name__.rpartition(".")[2])
        return chosen

    for module in MODULES:
        monkeypatch.setattr(module, "device_kernels", choose)
    return used


@pytest.fixture
def on_host(monkeypatch):
    """Return a function that runs one on NumPy's arrays, by the reference."""

    def run(function, *arguments):
        with monkeypatch.context() as patch:
            for module in MODULES:
                patch.setattr(module, "is_numpy_array", lambda array: False)
                patch.setattr(module, "device_kernels", lambda array, kernels: kernels)
            return function(*arguments)

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
    "points": (False, False, None, {"binning_cuda"}),
    "spread": (True, False, cell_edges(GRID), {"binning_spread_cuda"}),
    "shared": (True, True, None, {"binning_rebin_cuda", "accumulate_cuda"}),
}


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("name", BINNERS)
def test_statistics_of_an_axis(gpu, kernels, on_host, name, full):
    profile, shared, cells, wanted = BINNERS[name]
    centers = 0.5 * (BINS[1:] + BINS[:-1])
    binner = Binner(centers, BINS, cells, True, name)

    def statistics(put):
        accumulator = binner.accumulator(full=full)
        copied = gpu.to_host()
        for chunk in chunks(profile, put, shared):
            accumulator.add(chunk)
        assert gpu.to_host() == copied
        return accumulator.result()

    expected = on_host(statistics, np.asarray)
    kernels.clear()
    found = statistics(gpu.put)
    assert kernels == wanted
    assert (found.n_pixels, found.n_dropped) == (3, expected.n_dropped)
    for part in ("total", "maximum", "count", "squares")[: 4 if full else 1]:
        ours, theirs = getattr(found, part), getattr(expected, part)
        assert isinstance(ours, np.ndarray)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("shared", [True, False])
def test_totals_of_rows(gpu, kernels, on_host, shared):
    both = (chunks(True, put, shared) for put in (np.asarray, gpu.put))
    for chunk, own in zip(*both, strict=True):
        expected = on_host(engine._row_totals, chunk)
        found = engine._row_totals(own)
        assert kernels == {"accumulate_cuda"}
        np.testing.assert_allclose(found, expected, rtol=1e-12)


LOW, HIGH = np.array([102.0, 108, 115, 130]), np.array([104.0, 113, 115.001, 131])


@pytest.mark.parametrize("method", ["area", "sum", "max", "mean"])
@pytest.mark.parametrize("shared", [True, False])
def test_windows(gpu, kernels, on_host, method, shared):
    reader = WindowReader(LOW, HIGH, method, cell_edges(GRID))
    expected = on_host(reader, next(chunks(True, np.asarray, shared)))
    chunk, copied = next(chunks(True, gpu.put, shared)), gpu.to_host()
    found = reader(chunk)
    assert gpu.to_host() == copied
    assert kernels == {"integrate_cuda"}
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.get(), expected, rtol=1e-6)


@pytest.mark.parametrize("method", ["area", "max"])
def test_windows_of_mobility(gpu, kernels, on_host, method):
    windows = WindowReader(LOW, HIGH, method, cell_edges(GRID))
    mobility = np.tile([0.2, 0.9], (LOW.size, 1))
    reader = FeatureReader(windows, 0.5 * (LOW + HIGH), mobility, True)
    expected = on_host(reader, next(chunks(True)))
    chunk, copied = next(chunks(True, gpu.put)), gpu.to_host()
    found = reader(chunk)
    assert gpu.to_host() == copied
    assert kernels == {"observe_cuda"}
    np.testing.assert_allclose(found.get(), expected, rtol=1e-6, atol=1e-9)


def test_observed_columns(gpu, kernels, on_host):
    windows = WindowReader(LOW, HIGH, "sum")
    reader = FeatureReader(windows, 0.5 * (LOW + HIGH), None, True)
    expected = on_host(reader, next(chunks(True, np.asarray, True)))
    found = reader(next(chunks(True, gpu.put, True)))
    assert kernels == {"integrate_cuda", "observe_cuda"}
    np.testing.assert_allclose(found.get(), expected, rtol=1e-6, atol=1e-9)


def test_morans_i(gpu, kernels, on_host):
    y, x = np.mgrid[:4, :5].reshape(2, -1)
    run, images = (x > 2).astype(int), np.random.default_rng(1).normal(size=(20, 2))
    pixels = coordinates_of(images, np.stack([x, y], axis=1), run, estimator="Moran")
    once = sparse.csr_array(sparse.triu(neighbor_matrix(pixels, 1), k=1))
    expected = on_host(moran._sums_xp, images, run, once, 2)
    found = moran._sums_xp(gpu.put(images), run, once, 2)
    assert kernels == {"moran_cuda"}
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_the_pixel_with_a_nan_is_named(gpu):
    chunk = next(chunks(True))
    chunk.intensity[3] = np.nan
    chunk = chunk.replace(
        intensity=gpu.put(chunk.intensity),
        mz=gpu.put(chunk.mz),
        indptr=gpu.put(chunk.indptr),
        run="a",
    )
    spectra = SimpleNamespace(iter_chunks=lambda: iter([chunk]))
    with pytest.raises(ValueError, match=r"run 'a', pixel x=0.*intensity number 3"):
        engine.raise_not_finite(spectra)
