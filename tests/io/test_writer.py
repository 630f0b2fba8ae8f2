"""What the writer writes is read back by us and by pyimzML; nothing half stays."""

import hashlib
import re
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from imsminer.io._scan import scan_imzml
from imsminer.io.imzml import ImzMLReader
from imsminer.io.writer import ImzMLWriter


def spectra(n=40, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 30, n)
    lengths[3] = 0
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    mz = np.concatenate([np.sort(rng.uniform(100, 900, k)) for k in lengths])
    intensity = rng.integers(0, 100, mz.size).astype(np.float64)
    coordinates = np.argwhere(np.ones((n // 8, 8), bool))[:, ::-1] + 1
    return mz, intensity, indptr, coordinates


def pyimzml_spectra(path):
    from pyimzml.ImzMLParser import ImzMLParser

    with ImzMLParser(str(path)) as parser, warnings.catch_warnings():
        return (
            [parser.getspectrum(i) for i in range(len(parser.coordinates))],
            parser.coordinates,
            parser.imzmldict,
            parser.metadata,
        )


@pytest.mark.parametrize("mz_dtype", ["float32", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_processed_is_read_by_pyimzml(tmp_path, mz_dtype, dtype):
    mz, intensity, indptr, coordinates = spectra()
    path = tmp_path / "a.imzML"
    with ImzMLWriter(path, mz_dtype=mz_dtype, intensity_dtype=dtype) as writer:
        writer.add_chunk(mz, intensity, coordinates, indptr)
    found, positions, _, _ = pyimzml_spectra(path)
    assert [p[:2] for p in positions] == [tuple(c) for c in coordinates.tolist()]
    for i, (got_mz, got) in enumerate(found):
        part = slice(indptr[i], indptr[i + 1])
        assert np.array_equal(got_mz, mz[part].astype(mz_dtype))
        assert np.array_equal(got, intensity[part])
        assert got.dtype == dtype


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "float32"])
def test_processed_is_read_by_us(tmp_path, compression, dtype):
    mz, intensity, indptr, coordinates = spectra()
    path = tmp_path / "a.imzML"
    options = {"intensity_dtype": dtype, "compression": compression, "pixel_size": 5}
    with ImzMLWriter(path, **options) as writer:
        # In three chunks, the last pixel alone.
        for start, stop in ((0, 3), (3, 39)):
            part = slice(indptr[start], indptr[stop])
            writer.add_chunk(
                mz[part],
                intensity[part],
                coordinates[start:stop],
                indptr[start : stop + 1] - indptr[start],
            )
        writer.add(mz[indptr[39] :], intensity[indptr[39] :], coordinates[39])
    reader = ImzMLReader(path)
    assert np.array_equal(reader.coordinates[:, :2], coordinates)
    for i in range(len(reader)):
        part = slice(indptr[i], indptr[i + 1])
        assert np.array_equal(reader[i].mz, mz[part])
        assert np.array_equal(reader[i].intensity, intensity[part])


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_continuous(tmp_path, compression):
    rng = np.random.default_rng(0)
    mz, intensity = np.linspace(100, 200, 50), rng.random((6, 50))
    coordinates = [(x, y, 1) for y in (1, 2) for x in (1, 2, 3)]
    path = tmp_path / "a.imzML"
    options = {"intensity_dtype": "float64", "compression": compression}
    with ImzMLWriter(path, mode="continuous", pixel_size=(10, 20), **options) as writer:
        writer.add_chunk(mz, intensity[:4], coordinates[:4])
        writer.add(None, intensity[4], coordinates[4])
        writer.add(mz, intensity[5], coordinates[5])
    reader = ImzMLReader(path)
    assert np.array_equal(reader.mz, mz)
    assert np.array_equal([reader[i].intensity for i in range(6)], intensity)
    assert reader.runs["mode"].tolist() == ["continuous"]
    assert reader.runs["pixel_size_y"].tolist() == [20]
    if compression is None:
        assert path.with_suffix(".ibd").stat().st_size == 16 + 50 * 8 * 7
        assert np.array_equal([s[1] for s in pyimzml_spectra(path)[0]], intensity)


def test_shared_axis_in_processed_mode_is_repeated(tmp_path):
    path = tmp_path / "a.imzML"
    with ImzMLWriter(path, pixel_size=1) as writer:
        writer.add_chunk([1.0, 2.0], [[3, 4], [5, 6]], [(1, 1), (2, 1)])
    reader = ImzMLReader(path)
    assert reader.mz is None
    assert reader[1].mz.tolist() == [1, 2]
    assert reader[1].intensity.tolist() == [5, 6]


def test_header(tmp_path):
    path = tmp_path / "a.imzML"
    with ImzMLWriter(
        path,
        polarity="positive",
        spectrum_type="centroid",
        pixel_size=(25, 50),
        instrument='Q & "A" <5>',
        processing=("binned & scaled",),
    ) as writer:
        writer.add([100.0], [1], (7, 4, 1))
    _, positions, dictionary, metadata = pyimzml_spectra(path)
    assert positions == [(7, 4, 1)]
    assert dictionary["max count of pixels x"] == 7
    assert dictionary["max count of pixels y"] == 4
    assert dictionary["pixel size x"] == 25
    assert dictionary["pixel size y"] == 50
    assert dictionary["max dimension y"] == 200
    assert metadata.file_description["ibd SHA-1"] == (
        hashlib.sha1(path.with_suffix(".ibd").read_bytes()).hexdigest()
    )
    facts = scan_imzml(path).facts
    assert facts.uuid == writer.uuid == path.with_suffix(".ibd").read_bytes()[:16].hex()
    assert facts.polarity == "positive"
    assert facts.spectrum_type == "centroid"
    assert facts.instrument == 'Q & "A" <5>'
    assert "binned &amp; scaled" in path.read_text()


def test_xml_is_well_formed_and_counts_are_right(tmp_path):
    mz, intensity, indptr, coordinates = spectra()
    path = tmp_path / "a.imzML"
    with ImzMLWriter(path) as writer:
        writer.add_chunk(mz, intensity, coordinates, indptr)
    root = ElementTree.parse(path).getroot()
    space = "{http://psi.hupo.org/ms/mzml}"
    names = [child.tag.removeprefix(space) for child in root]
    # The order that the mzML schema demands.
    assert names == [
        "cvList",
        "fileDescription",
        "referenceableParamGroupList",
        "softwareList",
        "scanSettingsList",
        "instrumentConfigurationList",
        "dataProcessingList",
        "run",
    ]
    for element in root.iter():
        if "count" in element.attrib:
            kinds = [c for c in element if not c.tag.endswith("cvParam")]
            assert int(element.attrib["count"]) == len(kinds)
    groups = {e.attrib["id"] for e in root.iter(f"{space}referenceableParamGroup")}
    used = {e.attrib["ref"] for e in root.iter(f"{space}referenceableParamGroupRef")}
    assert used == groups


def test_fast_scan_takes_it(tmp_path):
    mz, intensity, indptr, coordinates = spectra()
    path = tmp_path / "a.imzML"
    with ImzMLWriter(path, pixel_size=1) as writer:
        writer.add_chunk(mz, intensity, coordinates, indptr)
    fast, slow = scan_imzml(path, fast=True), scan_imzml(path, fast=False)
    assert np.array_equal(fast.spectra, slow.spectra)
    assert not slow.oddities


def test_zeros_take_no_space(tmp_path):
    path = tmp_path / "a.imzML"
    mz = np.linspace(100, 200, 100_000)
    with ImzMLWriter(path, mode="continuous", checksum=False, pixel_size=1) as writer:
        writer.add(mz, np.ones(mz.size), (1, 1))
        writer.add_zeros([(x, 1) for x in range(2, 500)])
        writer.add(None, np.full(mz.size, 3), (500, 1))
        writer.add_zeros([(501, 1)])
    status = path.with_suffix(".ibd").stat()
    assert status.st_size == 16 + mz.nbytes + 501 * mz.size * 4
    assert status.st_blocks * 512 < status.st_size / 50
    reader = ImzMLReader(path)
    sums = [reader[i].intensity.sum() for i in (0, 1, 250, 499, 500)]
    assert sums == [100_000, 0, 0, 300_000, 0]


def test_nothing_is_left_after_an_error(tmp_path):
    def interrupted():
        with ImzMLWriter(tmp_path / "a.imzML") as writer:
            writer.add([100.0], [1], (1, 1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_when_the_end_fails(tmp_path, monkeypatch):
    from imsminer.io import writer as module

    def fail(*_):
        message = "disk full"
        raise OSError(message)

    monkeypatch.setattr(module, "spectra_xml", fail)
    with pytest.raises(OSError, match="disk full"):
        with ImzMLWriter(tmp_path / "a.imzML") as writer:
            writer.add([100.0], [1], (1, 1))
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept_unless_told(tmp_path):
    path = tmp_path / "a.imzML"
    with ImzMLWriter(path) as writer:
        writer.add([100.0], [1], (1, 1))
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        ImzMLWriter(path)
    assert path.read_bytes() == before
    with ImzMLWriter(path, overwrite=True) as writer:
        writer.add([100.0], [2], (1, 1))
    assert pyimzml_spectra(path)[0][0][1].tolist() == [2]


def test_given_uuid_makes_equal_bytes(tmp_path):
    for name in "ab":
        with ImzMLWriter(tmp_path / f"{name}.imzML", uuid="1" * 32) as writer:
            writer.add([100.0], [1], (1, 1))
    for ending in ("imzML", "ibd"):
        contents = [(tmp_path / f"{name}.{ending}").read_bytes() for name in "ab"]
        assert contents[0] == contents[1]


def test_no_spectra(tmp_path):
    path = tmp_path / "a.imzML"
    with ImzMLWriter(path):
        pass
    assert re.search(r'<spectrumList count="0"', path.read_text())


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mode": "other"}, "mode must be one of"),
        ({"mz_dtype": "int32"}, "mz_dtype must be one of"),
        ({"intensity_dtype": "uint8"}, "intensity_dtype must be one of"),
        ({"polarity": "both"}, "polarity must be one of"),
        ({"pixel_size": 0}, "pixel_size must be positive"),
        ({"compression": "lz4"}, "compression must be one of"),
    ],
)
def test_wrong_options(tmp_path, options, match):
    with pytest.raises(ValueError, match=match):
        ImzMLWriter(tmp_path / "a.imzML", **options)


@pytest.mark.parametrize(
    ("mz", "intensity", "position", "match"),
    [
        ([2.0, 1.0], [1, 1], (1, 1), "increase within each spectrum"),
        ([1.0, np.nan], [1, 1], (1, 1), "finite"),
        ([1.0, np.inf], [1, 1], (1, 1), "finite"),
        ([1.0], [1, 1], (1, 1), "of one length"),
        ([1.0], [1], (1.5, 1), "whole numbers"),
        ([1.0], [1], (1,), "shape"),
    ],
)
def test_wrong_spectra(tmp_path, mz, intensity, position, match):
    with (
        pytest.raises(ValueError, match=match),
        ImzMLWriter(tmp_path / "a.imzML") as writer,
    ):
        writer.add(mz, intensity, position)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [1.5, 200, -129, np.nan])
def test_integers_do_not_wrap(tmp_path, value):
    with (
        pytest.raises(ValueError, match="do not fit"),
        ImzMLWriter(tmp_path / "a.imzML", intensity_dtype="int8") as writer,
    ):
        writer.add([1.0], [value], (1, 1))


def test_continuous_refuses_other_axes(tmp_path):
    with ImzMLWriter(tmp_path / "a.imzML", mode="continuous") as writer:
        writer.add([1.0, 2.0], [1, 1], (1, 1))
        with pytest.raises(ValueError, match="share the m/z of the first"):
            writer.add([1.0, 2.5], [1, 1], (2, 1))
