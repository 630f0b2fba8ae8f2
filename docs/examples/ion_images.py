"""The ions with most spatial structure."""

import numpy as np
from sklearn.pipeline import make_pipeline

from imsminer import ImzMLReader, PeakIntegrator, PeakPicker, TICNormalizer, plots
from imsminer.core.moran import moran_i
from imsminer.datasets import load_kidney

pipe = make_pipeline(TICNormalizer(), PeakPicker(), PeakIntegrator())
features = pipe.fit_transform(ImzMLReader(load_kidney()))
structure = moran_i(features)
best = features.columns[np.argsort(-structure)[:8]]
plots.ion_images(features, best, n_columns=4)
