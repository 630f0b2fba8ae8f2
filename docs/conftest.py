"""The examples of the guide are run as doctests; scripts are run by the build."""

import warnings

import pytest

collect_ignore_glob = ["*.py", "_build/*", "api/generated/*"]


@pytest.fixture(autouse=True)
def quiet_example(tmp_path, monkeypatch):
    """Work in an empty folder, without the example's warning of no pixel size."""
    from imsminer.exceptions import ImzMLWarning

    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ImzMLWarning)
        yield
