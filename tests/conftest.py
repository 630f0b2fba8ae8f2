"""Fixtures that all tests share; few threads, no windows."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def _few_threads():
    """Keep tests from using more cores than their share."""
    with threadpool_limits(limits=2):
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_windows():
    """Draw to memory; set before anything imports matplotlib."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "Agg")
        yield


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the real data that lies beside the checkout."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data (../shared/data) are not beside this checkout")
    return SHARED_DATA


@pytest.fixture(scope="session")
def kidney_path(tmp_path_factory):
    """Path of the packaged example, written to a folder of the tests' own."""
    from imsminer.datasets import load_kidney

    return load_kidney(cache_dir=tmp_path_factory.mktemp("cache"))


@pytest.fixture(params=[False, True], ids=["plain", "dispatch"])
def dispatch(request):
    """Whether ``array_api_dispatch`` is on, which SciPy must know from the start."""
    if request.param and os.environ.get("SCIPY_ARRAY_API") != "1":
        pytest.skip("array_api_dispatch needs SCIPY_ARRAY_API=1 from the start")
    return request.param


@pytest.fixture
def fake_cupy():
    """CuPy's stand-in in the place of CuPy, as `cupy`; its counters are returned."""
    from imsminer.core.cache import cache
    from tests.fake_cupy import installed

    cache.clear()
    with installed() as gpu:
        yield gpu
        # Results of passes would keep its arrays.
        cache.clear()


class Device:
    """Where a ``_cuda`` kernel runs: NumPy's arrays stand in for CuPy's without one."""

    def __init__(self, xp):
        self.xp = xp

    def put(self, array):
        """Copy an array to the device."""
        return self.xp.asarray(array)

    def get(self, array):
        """Copy an array of the device to the host."""
        return np.array(array) if self.xp is np else array.get()


@pytest.fixture(params=["simulator", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request):
    """CUDA's simulator, and a GPU where there is one."""
    simulated = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    if find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed")
    if request.param == "simulator":
        if not simulated:
            pytest.skip("numba was imported without NUMBA_ENABLE_CUDASIM=1")
        return Device(np)
    if simulated:
        pytest.skip("there is no GPU: the simulator is on")
    return Device(pytest.importorskip("cupy", reason="CuPy is not installed"))


@pytest.fixture(params=["array_api_strict", "torch"])
def library(request):
    """An array library other than NumPy; its arrays lie where NumPy cannot read."""
    from tests.other_arrays import Library

    return Library(request.param)
