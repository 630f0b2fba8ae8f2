"""What is written appears whole or not at all."""

import os

import pytest

from imsminer.io._atomic import atomic_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_folder(path, text):
    path.mkdir()
    (path / "mark").write_text(text)


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_path(path, overwrite=False) as target:
        assert target.name == "a.txt"
        target.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("there", [False, True])
def test_an_interruption_leaves_what_was_there(tmp_path, error, there):
    path = tmp_path / "a.txt"
    if there:
        path.write_text("old")

    def interrupted():
        with atomic_path(path, overwrite=True) as target:
            target.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert names(tmp_path) == (["a.txt"] if there else [])
    assert not there or path.read_text() == "old"


@pytest.mark.parametrize("mark", [None, "mark"])
def test_nothing_is_replaced_without_leave(tmp_path, mark):
    path = tmp_path / "a"
    path.write_text("old") if mark is None else write_folder(path, "old")
    with (
        pytest.raises(FileExistsError, match="overwrite=True"),
        atomic_path(path, overwrite=False, mark=mark),
    ):
        pytest.fail("the block must not run")
    assert names(tmp_path) == ["a"]


def test_a_file_that_appeared_meanwhile_is_kept(tmp_path):
    path = tmp_path / "a.txt"

    def late():
        with atomic_path(path, overwrite=False) as target:
            target.write_text("ours")
            path.write_text("theirs")

    with pytest.raises(FileExistsError):
        late()
    assert path.read_text() == "theirs"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "a.zarr"
    write_folder(path, "old")
    (path / "more").write_text("gone afterwards")
    with atomic_path(path, overwrite=True, mark="mark") as target:
        write_folder(target, "new")
        assert (path / "mark").read_text() == "old"
    assert names(tmp_path) == ["a.zarr"]
    assert names(path) == ["mark"]
    assert (path / "mark").read_text() == "new"


def test_a_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path, monkeypatch
):
    path = tmp_path / "a.zarr"
    write_folder(path, "old")
    replace = os.replace

    def failing(source, target):
        if os.path.basename(source) == "a.zarr" and str(target) == str(path):
            raise PermissionError
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)

    def write():
        with atomic_path(path, overwrite=True, mark="mark") as target:
            write_folder(target, "new")

    with pytest.raises(PermissionError):
        write()
    assert (path / "mark").read_text() == "old"
    assert names(tmp_path) == ["a.zarr"]


@pytest.mark.parametrize("mark", [None, "mark"])
def test_a_folder_of_something_else_is_never_removed(tmp_path, mark):
    path = tmp_path / "photos"
    path.mkdir()
    (path / "cat.png").write_text("precious")
    with (
        pytest.raises(FileExistsError, match="photos"),
        atomic_path(path, overwrite=True, mark=mark),
    ):
        pytest.fail("the block must not run")
    assert (path / "cat.png").read_text() == "precious"


def test_an_empty_folder_is_replaced_when_that_is_allowed(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    with (
        pytest.raises(FileExistsError, match="overwrite=True"),
        atomic_path(path, overwrite=False, mark="mark"),
    ):
        pytest.fail("the block must not run")
    with atomic_path(path, overwrite=True, mark="mark") as target:
        target.mkdir()
        (target / "mark").write_text("new")
        assert names(path) == []
    assert names(path) == ["mark"]
    assert names(tmp_path) == ["a.zarr"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    path = tmp_path / "a.zarr"
    path.write_text("a file")
    with (
        pytest.raises(FileExistsError, match="something else"),
        atomic_path(path, overwrite=True, mark="mark"),
    ):
        pytest.fail("the block must not run")


def test_the_folder_must_exist(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="Create it first"),
        atomic_path(tmp_path / "no" / "a.txt", overwrite=False),
    ):
        pytest.fail("the block must not run")


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.txt").write_text("old")
    link = tmp_path / "a.txt"
    link.symlink_to(tmp_path / "far" / "a.txt")
    with atomic_path(link, overwrite=True) as target:
        target.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "far" / "a.txt").read_text() == "new"


def test_files_have_the_usual_permissions(tmp_path):
    with atomic_path(tmp_path / "a.txt", overwrite=False) as target:
        target.write_text("new")
    (tmp_path / "b.txt").write_text("plain")
    modes = [os.stat(tmp_path / name).st_mode for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]
