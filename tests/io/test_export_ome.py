"""OME-TIFF: pixels by tifffile's OME reader, the XML by its own parser."""

import json
from xml.etree import ElementTree

import numpy as np
import pytest

from imsminer.io import _export_images, _export_ome
from imsminer.io.export import to_image_stack, write_features
from tests.io.export_study import make_study, same_bits

tifffile = pytest.importorskip("tifffile", reason="OME-TIFF is what is tested")

OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def written(study, path):
    write_features(study.features, path, **study.extras)
    return path


def facts_of(root, image):
    """The key–value pairs that an image refers to."""
    ids = [ref.get("ID") for ref in image.findall(f"{OME}AnnotationRef")]
    (annotation,) = (
        item for item in root.iter(f"{OME}MapAnnotation") if item.get("ID") in ids
    )
    return {pair.get("K"): pair.text for pair in annotation.iter(f"{OME}M")}


@pytest.mark.parametrize("block", [1, 300, 1 << 25])
@pytest.mark.parametrize("z", [(1,), (2, 5, 6)])
def test_images_are_the_stacks(tmp_path, monkeypatch, block, z):
    monkeypatch.setattr(_export_images, "_BLOCK_BYTES", block)
    study = make_study(z=z)
    with tifffile.TiffFile(written(study, tmp_path / "a.ome.tif")) as file:
        assert file.is_ome
        assert not file.is_bigtiff
        assert [series.name for series in file.series] == ["kidney A", "blæse_2"]
        for series in file.series:
            assert series.axes == ("CYX" if len(z) == 1 else "CZYX")
            stacks = [
                to_image_stack(study.features, run=series.name, z=level) for level in z
            ]
            expected = stacks[0] if len(z) == 1 else np.stack(stacks, axis=1)
            assert same_bits(series.asarray(), expected)
        assert {page.compression.name for page in file.pages} == {"ADOBE_DEFLATE"}


def test_the_xml_says_channels_sizes_and_origin(tmp_path):
    study = make_study(z=(2, 5))
    with tifffile.TiffFile(written(study, tmp_path / "a.ome.tiff")) as file:
        root = ElementTree.fromstring(file.ome_metadata)
    assert root.tag == f"{OME}OME"
    assert root.get("Creator").startswith("imsminer ")
    images = root.findall(f"{OME}Image")
    expected = (("kidney A", 7, 5, "50.0", "50.0"), ("blæse_2", 4, 9, "25.0", "20.0"))
    first_ifd = 0
    for image, (name, width, height, size_x, size_y) in zip(
        images, expected, strict=True
    ):
        pixels = image.find(f"{OME}Pixels")
        assert image.get("Name") == name
        assert pixels.get("Type") == "float"
        assert pixels.get("DimensionOrder") == "XYZCT"
        sizes = [int(pixels.get(f"Size{axis}")) for axis in "XYZCT"]
        assert sizes == [width, height, 2, 4, 1]
        assert (pixels.get("PhysicalSizeX"), pixels.get("PhysicalSizeY")) == (
            size_x,
            size_y,
        )
        assert pixels.get("PhysicalSizeXUnit") == "µm"
        assert pixels.get("PhysicalSizeYUnit") == "µm"
        channels = pixels.findall(f"{OME}Channel")
        assert [c.get("Name") for c in channels] == list(study.features.columns)
        assert len({c.get("ID") for c in channels}) == 4
        data = pixels.find(f"{OME}TiffData")
        assert int(data.get("IFD")) == first_ifd
        assert int(data.get("PlaneCount")) == 8
        first_ifd += 8
        facts = facts_of(root, image)
        assert json.loads(facts["m/z of the channels"]) == study.peaks["mz"].tolist()
        assert json.loads(facts["z of the planes"]) == [2, 5]
        assert json.loads(facts["provenance"]) == study.provenance
        assert facts["x of the first column"] == "11"
        assert facts["y of the first row"] == "4"


def test_elements_stand_in_the_order_of_the_schema(tmp_path):
    """The schema's sequences: what validators complain of first."""
    study = make_study()
    with tifffile.TiffFile(written(study, tmp_path / "a.ome.tif")) as file:
        root = ElementTree.fromstring(file.ome_metadata)
    tags = [child.tag.removeprefix(OME) for child in root]
    assert tags == ["Image", "Image", "StructuredAnnotations"]
    inner = [child.tag.removeprefix(OME) for child in root[0]]
    assert inner == ["Description", "Pixels", "AnnotationRef"]
    assert [c.tag.removeprefix(OME) for c in root[0][1]] == ["Channel"] * 4 + [
        "TiffData"
    ]


def test_without_a_pixel_size_none_is_written(tmp_path):
    study = make_study()
    path = tmp_path / "a.ome.tif"
    write_features(study.features, path)
    with tifffile.TiffFile(path) as file:
        assert "PhysicalSize" not in file.ome_metadata
        assert "provenance" not in file.ome_metadata
        assert file.pages[0].tags["ResolutionUnit"].value == 1


def test_plain_tiff_readers_find_the_resolution(tmp_path):
    with tifffile.TiffFile(written(make_study(), tmp_path / "a.ome.tif")) as file:
        tags = file.pages[len(file.pages) - 1].tags
        assert tags["ResolutionUnit"].value == tifffile.RESUNIT.CENTIMETER
        x, y = (np.divide(*tags[f"{axis}Resolution"].value) for axis in "XY")
        assert (x, y) == pytest.approx((1e4 / 25, 1e4 / 20))


def test_large_stacks_become_bigtiff(tmp_path, monkeypatch):
    study = make_study()
    n_bytes = 4 * 4 * (7 * 5 + 4 * 9)
    for limit, big in ((n_bytes, False), (n_bytes - 1, True)):
        monkeypatch.setattr(_export_ome, "_CLASSIC_LIMIT", limit)
        with tifffile.TiffFile(written(study, tmp_path / f"{limit}.ome.tif")) as file:
            assert file.is_bigtiff == big
            assert len(file.series) == 2
    assert 4 * 10**9 > 7 << 29
