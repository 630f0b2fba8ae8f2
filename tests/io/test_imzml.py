"""ImzMLReader: against pyimzML, on bad input, through pickles and as a study."""

import hashlib
import multiprocessing
import os
import pickle
import re
import shutil
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from pyimzml.ImzMLParser import ImzMLParser
from pyimzml.ImzMLWriter import ImzMLWriter

from imsminer.core.spectra import Spectra
from imsminer.exceptions import ImzMLError, ImzMLWarning
from imsminer.io import _index, _scan
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
            mz, intensity, indptr = source.read(slice(i, i + 1))
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


# -- files that are missing or do not fit ----------------------------------------------
def test_missing_files(tmp_path, pair):
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\.imzML"):
        ImzMLReader(tmp_path / "nothing.imzML")
    with pytest.raises(ImzMLError, match="holds no imzML file"):
        ImzMLReader(tmp_path)
    path = pair().save(tmp_path)
    with pytest.raises(ImzMLError, match="binary part"):
        ImzMLReader(tmp_path / "run.ibd")
    (tmp_path / "run.ibd").rename(tmp_path / "away.dat")
    with pytest.raises(FileNotFoundError, match=r"tried .*run\.ibd.*ibd="):
        ImzMLReader(path)
    with pytest.raises(FileNotFoundError, match="given as ibd"):
        ImzMLReader(path, ibd=tmp_path / "run.ibd")
    assert len(ImzMLReader(path, ibd=tmp_path / "away.dat")) == 5
    with pytest.raises(ValueError, match="2 files for 1"):
        ImzMLReader(path, ibd=["a", "b"])
    with pytest.raises(ValueError, match="empty sequence"):
        ImzMLReader([])


@pytest.mark.parametrize("name", ["run.IBD", "RUN.ibd", "Run.Ibd"])
def test_case_of_the_binary_file(tmp_path, pair, name):
    assert len(ImzMLReader(pair().save(tmp_path, ibd_name=name))) == 5


@pytest.mark.parametrize("continuous", [True, False])
def test_truncated_binary_file(tmp_path, pair, continuous):
    written = pair(continuous=continuous)
    whole = len(written.ibd)
    written.ibd = written.ibd[:-1]
    path = written.save(tmp_path)
    with pytest.raises(
        ImzMLError,
        match=rf"spectrum 4 .* to {whole} of .*run\.ibd, which has {whole - 1}.*"
        "on_error='skip'",
    ):
        ImzMLReader(path)
    with pytest.warns(ImzMLWarning, match="1 of 5 spectra"):
        reader = ImzMLReader(path, on_error="skip")
    assert len(reader) == 4
    written.ibd = written.ibd[:10]
    path = written.save(tmp_path)
    with pytest.raises(ImzMLError, match="10 bytes, expected at least the 16"):
        ImzMLReader(path, on_error="skip")
    written.ibd = pair().ibd[:16]
    path = written.save(tmp_path)
    with pytest.raises(ImzMLError, match="none of the 5 spectra"):
        ImzMLReader(path, on_error="skip")


def test_wrong_uuid(tmp_path, pair):
    written = pair()
    written.ibd = bytes(16) + written.ibd[16:]
    path = written.save(tmp_path)
    with pytest.raises(ImzMLError, match=r"does not belong to .* expected 0123456789"):
        ImzMLReader(path)
    with pytest.warns(ImzMLWarning, match="does not belong to"):
        assert len(ImzMLReader(path, on_error="skip")) == 5
    swapped = bytes.fromhex("67452301ab89efcd0123456789abcdef")
    written.ibd = swapped + written.ibd[16:]
    assert len(ImzMLReader(written.save(tmp_path))) == 5


def test_checksum(tmp_path, pair):
    written = pair()
    path = written.save(tmp_path)
    assert len(ImzMLReader(path, checksum=True)) == 5
    written.ibd = written.ibd[:-1] + b"\x55"
    path = written.save(tmp_path)
    assert len(ImzMLReader(path)) == 5
    with pytest.raises(ImzMLError, match=r"SHA1 is .* expected"):
        ImzMLReader(path, checksum=True)
    digest = hashlib.md5(written.ibd, usedforsecurity=False).hexdigest().upper()
    written.xml = re.sub(
        r"<cvParam[^>]*IMS:1000091[^>]*>",
        f'<cvParam accession="IMS:1000090" name="ibd MD5" value="{digest}"/>',
        written.xml,
    )
    assert len(ImzMLReader(written.save(tmp_path), checksum=True)) == 5
    written.xml = re.sub(r"<cvParam[^>]*IMS:1000090[^>]*>", "", written.xml)
    with pytest.raises(ImzMLError, match="gives no SHA-1"):
        ImzMLReader(written.save(tmp_path), checksum=True)


def test_encoded_lengths_that_contradict_the_type(tmp_path, pair):
    # Declared 64-bit, stored 32-bit: the arrays overlap when taken as declared.
    narrow = pair(mz_type="float32").replace("MS:1000521", "MS:1000523", 1)
    with pytest.raises(ImzMLError, match=r"type float64, 56 bytes.* length of 28"):
        ImzMLReader(narrow.replace("32-bit", "64-bit", 1).save(tmp_path))
    # Declared and stored 64-bit, encoded lengths wrong: the layout shows it.
    halved = pair()
    halved.xml = re.sub(
        r'(length" value=")(\d+)("/>\n<cvParam[^>]*encoded length" value=")\d+',
        lambda m: f"{m[1]}{m[2]}{m[3]}{4 * int(m[2])}",
        halved.xml,
    )
    with pytest.warns(ImzMLWarning, match="encoded lengths disagree"):
        reader = ImzMLReader(halved.save(tmp_path))
    expected = ImzMLReader(pair().save(tmp_path, "plain"))
    for found, wanted in zip(reader, expected, strict=True):
        np.testing.assert_array_equal(found.mz, wanted.mz)


def test_problems_of_the_xml_are_skipped_too(tmp_path, pair):
    odd = pair().replace('position x" value="3"', 'position x" value="?"')
    path = odd.save(tmp_path)
    with pytest.raises(ImzMLError, match=r"spectrum 2 .* position x is '\?'"):
        ImzMLReader(path)
    with pytest.warns(ImzMLWarning, match="1 of 5 spectra"):
        reader = ImzMLReader(path, on_error="skip")
    assert reader.coordinates[:, 0].tolist() == [1, 2, 4, 5]
    whole = ImzMLReader(pair().save(tmp_path, "whole"))
    np.testing.assert_array_equal(reader[2].mz, whole[3].mz)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("length", [10**12, 10**18 - 1, 10**18])
def test_lengths_beyond_all_bounds(tmp_path, pair, length, packed):
    odd = pair(zlib=packed).replace(
        'array length" value="7"', f'array length" value="{length}"'
    )
    path = odd.save(tmp_path)
    with pytest.raises(ImzMLError, match=r"spectrum 0 .* cannot be read"):
        ImzMLReader(path)
    with pytest.warns(ImzMLWarning, match="1 of 5 spectra"):
        assert len(ImzMLReader(path, on_error="skip")) == 4


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


# -- pickles --------------------------------------------------------------------------
def total(spectra):
    return sum(float(intensity.sum()) for _, intensity in spectra)


def test_pickles_are_small_and_index_once(tmp_path, pair, monkeypatch):
    calls = []
    scan = _scan.scan_imzml
    monkeypatch.setattr(
        _index, "scan_imzml", lambda path: calls.append(path) or scan(path)
    )
    rng = np.random.default_rng(0)
    mz = np.linspace(100, 200, 50)
    path = pair([(mz, rng.random(50)) for _ in range(300)]).save(tmp_path)
    reader = ImzMLReader(path)
    assert reader.pixels.shape == (300, 4)
    data = pickle.dumps(reader)
    assert len(data) < 2000
    reader.pixels["roi"] = "a"
    assert (pickle.loads(pickle.dumps(reader)).pixels["roi"] == "a").all()
    for _ in range(3):
        again = pickle.loads(data)
        assert type(again) is ImzMLReader
        assert again.fingerprint == reader.fingerprint
        assert again.source is not reader.source
    view = pickle.loads(pickle.dumps(reader[10:20]))
    assert view.fingerprint == reader[10:20].fingerprint
    assert total(view) == total(reader[10:20])
    ImzMLReader(path)
    assert len(calls) == 1


def test_unpickling_checks_the_files(tmp_path, pair):
    path = pair().save(tmp_path)
    data = pickle.dumps(ImzMLReader(path)[1:3])
    assert len(pickle.loads(data)) == 2
    os.utime(tmp_path / "run.ibd", ns=(1, 1))
    with pytest.raises(ImzMLError, match=r"run\.ibd has changed since"):
        pickle.loads(data)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="does not exist any more"):
        pickle.loads(data)


def test_a_rewritten_file_is_indexed_again(tmp_path, pair):
    path = pair().save(tmp_path)
    first = ImzMLReader(path)
    spectra = [(np.array([100.0]), np.array([3.0]))] * 2
    pair(spectra).save(tmp_path)
    second = ImzMLReader(path)
    assert len(second) == 2
    assert second.fingerprint != first.fingerprint


@pytest.mark.parametrize("mapped", [True, False])
def test_other_processes_read_the_same(tmp_path, pair, mapped):
    reader = ImzMLReader(pair().save(tmp_path), mmap=mapped)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        parts = list(pool.map(total, [reader[:2], reader[2:]]))
    assert sum(parts) == pytest.approx(total(reader))


def test_block_labels_travel(tmp_path, pair):
    reader = ImzMLReader(pair().save(tmp_path))
    reader.source.blocks = np.array([0, 0, 1, 1, 1])
    again = pickle.loads(pickle.dumps(reader))
    np.testing.assert_array_equal(again.source.blocks, [0, 0, 1, 1, 1])
    assert ImzMLReader(reader.paths[0]).source.blocks is None


@pytest.mark.shared
def test_kidney_is_silent_and_copies_nothing(shared_data, tmp_path):
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
    assert total(copied[:10]) == total(reader[:10])
    assert copied.fingerprint != reader.fingerprint
