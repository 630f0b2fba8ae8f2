"""From a raw file to segments."""

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
segmenter = InSituSegmenter(n_clusters=5, spatial_radius=1, random_state=0)
segmenter.fit(features)

figure = plt.figure(figsize=(11, 5.6), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.1])
spectrum = top.subplots()
*images, last = bottom.subplots(1, 4)
picker = pipe["peakpicker"]
targets = (722.516, 863.567, 885.550)
nearest = [picker.peaks_["mz"].sub(mz).abs().idxmin() for mz in targets]
plots.ion_images(features, features.columns[nearest], ax=images)
plots.segmentation(segmenter.labels_, features, ax=last)
last.set_title("segments", fontsize="small")
plots.mean_spectrum(
    picker.axis_.centers,
    picker.reference_spectrum_,
    picker.peaks_,
    ax=spectrum,
    title=f"mean spectrum with {len(picker.peaks_)} picked peaks",
)
