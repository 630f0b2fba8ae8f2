"""SpectraCache: compute expensive steps once, and read the result from disk."""

from __future__ import annotations

import numbers
import os
import shutil
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import joblib
import numpy as np
from sklearn.utils.validation import check_is_fitted

from imsminer._array import check_same_namespace
from imsminer._sklearn_compat import Interval
from imsminer.core.chunk import ChunkKernel, kernel_fingerprint
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.folders import cache_folder
from imsminer.core.persist import MoveToNamespace, PersistedSource
from imsminer.core.spectra import Spectra
from imsminer.spectra._frames import (
    SameColumns,
    check_values,
    empty_like,
    frame_like,
)

__all__ = ["SpectraCache"]


class SpectraCache(SameColumns, SpectraTransformer):
    """Compute the queued steps once, and continue from the result on disk.

    Steps before integration are lazy: whoever reads the spectra computes them again.
    Behind an expensive baseline or alignment, this step writes what they make of the
    spectra into a folder and returns the same spectra mapped from there. The candidates
    of a grid search, and its folds where the steps before do not depend on the fold,
    then share one computation.

    One pass over the data when the result is not there yet, none when it is.

    Parameters
    ----------
    folder : path-like or None, default=None
        Folder of the cache. `None`: the environment variable ``IMSMINER_CACHE``, else
        the user's cache folder.
    max_bytes : int or None, default=None
        When results take more than this, those that were not used for longest are
        removed, the present one never. `None` keeps all; `clear` removes them.

    Notes
    -----
    A result is found again by what it was made of: the source files (path, size, time
    of change, uuid) and every queued step with its fitted state. All rows of the source
    are computed unless only a few, less than a tenth, are asked for: so folds and
    regions find them.

    Arrays pass unchanged.

    Examples
    --------
    >>> import tempfile
    >>> from imsminer import BaselineSubtractor, ImzMLReader, SpectraCache
    >>> from imsminer.datasets import load_kidney
    >>> folder = tempfile.TemporaryDirectory()
    >>> baseline = BaselineSubtractor(half_window=20)
    >>> lazy = baseline.fit_transform(ImzMLReader(load_kidney()))
    >>> kept = SpectraCache(folder.name).fit_transform(lazy)
    >>> lazy, kept
    (<Spectra: 342 pixels; own m/z axes; queued: SubtractSnip>,
     <Spectra: 342 pixels; own m/z axes>)
    >>> folder.cleanup()
    """

    _parameter_constraints: ClassVar[dict] = {
        "folder": [None, str, PathLike],
        "max_bytes": [None, Interval(numbers.Real, 0, None, closed="left")],
    }

    def __init__(
        self, folder: str | PathLike | None = None, *, max_bytes: int | None = None
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    def fit(self, X: Any, y: Any = None) -> SpectraCache:
        """Check the parameters; nothing is learned.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            The spectra.
        y : None
            Ignored.

        Returns
        -------
        SpectraCache
            The estimator itself.
        """
        self._validate_params()
        self.__dict__.pop("_like", None)
        if isinstance(X, Spectra):
            self._check_spectra(X, reset=True)
        else:
            self._like = empty_like(check_values(self, X, reset=True))
        self._is_fitted = True
        return self

    def transform(self, X: Any) -> Any:
        """Return the same spectra with nothing left to compute.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            The spectra.

        Returns
        -------
        Spectra or array
            Spectra mapped from the cache; Spectra without queued steps, and arrays, as
            they are.

        Raises
        ------
        OSError
            When the disk has too little room for the result.
        """
        check_is_fitted(self)
        if not isinstance(X, Spectra):
            values = check_values(self, X, reset=False)
            like = getattr(self, "_like", values)
            check_same_namespace(self, "transform", like, values)
            return frame_like(X, values)
        X = self._check_spectra(X, reset=False)
        computed = tuple(k for k in X.queue if not isinstance(k, MoveToNamespace))
        if not computed:
            return X
        source, rows = self._computed(X, computed)
        result = Spectra(source, rows, pixels=X.pixels, peaks=X.peaks)
        for kernel in X.queue:
            if isinstance(kernel, MoveToNamespace):
                result = result.map(kernel)
        return result

    def clear(self) -> None:
        """Remove all results from the folder of the cache."""
        shutil.rmtree(self._results(), ignore_errors=True)

    def _computed(
        self, X: Spectra, queue: tuple[ChunkKernel, ...]
    ) -> tuple[PersistedSource, np.ndarray]:
        """Return the source of the results, and the rows of X in it."""
        n_rows, blocks = X.source.n_rows, X.source.blocks
        made_of = (X.source.identity, [kernel_fingerprint(k) for k in queue])
        rows = np.arange(n_rows)
        path = self._results() / joblib.hash((made_of, rows))
        if 10 * len(X) < n_rows and not path.exists():
            rows = np.unique(X.rows)
            path = self._results() / joblib.hash((made_of, rows))
        if not path.exists():
            spectra = Spectra(X.source, rows, queue)
            self._check_room(spectra)
            try:
                spectra.persist(path)
            except FileExistsError:
                # Another process was first; what it wrote is the same.
                pass
        os.utime(path)
        source = PersistedSource(path).with_disk(X.source.disk)
        if blocks is not None:
            source.blocks = blocks[rows]
        self._remove_old(keep=path)
        return source, np.searchsorted(rows, X.rows)

    def _results(self) -> Path:
        return cache_folder(self.folder) / "spectra"

    def _check_room(self, spectra: Spectra) -> None:
        """Refuse to fill the disk."""
        folder = self._results()
        folder.mkdir(parents=True, exist_ok=True)
        needed = int(spectra.source.row_bytes[spectra.rows].sum())
        free = shutil.disk_usage(folder).free
        if needed > free:
            message = (
                f"SpectraCache: the result takes about {needed / 1e9:.1f} GB, but the "
                f"disk of {folder} has {free / 1e9:.1f} GB free. "
                "Choose another folder=, clear() the cache, or leave the step out."
            )
            raise OSError(message)

    def _remove_old(self, *, keep: Path) -> None:
        if self.max_bytes is None:
            return
        results = sorted(
            (entry for entry in self._results().iterdir() if entry != keep),
            key=lambda entry: entry.stat().st_mtime,
            reverse=True,
        )
        total = _size(keep)
        for result in results:
            total += _size(result)
            if total > self.max_bytes:
                shutil.rmtree(result, ignore_errors=True)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_is_fitted")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
