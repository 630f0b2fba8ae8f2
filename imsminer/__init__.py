"""Imaging mass spectrometry, from raw imzML files to ion images and statistics.

Every step is a scikit-learn estimator. Names are loaded on first use, so that
``import imsminer`` costs little more than ``import numpy``.
"""

from imsminer._lazy import lazy_names

__version__ = "2.0.0.dev0"

_HOME = {
    "BaselineSubtractor": "imsminer.spectra.baseline",
    "CentroidSpectra": "imsminer.spectra.centroid",
    "ImageClusterer": "imsminer.images.cluster",
    "ImzMLError": "imsminer.exceptions",
    "ImzMLReader": "imsminer.io.imzml",
    "ImzMLWarning": "imsminer.exceptions",
    "ImzMLWriter": "imsminer.io.writer",
    "InSituSegmenter": "imsminer.images.segment",
    "MassAligner": "imsminer.spectra.align",
    "MassAxis": "imsminer.core.axis",
    "MassCalibrator": "imsminer.spectra.calibrate",
    "MaxNormalizer": "imsminer.spectra.normalize",
    "MedianNormalizer": "imsminer.spectra.normalize",
    "PQNNormalizer": "imsminer.spectra.normalize_pqn",
    "PeakIntegrator": "imsminer.features.integrate",
    "PeakPicker": "imsminer.spectra.peaks",
    "RMSNormalizer": "imsminer.spectra.normalize",
    "ReferenceNormalizer": "imsminer.spectra.normalize_reference",
    "Spectra": "imsminer.core.spectra",
    "SpectraCache": "imsminer.spectra.cache",
    "SpectrumChunk": "imsminer.core.chunk",
    "SpectrumSmoother": "imsminer.spectra.smooth",
    "TICNormalizer": "imsminer.spectra.normalize",
    "TrimmedTICNormalizer": "imsminer.spectra.normalize_trimmed",
    "concatenate": "imsminer.core.study",
    "read_features": "imsminer.io.export",
    "to_anndata": "imsminer.io.export",
    "to_image_stack": "imsminer.io.export",
    "to_spatialdata": "imsminer.io.export",
    "write_features": "imsminer.io.export",
    "write_imzml": "imsminer.io.writer",
}
_HOME |= {
    name: f"imsminer.{name}"
    for name in (
        "core",
        "datasets",
        "features",
        "images",
        "io",
        "model_selection",
        "plots",
        "spectra",
    )
}

__all__ = ["__version__", *sorted(_HOME)]

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
