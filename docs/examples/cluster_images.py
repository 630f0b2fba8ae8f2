"""Mean images of ions that are found in the same places."""

from sklearn.pipeline import make_pipeline

from imsminer import (
    ImageClusterer,
    ImzMLReader,
    PeakIntegrator,
    PeakPicker,
    TICNormalizer,
    plots,
)
from imsminer.datasets import load_kidney

pipe = make_pipeline(TICNormalizer(), PeakPicker(), PeakIntegrator())
features = pipe.fit_transform(ImzMLReader(load_kidney()))
clusterer = ImageClusterer(n_clusters=6, random_state=0).fit(features)
plots.cluster_images(
    clusterer.transform(features),
    features,
    clusterer.labels_,
    mz=pipe["peakpicker"].peaks_["mz"],
)
