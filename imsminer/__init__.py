"""Imaging mass spectrometry, from raw imzML files to ion images and statistics.

Every step is a scikit-learn estimator. Names are loaded on first use, so that
``import imsminer`` costs little more than ``import numpy``.
"""

import importlib
from typing import Any

__version__ = "2.0.0.dev0"

_HOME = {
    "BaselineSubtractor": "imsminer.spectra.baseline",
    "ImageClusterer": "imsminer.images.cluster",
    "ImzMLError": "imsminer.exceptions",
    "ImzMLReader": "imsminer.io.imzml",
    "ImzMLWarning": "imsminer.exceptions",
    "InSituSegmenter": "imsminer.images.segment",
    "MassAligner": "imsminer.spectra.align",
    "MassAxis": "imsminer.core.axis",
    "PeakIntegrator": "imsminer.features.integrate",
    "PeakPicker": "imsminer.spectra.peaks",
    "Spectra": "imsminer.core.spectra",
    "SpectrumChunk": "imsminer.core.chunk",
    "TICNormalizer": "imsminer.spectra.normalize",
    "concatenate": "imsminer.core.spectra",
}
_SUBMODULES = (
    "core",
    "datasets",
    "features",
    "images",
    "io",
    "model_selection",
    "plots",
    "spectra",
)

__all__ = ["__version__", *sorted(_HOME), *_SUBMODULES]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _SUBMODULES:
        value = importlib.import_module(f"imsminer.{name}")
    else:
        message = f"module 'imsminer' has no attribute {name!r}"
        raise AttributeError(message)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
