"""Regions as GeoJSON: what QuPath writes, and back and forth without loss."""

import json

import numpy as np
import pytest

from imsminer.images.registration import register_landmarks
from imsminer.images.roi import (
    Ellipse,
    MaskROI,
    Polygon,
    Rectangle,
    read_geojson,
    write_geojson,
)

ROIS = [
    Rectangle("rectangle", 0.1, 1 / 3, 20, 7, group="control", run="day 1"),
    Ellipse("straight", 10.1, 12.7, 7.3, 1 / 7),
    Ellipse("turned", 10, 12, 7, 3, angle=31.4, run="b"),
    Polygon("polygon é", [(0, 0), (9.123456789012345, 0), (9, 9)], group="5 µM"),
    Polygon(
        "holes",
        [(0, 0), (20, 0), (20, 20), (0, 20)],
        [[(2, 2), (4, 2), (4, 4)], [(8, 8), (9, 8), (9, 9)]],
    ),
    MaskROI("mask", np.random.default_rng(3).random((7, 9)) < 0.5, (3, -4), "a", "b"),
    # A margin without pixels stays.
    MaskROI("margin", np.pad(np.ones((1, 2), bool), 2), (0, 0)),
    # A polygon that happens to be a rectangle stays a polygon.
    Polygon("square", [(1, 1), (5, 1), (5, 5), (1, 5)]),
]


def qupath(geometry, **properties):
    """A feature as QuPath 0.5 writes it."""
    return {
        "type": "Feature",
        "id": "5bd5d3a8-5a3c-4a0e-9a3b-1f0c8d8f3f4e",
        "geometry": geometry,
        "properties": {"objectType": "annotation", **properties},
    }


def square(x, y, edge=4.0):
    ring = [[x, y], [x + edge, y], [x + edge, y + edge], [x, y + edge], [x, y]]
    return [ring]


def saved(tmp_path, content, name="rois.geojson"):
    path = tmp_path / name
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_round_trip_is_exact(tmp_path):
    write_geojson(ROIS, tmp_path / "rois.geojson")
    assert read_geojson(tmp_path / "rois.geojson") == ROIS


def test_a_second_round_writes_the_same_file(tmp_path):
    write_geojson(ROIS, tmp_path / "one.geojson")
    write_geojson(read_geojson(tmp_path / "one.geojson"), tmp_path / "two.geojson")
    one, two = ((tmp_path / f"{name}.geojson").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize(
    "frame",
    [
        {"pixel_size": 50},
        {"pixel_size": (30.0, 7.1), "origin": (3.5, -2.25)},
        {"origin": (0.5, 0.5)},
        {
            "registration": register_landmarks(
                [(0, 0), (100, 20), (10, 90)], [(1, 1), (11, 2), (3, 12)]
            )
        },
    ],
    ids=["µm", "µm, shifted", "shifted", "registration"],
)
def test_pixels_stay_in_their_regions_in_any_frame(tmp_path, frame):
    write_geojson(ROIS, tmp_path / "rois.geojson", **frame)
    found = read_geojson(tmp_path / "rois.geojson", **frame)
    y, x = np.mgrid[-8:30, -3:30]
    for roi in ROIS:
        mine = [other for other in found if other.name == roi.name]
        assert {(other.group, other.run) for other in mine} == {(roi.group, roi.run)}
        inside = np.any([other.contains(x, y) for other in mine], axis=0)
        np.testing.assert_array_equal(inside, roi.contains(x, y), err_msg=roi.name)


@pytest.mark.parametrize("frame", [{"pixel_size": (30.0, 7.1)}, {"pixel_size": 12.5}])
def test_kinds_survive_a_change_of_units(tmp_path, frame):
    write_geojson(ROIS, tmp_path / "rois.geojson", **frame)
    found = read_geojson(tmp_path / "rois.geojson", **frame)
    assert [type(roi) for roi in found] == [type(roi) for roi in ROIS]
    assert found[5:7] == ROIS[5:7]
    np.testing.assert_allclose(found[0].bounds, ROIS[0].bounds, rtol=1e-12)


def test_what_is_written_is_qupaths_form(tmp_path):
    write_geojson([ROIS[0], ROIS[1], ROIS[4], ROIS[5]], tmp_path / "rois.geojson")
    content = json.loads((tmp_path / "rois.geojson").read_text(encoding="utf-8"))
    assert content["type"] == "FeatureCollection"
    rectangle, ellipse, holes, mask = content["features"]
    assert rectangle["properties"]["objectType"] == "annotation"
    assert rectangle["properties"]["name"] == "rectangle"
    assert rectangle["properties"]["classification"] == {"name": "control"}
    assert rectangle["properties"]["run"] == "day 1"
    ring = rectangle["geometry"]["coordinates"][0]
    assert len(ring) == 5
    assert ring[0] == ring[-1]
    assert ellipse["geometry"]["isEllipse"] is True
    assert "classification" not in ellipse["properties"]
    assert len(holes["geometry"]["coordinates"]) == 3
    assert mask["geometry"]["type"] == "MultiPolygon"


def test_coordinates_in_micrometres(tmp_path):
    write_geojson(
        [Rectangle("r", 1, 2, 3, 4)],
        tmp_path / "rois.geojson",
        pixel_size=(50, 20),
        origin=(0.5, 0.5),
    )
    content = json.loads((tmp_path / "rois.geojson").read_text(encoding="utf-8"))
    ring = content["features"][0]["geometry"]["coordinates"][0]
    assert ring == [[25, 30], [125, 30], [125, 70], [25, 70], [25, 30]]


def test_shapely_reads_what_is_written(tmp_path):
    shapely = pytest.importorskip("shapely", reason="an independent reader")
    write_geojson(ROIS, tmp_path / "rois.geojson")
    read = shapely.from_geojson((tmp_path / "rois.geojson").read_text("utf-8"))
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-8, 25, (2, 2_000))
    for geometry, roi in zip(read.geoms, ROIS, strict=True):
        if isinstance(roi, Ellipse):
            assert geometry.area == pytest.approx(np.pi * roi.rx * roi.ry, rel=1e-3)
            continue
        inside = shapely.intersects_xy(geometry, x, y)
        np.testing.assert_array_equal(inside, roi.contains(x, y), err_msg=roi.name)


class TestQuPath:
    def test_names_and_classes(self, tmp_path):
        polygon = {"type": "Polygon", "coordinates": square(1, 1)}
        features = [
            qupath(
                polygon, name="s1", classification={"name": "Tumor", "color": [1] * 3}
            ),
            qupath(polygon, classification={"name": "Stroma"}),
            qupath(polygon, name="only a name"),
            qupath(polygon, classification={"names": ["CD3", "CD8"]}),
            qupath(polygon, classification="old"),
            qupath(polygon),
            qupath(polygon, name="x", metadata={"run": "a"}),
        ]
        path = saved(tmp_path, {"type": "FeatureCollection", "features": features})
        found = [(roi.name, roi.group, roi.run) for roi in read_geojson(path)]
        assert found == [
            ("s1", "Tumor", None),
            ("Stroma", "Stroma", None),
            ("only a name", None, None),
            ("CD3: CD8", "CD3: CD8", None),
            ("old", "old", None),
            ("ROI 6", None, None),
            ("x", None, "a"),
        ]

    @pytest.mark.parametrize("wrap", ["list", "one"])
    def test_other_wrappings(self, tmp_path, wrap):
        feature = qupath({"type": "Polygon", "coordinates": square(1, 1)}, name="a")
        path = saved(tmp_path, [feature] if wrap == "list" else feature)
        assert [roi.name for roi in read_geojson(path)] == ["a"]

    def test_a_multipolygon_is_several_of_one_name(self, tmp_path):
        pieces = [square(1, 1), [*square(10, 10, 8), *square(12, 12, 2)]]
        geometry = {"type": "MultiPolygon", "coordinates": pieces}
        path = saved(tmp_path, [qupath(geometry, classification={"name": "wt"})])
        first, second = read_geojson(path)
        assert first.name == second.name == "wt"
        assert first.contains(3, 3)
        assert not second.contains(13, 13)

    def test_an_ellipse_is_its_bounding_box(self, tmp_path):
        angle = np.linspace(0, 2 * np.pi, 97)
        ring = np.column_stack([8 + 5 * np.cos(angle), 9 + 2 * np.sin(angle)]).round(2)
        geometry = {
            "type": "Polygon",
            "coordinates": [ring.tolist()],
            "isEllipse": True,
        }
        path = saved(tmp_path, [qupath(geometry, name="e")])
        assert read_geojson(path) == [Ellipse("e", 8, 9, 5, 2)]

    def test_the_first_pixel_of_a_picture_reaches_from_0_to_1(self, tmp_path):
        # Drawn around the second pixel of a picture that begins at x, y = (7, 10).
        geometry = {"type": "Polygon", "coordinates": square(1.1, 0.1, 0.8)}
        path = saved(tmp_path, [qupath(geometry, name="one")])
        (roi,) = read_geojson(path, origin=(7 - 0.5, 10 - 0.5))
        y, x = np.mgrid[5:15, 5:15]
        inside = roi.contains(x, y)
        assert [(x[inside].tolist(), y[inside].tolist())] == [([8], [10])]

    @pytest.mark.parametrize("kind", ["rectangle", "turned", "mask"])
    def test_an_outline_that_was_edited_wins(self, tmp_path, kind):
        roi = next(roi for roi in ROIS if roi.name == kind)
        write_geojson([roi], tmp_path / "one.geojson")
        content = json.loads((tmp_path / "one.geojson").read_text(encoding="utf-8"))
        coordinates = content["features"][0]["geometry"]["coordinates"]
        ring = coordinates[0][0] if kind == "mask" else coordinates[0]
        ring[1] = [40.25, 40.75]
        (first, *_) = read_geojson(saved(tmp_path, content, "edited.geojson"))
        assert isinstance(first, Polygon)
        assert (40.25, 40.75) in first.vertices


class TestErrors:
    @pytest.mark.parametrize(
        ("feature", "match"),
        [
            (qupath({"type": "Point", "coordinates": [1, 2]}, name="p"), "a Point"),
            (qupath(None, name="p"), "a None"),
            (qupath({"type": "Polygon"}), "not in the form of GeoJSON"),
            (qupath({"type": "Polygon", "coordinates": []}), "no outline"),
            (qupath({"type": "MultiPolygon", "coordinates": []}), "an empty MultiPol"),
            (qupath({"type": "Polygon", "coordinates": [1, 2]}), "form of GeoJSON"),
            (
                qupath({"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}),
                "three or more corners; got 2",
            ),
            (
                qupath(
                    {"type": "Polygon", "coordinates": [[[0, 0], [1, "a"], [1, 1]]]}
                ),
                "finite numbers",
            ),
            ("Feature", "expected a Feature"),
        ],
    )
    def test_file_and_feature_are_named(self, tmp_path, feature, match):
        good = qupath({"type": "Polygon", "coordinates": square(0, 0)})
        path = saved(tmp_path, [good, feature])
        with pytest.raises(ValueError, match=rf"rois\.geojson, feature 2: .*{match}"):
            read_geojson(path)

    def test_a_file_of_something_else(self, tmp_path):
        (tmp_path / "a.json").write_text("<xml/>")
        with pytest.raises(ValueError, match=r"a\.json is no JSON"):
            read_geojson(tmp_path / "a.json")
        (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match=r"b\.json is no JSON"):
            read_geojson(tmp_path / "b.json")
        path = saved(tmp_path, {"type": "Topology"}, "c.json")
        with pytest.raises(ValueError, match="holds 'Topology'"):
            read_geojson(path)
        with pytest.raises(FileNotFoundError):
            read_geojson(tmp_path / "absent.json")

    def test_nothing_drawn_is_no_error(self, tmp_path):
        write_geojson([], tmp_path / "none.geojson")
        assert read_geojson(tmp_path / "none.geojson") == []

    def test_nothing_is_replaced_unasked(self, tmp_path):
        path = tmp_path / "rois.geojson"
        write_geojson(ROIS[:1], path)
        with pytest.raises(FileExistsError, match="overwrite=True"):
            write_geojson(ROIS, path)
        assert read_geojson(path) == ROIS[:1]
        write_geojson(ROIS, path, overwrite=True)
        assert read_geojson(path) == ROIS

    def test_a_failure_leaves_no_file(self, tmp_path):
        with pytest.raises(TypeError, match="got str"):
            write_geojson([ROIS[0], "b"], tmp_path / "rois.geojson")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("frame", "match"),
        [
            ({"pixel_size": 0}, "pixel_size must be one or two positive"),
            ({"pixel_size": (1, 2, 3)}, "pixel_size must be one or two positive"),
            ({"origin": (1,)}, "origin must be x and y"),
            ({"pixel_size": 5, "registration": object()}, "leave out pixel_size"),
        ],
    )
    def test_frames_that_make_no_sense(self, tmp_path, frame, match):
        with pytest.raises(ValueError, match=match):
            write_geojson(ROIS, tmp_path / "rois.geojson", **frame)
