"""Outlines lie where the pixels are; the selector answers the mouse and the keys."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.backend_bases import KeyEvent, MouseEvent
from matplotlib.patches import PathPatch
from skimage.transform import AffineTransform, warp

from imsminer import plots
from imsminer.images.registration import register_landmarks
from imsminer.images.roi import (
    Ellipse,
    MaskROI,
    Polygon,
    Rectangle,
    label_pixels,
    read_geojson,
    write_geojson,
)
from imsminer.plots.roi import RoiSelector, overlay, roi_outlines


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


def outlines(ax):
    """The outlines of regions, without what a widget draws."""
    return [patch for patch in ax.patches if isinstance(patch, PathPatch)]


class Hand:
    """A hand on the mouse and the keys of a selector's picture."""

    def __init__(self, selector):
        self.selector = selector
        self.canvas = selector.ax.figure.canvas
        self.canvas.draw()

    def mouse(self, kind, point, ax=None, button=1):
        ax = self.selector.ax if ax is None else ax
        x, y = ax.transData.transform(point)
        button = None if kind == "motion_notify_event" else button
        MouseEvent(kind, self.canvas, x, y, button=button)._process()

    def click(self, *points, ax=None):
        for point in points:
            self.mouse("motion_notify_event", point, ax)
            self.mouse("button_press_event", point, ax)
            self.mouse("button_release_event", point, ax)

    def drag(self, start, end):
        self.mouse("motion_notify_event", start)
        self.mouse("button_press_event", start)
        self.mouse("motion_notify_event", end)
        self.mouse("button_release_event", end)

    def key(self, *keys, ax=None):
        ax = self.selector.ax if ax is None else ax
        x, y = ax.transAxes.transform((0.5, 0.5))
        for key in keys:
            KeyEvent("key_press_event", self.canvas, key, x, y)._process()
            KeyEvent("key_release_event", self.canvas, key, x, y)._process()

    def control(self, name):
        """Click the middle of a button or a box."""
        ax = self.selector._controls[name].ax
        x, y = ax.transAxes.transform((0.5, 0.5))
        for kind in (
            "motion_notify_event",
            "button_press_event",
            "button_release_event",
        ):
            button = None if kind == "motion_notify_event" else 1
            MouseEvent(kind, self.canvas, x, y, button=button)._process()

    def type(self, name, text):
        self.control(name)
        self.key(*text, "enter", ax=self.selector._controls[name].ax)

    def status(self):
        return self.selector._controls["status"].get_text()


CORNERS = [(6, 4), (14, 5), (12, 12), (6, 10)]


@pytest.fixture
def hand(square, tmp_path):
    values, places = square
    return Hand(RoiSelector(values, places, path=tmp_path / "rois.geojson"))


class TestSelector:
    def test_a_polygon_by_clicks(self, hand):
        hand.click(*CORNERS, CORNERS[0])
        (roi,) = hand.selector.rois
        assert isinstance(roi, Polygon)
        np.testing.assert_allclose(roi.vertices, CORNERS, atol=1e-9)
        assert (roi.name, roi.group, roi.run) == ("ROI 1", None, None)
        assert len(outlines(hand.selector.ax)) == 1

    def test_a_second_polygon_begins_anew(self, hand):
        hand.click(*CORNERS, CORNERS[0])
        others = [(x + 8, y + 8) for x, y in CORNERS]
        hand.click(*others, others[0])
        _, second = hand.selector.rois
        np.testing.assert_allclose(second.vertices, others, atol=1e-9)
        assert second.name == "ROI 2"

    def test_an_open_polygon_is_none(self, hand):
        hand.click(*CORNERS)
        assert hand.selector.rois == []
        hand.key("escape")
        hand.click((20, 20), (23, 20), (22, 22), (20, 20))
        (roi,) = hand.selector.rois
        assert roi.bounds == pytest.approx((20, 20, 23, 22))

    def test_a_rectangle_and_an_ellipse_by_dragging(self, hand):
        hand.key("2")
        hand.drag((6, 4), (10, 9))
        hand.key("3")
        hand.drag((20, 20), (12, 10))
        rectangle, ellipse = hand.selector.rois
        assert isinstance(rectangle, Rectangle)
        assert rectangle.bounds == pytest.approx((6, 4, 10, 9))
        assert isinstance(ellipse, Ellipse)
        assert (ellipse.x, ellipse.y, ellipse.rx, ellipse.ry) == pytest.approx(
            (16, 15, 4, 5)
        )

    def test_a_click_is_no_rectangle(self, hand):
        hand.selector.set_shape("rectangle")
        hand.drag((6, 4), (10, 9))
        hand.click((12, 12))
        assert len(hand.selector.rois) == 1

    def test_labels_are_those_of_the_regions(self, hand, square):
        hand.key("2")
        hand.drag((6, 4), (10, 9))
        hand.drag((12, 4), (16, 9))
        found = hand.selector.labels
        np.testing.assert_array_equal(
            found, label_pixels(square[1], hand.selector.rois)
        )
        assert (found == "ROI 1").sum() == 5 * 6

    def test_names_and_groups_are_typed(self, hand):
        hand.control("shape")
        hand.type("name", "cortex 1")
        hand.type("group", "wt")
        # Digits and letters that were typed are no commands.
        assert hand.selector.rois == []
        hand.selector.set_shape("rectangle")
        hand.drag((6, 4), (10, 9))
        hand.drag((12, 4), (16, 9))
        first, second = hand.selector.rois
        assert (first.name, first.group) == ("cortex 1", "wt")
        assert (second.name, second.group) == ("ROI 1", "wt")

    def test_a_typed_command_does_nothing_while_typing(self, hand):
        hand.selector.set_shape("rectangle")
        hand.drag((6, 4), (10, 9))
        hand.type("name", "u1w")
        assert len(hand.selector.rois) == 1
        assert hand.selector.shape == "rectangle"
        assert not hand.selector.path.exists()
        assert hand.selector.name == "u1w"

    def test_the_radio_buttons(self, hand):
        radio = hand.selector._controls["shape"]
        radio.set_active(2)
        assert hand.selector.shape == "ellipse"
        hand.key("2")
        assert radio.value_selected == "rectangle"
        assert hand.status() == "Drag from corner to corner."

    @pytest.mark.parametrize("how", ["key", "ctrl", "button"])
    def test_undo(self, hand, how):
        hand.key("2")
        hand.drag((6, 4), (10, 9))
        hand.drag((12, 4), (16, 9))
        act = {
            "key": lambda: hand.key("u"),
            "ctrl": lambda: hand.key("ctrl+z"),
            "button": lambda: hand.control("undo"),
        }[how]
        act()
        assert [roi.name for roi in hand.selector.rois] == ["ROI 1"]
        assert len(outlines(hand.selector.ax)) == 1
        act()
        act()
        assert hand.selector.rois == []
        assert "nothing" in hand.status()

    @pytest.mark.parametrize("how", ["key", "button", "call"])
    def test_save_and_load(self, hand, square, how):
        hand.selector.group = "wt"
        hand.click(*CORNERS, CORNERS[0])
        hand.key("3")
        hand.drag((15, 14), (22, 20))
        path = hand.selector.path
        act = {
            "key": lambda: hand.key("w"),
            "button": lambda: hand.control("save"),
            "call": hand.selector.save,
        }[how]
        act()
        assert read_geojson(path) == hand.selector.rois
        # What was written here may be written again.
        hand.drag((15, 5), (20, 8))
        act()
        assert len(read_geojson(path)) == 3

        other = Hand(RoiSelector(*square, path=path))
        other.control("load")
        assert other.selector.rois == hand.selector.rois
        assert len(outlines(other.selector.ax)) == 3
        other.key("u")
        assert other.selector.rois == []

    def test_a_strangers_file_is_not_replaced(self, hand):
        path = hand.selector.path
        write_geojson([Rectangle("theirs", 0, 0, 1, 1)], path)
        before = path.read_bytes()
        hand.click(*CORNERS, CORNERS[0])
        hand.control("save")
        assert "exists" in hand.status()
        with pytest.raises(FileExistsError):
            hand.selector.save()
        assert path.read_bytes() == before

    def test_a_missing_file_is_told(self, hand):
        hand.control("load")
        assert "rois.geojson" in hand.status()
        with pytest.raises(FileNotFoundError):
            hand.selector.load()

    def test_regions_to_begin_with(self, square):
        rois = [Rectangle("ROI 1", 6, 4, 10, 9)]
        selector = RoiSelector(*square, rois=rois)
        selector.rois.clear()
        assert selector.rois == rois
        hand = Hand(selector)
        hand.click(*CORNERS, CORNERS[0])
        assert selector.rois[1].name == "ROI 2"

    def test_a_region_lies_in_the_run_it_was_drawn_on(self, tissue):
        selector = RoiSelector(tissue.iloc[:, 0], shape="rectangle")
        hand = Hand(selector)
        left, _, _, top = selector.ax.images[1].get_extent()
        hand.drag((left + 0.1, top + 0.1), (left + 2.4, top + 1.4))
        hand.drag((7.6 - 7, 0.6), (9.4 - 7, 2.4))
        second, first = selector.rois
        assert second.run == "b"
        assert second.bounds == pytest.approx((-0.4, -0.4, 1.9, 0.9))
        labels = selector.labels
        runs = tissue.index.get_level_values("run")
        assert set(runs[labels == "ROI 1"]) == {"b"}
        assert (labels == "ROI 1").sum() == 2
        assert first.run == "a"

    def test_in_an_axes_of_ones_own(self, square):
        figure, (ax, other) = plt.subplots(1, 2)
        selector = RoiSelector(*square, ax=ax)
        assert len(figure.axes) == 2
        hand = Hand(selector)
        hand.click(*CORNERS, CORNERS[0])
        hand.key("2")
        hand.drag((15, 14), (22, 20))
        assert len(selector.rois) == 2
        hand.key("u")
        assert len(selector.rois) == 1
        assert other.patches == [] or not list(other.patches)

    def test_after_disconnecting_nothing_answers(self, hand):
        hand.click(*CORNERS, CORNERS[0])
        hand.selector.disconnect()
        hand.click(*CORNERS, CORNERS[0])
        hand.key("u")
        hand.control("undo")
        assert len(hand.selector.rois) == 1

    def test_controls_do_not_overlap(self, hand):
        hand.canvas.draw()
        controls = hand.selector._controls
        boxes = [
            controls[name].ax.get_window_extent()
            for name in ("shape", "name", "group", "undo", "save", "load")
        ]
        boxes += [
            controls[name].label.get_window_extent() for name in ("name", "group")
        ]
        boxes.append(hand.selector.ax.get_tightbbox())
        boxes.append(controls["status"].get_window_extent())
        frame = hand.selector.ax.figure.bbox
        for i, box in enumerate(boxes):
            overlaps = [j for j, other in enumerate(boxes[:i]) if box.overlaps(other)]
            assert overlaps == []
            assert frame.x0 <= box.x0
            assert box.x1 <= frame.x1

    def test_it_draws_and_saves_without_warnings(self, hand):
        hand.click(*CORNERS, CORNERS[0])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            hand.selector.ax.figure.savefig(io.BytesIO(), format="png")
            # matplotlib 3.10.0 cannot write SVG while its own widgets listen.
            hand.selector.disconnect()
            hand.selector.ax.figure.savefig(io.BytesIO(), format="svg")

    def test_an_unknown_shape(self, square):
        with pytest.raises(ValueError, match="shape must be one of"):
            RoiSelector(*square, shape="lasso")

    def test_a_table_of_pixels_names_the_run(self, square):
        values, places = square
        table = pd.DataFrame({"run": "day 1", "x": places[:, 0], "y": places[:, 1]})
        hand = Hand(RoiSelector(values, table))
        hand.click(*CORNERS, CORNERS[0])
        assert hand.selector.rois[0].run == "day 1"
        assert (hand.selector.labels == "ROI 1").any()
