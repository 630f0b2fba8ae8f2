"""Mean images of ions that are found in the same places."""

import numpy as np
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

# Titles name the first three ions of a cluster: here, the highest.
peaks = pipe["peakpicker"].peaks_
highest = np.argsort(-peaks["height"].to_numpy())
plots.cluster_images(
    clusterer.transform(features),
    features,
    clusterer.labels_[highest],
    mz=peaks["mz"].to_numpy()[highest],
)
