"""Each point and each pixel has the place and the colour that it was given."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgba
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from skimage.color import rgb2lab

from imsminer.images.roi import Rectangle
from imsminer.plots._embedding_colors import embedding_colors
from imsminer.plots._palette import PALETTE
from imsminer.plots.embeddings import embedding, embedding_image


def drawn(ax):
    """Places and colours of the points, in the order of their places."""
    (points,) = ax.collections
    places = np.asarray(points.get_offsets())
    faces = points.get_facecolor()
    if len(faces) == 1:
        faces = np.repeat(faces, len(places), axis=0)
    order = np.lexsort(places.T)
    return places[order], faces[order]


@pytest.fixture
def places():
    """Five points, in the order that `drawn` returns them in."""
    return np.array([[3.0, 0.0], [-1.0, 1.0], [0.0, 2.0], [5.0, 2.0], [2.0, 4.0]])


class TestScatter:
    def test_points_and_one_colour(self, places):
        ax = embedding(places)
        shown, faces = drawn(ax)
        np.testing.assert_array_equal(shown, places)
        assert len(np.unique(faces, axis=0)) == 1
        assert ax.get_aspect() == 1
        assert ax.get_legend() is None
        assert ax.collections[0].get_rasterized()

    @pytest.mark.parametrize(
        "labels",
        [
            ["b", "a", "b", "c", "a"],
            np.array([2, 1, 2, 7, 1]),
            pd.Categorical(["y", "x", "y", "z", "x"]),
            pd.Series(["b", "a", "b", "c", "a"], dtype="string"),
        ],
        ids=["text", "numbers", "categories", "strings"],
    )
    def test_classes(self, places, labels):
        ax = embedding(places, labels, label="segment")
        _, faces = drawn(ax)
        expected = [to_rgba(PALETTE[i]) for i in (1, 0, 1, 2, 0)]
        np.testing.assert_allclose(faces, expected)
        legend = ax.get_legend()
        names = [text.get_text() for text in legend.get_texts()]
        assert names == sorted(set(map(str, labels)))
        assert legend.get_title().get_text() == "segment"
        colors = [handle.get_color() for handle in legend.legend_handles]
        assert colors == list(PALETTE[:3])

    def test_missing_classes_are_grey_beneath_the_others(self, places):
        ax = embedding(places, [1.0, np.nan, 1.0, 2.0, 2.0], categorical=True)
        _, faces = drawn(ax)
        assert tuple(faces[1]) == to_rgba("0.88")
        assert tuple(faces[4]) == to_rgba(PALETTE[1])
        (points,) = ax.collections
        assert tuple(points.get_offsets()[0]) == (-1.0, 1.0)
        names = [text.get_text() for text in ax.get_legend().get_texts()]
        assert names == ["1", "2", "none"]

    def test_nothing_but_missing_classes(self, places):
        ax = embedding(places, [None] * 5)
        assert [t.get_text() for t in ax.get_legend().get_texts()] == ["none"]

    def test_intensities(self, places):
        values = pd.Series([0.0, 10.0, np.nan, 20.0, 5.0], name="mz_885.5499")
        ax = embedding(places, values, clip_quantile=1)
        _, faces = drawn(ax)
        cmap = plt.get_cmap("viridis")
        expected = cmap([0.0, 0.5, 0.0, 1.0, 0.25])
        expected[2] = to_rgba("0.88")
        np.testing.assert_allclose(faces, expected, atol=0.01)
        assert ax.get_title() == "$m/z$ 885.5499"
        assert ax.child_axes[0].get_ylabel() == "intensity (a.u.)"

    def test_scale_ends_at_the_quantile_of_what_is_not_zero(self):
        values = np.r_[np.zeros(900), np.arange(1.0, 101)]
        places = np.random.default_rng(0).normal(size=(1000, 2))
        ax = embedding(places, values, clip_quantile=0.9)
        assert ax.child_axes[0].get_ylim()[1] == pytest.approx(91)

    def test_many_whole_numbers_are_a_scale_unless_told(self):
        places = np.random.default_rng(0).normal(size=(60, 2))
        counts = np.arange(60) % 30
        assert embedding(places, counts).get_legend() is None
        legend = embedding(places, counts, categorical=True).get_legend()
        assert len(legend.get_texts()) == 30

    def test_no_class_covers_another_by_its_order(self):
        """Sorted input: among the points drawn last are those of each class."""
        labels = np.repeat(["a", "b"], 500)
        ax = embedding(np.random.default_rng(0).normal(size=(1000, 2)), labels)
        last = ax.collections[0].get_facecolor()[-200:]
        share = np.mean(np.all(np.isclose(last, to_rgba(PALETTE[0])), axis=1))
        assert 0.35 < share < 0.65

    def test_other_components_and_their_names(self, places):
        table = pd.DataFrame(np.column_stack([places, places[:, 0] * 10]))
        table.columns = ["pca0", "pca1", "pca2"]
        ax = embedding(table, components=(2, 1))
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("pca2", "pca1")
        shown, _ = drawn(ax)
        np.testing.assert_array_equal(shown[:, 0], 10 * places[:, 0])
        ax = embedding(table.to_numpy())
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("component 1", "component 2")

    def test_legend_and_points_do_not_overlap(self, places):
        ax = embedding(places, ["a rather long name of a region"] * 4 + ["b"])
        figure = ax.get_figure()
        figure.canvas.draw()
        legend = ax.get_legend().get_window_extent()
        assert legend.x0 >= ax.get_window_extent().x1
        assert legend.x1 <= figure.bbox.x1

    def test_a_given_axes_and_no_other(self, places):
        figure, (left, right) = plt.subplots(1, 2)
        assert embedding(places, ax=right) is right
        assert not left.collections
        assert plt.get_fignums() == [figure.number]

    def test_vector_graphics_stay_small(self):
        places = np.random.default_rng(0).normal(size=(20_000, 2))
        ax = embedding(places, np.arange(20_000) % 5)
        file = io.BytesIO()
        ax.get_figure().savefig(file, format="svg", dpi=50)
        assert len(file.getvalue()) < 500_000

    @pytest.mark.parametrize(
        ("keywords", "message"),
        [
            ({"color": [1, 2]}, "color has 2 values, but the embedding has 5"),
            ({"components": (0, 2)}, "components must be two numbers from 0 to 1"),
            ({"components": (0,)}, "components must be two numbers"),
            ({"color": list("abcab"), "colors": ["r"]}, "1 colours for 3 classes"),
            ({"color": np.ones(5), "clip_quantile": 0}, "clip_quantile must be in"),
        ],
    )
    def test_errors(self, places, keywords, message):
        with pytest.raises(ValueError, match=message):
            embedding(places, **keywords)


class TestColors:
    def test_equal_steps_look_alike_and_components_are_independent(self):
        """Back in CIELAB, inside of sRGB: one axis each, even steps."""
        steps = np.linspace(0, 1, 5)
        middle = np.full(5, 0.5)
        # The corners span the range of each component.
        corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, -1).T
        for component, channel in ((0, 2), (1, 0), (2, 1)):
            line = np.column_stack([middle] * 3)
            line[:, component] = 0.3 + 0.4 * steps
            rgb = embedding_colors(np.concatenate([line, corners]), "lab", 1.0)[:5]
            lab = rgb2lab(rgb[None])[0]
            moved = np.diff(lab, axis=0)
            others = np.delete(moved, channel, axis=1)
            np.testing.assert_allclose(others, 0, atol=0.05)
            np.testing.assert_allclose(moved[:, channel], moved[0, channel], atol=0.05)
            assert moved[0, channel] > 4

    def test_two_components_stay_on_the_axis_that_all_eyes_see(self):
        values = np.random.default_rng(0).uniform(0.1, 0.9, (200, 2))
        lab = rgb2lab(embedding_colors(values, "lab", 1.0)[None])[0]
        # Next to no green or red; clipping to sRGB in the corners leaves a little.
        assert np.median(np.abs(lab[:, 1])) < 0.05
        assert np.abs(lab[:, 1]).max() < 12

    def test_rgb_spans_each_channel(self):
        values = np.array([[0.0, 10, 100], [1, 20, 300], [0.5, 15, 200]])
        np.testing.assert_allclose(
            embedding_colors(values, "rgb", 1.0),
            [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5]],
        )
        np.testing.assert_allclose(
            embedding_colors(values[:, :2], "rgb", 1.0)[0], [0, 0, 0]
        )

    def test_outliers_do_not_make_the_rest_uniform(self):
        values = np.random.default_rng(0).uniform(size=(1000, 3))
        values[0] = 1e6
        assert embedding_colors(values, "rgb", 0.99)[1:].std() > 0.2
        assert embedding_colors(values, "rgb", 1.0)[1:].std() < 0.001

    def test_missing_and_constant_values(self):
        values = np.array([[0.0, 7.0], [1.0, 7.0], [np.nan, 7.0]])
        rgb = embedding_colors(values, "rgb", 1.0)
        np.testing.assert_allclose(rgb[2], 0.88)
        np.testing.assert_allclose(rgb[:2, 1], 0.5)
        np.testing.assert_allclose(embedding_colors(values[2:], "lab", 1.0), 0.88)


class TestImage:
    def test_pixels_have_the_colours_of_their_points(self, tissue):
        values = tissue.rename(columns={"mz_722.5160": "tsne0"})
        ax = embedding_image(values)
        colors = embedding_colors(values.to_numpy(float), "lab", 0.99)
        a, b = ax.get_images()
        np.testing.assert_allclose(a.get_array(), colors[:24].reshape(4, 6, 3))
        np.testing.assert_allclose(b.get_array(), colors[24:].reshape(5, 3, 3))
        # One colour, one place, whatever the run.
        (points,) = ax.child_axes[0].collections
        shown = np.column_stack([points.get_offsets(), points.get_facecolor()[:, :3]])
        expected = np.column_stack([values.to_numpy()[:, :2], colors])
        np.testing.assert_allclose(
            shown[np.lexsort(shown.T)], expected[np.lexsort(expected.T)]
        )
        assert [text.get_text() for text in ax.texts] == ["a", "b"]

    def test_where_there_is_no_pixel(self):
        ax = embedding_image([[0.0, 0], [1, 0], [1, 1]], [[1, 1], [2, 1], [2, 2]])
        (image,) = ax.get_images()
        np.testing.assert_allclose(image.get_array()[1, 0], 0.88)
        assert np.ptp(image.get_array()[1, 1]) > 0.1
        ax.get_figure().canvas.draw()

    def test_row_order_does_not_matter(self, tissue):
        run = tissue.loc[["a"]]
        one = embedding_image(run).get_images()[0].get_array()
        two = embedding_image(run.sample(frac=1, random_state=0))
        np.testing.assert_allclose(one, two.get_images()[0].get_array())

    def test_key_names_components_and_stays_in_the_figure(self, tissue):
        table = tissue.set_axis(["pca0", "pca1", "pca2"], axis=1)
        for given in (table, table.loc[["a"]], table.loc[["b"]]):
            ax = embedding_image(given, title="PCA")
            figure = ax.get_figure()
            figure.canvas.draw()
            (key,) = ax.child_axes
            lines = key.get_xlabel().splitlines()
            assert lines[0] == "→ pca0: blue to yellow"
            assert lines[2].strip() == "pca2: green to red"
            box = key.get_window_extent()
            assert box.x0 >= ax.get_window_extent().x1
            assert box.x1 <= figure.bbox.x1
            assert key.xaxis.label.get_window_extent().x1 <= figure.bbox.x1
        assert not embedding_image(table, key=False).child_axes

    def test_scale_bar_and_pixels_that_are_not_square(self, tissue):
        ax = embedding_image(tissue.loc[["a"]], pixel_size=(20, 50), key=False)
        assert ax.get_aspect() == 2.5
        (bar,) = [a for a in ax.get_children() if isinstance(a, AnchoredSizeBar)]
        assert bar.txt_label.get_text().endswith("µm")

    def test_outlines_lie_on_the_image_of_their_run(self, tissue):
        ax = embedding_image(tissue, rois=[Rectangle("gut", 1, 1, 2, 4, run="b")])
        (patch,) = ax.patches
        left, right, bottom, top = ax.get_images()[1].get_extent()
        box = patch.get_path().get_extents()
        assert left < box.x0 < box.x1 < right
        assert top < box.y0 < box.y1 < bottom
        assert "gut" in [text.get_text() for text in ax.texts]

    def test_draws_into_given_axes(self, tissue):
        _, ax = plt.subplots()
        ax.imshow(np.zeros((2, 2)))
        assert embedding_image(tissue, ax=ax) is ax
        assert ax.get_images()[0].get_array().shape == (2, 2)

    @pytest.mark.parametrize(
        ("values", "keywords", "message"),
        [
            (np.ones((3, 4)), {}, "draws 2 or 3 components, got 4"),
            (np.ones((3, 2)), {"space": "hsv"}, "space must be 'lab' or 'rgb'"),
            (np.ones((3, 2)), {"clip_quantile": 0.3}, r"must be in \(0.5, 1\]"),
        ],
    )
    def test_errors(self, values, keywords, message):
        with pytest.raises(ValueError, match=message):
            embedding_image(values, [[1, 1], [2, 1], [3, 1]], **keywords)

    def test_nothing_says_where_the_pixels_are(self):
        with pytest.raises(ValueError, match="where the pixels are"):
            embedding_image(np.ones((3, 2)))
