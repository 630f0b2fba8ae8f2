"""Splitters and scorers that choose parameters without labels, and without leaks."""

from imsminer._lazy import lazy_names

_HOME = {
    "SpatialBlockSplit": "imsminer.model_selection.split",
    "peak_reproducibility_score": "imsminer.model_selection.scores",
    "spatial_structure_score": "imsminer.model_selection.scores",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
