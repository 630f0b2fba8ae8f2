"""Rows on other bins on a GPU, or in its simulator, by the reference."""

import numpy as np
import pytest

from imsminer.core._kernels import binning_rebin_xp
from imsminer.core._kernels.binning_rebin_numba import overlap_matrix

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.core._kernels import binning_rebin_cuda

GRID = np.linspace(10, 11, 31) ** 2


def examples(put):
    """Yield the function and its arguments: bins of all widths, and beside the axis."""
    rng = np.random.default_rng(0)
    edges = np.sort(np.concatenate([rng.uniform(95, 125, 12), [104, 104.01]]))
    for dtype, profile in ((np.float32, True), (np.float64, False)):
        matrix = overlap_matrix(GRID, None, edges, profile)
        X = rng.normal(size=(3, GRID.size)).astype(dtype)
        yield binning_rebin_cuda.rebin_rows, tuple(map(put, (X, *matrix)))


def test_the_functions_are_those_of_the_reference():
    assert binning_rebin_cuda.__all__ == binning_rebin_xp.__all__


def test_results_are_those_of_the_reference(device):
    for function, arguments in examples(device.put):
        found = device.get(function(*arguments))
        expected = binning_rebin_xp.rebin_rows(*map(device.get, arguments))
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
