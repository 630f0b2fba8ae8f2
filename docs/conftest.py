"""The examples of the guide are run as doctests; scripts are run by the build."""

import warnings

import pytest

collect_ignore_glob = ["*.py", "_build/*", "api/generated/*"]


#: Packages that a page's examples need beside those that imsminer does.
NEEDED = {"export.rst": ("anndata", "tifffile", "zarr")}


@pytest.fixture(autouse=True)
def optional_packages(request):
    """Skip pages whose examples need a package that is not installed."""
    for name in NEEDED.get(request.node.path.name, ()):
        pytest.importorskip(name, reason=f"the examples of the page need {name}")


@pytest.fixture(autouse=True)
def quiet_example(tmp_path, monkeypatch):
    """Work in an empty folder, without the example's warning of no pixel size."""
    from imsminer.exceptions import ImzMLWarning

    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ImzMLWarning)
        yield
