"""Which kernels an array gets, and how those of numba-cuda are started."""

import sys

import numpy as np
import pytest

from imsminer import _array
from imsminer.core._kernels import accumulate_xp
from imsminer.exceptions import OptionalDependencyError

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from numba import cuda, float64

from imsminer._cuda import launch, launch_blocks


# The simulator finds `cuda` among the globals of a kernel's module only.
@cuda.jit
def add_one(values):
    i = cuda.grid(1)
    if i < values.shape[0]:
        values[i] += 1


@cuda.jit
def reverse_blocks(values):
    kept = cuda.shared.array(8, float64)
    i = cuda.threadIdx.x
    kept[i] = values[cuda.grid(1)]
    cuda.syncthreads()
    values[cuda.grid(1)] = kept[7 - i]


@pytest.mark.parametrize("n", [0, 1, 8, 9, 300])
def test_every_item_has_one_thread(device, n):
    values = device.put(np.arange(float(n)))
    launch(add_one, n, values)
    np.testing.assert_array_equal(device.get(values), np.arange(1.0, n + 1))


def test_blocks_share_memory(device):
    values = device.put(np.arange(16.0))
    launch_blocks(reverse_blocks, 2, 8, values)
    expected = [*range(7, -1, -1), *range(15, 7, -1)]
    np.testing.assert_array_equal(device.get(values), expected)


def test_other_arrays_get_the_reference():
    strict = pytest.importorskip("array_api_strict")
    X = strict.ones((2, 3))
    assert _array.device_kernels(X, accumulate_xp) is accumulate_xp


def test_cupy_without_numba_cuda(monkeypatch):
    monkeypatch.setattr(_array, "is_cupy_array", lambda array: True)
    monkeypatch.setitem(sys.modules, "numba_cuda", None)
    with pytest.raises(OptionalDependencyError, match="gpu-cu12"):
        _array.device_kernels(object(), accumulate_xp)


def test_there_is_no_stream_without_cupy(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    assert _array.current_stream() == 0
