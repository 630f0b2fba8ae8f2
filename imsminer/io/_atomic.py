"""A file or folder that appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_path"]


@contextmanager
def atomic_path(
    path: str | os.PathLike, *, overwrite: bool, mark: str | None = None
) -> Iterator[Path]:
    """Yield a path to write to; what is there becomes `path` when the block succeeds.

    An exception, Ctrl-C included, removes what was written and leaves `path` as it
    was.

    Parameters
    ----------
    path : path-like
        The file or folder to come, in a folder that exists.
    overwrite : bool
        Whether what is at `path` already may be replaced.
    mark : str or None, default=None
        `None` when a file is written. For a folder, the file in it by which one that
        may be replaced is recognized: no other folder is ever removed, unless empty.

    Yields
    ------
    Path
        A path of the same name, in a hidden folder beside `path`.

    Raises
    ------
    FileExistsError
        When `path` exists and `overwrite` is off, or it is of another kind than what
        is written.
    FileNotFoundError
        When the folder that `path` lies in does not exist.
    """
    # What a link points at is replaced, the link stays.
    path = Path(path).resolve()
    if not path.parent.is_dir():
        message = f"The folder {path.parent} does not exist. Create it first."
        raise FileNotFoundError(message)
    _check_replaceable(path, overwrite, mark)
    scratch = Path(tempfile.mkdtemp(prefix=".imsminer-", dir=path.parent))
    try:
        yield scratch / path.name
        # Something may have appeared while it was written.
        _check_replaceable(path, overwrite, mark)
        if path.is_dir():
            _swap_folders(scratch / path.name, path, scratch / "replaced")
        else:
            os.replace(scratch / path.name, path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _check_replaceable(path: Path, overwrite: bool, mark: str | None) -> None:
    """Refuse to replace without leave, or to remove what is not alike."""
    if not path.exists():
        return
    if not overwrite:
        message = f"{path} exists. Pass overwrite=True to replace it."
        raise FileExistsError(message)
    if mark is None and path.is_dir():
        message = f"{path} is a folder, which a file does not replace. Choose a name."
        raise FileExistsError(message)
    if mark is not None and path.is_dir() and not any(path.iterdir()):
        return
    if mark is not None and not (path / mark).is_file():
        message = (
            f"{path} exists and holds no {mark}, so it is something else than what "
            "would replace it. Choose another name, or remove it first."
        )
        raise FileExistsError(message)


def _swap_folders(new: Path, path: Path, old: Path) -> None:
    """Put `new` in place of `path`; no folder can be renamed onto a full one."""
    os.replace(path, old)
    try:
        os.replace(new, path)
    except BaseException:
        os.replace(old, path)
        raise
