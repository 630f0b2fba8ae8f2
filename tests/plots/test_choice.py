"""The choice of a number of clusters is drawn as it was tabulated."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from imsminer.plots.choice import choice_of_k


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "stability": [0.4, 0.9, 0.5],
            "stability_sd": [0.1, 0.05, 0.2],
            "bic": [-1e4, -3e4, -2e4],
            "inertia": [9.0, 4.0, 3.0],
            "silhouette": [np.nan, 0.2, 0.3],
            "davies_bouldin": [3.0, 2.0, 2.5],
            "mine": [1.0, 2.0, 3.0],
        },
        index=pd.Index([4, 2, 3], name="n_clusters"),
    )


def test_each_criterion_has_its_panel(table):
    axes = choice_of_k(table)
    assert [ax.get_title(loc="left") for ax in axes] == [
        "stability (ARI of halves), ± SD: best at 2 (largest)",
        "BIC: best at 2 (smallest)",
        "inertia",
        "silhouette: best at 3 (largest)",
        "Davies–Bouldin: best at 2 (smallest)",
        "mine",
    ]
    for ax, name in zip(axes, [c for c in table if c != "stability_sd"], strict=True):
        line = ax.get_lines()[0]
        np.testing.assert_array_equal(line.get_xdata(), [2, 3, 4])
        np.testing.assert_array_equal(line.get_ydata(), table[name].loc[[2, 3, 4]])
    rings = [line for line in axes[1].get_lines() if line.get_markersize() > 8]
    assert [ring.get_xydata().tolist() for ring in rings] == [[[2, -3e4]]]
    bars = axes[0].collections[0].get_segments()
    np.testing.assert_allclose(bars[0], [[2, 0.85], [2, 0.95]])
    plt.close(axes[0].figure)


def test_titles_do_not_overlap(table):
    axes = choice_of_k(table)
    figure = axes[0].figure
    figure.canvas.draw()
    boxes = [ax._left_title.get_window_extent() for ax in axes]
    assert not any(
        one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i]
    )
    assert all(figure.bbox.contains(box.x1, box.y1) for box in boxes)
    plt.close(figure)


def test_given_axes_are_used(table):
    figure, given = plt.subplots(1, 2)
    axes = choice_of_k(table[["bic", "inertia"]], ax=given)
    assert list(axes) == list(given)
    with pytest.raises(ValueError, match="ax has 2 axes for 6 criteria"):
        choice_of_k(table, ax=given)
    with pytest.raises(ValueError, match="table has no columns"):
        choice_of_k(table[[]])
    plt.close(figure)
