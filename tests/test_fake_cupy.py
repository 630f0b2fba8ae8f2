"""CuPy's stand-in: its arithmetic is NumPy's, its manners are CuPy's."""

import copy
import gc
import importlib
import os
import pickle
import sys
from importlib.util import find_spec

import array_api_compat
import numpy as np
import pytest
from numba.core.errors import TypingError

from imsminer import _array
from imsminer.core._kernels import accumulate_numba
from tests.fake_cupy import installed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 7))


@pytest.fixture
def cupy(fake_cupy):
    return importlib.import_module("cupy")


OPERATIONS = {
    "sum": lambda xp, x: xp.sum(x, axis=0),
    "mean": lambda xp, x: xp.mean(x, axis=1, keepdims=True),
    "where": lambda xp, x: xp.where(x > 0, x, 2.0),
    "operators": lambda xp, x: (1 + x * x) / 3 - x[0] ** 2 % 2,
    "matmul": lambda xp, x: x @ x.T,
    "sort": lambda xp, x: xp.sort(x, axis=0),
    "argsort": lambda xp, x: xp.argsort(x[0]),
    "unique": lambda xp, x: xp.unique_values(xp.round(x)),
    "cumulative sum": lambda xp, x: xp.cumulative_sum(x, axis=1),
    "take": lambda xp, x: xp.take(x, xp.asarray([2, 0]), axis=1),
    "mask": lambda xp, x: x[x > 0.5],
    "concat": lambda xp, x: xp.concat([x, x[:2]]),
    "stack": lambda xp, x: xp.stack([x, x]),
    "astype": lambda xp, x: xp.astype(x, xp.float32),
    "searchsorted": lambda xp, x: xp.searchsorted(xp.sort(x[0]), x[1]),
    "svd": lambda xp, x: xp.linalg.svd(x, full_matrices=False)[1],
    "empty": lambda xp, x: xp.isnan(xp.empty_like(x)) | True,
    "of NumPy": lambda xp, x: np.sum(np.abs(x)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_those_of_numpy(cupy, name):
    x = cupy.asarray(X)
    found = OPERATIONS[name](_array.array_namespace(x), x)
    expected = OPERATIONS[name](array_api_compat.array_namespace(X), X)
    assert isinstance(found, cupy.ndarray)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.get(), expected)


def test_arrays_change_in_place(cupy):
    x, expected = cupy.asarray(X), X.copy()
    for array in (x, expected):
        array[1] = array[0]
        array += 1
        array[array > 2] = 0
        array[:, :2] *= 3
    np.testing.assert_array_equal(x.get(), expected)


def test_it_is_cupy_to_those_who_ask(cupy):
    x = cupy.zeros(3)
    assert _array.is_cupy_array(x)
    assert not _array.is_numpy_array(x)
    assert array_api_compat.is_cupy_array(x)
    assert _array.namespace_name(_array.array_namespace(x)) == "cupy"
    vendored = importlib.import_module("sklearn.externals.array_api_compat")
    assert vendored.array_namespace(x).__name__.endswith("array_api_compat.cupy")
    assert array_api_compat.device(x) == cupy.cuda.Device(0)


@pytest.mark.parametrize(
    "mix",
    [
        np.asarray,
        np.float64,
        lambda x: x + np.ones(7),
        lambda x: np.ones(7) + x,
        lambda x: x < np.ones(7),
        lambda x: np.add(np.ones(7), x),
        lambda x: np.concatenate([x, np.ones((1, 7))]),
        lambda x: x.__setitem__(0, np.ones(7)),
        lambda x: x.__iadd__(np.ones(7)),
        lambda x: sys.modules["cupy"].sum(np.ones(7)),
        lambda x: sys.modules["cupy"].concatenate([x, np.ones((1, 7))]),
        float,
    ],
)
def test_what_cupy_refuses(cupy, mix):
    with pytest.raises(TypeError):
        mix(cupy.asarray(X))


def test_repeats_of_the_device_are_refused(cupy):
    with pytest.raises(ValueError, match="repeats"):
        cupy.repeat(cupy.ones(2), cupy.asarray([1, 2]))


def test_kernels_of_the_cpu_refuse_its_arrays(cupy):
    with pytest.raises(TypingError):
        accumulate_numba.row_totals(cupy.asarray(X), *np.zeros((4, 5)))


@pytest.mark.skipif(
    find_spec("numba_cuda") is None or os.environ.get("NUMBA_ENABLE_CUDASIM") != "1",
    reason="needs the simulator of numba-cuda",
)
def test_simulated_kernels_take_its_arrays_only(cupy, fake_cupy):
    from tests.test_cuda import add_one, launch

    x = cupy.asarray(X)
    launch(add_one, 7, x[1])
    expected = X.copy()
    expected[1] += 1
    np.testing.assert_array_equal(x.get(), expected)
    assert not fake_cupy.races
    y = x * 2
    with cupy.cuda.Stream(non_blocking=True):
        # Which has not waited for the stream that makes y.
        launch(add_one, 7, y[2])
    assert fake_cupy.races
    with pytest.raises(TypeError, match="add_one: an array of the host"):
        launch(add_one, 7, X[1].copy())


def test_scalars_come_to_the_host_and_count(cupy, fake_cupy):
    x = cupy.arange(3.0)
    assert (float(x[2]), int(x[1]), bool(x[0]), x[2].item()) == (2.0, 1, False, 2.0)
    assert list(range(cupy.asarray(2))) == [0, 1]
    assert fake_cupy.to_host == 5 * 8


def test_bytes_are_counted_while_arrays_live(cupy, fake_cupy):
    x = cupy.asarray(X)
    view = x[1:, ::2]
    assert (fake_cupy.to_device, fake_cupy.live) == (X.nbytes, X.nbytes)
    y = x * 2
    assert fake_cupy.live == 2 * X.nbytes
    del x
    # The view keeps all that it is a view of.
    assert fake_cupy.live == 2 * X.nbytes
    del view, y
    gc.collect()
    assert (fake_cupy.live, fake_cupy.peak) == (0, 2 * X.nbytes)
    y = copy.deepcopy(pickle.loads(pickle.dumps(cupy.asarray(X))))
    np.testing.assert_array_equal(y.get(), X)


def test_memory_is_limited(cupy):
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
        cupy.empty(2**30, np.float64)
    assert np.isnan(cupy.empty(3).get()).all()


def test_copies_from_pinned_memory_wait(cupy, fake_cupy):
    """As late as they may: what is written into the buffer meanwhile is copied."""
    stream, event = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Event()
    memory = cupy.cuda.alloc_pinned_memory(24)
    host = np.frombuffer(memory, np.float64, 3)
    x = cupy.empty(3)
    stream.wait_event(cupy.cuda.get_current_stream().record())
    host[:] = 1
    x.set(host, stream=stream)
    event.record(stream)
    host[:] = 2
    assert not event.done
    assert np.isnan(x.get()).all()
    assert len(fake_cupy.races) == 1
    cupy.cuda.get_current_stream().wait_event(event)
    np.testing.assert_array_equal(x.get(), [2, 2, 2])
    assert event.done
    assert fake_cupy.copies == {stream.ptr: 1}


def test_memory_that_another_stream_may_still_use_is_noted(cupy, fake_cupy):
    stream = cupy.cuda.Stream(non_blocking=True)
    host = np.frombuffer(cupy.cuda.alloc_pinned_memory(8), np.float64, 1)
    cupy.empty(1).set(host, stream=stream)
    # Neither did the copy wait for the memory, nor the memory for the copy.
    assert len(fake_cupy.races) == 2
    fake_cupy.races.clear()
    x = cupy.empty(1)
    stream.wait_event(cupy.cuda.get_current_stream().record())
    x.set(host, stream=stream)
    stream.synchronize()
    del x
    assert not fake_cupy.races


def test_it_goes_without_a_trace():
    before = set(sys.modules)
    with installed():
        array_api_compat.array_namespace(sys.modules["cupy"].ones(1))
    gone = [n for n in sys.modules if "cupy" in n and "fake" not in n]
    assert [name for name in gone if name not in before] == []
    assert not array_api_compat.is_cupy_array(np.ones(1))
