"""Segmentations, segment profiles and cluster images say what they were given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from imsminer import plots
from imsminer.plots.clusters import PALETTE, segment_colors


def lightness(color):
    """L* of CIELAB, which is what a grey print shows."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return 116 * np.cbrt(y) - 16 if y > 0.008856 else 903.3 * y


def as_deuteranope(color):
    """What someone without green cones sees (Viénot 1999), in linear RGB."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = [
        [0.29275, 0.70725, 0.0],
        [0.29275, 0.70725, 0.0],
        [-0.02234, 0.02234, 1.0],
    ]
    seen = np.clip(np.array(matrix) @ linear, 0, 1)
    return np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_each_label_has_its_colour_and_share(tissue):
    labels = np.repeat([0, 1, 2], [20, 10, 9])
    ax = plots.segmentation(labels, tissue)
    assert legend(ax) == ["0  (51.3 %)", "1  (25.6 %)", "2  (23.1 %)"]
    first = ax.get_images()[0]
    shown = first.cmap(first.norm(first.get_array()))
    np.testing.assert_allclose(shown[0, 0, :3], to_rgb(PALETTE[0]), atol=0.01)
    np.testing.assert_allclose(shown[3, 3, :3], to_rgb(PALETTE[1]), atol=0.01)


def test_labels_keep_their_names(tissue):
    labels = pd.Series(["muscle"] * 30 + ["urothelium"] * 9, index=tissue.index)
    assert legend(plots.segmentation(labels)) == [
        "muscle  (76.9 %)",
        "urothelium  (23.1 %)",
    ]


def test_missing_labels_are_background(tissue):
    labels = np.ones(len(tissue))
    labels[:13] = np.nan
    ax = plots.segmentation(labels, tissue)
    assert legend(ax) == ["1  (66.7 %)", "none  (33.3 %)"]
    assert ax.get_images()[0].get_array().mask.sum() == 13


def test_segment_k_has_one_colour_in_all_runs(tissue):
    labels = np.r_[np.zeros(24, int), np.ones(15, int)]
    a, b = plots.segmentation(labels, tissue).get_images()
    assert a.get_clim() == b.get_clim()
    assert a.cmap is b.cmap


def test_palette_can_be_told_apart_by_colour_blind_eyes():
    seen = [as_deuteranope(color) for color in PALETTE[:7]]
    distance = [
        np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[i + 1 :]
    ]
    assert min(distance) > 0.1
    assert max(lightness(color) for color in PALETTE) < 92, "pale on white"


def test_more_segments_than_fixed_colours_stay_distinct():
    assert len(set(segment_colors(30))) == 30
    assert segment_colors(5) == segment_colors(12)[:5]


def test_too_few_colours(tissue):
    with pytest.raises(ValueError, match="1 colours for 2 segments"):
        plots.segmentation([0] * 20 + [1] * 19, tissue, colors=["red"])


def stems(panel):
    """Ends of the upward and of the downward stems."""
    up, down = panel.collections[:2]
    top = [segment[1, 1] for segment in up.get_segments()]
    bottom = [segment[0, 1] for segment in down.get_segments()]
    return top, bottom


def test_profiles_are_mirrored_by_the_mean_of_the_others():
    profiles = np.array([[1.0, 8.0], [4.0, 2.0], [6.0, 2.0]])
    axes = plots.segment_profiles(profiles, [722.5, 885.55], top=1)
    assert len(axes) == 3
    top, bottom = stems(axes[0])
    assert top == [1.0, 8.0]
    assert bottom == [-5.0, -2.0]
    # Where segment 0 exceeds the others the most, not where it is highest of all.
    assert [text.get_text() for text in axes[0].texts] == ["885.5500"]
    assert [text.get_text() for text in axes[2].texts] == ["722.5000"]


def test_profiles_of_one_segment():
    (panel,) = plots.segment_profiles([[1.0, 2.0]], [700.0, 800.0])
    assert stems(panel) == ([1.0, 2.0], [0.0, 0.0])


def test_profiles_need_an_mz_per_peak():
    with pytest.raises(ValueError, match="each of the 2 peaks"):
        plots.segment_profiles([[1.0, 2.0]], [700.0])
    with pytest.raises(ValueError, match="3 names for 1 segments"):
        plots.segment_profiles([[1.0]], [700.0], labels=[1, 2, 3])


def test_cluster_titles_count_the_ions(tissue):
    images = tissue.iloc[:, :2]
    axes = plots.cluster_images(images, labels=[1, 1, 2, 1, 1], mz=[1, 2, 3, 4, 5])
    assert [ax.get_title() for ax in axes] == [
        "cluster 1: 4 ions\n$m/z$ 1.00, 2.00, 4.00, …",
        "cluster 2: 1 ion\n$m/z$ 3.00",
    ]
    assert axes[1].get_images()[0].get_array()[0, 0] == images.iloc[0, 1]


def test_a_cluster_without_ions_keeps_its_column(tissue):
    axes = plots.cluster_images(tissue, labels=[0, 2, 2])
    assert [ax.get_title() for ax in axes] == [
        "cluster 0: 1 ion",
        "cluster 1: 0 ions",
        "cluster 2: 2 ions",
    ]


def test_cluster_labels_must_fit(tissue):
    with pytest.raises(ValueError, match="labels name 4 clusters"):
        plots.cluster_images(tissue, labels=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="mz has the shape"):
        plots.cluster_images(tissue, labels=[0, 1, 2], mz=[1.0])


def test_given_axes_are_used(tissue):
    figure, grid = plt.subplots(1, 3)
    assert list(plots.cluster_images(tissue, ax=grid)) == list(grid)
    assert plt.get_fignums() == [figure.number]
