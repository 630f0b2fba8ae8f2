"""A headless backend, figures that are closed, and a small tissue."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest


@pytest.fixture(autouse=True)
def closed_figures():
    """Draw without a screen; a figure that stays open is a leak for the next test."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture
def tissue():
    """Features of two runs, 6 × 4 and 3 × 5 pixels, that begin at odd positions."""
    rows = [("a", x, y, 1) for y in range(10, 14) for x in range(7, 13)]
    rows += [("b", x, y, 1) for y in range(5) for x in range(3)]
    index = pd.MultiIndex.from_tuples(rows, names=["run", "x", "y", "z"])
    values = np.random.default_rng(0).gamma(2.0, 100.0, (len(rows), 3))
    names = ["mz_722.5160", "mz_885.5499", "mz_900.0000"]
    return pd.DataFrame(values.astype(np.float32), index=index, columns=names)
