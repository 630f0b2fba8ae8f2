"""Segments with and without the neighbourhood, and their mean profiles."""

import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline

from imsminer import (
    ImzMLReader,
    InSituSegmenter,
    PeakIntegrator,
    PeakPicker,
    TICNormalizer,
    plots,
)
from imsminer.datasets import load_kidney

pipe = make_pipeline(TICNormalizer(), PeakPicker(), PeakIntegrator())
features = pipe.fit_transform(ImzMLReader(load_kidney()))

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for radius, ax in zip((0, 1), axes, strict=True):
    segmenter = InSituSegmenter(n_clusters=4, spatial_radius=radius, random_state=0)
    labels = segmenter.fit_predict(features)
    title = f"spatial_radius = {radius}"
    plots.segmentation(labels, features, ax=ax, title=title)

plots.segment_profiles(segmenter.segment_profiles_, pipe["peakpicker"].peaks_["mz"])
