"""Names and places of files."""

import os
import stat

import pytest

from imsminer.exceptions import ImzMLError
from imsminer.io._find import find_files
from imsminer.io.imzml import ImzMLReader


def test_a_folder_lists_its_files_only(tmp_path, pair):
    expected = [pair().save(tmp_path, name) for name in ("a", "b")]
    (tmp_path / "c.imzML").mkdir()
    # What macOS leaves beside files on other systems' drives.
    (tmp_path / "._a.imzML").write_bytes(b"\0\5\x16\7")
    (tmp_path / "notes.txt").write_text("of no interest")
    assert [path for path, _ in find_files(tmp_path, None)] == expected


def test_a_folder_may_be_named_like_a_file(tmp_path, pair):
    folder = tmp_path / "c.imzML"
    folder.mkdir()
    path = pair().save(folder)
    assert ImzMLReader(folder).paths == [path]


@pytest.mark.parametrize(
    "name", ["a b", "Gewebe µ", "100%20", "a#b?c", "-x", "a.b.c", "組織", "x.imzML"]
)
def test_names(tmp_path, pair, name):
    path = pair().save(tmp_path, name)
    reader = ImzMLReader(path)
    assert reader.runs.index.tolist() == [name]
    assert len(reader[1].mz) == 3


def test_symbolic_links(tmp_path, pair):
    path = pair().save(tmp_path)
    folder = tmp_path / "links"
    folder.mkdir()
    for suffix in (".imzML", ".ibd"):
        (folder / f"other{suffix}").symlink_to(path.with_suffix(suffix))
    assert ImzMLReader(folder).runs.index.tolist() == ["other"]
    (folder / "other.ibd").unlink()
    (folder / "other.ibd").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="binary file is missing"):
        ImzMLReader(folder / "other.imzML")


def test_read_only_places(tmp_path, pair):
    path = pair().save(tmp_path)
    for file in (path, path.with_suffix(".ibd")):
        file.chmod(stat.S_IRUSR)
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert len(list(ImzMLReader(tmp_path))) == 5
    finally:
        tmp_path.chmod(stat.S_IRWXU)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_pipes_are_refused(tmp_path, pair):
    path = pair().save(tmp_path)
    for suffix in (".imzML", ".ibd"):
        pipe = path.with_suffix(suffix)
        pipe.rename(tmp_path / f"away{suffix}")
        os.mkfifo(pipe)
    with pytest.raises(ImzMLError, match="neither a file nor a folder"):
        ImzMLReader(path)
    path.unlink()
    (tmp_path / "away.imzML").rename(path)
    with pytest.raises(FileNotFoundError, match="binary file is missing"):
        ImzMLReader(path)
