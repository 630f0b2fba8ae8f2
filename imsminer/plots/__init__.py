"""Pictures of ion images, spectra, mass errors, segments and ion clusters.

Each function draws into `ax` when one is given, else into a new figure; it returns the
Axes and never shows or saves anything. Names are loaded on first use.
"""

from imsminer._lazy import lazy_names

_HOME = {
    "RoiSelector": "imsminer.plots.roi",
    "acquisition_order": "imsminer.plots.quality",
    "baseline": "imsminer.plots.spectra",
    "box": "imsminer.plots.statistics",
    "choice_of_k": "imsminer.plots.choice",
    "cluster_images": "imsminer.plots.clusters",
    "colocalization": "imsminer.plots.colocalizations",
    "embedding": "imsminer.plots.embeddings",
    "embedding_image": "imsminer.plots.embeddings",
    "heatmap": "imsminer.plots.heatmaps",
    "ion_embedding": "imsminer.plots.colocalizations",
    "ion_image": "imsminer.plots.images",
    "ion_images": "imsminer.plots.images",
    "mass_residuals": "imsminer.plots.masses",
    "mean_spectrum": "imsminer.plots.spectra",
    "overlay": "imsminer.plots.roi",
    "roi_outlines": "imsminer.plots.roi",
    "save": "imsminer.plots.export",
    "segment_profiles": "imsminer.plots.clusters",
    "segmentation": "imsminer.plots.clusters",
    "shift_image": "imsminer.plots.masses",
    "volcano": "imsminer.plots.statistics",
}

__all__ = sorted(_HOME)
__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
