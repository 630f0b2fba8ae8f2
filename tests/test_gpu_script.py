"""The benchmark of a GPU runs from end to end, in the simulator and on tiny data."""

import importlib
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer._cuda import SIMULATED

SCRIPTS = Path(__file__).resolve().parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(
    not SIMULATED, reason="on a GPU the script is run by itself"
)
needs_dispatch = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1", reason="needs SCIPY_ARRAY_API=1"
)


@pytest.fixture
def script(monkeypatch):
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    yield importlib.import_module("gpu")
    for name in set(sys.modules) - before:
        if name == "gpu" or name.startswith(("_gpu_", "_tables")):
            del sys.modules[name]


@needs_dispatch
def test_it_runs_with_dispatch(script, capsys):
    assert script.main(["--dry-run", "--kernels", "rebin"]) == 0
    printed = capsys.readouterr().out
    for name in script.STEPS:
        assert f"| {name} |" in printed
    assert "| core.test_binning_rebin_cuda | 1 | 2 |" in printed
    assert "| windows, own axes |" in printed
    assert "figures say nothing" in printed
    assert printed.endswith("All results agree.\n")


@needs_dispatch
def test_tables_for_the_guide_with_dispatch(script, capsys):
    arguments = ["--dry-run", "--rst", "--kernels", "rebin", "--steps", "top-hat"]
    assert script.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.count(".. table::") == 4
    assert "k-means" not in printed


@needs_dispatch
def test_wrong_results_are_told_with_dispatch(script, capsys, monkeypatch):
    module = importlib.import_module("imsminer.core._kernels.binning_rebin_cuda")

    def rebin_rows(*arguments):
        return 2 * right(*arguments)

    right, rebin_rows.__module__ = module.rebin_rows, module.__name__
    monkeypatch.setattr(module, "rebin_rows", rebin_rows)
    arguments = ["--dry-run", "--kernels", "rebin", "--steps", "no step"]
    assert script.main(arguments) == 1
    printed = capsys.readouterr().out
    assert "1.0e+00 in rebin_rows: TOO LARGE" in printed
    assert "SOME RESULTS DIFFER" in printed


def test_all_modules_with_examples_are_checked(script):
    names = script.test_modules()
    assert "tests.core.test_binning_rebin_cuda" in names
    assert len(names) == len(list(Path(__file__).parent.rglob("test_*_cuda.py")))


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([1.0, 4.0], [1.0, 5.0], 0.2),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0),
        ([np.nan, 1.0], [0.0, 1.0], math.inf),
        ([-np.inf, 1.0], [np.inf, 1.0], math.inf),
        ([1.0], [1.0, 1.0], math.inf),
        ([1e-9], [0.0], 1e-9),
        ([], [], 0.0),
    ],
)
def test_errors(script, found, expected, error):
    one, other, same = np.array(found), np.array(expected), np.ones(3)
    with script.machine(simulated=True) as at:
        assert script.largest_error(at, at.put(one), other) == pytest.approx(error)
        # Results of several arrays have the error of the worst.
        both = script.largest_error(at, (at.put(same), at.put(one)), (same, other))
    assert both == pytest.approx(error)
