"""Splitters and scorers that choose parameters without labels, and without leaks."""

import importlib
from typing import Any

_HOME = {
    "SpatialBlockSplit": "imsminer.model_selection.split",
    "peak_reproducibility_score": "imsminer.model_selection.scores",
    "spatial_structure_score": "imsminer.model_selection.scores",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    message = f"module 'imsminer.model_selection' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    return __all__
