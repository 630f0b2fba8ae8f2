"""Regions of interest against hand counts, matplotlib's paths and brute force."""

import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path

from imsminer.images._roi_moved import transformed
from imsminer.images._roi_rings import signed_area
from imsminer.images.roi import (
    Ellipse,
    MaskROI,
    Polygon,
    Rectangle,
    label_pixels,
    rois_from_table,
)


def grid(width, height, x0=0, y0=0):
    y, x = np.mgrid[y0 : y0 + height, x0 : x0 + width]
    return np.column_stack([x.ravel(), y.ravel()])


def star(n, rng, radius=20.0, centre=(30.0, 30.0)):
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    reach = radius * rng.uniform(0.3, 1.0, n)
    return np.column_stack(
        [centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle)]
    )


class TestShapes:
    def test_a_rectangle_holds_its_edges(self):
        inside = Rectangle("a", 2, 3, 4, 3.5).contains(*grid(10, 10).T)
        assert grid(10, 10)[inside].tolist() == [[2, 3], [3, 3], [4, 3]]

    def test_corners_of_a_rectangle_come_in_any_order(self):
        assert Rectangle("a", 4, 1, 2, 3) == Rectangle("a", 2, 3, 4, 1)

    @pytest.mark.parametrize("angle", [0, 30, 90, 135, 217.5])
    def test_an_ellipse_equals_its_equation(self, angle):
        x, y = grid(61, 61).T
        t = np.deg2rad(angle)
        a = (x - 30.2) * np.cos(t) + (y - 29.7) * np.sin(t)
        b = -(x - 30.2) * np.sin(t) + (y - 29.7) * np.cos(t)
        found = Ellipse("e", 30.2, 29.7, 21, 8, angle).contains(x, y)
        np.testing.assert_array_equal(found, (a / 21) ** 2 + (b / 8) ** 2 <= 1)
        assert 400 < found.sum() < 650

    def test_an_ellipse_turns_clockwise_on_the_picture(self):
        ellipse = Ellipse("e", 0, 0, 10, 1, angle=45)
        assert ellipse.contains(6, 6)
        assert not ellipse.contains(6, -6)

    def test_the_four_ends_of_an_ellipse_lie_on_it(self):
        ellipse = Ellipse("e", 5, 6, 4, 2, angle=90)
        assert ellipse.contains([5, 5, 3, 7], [2, 10, 6, 6]).all()
        assert ellipse.bounds == (3, 2, 7, 10)

    @pytest.mark.parametrize("n", [3, 7, 40, 1500])
    def test_a_polygon_equals_matplotlib(self, n):
        rng = np.random.default_rng(n)
        vertices = star(n, rng)
        x, y = rng.uniform(5, 55, (2, 20_000))
        expected = Path(vertices).contains_points(np.column_stack([x, y]))
        found = Polygon("p", vertices).contains(x, y)
        np.testing.assert_array_equal(found, expected)
        assert 0 < found.sum() < x.size

    def test_blocks_of_edges_change_nothing(self, monkeypatch):
        rng = np.random.default_rng(0)
        polygon = Polygon("p", star(60, rng))
        x, y = rng.uniform(5, 55, (2, 3_000))
        whole = polygon.contains(x, y)
        monkeypatch.setattr("imsminer.images._roi_rings._PAIRS", 50)
        np.testing.assert_array_equal(polygon.contains(x, y), whole)

    @pytest.mark.parametrize("turn", [1, -1])
    def test_corners_and_edges_belong_to_a_polygon(self, turn):
        vertices = [(1, 1), (5, 1), (5, 3), (3, 5), (1, 5)][::turn]
        inside = Polygon("p", vertices).contains(*grid(8, 8).T)
        # Rows y = 1 to 5: x from 1 to 5, 5, 5, 4, 3.
        expected = {(x, y) for y in range(1, 6) for x in range(1, min(5, 8 - y) + 1)}
        assert set(map(tuple, grid(8, 8)[inside].tolist())) == expected

    def test_the_edge_holds_in_spite_of_rounding(self):
        vertices = np.array([(0.1, 0.1), (0.7, 0.1), (0.7, 0.7)]) * 3 / 0.3
        assert Polygon("p", vertices).contains([1, 7, 7, 4], [1, 1, 7, 1]).all()

    def test_a_repeated_corner_is_harmless(self):
        once = Polygon("p", [(0, 0), (4, 0), (4, 4)])
        twice = Polygon("p", [(0, 0), (4, 0), (4, 0), (4, 4), (0, 0)])
        points = grid(9, 9, -2, -2).T
        np.testing.assert_array_equal(twice.contains(*points), once.contains(*points))

    def test_holes_are_cut_out_but_for_their_edge(self):
        hole = [(2, 2), (6, 2), (6, 6), (2, 6)]
        polygon = Polygon("p", [(0, 0), (8, 0), (8, 8), (0, 8)], holes=[hole])
        inside = polygon.contains(*grid(9, 9).T).reshape(9, 9)
        expected = np.ones((9, 9), bool)
        expected[3:6, 3:6] = False
        np.testing.assert_array_equal(inside, expected)

    def test_where_the_outline_crosses_itself(self):
        bow = Polygon("p", [(0, 0), (8, 8), (8, 0), (0, 8)])
        assert bow.contains([1, 7, 4, 4], [4, 4, 1, 7]).tolist() == [1, 1, 0, 0]

    def test_a_mask_holds_its_pixels(self):
        mask = np.random.default_rng(0).random((6, 9)) < 0.5
        inside = MaskROI("m", mask, origin=(4, -2)).contains(*grid(20, 20, -3, -5).T)
        expected = np.zeros((20, 20), bool)
        expected[3:9, 7:16] = mask
        np.testing.assert_array_equal(inside, expected.ravel())

    def test_the_edges_of_a_mask_belong_to_it(self):
        mask = MaskROI("m", [[True]], origin=(3, 3))
        assert mask.contains([2.5, 3.5, 3.5, 3.6], [3, 2.5, 3.5, 3]).tolist() == [
            True,
            True,
            True,
            False,
        ]

    def test_any_shape_of_points(self):
        rectangle = Rectangle("a", 0, 0, 1, 1)
        assert rectangle.contains(np.zeros((2, 3)), 0).shape == (2, 3)
        assert rectangle.contains(0, 0).shape == ()

    def test_polygons_are_equal_by_value_and_hashable(self):
        one = Polygon("p", np.array([[0, 0], [1, 0], [1, 1]]))
        same = Polygon("p", [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)])
        assert one == same
        assert len({one, same}) == 1

    def test_masks_are_equal_by_value_and_hashable(self):
        mask = np.array([[True, False]])
        one, same = MaskROI("m", mask), MaskROI("m", mask.copy())
        assert one == same
        assert len({one, same}) == 1
        assert one != MaskROI("m", ~mask)
        mask[:] = False
        assert one.mask[0, 0]

    @pytest.mark.parametrize(
        ("make", "match"),
        [
            (lambda: Rectangle("", 0, 0, 1, 1), "name must be a text"),
            (lambda: Rectangle("a", 0, np.nan, 1, 1), r"'a': y0 must be a finite"),
            (lambda: Rectangle("a", 0, 0, 1, 1, group=3), "group must be a text"),
            (lambda: Ellipse("e", 0, 0, 0, 1), "rx is half the width"),
            (lambda: Polygon("p", [(0, 0), (1, 1)]), "three or more corners; got 2"),
            (lambda: Polygon("p", [(0, 0, 1)] * 4), "pairs"),
            (lambda: Polygon("p", [(0, 0), (1, 0), (1, np.inf)]), "finite"),
            (
                lambda: Polygon("p", [(0, 0), (1, 0), (1, 1)], holes=[[(0, 0)]]),
                r"holes\[0\] must have three",
            ),
            (lambda: MaskROI("m", np.zeros((2, 2), bool)), "all False"),
            (lambda: MaskROI("m", np.ones((2, 2))), "array of bool"),
            (lambda: MaskROI("m", [[True]], origin=(0.5, 0)), "origin"),
        ],
    )
    def test_what_is_no_region(self, make, match):
        with pytest.raises(ValueError, match=match):
            make()


class TestOutlines:
    @pytest.mark.parametrize("seed", range(12))
    def test_outlines_of_a_mask_hold_its_pixels(self, seed):
        rng = np.random.default_rng(seed)
        mask = rng.random((9, 11)) < rng.uniform(0.1, 0.9)
        mask[0, 0] = True
        roi = MaskROI("m", mask, origin=(3, -4))
        points = grid(15, 13, 1, -6)
        count = np.zeros(len(points), int)
        for outer, holes in roi.outlines:
            count += Polygon("p", outer, tuple(holes)).contains(*points.T)
            assert signed_area(outer) > 0
            assert all(signed_area(hole) < 0 for hole in holes)
        np.testing.assert_array_equal(count, roi.contains(*points.T))

    def test_area_and_corners_of_a_mask(self):
        mask = np.ones((4, 5), bool)
        mask[1:3, 1:3] = False
        ((outer, holes),) = MaskROI("m", mask, origin=(10, 20)).outlines
        assert set(outer) == {(9.5, 19.5), (14.5, 19.5), (14.5, 23.5), (9.5, 23.5)}
        assert [signed_area(hole) for hole in holes] == [-4]

    def test_pixels_that_touch_by_a_corner_are_two_pieces(self):
        roi = MaskROI("m", [[True, False], [False, True]])
        assert [len(outer) for outer, _ in roi.outlines] == [4, 4]

    def test_a_ring_around_a_piece(self):
        mask = np.ones((7, 7), bool)
        mask[1:6, 1:6] = False
        mask[3, 3] = True
        outlines = MaskROI("m", mask).outlines
        assert sorted(len(holes) for _, holes in outlines) == [0, 1]
        assert sorted(signed_area(outer) for outer, _ in outlines) == [1, 49]


class TestTransformed:
    MATRIX = np.array([[1.5, 0.7, -3.0], [-0.4, 2.1, 8.0], [0, 0, 1]])

    @pytest.mark.parametrize(
        "roi",
        [
            Rectangle("r", 1, 2, 9, 7),
            Ellipse("e", 6, 6, 5, 2, 25),
            Ellipse("e", 6, 6, 5, 2),
            Polygon("p", [(0, 0), (9, 1), (5, 8)], [[(4, 2), (6, 2), (5, 4)]]),
            MaskROI("m", np.random.default_rng(1).random((8, 8)) < 0.6),
        ],
        ids=lambda roi: type(roi).__name__,
    )
    @pytest.mark.parametrize("kind", ["affine", "flipped", "shifted"])
    def test_points_move_with_their_region(self, roi, kind):
        matrix = {
            "affine": self.MATRIX,
            "flipped": np.array([[-2.0, 0, 30], [0, 0.5, 1], [0, 0, 1]]),
            "shifted": np.array([[1.0, 0, 4], [0, 1, -3], [0, 0, 1]]),
        }[kind]
        points = np.random.default_rng(0).uniform(-3, 12, (5_000, 2))
        moved = points @ matrix[:2, :2].T + matrix[:2, 2]
        found = [part.contains(*moved.T) for part in transformed(roi, matrix)]
        np.testing.assert_array_equal(np.any(found, axis=0), roi.contains(*points.T))

    def test_what_can_stay_of_its_kind_does(self):
        scale = np.diag([2.0, 3.0, 1.0])
        assert transformed(Rectangle("r", 1, 2, 3, 4, "g", "a"), scale) == [
            Rectangle("r", 2, 6, 6, 12, "g", "a")
        ]
        assert transformed(Ellipse("e", 1, 1, 2, 1), scale) == [
            Ellipse("e", 2, 3, 4, 3)
        ]


class TestLabelPixels:
    ROIS = (
        Rectangle("cortex", 0, 0, 4, 9, group="outer"),
        Ellipse("medulla", 8, 5, 2, 4, group="inner"),
    )

    def test_names_and_groups(self):
        places = [[0, 0], [8, 1], [6, 6], [99, 99]]
        assert label_pixels(places, self.ROIS).tolist() == ["cortex", "medulla", "", ""]
        found = label_pixels(places, self.ROIS, by="group", outside="slide")
        assert found.tolist() == ["outer", "inner", "slide", "slide"]
        assert found.dtype == object

    def test_regions_reach_through_all_z(self):
        places = np.array([[1, 1, 0], [1, 1, 7]])
        assert label_pixels(places, self.ROIS[:1]).tolist() == ["cortex"] * 2

    def test_order_of_pixels_and_pieces_change_nothing(self):
        places = grid(20, 20)
        whole = label_pixels(places, self.ROIS)
        shuffled = np.random.default_rng(0).permutation(len(places))
        np.testing.assert_array_equal(
            label_pixels(places[shuffled], self.ROIS), whole[shuffled]
        )

    def test_regions_of_a_run_stay_in_it(self):
        rois = [
            Rectangle("s1", 0, 0, 2, 2, run="a"),
            Rectangle("s2", 0, 0, 2, 2, run="b"),
        ]
        table = pd.DataFrame({"run": ["a", "b", "b"], "x": [1, 1, 9], "y": [1, 1, 9]})
        expected = ["s1", "s2", ""]
        assert label_pixels(table, rois).tolist() == expected
        places = table[["x", "y"]].to_numpy()
        assert label_pixels(places, rois, runs=table["run"]).tolist() == expected
        features = pd.DataFrame(
            {"mz_500.0000": [1.0, 2, 3]}, pd.MultiIndex.from_frame(table)
        )
        assert label_pixels(features, rois).tolist() == expected
        with pytest.raises(ValueError, match=r"'s1' lies in run 'a'.*Pass runs="):
            label_pixels(places, rois)

    def test_overlap(self):
        rois = [Rectangle("one", 0, 0, 2, 2), Rectangle("two", 2, 2, 4, 4)]
        places = grid(5, 5)
        with pytest.raises(
            ValueError, match=r"'one' and 'two' share 1 pixels.*\(2, 2\)"
        ):
            label_pixels(places, rois)
        middle = np.flatnonzero((places == 2).all(axis=1))[0]
        assert label_pixels(places, rois, overlap="first")[middle] == "one"
        assert label_pixels(places, rois, overlap="last")[middle] == "two"

    def test_pieces_of_one_name_may_overlap(self):
        rois = [Rectangle("one", 0, 0, 2, 2), Rectangle("one", 2, 2, 4, 4)]
        assert (label_pixels(grid(5, 5), rois) == "one").sum() == 17

    def test_an_empty_region_is_told(self):
        with pytest.warns(
            UserWarning, match=r"'far' holds no pixel.*x 50 to 60.*0 to 4"
        ):
            label_pixels(grid(5, 5), [Rectangle("far", 50, 50, 60, 60)])

    def test_an_unknown_run_is_told(self):
        roi = Rectangle("r", 0, 0, 9, 9, run="c")
        with pytest.warns(UserWarning, match=r"run 'c' is none of the 1 runs.*'a'"):
            label_pixels(grid(5, 5), [roi], runs=["a"] * 25)

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"by": "label"}, "by must be one of"),
            ({"overlap": "ignore"}, "overlap must be one of"),
            ({"outside": "cortex"}, "Choose another text for outside"),
            ({"runs": ["a"]}, "runs must name the run of each of 25"),
            ({"coordinates": [1, 2]}, r"\(n_pixels, 2\)"),
            ({"coordinates": [[np.nan, 0]]}, "finite"),
            ({"coordinates": pd.DataFrame({"a": [1]})}, "named x and y"),
        ],
    )
    def test_what_is_refused(self, change, match):
        call = {"coordinates": grid(5, 5), "rois": self.ROIS, **change}
        with pytest.raises(ValueError, match=match):
            label_pixels(call.pop("coordinates"), call.pop("rois"), **call)

    def test_a_region_without_group(self):
        with pytest.raises(ValueError, match=r"'r' has no group"):
            label_pixels(grid(5, 5), [Rectangle("r", 0, 0, 1, 1)], by="group")

    def test_what_is_no_region(self):
        with pytest.raises(TypeError, match="read_geojson"):
            label_pixels(grid(5, 5), ["cortex"])

    def test_a_column_of_pixels_stays_with_spectra(self, tmp_path):
        from imsminer import ImzMLReader
        from imsminer.datasets import make_ims

        truth = make_ims(tmp_path / "run.imzML", shape=(6, 5), random_state=0)
        study = ImzMLReader(truth.path)
        x = study.pixels["x"].to_numpy()
        roi = Rectangle("left", x.min(), 0, x.min() + 1, 99)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            study.pixels["roi"] = label_pixels(
                study.coordinates, [roi], runs=study.pixels["run"]
            )
        expected = np.where(x <= x.min() + 1, "left", "")
        np.testing.assert_array_equal(study.pixels["roi"], expected)
        rows = np.flatnonzero(expected == "left")
        assert (study[rows].pixels["roi"] == "left").all()


class TestTable:
    def test_all_shapes(self, tmp_path):
        path = tmp_path / "rois.csv"
        path.write_text(
            "name,shape,x0,y0,x1,y1,x,y,rx,ry,angle,vertices,group,run\n"
            "1,rectangle,1,2,3,4,,,,,,,wt,\n"
            "b,ellipse,,,,,5,6,2,1,30,,,run1\n"
            'c,Polygon,,,,,,,,,,"(1, 1), (5, 1.5); [-3, 4e0]",,\n'
        )
        assert rois_from_table(path) == [
            Rectangle("1", 1, 2, 3, 4, group="wt"),
            Ellipse("b", 5, 6, 2, 1, 30, run="run1"),
            Polygon("c", [(1, 1), (5, 1.5), (-3, 4)]),
        ]

    def test_vertices_as_a_list(self):
        corners = [(0, 0), (4, 0), (4, 4)]
        table = pd.DataFrame(
            {"name": ["a"], "shape": ["polygon"], "vertices": [corners], "run": [3]}
        )
        assert rois_from_table(table) == [Polygon("a", corners, run="3")]

    @pytest.mark.parametrize(
        ("row", "match"),
        [
            ({"name": "a"}, "no column shape"),
            ({"name": "a", "shape": "circle"}, r"row 1: shape must be one of"),
            ({"name": "a", "shape": "ellipse", "x": 1}, "needs a value in y, rx, ry"),
            ({"name": "", "shape": "polygon", "vertices": "0 0;1 0;1 1"}, "name must"),
            (
                {"name": "a", "shape": "polygon", "vertices": "0 0; 1 0; 1"},
                "pairs of numbers",
            ),
            (
                {"name": "a", "shape": "polygon", "vertices": "0 0; 1 x; 1 1"},
                "pairs of numbers",
            ),
            (
                {"name": "a", "shape": "rectangle", "x0": "left", "y0": 1}
                | {"x1": 2, "y1": 3},
                "x0 must be a finite number",
            ),
        ],
    )
    def test_what_is_wrong_is_named(self, row, match):
        with pytest.raises(ValueError, match=match):
            rois_from_table(pd.DataFrame([row]))
