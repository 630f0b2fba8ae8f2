"""The selector of regions answers the mouse and the keys."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.backend_bases import KeyEvent, MouseEvent
from matplotlib.patches import PathPatch

from imsminer.images.roi import (
    Ellipse,
    Polygon,
    Rectangle,
    label_pixels,
    read_geojson,
    write_geojson,
)
from imsminer.plots.roi import RoiSelector


@pytest.fixture
def square():
    """A square of 20 × 20 pixels that begins at (5, 3), and its coordinates."""
    y, x = np.mgrid[3:23, 5:25]
    places = np.column_stack([x.ravel(), y.ravel()])
    return np.random.default_rng(0).gamma(2.0, 100.0, len(places)), places


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

    def test_any_letter_can_be_typed_and_enter_ends_it(self, square):
        hand = Hand(RoiSelector(*square, shape="rectangle"))
        hand.type("name", "rr")
        hand.type("group", "tumour r")
        # Keys are keys of the picture again.
        hand.key("3", "2")
        hand.drag((6, 4), (12, 10))
        (roi,) = hand.selector.rois
        assert (roi.name, roi.group) == ("rr", "tumour r")
        assert roi == Rectangle("rr", *roi.bounds, group="tumour r")
        assert not hand.selector._controls["name"].cursor.get_visible()
        assert roi.bounds == pytest.approx((6, 4, 12, 10), abs=0.1)

    def test_beside_the_images_there_is_nothing_to_mark(self, tissue):
        selector = RoiSelector(tissue.iloc[:, 0], shape="rectangle")
        hand = Hand(selector)
        first, second = (image.get_extent() for image in selector.ax.images)
        middle = (first[1] + second[0]) / 2
        hand.drag((middle - 0.3, first[3] + 0.1), (middle + 0.3, first[3] + 1))
        assert selector.rois == []
        assert "no image" in hand.status()
        hand.drag((middle - 0.3, first[3] + 0.1), (second[0] + 1, first[3] + 1))
        assert [roi.run for roi in selector.rois] == ["b"]

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
