"""Pictures over the order of acquisition."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from imsminer import plots


def test_draws_each_pixel_and_a_running_median():
    values = np.linspace(100, 80, 400)
    values[200] = 1e4
    ax = plots.acquisition_order(values, label="TIC")
    points, line = ax.lines
    np.testing.assert_array_equal(points.get_ydata(), values)
    np.testing.assert_array_equal(points.get_xdata(), np.arange(1, 401))
    # One outlier does not move the median.
    np.testing.assert_allclose(line.get_ydata(), np.linspace(100, 80, 400), atol=0.3)
    assert ax.get_ylabel() == "TIC"
    plt.close("all")


def test_runs_are_divided_and_named():
    index = pd.MultiIndex.from_product([["a", "b"], range(30)], names=["run", "x"])
    values = pd.Series(np.r_[np.full(30, 1.0), np.full(30, 5.0)], index=index)
    ax = plots.acquisition_order(values, zero=True, title="drift")
    assert {text.get_text() for text in ax.texts} == {"a", "b"}
    # The median of one run knows nothing of the other.
    first, second = (line.get_ydata() for line in ax.lines[1:3])
    assert (first == 1).all()
    assert (second == 5).all()
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in [*ax.texts, ax._left_title]]
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])
    plt.close("all")


def test_nan_leave_gaps_and_wrong_runs_raise():
    ax = plots.acquisition_order([1.0, np.nan, 3.0])
    assert np.isnan(ax.lines[0].get_ydata()[1])
    plots.acquisition_order([], ax=ax)
    with pytest.raises(ValueError, match="one run per pixel"):
        plots.acquisition_order([1.0, 2.0], runs=["a"])
    plt.close("all")
