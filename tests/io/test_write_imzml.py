"""Spectra are written with what is known of them, and read back identically."""

import tempfile
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imsminer import ImzMLReader, Spectra, concatenate
from imsminer.exceptions import ImzMLWarning
from imsminer.io.writer import ImzMLWriter, write_imzml
from tests.io.written import SPACE, Scale, assert_same, ragged, read, shared


def user_params(path):
    root = ElementTree.parse(path).getroot()
    return [
        (e.attrib["name"], e.attrib["value"]) for e in root.iter(f"{SPACE}userParam")
    ]


@pytest.mark.parametrize("mz_dtype", ["float64", "float32"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [shared, ragged])
def test_round_trip(tmp_path, make, dtype, compression, mz_dtype):
    spectra = make(dtype=dtype)
    options = {"compression": compression, "mz_dtype": mz_dtype}
    path = write_imzml(spectra, tmp_path / "a.imzML", **options)
    assert path == tmp_path / "a.imzML"
    found = ImzMLReader(path, checksum=True)
    assert_same(found, spectra, mz_dtype)
    assert (found.mz is None) == (spectra.mz is None)
    assert found.runs["mode"].tolist() == spectra.runs["mode"].tolist()


def test_processed_copies_a_shared_axis(tmp_path):
    spectra = shared()
    path = write_imzml(spectra, tmp_path / "a.imzML", mode="processed")
    found = read(path)
    assert_same(found, spectra)
    assert found.mz is None
    assert path.with_suffix(".ibd").stat().st_size == 16 + 40 * 25 * 12


def test_continuous_refuses_own_axes(tmp_path):
    with pytest.raises(ValueError, match="axes of their own"):
        write_imzml(ragged(), tmp_path / "a.imzML", mode="continuous")
    assert list(tmp_path.iterdir()) == []


def test_selection_and_queue_are_applied(tmp_path):
    spectra = shared()
    part = spectra[spectra.pixels["x"] > 3].map(Scale(2.0, np.ones(3)))
    path = write_imzml(part, tmp_path / "a.imzML")
    assert_same(ImzMLReader(path), part)
    found = user_params(path)
    assert ("step", "Scale") in found
    assert ("factor", "2.0") in found
    assert not any(name == "table" for name, _ in found)
    peaks = pd.DataFrame({"mz": [100.0, 200.0]})
    path = write_imzml(part.with_peaks(peaks), tmp_path / "b.imzML")
    assert ("peaks attached", "2") in user_params(path)


def test_order_of_rows_is_kept(tmp_path):
    spectra = ragged()
    part = spectra[[7, 3, 39, 1]]
    assert_same(read(write_imzml(part, tmp_path / "a.imzML")), part)


def test_chunks_of_another_library(tmp_path):
    xp = pytest.importorskip("array_api_strict")
    spectra = ragged()
    path = write_imzml(spectra.to(xp), tmp_path / "a.imzML")
    assert_same(read(path), spectra)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_whole_numbers(tmp_path, dtype):
    spectra = Spectra.from_arrays(np.arange(-6.0, 6.0).reshape(3, 4), np.arange(1.0, 5))
    path = write_imzml(spectra, tmp_path / "a.imzML", dtype=dtype)
    stored = np.fromfile(path.with_suffix(".ibd"), dtype, offset=16 + 4 * 8)
    assert stored.tolist() == list(range(-6, 6))
    found = ImzMLReader(path)
    assert np.array_equal([s.intensity for s in found], [s.intensity for s in spectra])


@pytest.mark.parametrize(
    ("value", "dtype", "match"),
    [
        (0.5, "int32", "do not fit"),
        (2.0**31, "int32", "do not fit"),
        (2.0**63, "int64", "do not fit"),
        (1e39, "float32", "too large"),
    ],
)
def test_values_that_do_not_fit(tmp_path, value, dtype, match):
    intensity = np.zeros((3, 4))
    intensity[2, 1] = value
    spectra = Spectra.from_arrays(intensity, np.arange(1.0, 5))
    with pytest.raises(ValueError, match=match):
        write_imzml(spectra, tmp_path / "a.imzML", dtype=dtype)
    assert list(tmp_path.iterdir()) == []


def test_where_a_value_does_not_fit_is_said(tmp_path):
    spectra = Spectra.from_arrays(
        [0.0, 1.0, 1e39], [1.0, 2.0, 3.0], [(1, 1), (9, 4)], indptr=[0, 2, 3]
    )
    with pytest.raises(ValueError, match="x=9, y=4, z=1"):
        write_imzml(spectra, tmp_path / "a.imzML", dtype="float32")


def test_the_widest_type_of_the_runs_is_kept(tmp_path):
    study = concatenate([ragged(), ragged(dtype="float64", seed=1)])
    found = read(write_imzml(study, tmp_path / "a.imzML"))
    for got, want in zip(found, study, strict=True):
        assert got.intensity.dtype == np.float64
        assert np.array_equal(got.intensity, want.intensity)


# What the header says -------------------------------------------------------------


def test_facts_of_the_run_are_kept(tmp_path):
    first = tmp_path / "first.imzML"
    options = {"polarity": "negative", "pixel_size": (25, 50), "instrument": "Ins & Co"}
    with ImzMLWriter(first, spectrum_type="centroid", **options) as writer:
        writer.add([100.0], [1], (4, 2))
        writer.add([100.0], [1], (5, 2))
    reader = ImzMLReader(first)
    path = write_imzml(reader[:1], tmp_path / "second.imzML")
    found = ImzMLReader(path)
    names = ["polarity", "spectrum_type", "pixel_size_x", "pixel_size_y", "instrument"]
    assert (
        found.runs[names].to_numpy().tolist() == reader.runs[names].to_numpy().tolist()
    )
    assert found.runs["uuid"].item() != reader.runs["uuid"].item()
    assert found.pixels[["x", "y", "z"]].to_numpy().tolist() == [[4, 2, 1]]
    root = ElementTree.parse(path).getroot()
    (source,) = root.iter(f"{SPACE}sourceFile")
    assert source.attrib["name"] == "first.imzML"
    assert source.attrib["location"] == tmp_path.as_uri()
    assert ("uuid", reader.runs["uuid"].item()) in user_params(path)
    assert ("pixels of the sources", "2") in user_params(path)


def test_mixed_polarity_and_type(tmp_path):
    first = tmp_path / "first.imzML"
    kinds = [("profile", "positive"), ("centroid", "negative"), ("profile", None)]
    with ImzMLWriter(first, pixel_size=1) as writer:
        for x, (kind, sign) in enumerate(kinds, start=1):
            writer.add_chunk(
                [100.0], [x], [(x, 1)], [0, 1], spectrum_type=kind, polarity=[sign]
            )
    reader = read(first)
    signs = reader.pixels["polarity"].fillna("none").tolist()
    assert signs == ["positive", "negative", "none"]
    order = [2, 1, 0]
    found = read(write_imzml(reader[order], tmp_path / "second.imzML"))
    for name in ("polarity", "spectrum_type"):
        values = reader.pixels[name].fillna("none").tolist()
        assert found.pixels[name].fillna("none").tolist() == values[::-1]


def test_unknown_polarity_is_refused(tmp_path):
    with (
        pytest.raises(ValueError, match="polarity must be one of"),
        ImzMLWriter(tmp_path / "a.imzML") as writer,
    ):
        writer.add_chunk([1.0], [1], [(1, 1)], [0, 1], polarity=["+"])


def test_control_characters_do_not_break_the_xml(tmp_path):
    path = tmp_path / "a.imzML"
    with ImzMLWriter(path, instrument="a\x00b\ud800c", notes={"\x01": "\n<"}) as writer:
        writer.add([1.0], [1], (1, 1))
    assert read(path).runs["instrument"].item() == "a�b�c"
    assert user_params(path) == [("�", "\n<")]


def test_ion_mobility(tmp_path):
    mobility = np.array([0.9, 0.7, 1.1, 0.8, 0.6])
    first, second = tmp_path / "first.imzML", tmp_path / "second.imzML"
    name = "raw inverse reduced ion mobility"
    with ImzMLWriter(first, pixel_size=1, mobility=name) as writer:
        writer.add_chunk(
            [1.0, 2, 3, 1, 2],
            [1, 2, 3, 4, 5],
            [(1, 1), (2, 1), (3, 1)],
            [0, 3, 3, 5],
            mobility=mobility,
        )
    write_imzml(ImzMLReader(first, mobility="keep"), second)
    for path in (first, second):
        reader = ImzMLReader(path, mobility="keep")
        assert reader.runs["mobility"].item() == name
        (chunk,) = reader.iter_chunks()
        assert np.array_equal(chunk.mobility, mobility)
        assert chunk.intensity.tolist() == [1, 2, 3, 4, 5]
        assert chunk.mz.tolist() == [1, 2, 3, 1, 2]
    assert "MS:1003008" in second.read_text()


def test_ion_mobility_for_all_or_none(tmp_path):
    with ImzMLWriter(tmp_path / "a.imzML") as writer:
        writer.add([1.0], [1], (1, 1))
        with pytest.raises(ValueError, match="for all or for none"):
            writer.add_chunk([1.0], [1], [(2, 1)], [0, 1], mobility=[0.5])


def test_ion_mobility_needs_a_fitting_name(tmp_path):
    with pytest.raises(ValueError, match="mobility must name"):
        ImzMLWriter(tmp_path / "a.imzML", mobility="charge")


# Studies --------------------------------------------------------------------------


def test_runs_become_planes(tmp_path):
    study = concatenate(
        [ragged(run="b", pixel_size=20), shared(run="a", pixel_size=20)]
    )
    path = write_imzml(study[::-1], tmp_path / "a.imzML")
    found = read(path)
    assert found.runs["pixel_size_x"].item() == 20
    assert found.coordinates[:, 2].tolist() == [1] * 40 + [2] * 40
    assert np.array_equal(found.coordinates[:, :2], study.coordinates[::-1, :2])
    for got, want in zip(found, study[::-1], strict=True):
        assert np.array_equal(got.mz, want.mz)
        assert np.array_equal(got.intensity, want.intensity)
    assert {("run at z=1", "a"), ("run at z=2", "b")} <= set(user_params(path))


def test_a_run_with_planes_among_others_is_refused(tmp_path):
    planes = Spectra.from_arrays(np.ones((2, 3)), coordinates=[(1, 1, 1), (1, 1, 2)])
    study = concatenate([shared(run="flat"), planes])
    with pytest.raises(ValueError, match=r"run 'run' has 2 planes.*one file per run"):
        write_imzml(study, tmp_path / "a.imzML")
    alone = study[study.pixels["run"] == "run"]
    assert_same(ImzMLReader(write_imzml(alone, tmp_path / "a.imzML")), alone)


def test_different_pixel_sizes(tmp_path):
    study = concatenate(
        [shared(run="a", pixel_size=20), shared(run="b", pixel_size=50)]
    )
    with pytest.warns(ImzMLWarning, match="20 × 20, 50 × 50"):
        path = write_imzml(study, tmp_path / "a.imzML")
    assert np.isnan(read(path).runs["pixel_size_x"].item())
    assert ("pixel size in µm at z=2", "50 x 50") in user_params(path)


# Any spectra ----------------------------------------------------------------------


@st.composite
def any_spectra(draw):
    """Spectra of every size and kind that can be made of arrays."""
    dtype = np.dtype(draw(st.sampled_from(["float32", "float64"])))
    width = 8 * dtype.itemsize
    values = st.floats(allow_nan=False, allow_infinity=False, width=width)
    masses = st.floats(1e-3, 1e6, allow_subnormal=False)
    n = draw(st.integers(1, 6))
    options = {"pixel_size": 7.5, "profile": draw(st.booleans())}
    cells = st.tuples(*[st.integers(-3, 9)] * 3)
    position = draw(st.lists(cells, min_size=n, max_size=n, unique=True))
    if draw(st.booleans()):
        mz = sorted(draw(st.sets(masses, min_size=1, max_size=9)))
        intensity = draw(hnp.arrays(dtype, (n, len(mz)), elements=values))
        return Spectra.from_arrays(intensity, mz, position, **options)
    lengths = draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    parts = [sorted(draw(st.sets(masses, min_size=k, max_size=k))) for k in lengths]
    mz = np.array([value for part in parts for value in part], np.float64)
    intensity = draw(hnp.arrays(dtype, mz.size, elements=values))
    if draw(st.booleans()):
        options["mobility"] = draw(
            hnp.arrays(np.float64, mz.size, elements=st.floats(0, 2))
        )
    indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Spectra.from_arrays(intensity, mz, position, indptr=indptr, **options)


@settings(max_examples=60, deadline=None)
@given(
    spectra=any_spectra(),
    compression=st.sampled_from([None, "zlib"]),
    own_axes=st.booleans(),
)
def test_any_spectra_are_read_back(spectra, compression, own_axes):
    with tempfile.TemporaryDirectory() as folder:
        mode = "processed" if own_axes else None
        path = write_imzml(
            spectra, f"{folder}/a.imzML", mode=mode, compression=compression
        )
        found = read(path, mobility="keep", checksum=True)
        assert_same(found, spectra)
        assert found.profile == spectra.profile
        wanted = [chunk.mobility for chunk in spectra.iter_chunks()]
        got = [chunk.mobility for chunk in found.iter_chunks()]
        if wanted[0] is not None and np.concatenate(wanted).size:
            assert np.array_equal(np.concatenate(got), np.concatenate(wanted))


@pytest.mark.shared
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_odd_files_are_written_and_read_back(tmp_path, shared_data, compression):
    files = sorted((shared_data / "conformance").glob("*.[iI]*[zZ][mM][lL]"))
    assert len(files) >= 15
    names = ["polarity", "spectrum_type", "pixel_size_x", "pixel_size_y", "instrument"]
    for number, file in enumerate(files):
        spectra = read(file, on_error="skip")
        path = tmp_path / f"{number}.imzML"
        write_imzml(spectra, path, compression=compression)
        found = read(path, checksum=True)
        assert_same(found, spectra)
        pd.testing.assert_frame_equal(
            found.runs[names].reset_index(drop=True),
            spectra.runs[names].reset_index(drop=True),
        )


# Limits ---------------------------------------------------------------------------


def test_wrong_input(tmp_path):
    with pytest.raises(TypeError, match="writes Spectra"):
        write_imzml(np.ones((2, 3)), tmp_path / "a.imzML")
    with pytest.raises(ValueError, match="no spectrum to write"):
        write_imzml(shared()[:0], tmp_path / "a.imzML")
    with pytest.raises(ValueError, match=r"end in \.imzML"):
        write_imzml(shared(), tmp_path / "a.mzML")


def test_threads_compress_the_same(tmp_path):
    spectra = ragged(n=101)
    paths = [
        write_imzml(spectra, tmp_path / f"{n}.imzML", compression="zlib", n_jobs=n)
        for n in (None, 3)
    ]
    first, second = (p.with_suffix(".ibd").read_bytes()[16:] for p in paths)
    assert first == second
    assert_same(read(paths[1]), spectra)


def test_arrays_may_change_after_they_were_added(tmp_path):
    # Larger than what is copied, so that threads look at the array itself.
    mz, buffer = np.arange(1.0, 500_001), np.zeros((1, 500_000), np.float32)
    path = tmp_path / "a.imzML"
    with ImzMLWriter(path, mode="continuous", pixel_size=1) as writer:
        for value in range(1, 4):
            buffer[:] = value
            writer.add_chunk(mz, buffer, [(value, 1)])
    reader = ImzMLReader(path, checksum=True)
    assert [set(s.intensity.tolist()) for s in reader] == [{1.0}, {2.0}, {3.0}]


def test_memory_is_bounded(tmp_path):
    tracemalloc = pytest.importorskip("tracemalloc")
    mz = np.arange(1.0, 10_001)
    spectra = Spectra.from_arrays(
        np.broadcast_to(np.float32(1), (4000, mz.size)), mz, identity="ones"
    )
    tracemalloc.start()
    path = write_imzml(spectra.map(Scale(2.0)), tmp_path / "a.imzML")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.with_suffix(".ibd").stat().st_size > 160e6
    assert peak < 80e6
