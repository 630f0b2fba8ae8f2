"""Opening: files that do not fit, and the index that a process makes once."""

import hashlib
import multiprocessing
import os
import pickle
import re
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from imsminer.exceptions import ImzMLError, ImzMLWarning
from imsminer.io import _index, _scan
from imsminer.io.imzml import ImzMLReader


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


def test_progress_of_checksums(tmp_path, pair, monkeypatch):
    told = []

    @contextmanager
    def bar(label, total, *, unit):
        told.append([label, total, unit, 0])

        def advance(steps):
            told[-1][-1] += steps

        yield advance

    monkeypatch.setattr(_index, "progress_bar", bar)
    monkeypatch.setattr(_index, "PIECE", 100)
    written = pair()
    ImzMLReader(written.save(tmp_path), checksum=True)
    size = len(written.ibd)
    assert told == [["Checking SHA1", size, "bytes", size]]


def test_files_written_within_one_tick_of_the_clock(tmp_path, pair):
    stamps = []
    for value in (1.0, 2.0):
        path = pair([(np.array([100.0]), np.array([value]))]).save(tmp_path)
        os.utime(path, ns=(5, 5))
        os.utime(path.with_suffix(".ibd"), ns=(5, 5))
        reader = ImzMLReader(path)
        stamps.append(reader.source._index.stamp)
        assert reader[0].intensity.tolist() == [value]
    assert stamps[0] == stamps[1]
