"""The pair of files appears whole or not at all, and replaces nothing it must not."""

import sys
from dataclasses import dataclass

import pytest

from imsminer import ImzMLReader
from imsminer.core.chunk import ChunkKernel
from imsminer.io.writer import write_imzml
from tests.io.written import assert_same, ragged, read, shared


@dataclass(frozen=True)
class Fail(ChunkKernel):
    """Stop at the last rows, as Ctrl-C or a full disk would."""

    error: type[BaseException]

    def __call__(self, chunk):
        if chunk.rows[-1] >= 30:
            raise self.error
        return chunk


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, MemoryError])
@pytest.mark.parametrize("make", [shared, ragged])
def test_interrupted(tmp_path, make, error):
    path = tmp_path / "a.imzML"
    write_imzml(make(), path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(error):
        write_imzml(make(seed=1).map(Fail(error)), path, overwrite=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_renaming_fails(tmp_path, monkeypatch, failing):
    from imsminer.io import _writer_files as module

    path = tmp_path / "a.imzML"
    write_imzml(shared(), path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    replace, calls = module.os.replace, []

    def fail(*names):
        calls.append(names)
        if len(calls) == failing:
            message = "no"
            raise PermissionError(message)
        replace(*names)

    monkeypatch.setattr(module.os, "replace", fail)
    with pytest.raises(PermissionError):
        write_imzml(shared(seed=1), path, overwrite=True)
    assert len(calls) >= failing
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
def test_full_disk(tmp_path, monkeypatch):
    from imsminer.io import _ibd_writer as module

    def full(path, *_, **__):
        path.touch()
        return open("/dev/full", "wb", buffering=0)

    monkeypatch.setattr(module, "open", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        write_imzml(shared(), tmp_path / "a.imzML")
    assert list(tmp_path.iterdir()) == []


def test_existing_files(tmp_path):
    path = write_imzml(shared(), tmp_path / "a.imzML")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_imzml(ragged(), path)
    write_imzml(ragged(), path, overwrite=True)
    assert_same(read(path), ragged())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.ibd", "a.imzML"]


def test_its_own_input_is_never_overwritten(tmp_path):
    path = write_imzml(shared(), tmp_path / "a.imzML")
    other = tmp_path / "other.bin"
    path.with_suffix(".ibd").rename(other)
    (tmp_path / "link.imzML").symlink_to(path)
    (tmp_path / "far.ibd").symlink_to(other)
    reader = ImzMLReader(path, ibd=other)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    for name in ("a", "link", "far"):
        with pytest.raises(FileExistsError, match="read from"):
            write_imzml(reader[:3], tmp_path / f"{name}.imzML", overwrite=True)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        write_imzml(shared(), tmp_path / "no" / "a.imzML")
    (tmp_path / "a.imzML").mkdir()
    with pytest.raises(FileExistsError, match="is a folder"):
        write_imzml(shared(), tmp_path / "a.imzML", overwrite=True)
