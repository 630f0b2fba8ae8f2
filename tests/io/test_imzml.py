"""ImzMLReader: against pyimzML, on bad input, through pickles and as a study."""

import pickle
import shutil
import warnings

import numpy as np
import pytest
from pyimzml.ImzMLParser import ImzMLParser
from pyimzml.ImzMLWriter import ImzMLWriter

from imsminer.core.spectra import Spectra
from imsminer.exceptions import ImzMLError, ImzMLWarning
from imsminer.io.imzml import ImzMLReader

# Real files that are odd, and the only kinds of warning they give.
ODD = {
    "123_combined_auto": {"announces"},
    "12_combined": {"announces"},
    "Untreated_3_434_tiny": {"pixel size"},
    "cut_masspix": {"pixel size"},
    "two_precision_terms": {"two data types"},
    "two_scansettings": {"scan settings"},
}


def real_files(shared_data):
    paths = [p for p in shared_data.rglob("*") if p.suffix.lower() == ".imzml"]
    assert len(paths) >= 17
    return sorted(paths)


@pytest.fixture
def oracle():
    """Open files with pyimzML, whose warnings about names are of no interest."""
    opened = []

    def parse(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened.append(ImzMLParser(str(path)))
        return opened[-1]

    yield parse
    for parser in opened:
        parser.m.close()


def check_against(reader, parser, numbers=None):
    """Compare all spectra, bit for bit, in chunks and in a scattered selection."""
    numbers = np.arange(len(reader)) if numbers is None else numbers
    coordinates = np.array(parser.coordinates)[numbers]
    np.testing.assert_array_equal(reader.coordinates, coordinates)
    for rows in (np.arange(len(reader)), np.arange(len(reader))[::-3]):
        view = reader[rows]
        for row, (mz, intensity) in zip(rows, view, strict=True):
            expected_mz, expected = parser.getspectrum(int(numbers[row]))
            assert mz.dtype == np.float64
            assert intensity.dtype == expected.dtype
            np.testing.assert_array_equal(mz, expected_mz)
            np.testing.assert_array_equal(intensity, expected)


@pytest.mark.shared
@pytest.mark.parametrize("mapped", [True, False])
def test_real_files_equal_pyimzml(shared_data, oracle, mapped):
    for path in real_files(shared_data):
        if path.stem == "cc":
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            reader = ImzMLReader(path, mmap=mapped)
        texts = [str(w.message) for w in caught]
        kinds = ODD.get(path.stem, set())
        assert len(texts) == len(kinds), texts
        assert all(issubclass(w.category, ImzMLWarning) for w in caught)
        assert all(any(kind in text for text in texts) for kind in kinds)
        check_against(reader, oracle(path))


@pytest.mark.shared
def test_lengths_that_differ(shared_data, oracle):
    path = shared_data / "conformance" / "cc.imzML"
    with pytest.raises(ImzMLError, match=r"1997 intensities for 1999 m/z.*on_error"):
        ImzMLReader(path)
    with pytest.warns(ImzMLWarning, match="3 of 4 spectra"):
        reader = ImzMLReader(path, on_error="skip")
    assert reader.skipped["spectrum"].tolist() == [1, 2, 3]
    assert reader.skipped["run"].tolist() == ["cc"] * 3
    assert reader.skipped[["x", "y", "z"]].iloc[0].tolist() == [2, 1, 1]
    assert "1997" in reader.skipped["reason"][0]
    assert "3 spectra skipped" in repr(reader)
    check_against(reader, oracle(path), np.array([0]))


@pytest.mark.parametrize("mode", ["continuous", "processed"])
@pytest.mark.parametrize("intensity_type", [np.float32, np.float64])
@pytest.mark.parametrize("mz_type", [np.float32, np.float64])
def test_files_of_pyimzml(tmp_path, oracle, mode, mz_type, intensity_type):
    path = tmp_path / "written.imzML"
    rng = np.random.default_rng(1)
    mz = np.sort(rng.uniform(100, 900, 21))
    with ImzMLWriter(
        str(path), mode=mode, mz_dtype=mz_type, intensity_dtype=intensity_type
    ) as writer:
        for i in range(30):
            n = 21 if mode == "continuous" else int(rng.integers(0, 22))
            writer.addSpectrum(mz[:n], rng.random(n), (i % 6 + 1, i // 6 + 1, 1))
    with pytest.warns(ImzMLWarning, match="pixel size"):
        reader = ImzMLReader(path)
    assert reader.runs.loc["written", "mode"] == mode
    assert reader.runs.loc["written", "spectrum_type"] == "centroid"
    assert not reader.profile
    check_against(reader, oracle(path))


# -- what a reader is -----------------------------------------------------------------
def test_facts(tmp_path, pair):
    path = pair(
        coordinates=[(3, 2, 1), (1, 1, 1), (2, 1, 1), (9, 9, 0), (4, 4, 4)]
    ).save(tmp_path)
    reader = ImzMLReader(path)
    assert isinstance(reader, Spectra)
    assert reader.shape == (5, None)
    assert reader.mz is None
    assert reader.coordinates.tolist()[3] == [9, 9, 0]
    assert reader.pixels.columns.tolist() == ["run", "x", "y", "z"]
    run = reader.runs.loc["run"]
    assert run["polarity"] == "positive"
    assert run["mode"] == "processed"
    assert run["spectrum_type"] == "profile"
    assert run["pixel_size_x"] == 50.0
    assert run["instrument"] == "MALDI test stand"
    assert run["uuid"] == "0123456789abcdef0123456789abcdef"
    assert run["n_pixels"] == 5
    assert reader.paths == [path]
    assert reader.skipped.empty
    assert repr(reader) == (
        "<ImzMLReader run.imzML: 5 pixels; own m/z axes; processed profile>"
    )
    assert type(reader[1:3]) is Spectra


def test_opening_reads_no_arrays(tmp_path, pair):
    path = pair(continuous=True).save(tmp_path)
    reader = ImzMLReader(path)
    assert reader.source.n_mz == 6
    assert repr(reader)
    assert reader.source.n_bytes_read == 0
    assert reader.mz.size == 6
    assert reader.source.n_bytes_read == 6 * 8
    list(reader)
    assert reader.source.n_bytes_read == 6 * 8 + 5 * 6 * 4


def test_row_bytes_bound_the_chunks(tmp_path, pair):
    for continuous in (False, True):
        reader = ImzMLReader(pair(continuous=continuous).save(tmp_path))
        source = reader.source
        for i in range(5):
            mz, intensity, indptr, _ = source.read(slice(i, i + 1))
            n_bytes = intensity.nbytes + (0 if indptr is None else mz.nbytes)
            assert source.row_bytes[i] == n_bytes


def test_profile_or_centroid_can_be_set(tmp_path, pair):
    path = pair().save(tmp_path)
    assert ImzMLReader(path).profile
    reader = ImzMLReader(path, spectrum_type="centroid")
    assert not reader.profile
    assert reader.fingerprint != ImzMLReader(path).fingerprint
    assert not pickle.loads(pickle.dumps(reader)).profile


@pytest.mark.parametrize(
    "options", [{"on_error": "ignore"}, {"spectrum_type": "Profile"}]
)
def test_options_are_checked(tmp_path, pair, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be one of"):
        ImzMLReader(pair().save(tmp_path), **options)


def test_continuous_files_that_are_processed(tmp_path, pair):
    path = pair().replace("IMS:1000031", "IMS:1000030")
    path = path.replace('"processed"', '"continuous"').save(tmp_path)
    with pytest.warns(ImzMLWarning, match="says continuous"):
        reader = ImzMLReader(path)
    assert reader.runs.loc["run", "mode"] == "processed"
    assert reader.mz is None


def test_positions_that_repeat(tmp_path, pair):
    path = pair(coordinates=[(1, 1, 1)] * 3 + [(2, 1, 1)] * 2).save(tmp_path)
    with pytest.warns(ImzMLWarning, match="3 spectra lie at positions"):
        assert len(ImzMLReader(path)) == 5


def test_empty_and_negative_spectra(tmp_path, pair):
    spectra = [
        (np.empty(0), np.empty(0)),
        (np.array([100.0, 101.0]), np.array([-1.0, 0.0])),
    ]
    reader = ImzMLReader(pair(spectra).save(tmp_path))
    assert reader[0].mz.size == 0
    assert reader[1].intensity.tolist() == [-1.0, 0.0]


# -- studies --------------------------------------------------------------------------
def test_folder_is_a_study(tmp_path, pair):
    for name in ("b", "a", "c"):
        pair(continuous=name == "c").save(tmp_path, name)
    (tmp_path / "c.imzML").rename(tmp_path / "c.imzml")
    reader = ImzMLReader(tmp_path)
    assert reader.runs.index.tolist() == ["a", "b", "c"]
    assert [path.name for path in reader.paths] == ["a.imzML", "b.imzML", "c.imzml"]
    assert reader.shape == (15, None)
    assert reader.runs["mode"].tolist() == ["processed"] * 2 + ["continuous"]
    assert repr(reader).startswith("<ImzMLReader 3 runs: 15 pixels")
    single = ImzMLReader(tmp_path / "c.imzml")
    np.testing.assert_array_equal(reader[12].intensity, single[2].intensity)


def test_names_of_runs_are_unique(tmp_path, pair):
    paths = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        paths.append(pair(continuous=True).save(tmp_path / folder))
    reader = ImzMLReader(paths)
    assert reader.runs.index.tolist() == ["run", "run_2"]
    assert reader.shape == (10, 6)
    assert reader.skipped.empty


@pytest.mark.shared
def test_kidney_is_silent_and_the_same_elsewhere(shared_data, tmp_path):
    source = next((shared_data / "kidney").glob("*.imzML"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reader = ImzMLReader(source)
    low, high = reader.source.mz_range()
    assert 400 < low < high < 2200
    mz, intensity = reader[0]
    assert mz.size == intensity.size == 12314
    for name in (source.name, source.stem + ".ibd"):
        shutil.copy(source.with_name(name), tmp_path / name)
    copied = ImzMLReader(tmp_path / source.name)
    for found, expected in zip(copied[:10], reader[:10], strict=True):
        np.testing.assert_array_equal(found.mz, expected.mz)
        np.testing.assert_array_equal(found.intensity, expected.intensity)
    assert copied.fingerprint != reader.fingerprint
