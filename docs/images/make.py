"""Draw the picture in the README again: ``python docs/images/make.py``."""

import runpy
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent

runpy.run_path(str(HERE.parent / "examples" / "overview.py"))
plt.savefig(HERE / "overview.png", dpi=110)
