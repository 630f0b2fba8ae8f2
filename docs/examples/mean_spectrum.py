"""Picked peaks in the mean spectrum, and a closer look at some."""

import matplotlib.pyplot as plt

from imsminer import ImzMLReader, PeakPicker, plots
from imsminer.datasets import load_kidney

picker = PeakPicker().fit(ImzMLReader(load_kidney()))
spectrum = picker.axis_.centers, picker.reference_spectrum_, picker.peaks_

figure, (whole, part) = plt.subplots(2, 1, figsize=(9, 6.5), layout="constrained")
plots.mean_spectrum(*spectrum, ax=whole, noise=picker.noise_, loq=picker.loq)
plots.mean_spectrum(*spectrum, ax=part, mz_range=(883, 890.5))
