"""Fixtures that all tests share; few threads, no windows."""

import os
from pathlib import Path

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
