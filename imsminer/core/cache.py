"""Results of passes, kept within a bound so that no one reads the same data twice."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from imsminer.core.disk import DiskCache

__all__ = ["PassCache", "cache"]


class PassCache:
    """A mapping of pass results, bounded in bytes; the least recently used go first.

    Safe in threads. It lives in one process and is never pickled.

    Parameters
    ----------
    max_bytes : int
        Limit of the results' arrays together. A larger result is not kept.
    """

    def __init__(self, max_bytes: int = 256 * 2**20) -> None:
        self.max_bytes = max_bytes
        self._results: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(
        self,
        key: Hashable,
        compute: Callable[[], Any],
        disk: "DiskCache | None" = None,
    ) -> Any:
        """Return the result under `key`, computed by `compute()` when it is not here.

        Nor in `disk`, where one is given; it is kept there, too. `compute` runs outside
        the lock: two threads may compute the same result, and then both are equal.
        """
        found = self.find(key)
        if found is None:
            found = compute() if disk is None else disk.through(key, compute)
            self.put(key, found)
        return found

    def find(self, key: Hashable) -> Any:
        """Return the result under `key`, or `None`."""
        with self._lock:
            if key in self._results:
                self._results.move_to_end(key)
            return self._results.get(key)

    def put(self, key: Hashable, result: Any) -> None:
        """Keep a result in place of that under `key`, unless it is too large."""
        size = _size(result)
        if size > self.max_bytes:
            return
        with self._lock:
            if key in self._results:
                self._bytes -= _size(self._results.pop(key))
            self._results[key] = result
            self._bytes += size
            while self._bytes > self.max_bytes:
                _, old = self._results.popitem(last=False)
                self._bytes -= _size(old)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._results.clear()
            self._bytes = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the results' arrays together."""
        return self._bytes

    def __contains__(self, key: Hashable) -> bool:
        return key in self._results

    def __len__(self) -> int:
        return len(self._results)


def _size(result: Any) -> int:
    """Bytes of the arrays in a result, at least 64."""
    if isinstance(result, np.ndarray):
        return result.nbytes
    if isinstance(result, pd.DataFrame):
        return 64 + 8 * result.size
    if isinstance(result, dict):
        return 64 + sum(map(_size, result.values()))
    if isinstance(result, tuple):
        return 64 + sum(map(_size, result))
    if hasattr(result, "__dict__"):
        return 64 + sum(_size(value) for value in vars(result).values())
    if hasattr(result, "nbytes"):
        return int(result.nbytes)
    slots = getattr(result, "__slots__", ())
    return 64 + sum(_size(getattr(result, name, None)) for name in slots)


#: The cache that all passes of this process share.
cache = PassCache()
