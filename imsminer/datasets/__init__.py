"""Data to learn and to test with: a real run, and simulated runs with known truth."""

import importlib
from typing import Any

_HOME = {
    "Truth": "imsminer.datasets.truth",
    "load_kidney": "imsminer.datasets.example",
    "make_ims": "imsminer.datasets.synthetic",
    "make_hollow_ims": "imsminer.datasets.hollow",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    message = f"module 'imsminer.datasets' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return __all__
