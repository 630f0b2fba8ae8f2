"""Compare CUDA kernels with their definition, on the examples of their tests."""

import importlib
import os
import sys
from typing import Any

import numpy as np
from _gpu_machine import ROOT, Card, machine

__all__ = ["check_module", "largest_error", "test_modules"]


def test_modules() -> list[str]:
    """Names of the modules of tests that hold examples of kernels."""
    found = sorted((ROOT / "tests").rglob("test_*_cuda.py"))
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found]


def check_module(name: str) -> tuple[int, int, float, str]:
    """Call all examples of a module on the device and on the host.

    Returns
    -------
    n_functions, n_examples, largest error, function with that error
    """
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    simulated = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    module = importlib.import_module(name)
    names, n_examples, worst = set(), 0, (0.0, "")
    with machine(simulated=simulated) as at:
        given, on_host = module.examples(at.put), module.examples(np.array)
        for (function, arguments), (_, others) in zip(given, on_host, strict=True):
            home = function.__module__
            if home.endswith("_cuda"):
                home = home.removesuffix("_cuda") + "_xp"
            reference = getattr(importlib.import_module(home), function.__name__)
            found, expected = function(*arguments), reference(*others)
            error = largest_error(at, found, expected)
            names.add(function.__name__)
            n_examples += 1
            worst = max(worst, (error, function.__name__))
    return len(names), n_examples, *worst


def largest_error(at: Card, found: Any, expected: Any) -> float:
    """Largest difference of two results, in units of the largest value of an array.

    Infinite where shapes differ, or one is NaN or infinite and the other is not.
    """
    if isinstance(expected, (list, tuple)):
        if len(found) != len(expected):
            return np.inf
        pairs = zip(found, expected, strict=True)
        return max((largest_error(at, *pair) for pair in pairs), default=0.0)
    one = np.asarray(at.get(found), dtype=np.float64)
    other = np.asarray(expected, dtype=np.float64)
    if one.shape != other.shape:
        return np.inf
    finite = np.isfinite(other)
    same = np.array_equal(one[~finite], other[~finite], equal_nan=True)
    if not same or not np.isfinite(one[finite]).all():
        return np.inf
    if not finite.any():
        return 0.0
    largest = np.abs(other[finite]).max()
    difference = np.abs(one[finite] - other[finite]).max()
    return float(difference / largest if largest > 0 else difference)
