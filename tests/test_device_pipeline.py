"""A whole pipeline on CuPy's stand-in and in CUDA's simulator: results of the CPU."""

import gc
import importlib
import os

import numpy as np
import pytest
from sklearn import clone, config_context
from sklearn.pipeline import make_pipeline

from imsminer import (
    BaselineSubtractor,
    InSituSegmenter,
    MassAligner,
    PeakIntegrator,
    PeakPicker,
    Spectra,
    TICNormalizer,
)

N, M = 6, 40


@pytest.fixture(scope="module")
def spectra():
    """Two halves that differ in every other peak."""
    rng = np.random.default_rng(0)
    mz = np.linspace(500, 501, M)
    centers = np.linspace(mz[6], mz[-6], 4)
    second = np.arange(N) >= N // 2
    high = (np.arange(4) % 2 == 1) == second[:, None]
    heights = np.where(high, 10, 3) * rng.gamma(20, 1 / 20, (N, 4))
    shapes = np.exp(-0.5 * ((mz - centers[:, None]) / 0.03) ** 2)
    X = heights @ shapes + rng.uniform(0.3, 0.35, (N, M))
    coordinates = np.stack([np.arange(N) % 3, np.arange(N) // 3], axis=1)
    return Spectra.from_arrays(X.astype(np.float32), mz, coordinates, identity="two")


@pytest.fixture
def pipe():
    return make_pipeline(
        BaselineSubtractor(half_window=2),
        MassAligner(min_matches=2),
        PeakPicker(loq=1, min_points=3, noise="mad"),
        PeakIntegrator(),
        TICNormalizer(),
        InSituSegmenter(n_clusters=2, n_init=1, random_state=0),
    )


@pytest.mark.skipif(
    os.environ.get("NUMBA_ENABLE_CUDASIM") != "1",
    reason="needs the simulator of numba-cuda",
)
@pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1",
    reason="array_api_dispatch needs SCIPY_ARRAY_API=1 from the start",
)
def test_dispatch_of_a_pipeline_to_a_gpu(spectra, pipe, fake_cupy):
    pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
    cupy = importlib.import_module("cupy")
    budget = 20_000
    with config_context(array_api_dispatch=True):
        cpu = clone(pipe)
        before = spectra.source.n_bytes_read
        expected = cpu.fit_predict(spectra)
        n_bytes = spectra.source.n_bytes_read - before
        assert len(set(expected)) == 2
        gpu = pipe
        labels = gpu.fit_predict(spectra.to(cupy, budget=budget))
        assert isinstance(labels, cupy.ndarray)
        np.testing.assert_array_equal(labels.get(), expected)
        # What the CPU reads, no more: as many passes, and each byte once in each.
        assert fake_cupy.streamed == n_bytes
        # Nine numbers of each point of the axis, and four of each pixel.
        assert fake_cupy.to_host <= 9 * 8 * M + 4 * 8 * N
        assert fake_cupy.peak <= budget
        # What is left are features, centres and labels; no chunk, and no axis.
        gc.collect()
        n_peaks = len(gpu[2].peaks_)
        assert fake_cupy.live <= 2 * 8 * (N + 2) * n_peaks < 4 * N * M
        assert fake_cupy.races == []
    features = gpu[-1].cluster_centers_
    assert isinstance(features, cupy.ndarray)
    np.testing.assert_allclose(
        features.get(), np.asarray(cpu[-1].cluster_centers_), rtol=1e-5
    )
