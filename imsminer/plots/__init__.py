"""Pictures of ion images, spectra, segments and ion clusters, drawn by matplotlib.

Each function draws into `ax` when one is given, else into a new figure; it returns the
Axes and never shows or saves anything. Names are loaded on first use.
"""

import importlib
from typing import Any

_HOME = {
    "cluster_images": "imsminer.plots.clusters",
    "ion_image": "imsminer.plots.images",
    "ion_images": "imsminer.plots.images",
    "mean_spectrum": "imsminer.plots.spectra",
    "save": "imsminer.plots.export",
    "segment_profiles": "imsminer.plots.clusters",
    "segmentation": "imsminer.plots.clusters",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        message = f"module 'imsminer.plots' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
