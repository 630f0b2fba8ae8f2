"""Results of passes on disk, for processes and machines that work on the same data."""

import contextlib
import hashlib
import os
import time
import warnings
import zlib
from collections.abc import Callable, Hashable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np

import imsminer

__all__ = ["DiskCache", "code_version"]

#: A claim that is older, in seconds, is of a process that did not live to drop it.
CLAIM_SECONDS = 600.0
#: Seconds between two looks at a result that another process is computing.
LOOK_SECONDS = 0.01
#: When the folder is full, what is removed leaves room for this share of it.
ROOM = 1 / 8


@cache
def code_version() -> str:
    """Return imsminer's version and a hash of its code.

    Another version may compute other numbers, so that nothing of it is found.
    """
    digest = hashlib.sha256()
    folder = Path(__file__).parents[1]
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return f"imsminer-{imsminer.__version__}-{digest.hexdigest()[:12]}"


class DiskCache:
    """A folder of results of passes, bounded in bytes, that processes share.

    joblib's store holds them: a result appears under its name when all of it is
    written, so that no one reads half of it. It pickles as its folder and its bound.

    Parameters
    ----------
    folder : path
        Made when it does not exist.
    max_bytes : int
        When results take more than this, those that were not used for longest go.
        Every process counts what it writes itself, and looks at the whole folder when
        that is an eighth of the bound: several together may exceed it by as much each.
    """

    def __init__(self, folder: str | os.PathLike, max_bytes: int) -> None:
        self.folder = Path(folder).absolute()
        self.max_bytes = max_bytes

    def __reduce__(self) -> tuple:
        return DiskCache, (self.folder, self.max_bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DiskCache) and self.__reduce__() == other.__reduce__()

    def __hash__(self) -> int:
        return hash(self.__reduce__())

    def __repr__(self) -> str:
        return f"DiskCache({str(self.folder)!r}, {self.max_bytes:_})"

    @cached_property
    def _memory(self) -> joblib.Memory:
        return joblib.Memory(self.folder, verbose=0)

    def find(self, key: Hashable) -> Any:
        """Return the result under `key`, or `None`.

        A result that cannot be read is removed, with a warning.
        """
        store, place = self._memory.store_backend, _place(key)
        if not store.contains_item(place):
            return None
        path = self._path(key) / "output.pkl"
        try:
            checksum, result = store.load_item(place, verbose=0)
            if checksum != _checksum(_host_arrays(result)):
                message = "its checksum is another one"
                raise ValueError(message)
            # File systems seldom note when a file is read.
            os.utime(path)
        except Exception as error:
            if not path.exists():
                # Another process removed it meanwhile.
                return None
            message = (
                f"{path} is damaged ({type(error).__name__}: {error}) and was removed; "
                "its result is computed again."
            )
            warnings.warn(message, UserWarning, stacklevel=2)
            store.clear_item(place)
            return None
        return result

    def put(self, key: Hashable, result: Any) -> None:
        """Write a result, unless it is larger than the bound or is on a device."""
        arrays = _host_arrays(result)
        if arrays is None:
            return
        # With what the store writes beside them.
        size = 1024 + sum(array.nbytes for array in arrays)
        if size > self.max_bytes:
            return
        entry = _checksum(arrays), result
        self._memory.store_backend.dump_item(_place(key), entry, verbose=0)
        self._note(size)

    def through(
        self, key: Hashable, compute: Callable[[], Any], *, patience: float = np.inf
    ) -> Any:
        """Return the result under `key` from the folder, else compute and keep it.

        Where another process is computing it, wait for it as many seconds as
        `patience`, then return `None`; with no limit, wait as long as the claim of
        that process stands, then compute it here.
        """
        end = time.monotonic() + patience
        while True:
            found = self.find(key)
            if found is not None:
                return found
            with self._claim(key) as is_ours:
                if is_ours:
                    # It may have been finished since we looked.
                    found = self.find(key)
                    if found is None:
                        found = compute()
                        self.put(key, found)
                    return found
            if time.monotonic() >= end:
                return None
            time.sleep(LOOK_SECONDS)

    @contextlib.contextmanager
    def _claim(self, key: Hashable) -> Iterator[bool]:
        """Say to other processes that this one computes a result, if none does yet.

        A hint that saves work: results are right without it, too.
        """
        path = self._path(key) / "claim"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            try:
                is_dead = time.time() - path.stat().st_mtime > CLAIM_SECONDS
            except FileNotFoundError:
                # It was dropped just now.
                is_dead = False
            yield is_dead
            return
        except OSError:
            # Nothing can be written here: then nobody else is kept from computing.
            yield True
            return
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)

    def _path(self, key: Hashable) -> Path:
        return self.folder.joinpath(*_place(key))

    def _note(self, size: int) -> None:
        """Count what was written; remove old results where that is too much."""
        written = _written.get(self, 0) + size
        total = _totals.get(self, self.max_bytes)
        if total + written > self.max_bytes or written > ROOM * self.max_bytes:
            store = self._memory.store_backend
            total = sum(item.size for item in store.get_items())
            if total > self.max_bytes:
                self._memory.reduce_size(bytes_limit=int((1 - ROOM) * self.max_bytes))
                total = sum(item.size for item in store.get_items())
            written = 0
        _totals[self], _written[self] = total, written


#: What this process has written since it looked at a folder, and what it saw then.
#: Caches are unpickled time and again: they share these.
_written: dict[DiskCache, int] = {}
_totals: dict[DiskCache, int] = {}


def _place(key: Hashable) -> list[str]:
    return [code_version(), joblib.hash(key)]


def _host_arrays(result: Any) -> list[np.ndarray] | None:
    """Return the arrays that a result is made of; `None` where one is on a device."""
    if isinstance(result, np.ndarray):
        return [result]
    if result is None or isinstance(result, int | float | str | np.generic):
        return []
    if hasattr(result, "__dlpack__"):
        return None
    if not isinstance(result, tuple | dict):
        return _host_arrays(result.__getstate__())
    found: list[np.ndarray] = []
    for part in result.values() if isinstance(result, dict) else result:
        arrays = _host_arrays(part)
        if arrays is None:
            return None
        found += arrays
    return found


def _checksum(arrays: list[np.ndarray] | None) -> int:
    value = 0
    for array in arrays or ():
        value = zlib.crc32(np.ascontiguousarray(array).data, value)
    return value
