"""Imaging mass spectrometry, from raw imzML files to ion images and statistics.

Every step is a scikit-learn estimator. Names are loaded on first use, so that
``import imsminer`` costs little more than ``import numpy``.
"""

from imsminer._lazy import lazy_names

__version__ = "2.0.0.dev0"

_HOME = {
    "AnalyteFilter": "imsminer.features.filter",
    "BaselineSubtractor": "imsminer.spectra.baseline",
    "CentroidSpectra": "imsminer.spectra.centroid",
    "Ellipse": "imsminer.images.roi",
    "HotspotClipper": "imsminer.images.process",
    "ImageClusterer": "imsminer.images.cluster",
    "ImageSmoother": "imsminer.images.process",
    "ImzMLError": "imsminer.exceptions",
    "ImzMLReader": "imsminer.io.imzml",
    "ImzMLWarning": "imsminer.exceptions",
    "ImzMLWriter": "imsminer.io.writer",
    "InSituSegmenter": "imsminer.images.segment",
    "MaskROI": "imsminer.images.roi",
    "MassAligner": "imsminer.spectra.align",
    "MassAxis": "imsminer.core.axis",
    "MassCalibrator": "imsminer.spectra.calibrate",
    "MaxNormalizer": "imsminer.spectra.normalize",
    "MedianNormalizer": "imsminer.spectra.normalize",
    "PQNNormalizer": "imsminer.spectra.normalize_pqn",
    "PeakIntegrator": "imsminer.features.integrate",
    "PeakPicker": "imsminer.spectra.peaks",
    "Polygon": "imsminer.images.roi",
    "RMSNormalizer": "imsminer.spectra.normalize",
    "Rectangle": "imsminer.images.roi",
    "ReferenceNormalizer": "imsminer.spectra.normalize_reference",
    "Registration": "imsminer.images.registration",
    "ShrunkenCentroidClassifier": "imsminer.images.shrunken",
    "Spectra": "imsminer.core.spectra",
    "SpectraCache": "imsminer.spectra.cache",
    "SpectrumChunk": "imsminer.core.chunk",
    "SpectrumSmoother": "imsminer.spectra.smooth",
    "TICNormalizer": "imsminer.spectra.normalize",
    "TSNEEmbedder": "imsminer.images.embed",
    "TrimmedTICNormalizer": "imsminer.spectra.normalize_trimmed",
    "aggregate": "imsminer.statistics",
    "annotate": "imsminer.features.annotate",
    "choose_n_clusters": "imsminer.images.choose",
    "colocalization": "imsminer.images.colocalize",
    "colocalization_matrix": "imsminer.images.colocalize",
    "compare": "imsminer.statistics",
    "concatenate": "imsminer.core.study",
    "label_pixels": "imsminer.images.roi",
    "read_features": "imsminer.io.export",
    "read_geojson": "imsminer.images.roi",
    "read_metaspace_annotations": "imsminer.features.imports",
    "read_scils_features": "imsminer.features.imports",
    "read_scils_regions": "imsminer.features.imports",
    "register_landmarks": "imsminer.images.registration",
    "rois_from_table": "imsminer.images.roi",
    "score_isotopes": "imsminer.features.annotate",
    "segment_markers": "imsminer.images.markers",
    "tissue_mask": "imsminer.images.roi",
    "to_anndata": "imsminer.io.export",
    "to_image_stack": "imsminer.io.export",
    "to_spatialdata": "imsminer.io.export",
    "write_features": "imsminer.io.export",
    "write_geojson": "imsminer.images.roi",
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
        "statistics",
    )
}

__all__ = ["__version__", *sorted(_HOME)]

__getattr__, __dir__ = lazy_names(__name__, _HOME, __all__)
