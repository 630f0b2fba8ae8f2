"""Sums behind Moran's I on a GPU, or in its simulator, by the reference."""

import numpy as np
import pytest

from imsminer.core._kernels import moran_xp

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.core._kernels import moran_cuda


def examples(put):
    """Yield the function with its arguments: two runs, one of them without pairs."""
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        centred = rng.normal(size=(23, 3)).astype(dtype)
        members = [put(np.arange(20)), put(np.arange(20, 23))]
        some = [put(rng.integers(0, 20, 41)) for _ in range(2)]
        none = [put(np.zeros(0, np.int64)) for _ in range(2)]
        yield moran_cuda.moran_sums, (put(centred), members, [some, none])


def test_the_functions_are_those_of_the_reference():
    assert moran_cuda.__all__ == moran_xp.__all__


def test_results_are_those_of_the_reference(device):
    for function, (centred, members, pairs) in examples(device.put):
        found = function(centred, members, pairs)
        expected = moran_xp.moran_sums(
            device.get(centred).astype(np.float64),
            [device.get(rows) for rows in members],
            [[device.get(side) for side in both] for both in pairs],
        )
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_allclose(device.get(ours), theirs, rtol=1e-12, atol=1e-13)
