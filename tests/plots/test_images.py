"""Ion images show each pixel where it is, on the scale that the colour bar says."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from imsminer import plots
from imsminer.core.spectra import Spectra
from imsminer.images.roi import Rectangle


def scale_bar(ax):
    (bar,) = [a for a in ax.get_children() if isinstance(a, AnchoredSizeBar)]
    length = bar.size_bar.get_children()[0].get_width()
    return bar.txt_label.get_text(), length


def colour_bar(ax):
    return ax.child_axes[0]


def test_pixels_lie_at_their_coordinates_with_y_downwards(tissue):
    run = tissue.loc[["a"]]
    ax = plots.ion_image(run["mz_885.5499"])
    (image,) = ax.get_images()
    assert image.get_extent() == [6.5, 12.5, 13.5, 9.5]
    assert ax.get_ylim() == (13.5, 9.5)
    assert ax.get_aspect() == 1
    at_7_10 = run.loc[("a", 7, 10, 1), "mz_885.5499"]
    at_9_12 = run.loc[("a", 9, 12, 1), "mz_885.5499"]
    assert image.get_array()[0, 0] == at_7_10
    assert image.get_array()[2, 2] == at_9_12


def test_row_order_does_not_change_the_image(tissue):
    run = tissue.loc[["a"]]
    shuffled = run.sample(frac=1, random_state=1)
    (one,) = plots.ion_image(run["mz_885.5499"]).get_images()
    (two,) = plots.ion_image(shuffled["mz_885.5499"]).get_images()
    np.testing.assert_array_equal(one.get_array(), two.get_array())


def test_missing_pixels_and_nan_are_background():
    values = [1.0, np.nan, 3.0]
    ax = plots.ion_image(values, [[1, 1], [2, 1], [2, 2]])
    (image,) = ax.get_images()
    np.testing.assert_array_equal(
        image.get_array().mask, [[False, True], [True, False]]
    )
    assert image.get_cmap().get_bad()[:3] == pytest.approx((0.88, 0.88, 0.88))


def test_title_is_the_mz_of_the_column(tissue):
    assert plots.ion_image(tissue["mz_885.5499"]).get_title() == "$m/z$ 885.5499"
    ax = plots.ion_image(tissue["mz_885.5499"].to_numpy(), tissue, mz=885.54991)
    assert ax.get_title() == "$m/z$ 885.5499"
    assert plots.ion_image(tissue["mz_885.5499"], title="PI").get_title() == "PI"


def test_runs_share_one_colour_scale_and_do_not_overlap(tissue):
    ax = plots.ion_image(tissue["mz_885.5499"])
    a, b = ax.get_images()
    assert a.get_clim() == b.get_clim()
    (a_left, a_right, *_), (b_left, b_right, *_) = a.get_extent(), b.get_extent()
    assert a_right < b_left or b_right < a_left
    assert [text.get_text() for text in ax.texts] == ["a", "b"]


def test_planes_are_named_by_z():
    where = [[1, 1, 1], [2, 1, 1], [1, 1, 2], [2, 1, 2]]
    ax = plots.ion_image([1.0, 2.0, 3.0, 4.0], where)
    assert [text.get_text() for text in ax.texts] == ["z = 1", "z = 2"]


def test_long_run_names_are_shortened_in_the_middle(tissue):
    names = {"a": "a" * 80 + "_end", "b": "b"}
    ax = plots.ion_image(tissue.rename(index=names, level="run")["mz_885.5499"])
    shown = ax.texts[0].get_text()
    assert len(shown) < 84
    assert "…" in shown
    assert shown.endswith("_end")


def test_clipping_ignores_zeros():
    values = np.zeros(1000)
    values[:100] = np.arange(1, 101)
    where = np.column_stack([np.arange(1000) % 40, np.arange(1000) // 40])
    clipped = plots.ion_image(values, where, clip_quantile=0.9)
    assert clipped.get_images()[0].get_clim() == (0, 91)
    whole = plots.ion_image(values, where, clip_quantile=1)
    assert whole.get_images()[0].get_clim() == (0, 100)


def test_negative_values_widen_the_scale():
    ax = plots.ion_image([-5.0, 1.0, 2.0], [[1, 1], [2, 1], [3, 1]])
    assert ax.get_images()[0].get_clim() == (-5, 2)


def test_an_empty_image_has_a_scale():
    ax = plots.ion_image(np.zeros(3), [[1, 1], [2, 1], [3, 1]])
    assert ax.get_images()[0].get_clim() == (0, 1)


def test_large_numbers_are_in_thousands_and_the_label_says_so():
    ax = plots.ion_image([0.0, 120_000.0], [[1, 1], [2, 1]], label="area (counts)")
    bar = colour_bar(ax)
    assert bar.get_ylabel() == "area ($10^{3}$ counts)"
    ax.get_figure().draw_without_rendering()
    shown = [float(t.get_text()) for t in bar.get_yticklabels()]
    assert max(shown) <= 120


@pytest.mark.parametrize(
    ("pixel_size", "label", "length"),
    [
        (50, "500 µm", 10),
        (100, "1 mm", 10),
        (None, "10 pixels", 10),
        (float("nan"), "10 pixels", 10),
        (0.5, "5 µm", 10),
    ],
)
def test_scale_bar(pixel_size, label, length):
    where = np.column_stack([np.arange(1200) % 40, np.arange(1200) // 40])
    ax = plots.ion_image(np.ones(1200), where, pixel_size=pixel_size)
    assert scale_bar(ax) == (label, pytest.approx(length))


def test_pixels_that_are_not_square_are_drawn_so():
    ax = plots.ion_image([1.0, 2.0], [[1, 1], [2, 1]], pixel_size=(20, 50))
    assert ax.get_aspect() == 2.5


def test_draws_into_given_axes(tissue):
    figure, (left, right) = plt.subplots(1, 2)
    assert plots.ion_image(tissue["mz_885.5499"], ax=right) is right
    assert not left.get_images()
    assert plt.get_fignums() == [figure.number]


def test_coordinates_from_spectra():
    spectra = Spectra.from_arrays(
        np.ones((2, 3)), mz=[1.0, 2.0, 3.0], coordinates=[[4, 5], [5, 5]]
    )
    ax = plots.ion_image([1.0, 2.0], spectra)
    assert ax.get_images()[0].get_extent() == [3.5, 5.5, 5.5, 4.5]


@pytest.mark.parametrize("clip_quantile", [0, 1.5, -1])
def test_clip_quantile_out_of_range(clip_quantile):
    with pytest.raises(ValueError, match="clip_quantile must be in"):
        plots.ion_image([1.0], [[1, 1]], clip_quantile=clip_quantile)


def test_says_how_to_give_coordinates():
    with pytest.raises(ValueError, match=r"index .*coordinates="):
        plots.ion_image([1.0, 2.0])


def test_pixel_size_must_be_positive():
    with pytest.raises(ValueError, match="pixel_size must be positive"):
        plots.ion_image([1.0], [[1, 1]], pixel_size=0)


def test_no_pixels():
    with pytest.raises(ValueError, match="no pixels"):
        plots.ion_image(np.zeros(0), np.zeros((0, 2), int))


def test_several_columns_name_the_right_function(tissue):
    with pytest.raises(ValueError, match="ion_images draws several"):
        plots.ion_image(tissue)


def test_sheet_has_an_image_per_column_with_its_own_scale(tissue):
    axes = plots.ion_images(tissue, ["mz_900.0000", "mz_722.5160"], clip_quantile=1)
    assert [ax.get_title() for ax in axes] == ["$m/z$ 900.0000", "$m/z$ 722.5160"]
    for ax, name in zip(axes, ["mz_900.0000", "mz_722.5160"], strict=True):
        assert ax.get_images()[0].get_clim()[1] == pytest.approx(tissue[name].max())
        assert scale_bar(ax)
        assert colour_bar(ax)
    assert len(axes[0].get_figure().axes) == 2, "an empty cell of the grid is left"


def test_sheet_on_a_shared_scale(tissue):
    axes = plots.ion_images(tissue, shared=True, clip_quantile=1)
    limits = {image.get_clim() for ax in axes for image in ax.get_images()}
    assert limits == {(0.0, float(tissue.to_numpy().max()))}


def test_sheet_of_an_array_takes_positions(tissue):
    axes = plots.ion_images(tissue.to_numpy(), [1], tissue, titles=["x"])
    image = axes[0].get_images()[0].get_array()
    assert image[0, 0] == tissue.iloc[0, 1]


def test_sheet_without_columns(tissue):
    with pytest.raises(ValueError, match="columns is empty"):
        plots.ion_images(tissue, [])


def test_sheet_with_too_few_axes(tissue):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="1 Axes, but there are 3"):
        plots.ion_images(tissue, ax=[ax])


def test_values_with_an_index_and_a_table_of_pixels_agree(tissue):
    table = tissue.index.to_frame(index=False)
    assert isinstance(table, pd.DataFrame)
    one = plots.ion_image(tissue["mz_885.5499"]).get_images()
    two = plots.ion_image(tissue["mz_885.5499"].to_numpy(), table).get_images()
    for a, b in zip(one, two, strict=True):
        assert a.get_extent() == b.get_extent()
        np.testing.assert_array_equal(a.get_array(), b.get_array())


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_save_writes_and_closes(tissue, tmp_path, suffix):
    axes = plots.ion_images(tissue)
    path = tmp_path / f"sheet.{suffix}"
    plots.save(axes, path)
    assert path.stat().st_size > 1000
    assert plt.get_fignums() == []


class TestOutlines:
    """Regions lie on the pixels that they hold, on the image of their run."""

    def test_ion_image_of_several_runs(self, tissue):
        # Without a run, and on both images.
        rois = [Rectangle("gut", 8, 11, 10, 13, run="a"), Rectangle("all", 0, 0, 9, 12)]
        ax = plots.ion_image(tissue["mz_885.5499"], rois=rois)
        gut, on_a, on_b = ax.patches
        a, b = (image.get_extent() for image in ax.get_images())
        # "a" begins at (7, 10), whose pixel reaches half a pixel further.
        box = gut.get_path().get_extents()
        assert box.x0 - a[0] == pytest.approx(8 - 6.5)
        assert box.y0 - a[3] == pytest.approx(11 - 9.5)
        assert (box.width, box.height) == (2, 2)
        box = on_b.get_path().get_extents()
        assert box.x0 - b[0] == pytest.approx(0.5)
        assert box.y0 - b[3] == pytest.approx(0.5)
        assert on_a.get_edgecolor() == on_b.get_edgecolor() != gut.get_edgecolor()
        names = [text.get_text() for text in ax.texts]
        assert names.count("gut") == 1
        assert names.count("all") == 2

    def test_the_same_as_drawn_afterwards(self, tissue):
        rois = [Rectangle("gut", 8, 11, 10, 13, run="a")]
        values, where = tissue["mz_885.5499"].to_numpy(), tissue
        one = plots.ion_image(values, where, rois=rois)
        two = plots.roi_outlines(rois, where, ax=plots.ion_image(values, where))
        np.testing.assert_array_equal(
            one.patches[0].get_path().vertices, two.patches[0].get_path().vertices
        )

    def test_limits_and_images_are_as_without(self, tissue):
        plain = plots.ion_image(tissue["mz_885.5499"])
        ax = plots.ion_image(tissue["mz_885.5499"], rois=[Rectangle("r", 0, 0, 99, 99)])
        assert ax.get_xlim() == plain.get_xlim()
        assert ax.get_ylim() == plain.get_ylim()
        assert not plots.ion_image(tissue["mz_885.5499"], rois=[]).patches

    def test_each_image_of_a_sheet(self, tissue):
        rois = iter([Rectangle("gut", 1, 1, 2, 3, run="b")])
        axes = plots.ion_images(tissue, rois=rois)
        for ax in axes:
            (patch,) = ax.patches
            left, right, *_ = ax.get_images()[1].get_extent()
            box = patch.get_path().get_extents()
            assert left < box.x0 < box.x1 < right
            assert "gut" not in [text.get_text() for text in ax.texts]
