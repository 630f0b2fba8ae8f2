"""The ions that differ most between pixels."""

from sklearn.pipeline import make_pipeline

from imsminer import ImzMLReader, PeakIntegrator, PeakPicker, TICNormalizer, plots
from imsminer.datasets import load_kidney

pipe = make_pipeline(TICNormalizer(), PeakPicker(loq=30), PeakIntegrator())
features = pipe.fit_transform(ImzMLReader(load_kidney()))
variation = features.std() / features.mean()
plots.ion_images(features, variation.nlargest(8).index, n_columns=4)
