"""Outlines and pictures lie where the pixels are."""

import numpy as np
import pytest
from skimage.transform import AffineTransform, warp

from imsminer import plots
from imsminer.images.registration import register_landmarks
from imsminer.images.roi import Ellipse, MaskROI, Polygon, Rectangle
from imsminer.plots.roi import overlay, roi_outlines


def rendered(figure):
    """Pixels of the picture as drawn, as (height, width, 4) bytes."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


@pytest.fixture
def square():
    """A square of 20 × 20 pixels that begins at (5, 3), and its coordinates."""
    y, x = np.mgrid[3:23, 5:25]
    places = np.column_stack([x.ravel(), y.ravel()])
    return np.random.default_rng(0).gamma(2.0, 100.0, len(places)), places


class TestOutlines:
    def test_paths_are_those_of_the_regions(self, square):
        values, places = square
        ax = plots.ion_image(values, places)
        rois = [
            Rectangle("a", 6, 4, 10, 9),
            Polygon(
                "b", [(12, 12), (22, 12), (17, 21)], [[(16, 14), (18, 14), (17, 16)]]
            ),
        ]
        assert roi_outlines(rois, ax=ax) is ax
        first, second = ax.patches
        assert first.get_path().get_extents().bounds == (6, 4, 4, 5)
        # Two closed rings: 3 corners each, and back to the first.
        assert len(second.get_path().vertices) == 8
        assert [text.get_text() for text in ax.texts] == ["a", "b"]
        assert first.get_edgecolor() != second.get_edgecolor()
        assert not first.get_fill() or first.get_facecolor()[3] == 0

    def test_an_outline_of_a_mask_encloses_its_pixels(self, square):
        values, places = square
        mask = np.zeros((20, 20), bool)
        mask[4:9, 5:12] = True
        ax = plots.ion_image(values, places)
        roi_outlines([MaskROI("m", mask, (5, 3))], ax=ax)
        assert ax.patches[0].get_path().get_extents().bounds == (9.5, 6.5, 7, 5)

    def test_each_run_gets_its_own(self, tissue):
        column = tissue.iloc[:, 0]
        ax = plots.ion_image(column)
        rois = [
            Rectangle("s1", 8, 11, 10, 12, run="a"),
            Rectangle("s2", 0, 1, 2, 3, run="b"),
            Rectangle("both", 0, 0, 20, 20),
        ]
        roi_outlines(rois, tissue, ax=ax)
        drawn = [patch.get_path().get_extents().bounds for patch in ax.patches]
        assert len(drawn) == 4
        images = [image.get_extent() for image in ax.images]
        # Offsets of the two images against the coordinates of their files.
        first = np.array([images[0][0] - 6.5, images[0][3] - 9.5])
        second = np.array([images[1][0] + 0.5, images[1][3] + 0.5])
        np.testing.assert_allclose(drawn[0][:2], first + np.array([8, 11]))
        np.testing.assert_allclose(drawn[1][:2], second + np.array([0, 1]))
        np.testing.assert_allclose(drawn[2][:2], first)
        np.testing.assert_allclose(drawn[3][:2], second)

    def test_a_region_is_drawn_where_a_run_has_an_image(self, tissue):
        column = tissue.iloc[:, 0]
        ax = plots.ion_image(column)
        rendered(ax.figure)
        # Each drawing lays the figure out anew, a fraction of a pixel beside the last.
        ax.figure.set_layout_engine("none")
        blank = rendered(ax.figure)
        (left, _, _, _), (_, right, _, _) = (i.get_extent() for i in ax.images)
        # Beside both images, on that of "a" alone, and far across both.
        rois = [
            Rectangle("nowhere", 60, 60, 90, 90),
            Rectangle("nowhere in b", 60, 60, 90, 90, run="b"),
            Rectangle("on a", 7, 10, 9, 12),
            Rectangle("across", -40, 1, 60, 2),
        ]
        roi_outlines(rois, tissue, ax=ax, labels=False)
        assert [patch.get_label() for patch in ax.patches] == ["on a", "across"]
        changed = (rendered(ax.figure) != blank).any(axis=2)
        columns = np.flatnonzero(changed.any(axis=0))
        edges = ax.transData.transform([(left - 1, 0), (right + 1, 0)])[:, 0]
        assert edges[0] <= columns.min()
        assert columns.max() <= edges[1]
        first, second = (image.get_extent() for image in ax.images)
        gap = ax.transData.transform([(first[1] + 1, 0), (second[0] - 1, 0)])[:, 0]
        assert not changed[:, int(np.ceil(gap[0])) : int(gap[1])].any()

    def test_colours_follow_the_group(self, square):
        values, places = square
        rois = [
            Rectangle("a", 6, 4, 8, 9, group="wt"),
            Rectangle("b", 10, 4, 12, 9, group="ko"),
            Rectangle("c", 14, 4, 16, 9, group="wt"),
        ]
        ax = roi_outlines(rois, ax=plots.ion_image(values, places), by="group")
        one, two, three = (patch.get_edgecolor() for patch in ax.patches)
        assert one == three != two
        assert [text.get_text() for text in ax.texts] == ["wt", "ko", "wt"]
        ax = plots.ion_image(values, places)
        roi_outlines(
            rois, ax=ax, by="group", colors={"wt": "k", "ko": "r"}, labels=False
        )
        assert [p.get_edgecolor()[:3] for p in ax.patches[:2]] == [(0, 0, 0), (1, 0, 0)]
        assert not ax.texts

    def test_labels_do_not_overlap(self, square):
        values, places = square
        ax = plots.ion_image(values, places)
        rois = [
            Rectangle("a long name", 6, 3, 24, 10),
            Rectangle("another long name", 8, 3, 22, 8),
            Rectangle("the third long name", 7, 13, 20, 20),
        ]
        roi_outlines(rois, ax=ax)
        ax.figure.canvas.draw()
        boxes = [text.get_window_extent() for text in ax.texts]
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])
            assert ax.get_window_extent().contains(box.x0, box.y0)

    def test_the_image_keeps_its_limits(self, square):
        values, places = square
        ax = plots.ion_image(values, places)
        limits = ax.get_xlim(), ax.get_ylim()
        roi_outlines([Rectangle("far", -100, -100, 300, 300)], ax=ax)
        assert (ax.get_xlim(), ax.get_ylim()) == limits

    def test_outlines_are_seen(self, square):
        values, places = square
        ax = plots.ion_image(values, places)
        rendered(ax.figure)
        # The layout would go on to move by fractions of a pixel.
        ax.figure.set_layout_engine("none")
        before = rendered(ax.figure)
        roi_outlines([Ellipse("e", 15, 13, 6, 4)], ax=ax, labels=False)
        changed = (rendered(ax.figure) != before).any(axis=2)
        rows, columns = np.nonzero(changed)
        (left, low), (right, high) = ax.transData.transform([(9, 17), (21, 9)])
        height = changed.shape[0]
        assert columns.min() == pytest.approx(left, abs=4)
        assert columns.max() == pytest.approx(right, abs=4)
        assert height - rows.max() == pytest.approx(low, abs=4)
        assert height - rows.min() == pytest.approx(high, abs=4)

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"by": "run"}, "by must be"),
            ({"colors": ["k"]}, "colors holds 1 colours, but there are 2"),
            ({"colors": {"a": "k"}}, "no entry for 'b'"),
        ],
    )
    def test_what_is_refused(self, square, options, match):
        ax = plots.ion_image(*square)
        rois = [Rectangle("a", 6, 4, 8, 9), Rectangle("b", 6, 4, 8, 9)]
        with pytest.raises(ValueError, match=match):
            roi_outlines(rois, ax=ax, **options)


class TestOverlay:
    #: Pixels to the picture: turned, scaled and shifted.
    TRUE = AffineTransform(scale=(8, 9), rotation=0.4, translation=(90, 20))

    def register(self):
        pixels = np.array([(5, 3), (24, 3), (5, 22), (20, 20)], float)
        return register_landmarks(self.TRUE(pixels), pixels)

    def test_the_picture_lies_under_its_pixels(self, square):
        values, places = square
        # One bright pixel of the tissue, drawn into the picture.
        y, x = np.mgrid[:300, :300] + 0.5
        at = self.TRUE.inverse(np.column_stack([x.ravel(), y.ravel()]))
        bright = np.abs(at - [17, 9]).max(axis=1) <= 0.5
        picture = np.where(bright, 1.0, 0.0).reshape(300, 300)
        ax = overlay(picture, values, places, self.register(), alpha=0)
        image = rendered(ax.figure)[..., 0].astype(float)
        frame = ax.get_window_extent()
        rows = slice(
            int(image.shape[0] - frame.y1) + 2, int(image.shape[0] - frame.y0) - 2
        )
        columns = slice(int(frame.x0) + 2, int(frame.x1) - 2)
        inside = image[rows, columns] > 128
        row, column = np.nonzero(inside)
        middle = ax.transData.inverted().transform(
            (
                columns.start + column.mean() + 0.5,
                image.shape[0] - rows.start - row.mean() - 0.5,
            )
        )
        np.testing.assert_allclose(middle, (17, 9), atol=0.15)
        share = inside.sum() / inside.size
        assert share == pytest.approx(1 / 400, rel=0.25)

    def test_it_agrees_with_scikit_image(self, square):
        values, places = square
        rng = np.random.default_rng(0)
        picture = np.kron(rng.random((15, 15)), np.ones((20, 20)))
        registration = self.register()
        ax = overlay(picture, values, places, registration, alpha=0)
        image = rendered(ax.figure)[..., 0].astype(float) / 255
        # The centre of each pixel of the tissue, in the picture as drawn.
        at = ax.transData.transform(places)
        drawn = image[(image.shape[0] - at[:, 1]).astype(int), at[:, 0].astype(int)]
        y, x = np.mgrid[3:23, 5:25]
        spots = registration.to_picture(np.column_stack([x.ravel(), y.ravel()])) - 0.5
        expected = warp(picture, spots.T[::-1].reshape(2, 20, 20), order=1, cval=1.0)
        low, high = picture.min(), picture.max()
        expected = ((expected - low) / (high - low)).ravel()
        off = (spots < 2).any(axis=1) | (spots > 297).any(axis=1)
        difference = np.abs(drawn - expected)[~off]
        assert (~off).sum() > 200
        assert np.median(difference) < 0.02
        assert (difference < 0.1).mean() > 0.8

    def test_the_ion_fades_to_the_picture(self, square):
        values, places = square
        picture = np.full((400, 400, 3), 255, np.uint8)
        ax = overlay(picture, values, places, self.register(), alpha=0.6)
        assert ax.get_xlim() == (4.5, 24.5)
        assert ax.get_ylim() == (22.5, 2.5)
        ion, below = ax.images
        assert below.get_zorder() < ion.get_zorder()
        assert ion.get_cmap()(0.0)[3] == 0
        assert ion.get_cmap()(1.0)[3] == pytest.approx(0.6)
        assert ion.get_cmap()(np.nan)[3] == 0

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"registration": None}, "needs registration="),
            ({"alpha": 1.5}, "alpha must be from 0 to 1"),
            ({"picture": np.zeros((2, 2, 2))}, "must be grey"),
        ],
    )
    def test_what_is_refused(self, square, change, match):
        values, places = square
        call = {"picture": np.zeros((9, 9)), "registration": self.register(), **change}
        with pytest.raises(ValueError, match=match):
            overlay(call.pop("picture"), values, places, **call)

    def test_one_run_only(self, tissue):
        with pytest.raises(ValueError, match="of 2 runs or planes"):
            overlay(np.zeros((9, 9)), tissue.iloc[:, 0], None, self.register())
