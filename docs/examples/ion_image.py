"""One ion, without picking peaks."""

from imsminer import ImzMLReader, plots
from imsminer.datasets import load_kidney

reader = ImzMLReader(load_kidney())
image = reader.ion_image(885.5499, ppm=10)
plots.ion_image(image, title="PI(38:4), $m/z$ 885.5499 ± 10 ppm", cmap="cividis")
