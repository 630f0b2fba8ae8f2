"""Imzml text that is gzip-compressed."""

import gzip
import tracemalloc

import numpy as np
import pytest

from imsminer.exceptions import ImzMLError
from imsminer.io import _scan, _text
from imsminer.io._scan import scan_imzml
from imsminer.io.imzml import ImzMLReader


def compress(path, name=None, level=6):
    target = path.with_name(name or f"{path.name}.gz")
    target.write_bytes(gzip.compress(path.read_bytes(), level))
    if target != path:
        path.unlink()
    return target


@pytest.mark.parametrize("name", ["run.imzML.gz", "run.imzML", "run.imzml.GZ"])
def test_compressed_text_is_read_alike(tmp_path, pair, both, name):
    path = pair().save(tmp_path)
    plain = both(path)
    expected = list(ImzMLReader(path))
    packed = compress(path, name)
    scan = both(packed)
    assert scan.fast
    np.testing.assert_array_equal(scan.spectra, plain.spectra)
    assert scan.facts == plain.facts
    for target in (packed, tmp_path):
        reader = ImzMLReader(target)
        assert reader.runs.index.tolist() == ["run"]
        for found, wanted in zip(reader, expected, strict=True):
            np.testing.assert_array_equal(found.mz, wanted.mz)
            np.testing.assert_array_equal(found.intensity, wanted.intensity)


def test_the_size_of_the_text_decides_on_the_way(tmp_path, pair, monkeypatch):
    path = pair().save(tmp_path)
    size = path.stat().st_size
    packed = compress(path)
    assert packed.stat().st_size < size / 3
    monkeypatch.setattr(_scan, "FAST_FROM", size)
    assert scan_imzml(packed).fast
    monkeypatch.setattr(_scan, "FAST_FROM", size + 1)
    assert not scan_imzml(packed).fast


def test_a_compressed_copy_is_no_run_of_its_own(tmp_path, pair):
    path = pair().save(tmp_path)
    data = path.read_bytes()
    compress(path)
    path.write_bytes(data)
    assert ImzMLReader(tmp_path).paths == [path]


def test_several_members(tmp_path, pair):
    path = pair().save(tmp_path)
    whole = path.read_bytes()
    expected = scan_imzml(path).spectra
    path.write_bytes(gzip.compress(whole[:700]) + gzip.compress(whole[700:]))
    np.testing.assert_array_equal(scan_imzml(path).spectra, expected)


@pytest.mark.parametrize("fast", [True, False])
def test_damaged_gzip(tmp_path, pair, fast):
    path = compress(pair().save(tmp_path))
    whole = path.read_bytes()
    for stop in (2, 9, 10, 40, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:stop])
        with pytest.raises(ImzMLError, match=r"run\.imzML\.gz.* cut off or damaged"):
            scan_imzml(path, fast=fast)
    for at in (12, len(whole) // 2, len(whole) - 6):
        damaged = bytearray(whole)
        damaged[at] ^= 255
        path.write_bytes(damaged)
        with pytest.raises(ImzMLError):
            scan_imzml(path, fast=fast)
    path.write_bytes(whole + b"more")
    with pytest.raises(ImzMLError, match="damaged"):
        scan_imzml(path, fast=fast)


def test_bombs_are_refused(tmp_path, pair, monkeypatch):
    path = pair().save(tmp_path)
    text = path.read_bytes()
    path.write_bytes(gzip.compress(text + b" " * (1 << 26), 9))
    tracemalloc.start()
    with pytest.raises(ImzMLError, match=r"expand to more than .* 400 times"):
        scan_imzml(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20
    monkeypatch.setattr(_text, "ALWAYS_ALLOWED", 1 << 27)
    assert scan_imzml(path).spectra.size == 5


def test_a_compressed_binary_is_not_read(tmp_path, pair):
    path = pair().save(tmp_path)
    (tmp_path / "run.ibd").rename(tmp_path / "run.ibd.gz")
    with pytest.raises(ImzMLError, match=r"Decompress run\.ibd\.gz before"):
        ImzMLReader(path)
