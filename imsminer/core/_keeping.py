"""What Spectra keep on disk: themselves, and results of passes over them."""

from __future__ import annotations

import numbers
from os import PathLike
from pathlib import Path
from typing import Any, Self

import pandas as pd

from imsminer.core.disk import DiskCache
from imsminer.core.source import Source

__all__ = ["SpectraKeeping"]

#: Bound of a folder of results of passes.
CACHE_BYTES = 4 * 2**30


class SpectraKeeping:
    """Methods of :class:`imsminer.Spectra` that write to disk."""

    source: Source
    peaks: pd.DataFrame | None
    _pixels: pd.DataFrame | None

    def persist(self, path: str | Path) -> Any:
        """Compute the queue once, write the result, and read from there afterwards.

        Parameters
        ----------
        path : path
            A folder that does not exist yet; it appears when all is written.

        Returns
        -------
        Spectra
            The same spectra with an empty queue, mapped from `path`.

        Raises
        ------
        FileExistsError
            When `path` exists.
        """
        from imsminer.core.persist import write_spectra
        from imsminer.core.spectra import Spectra

        source = write_spectra(self, Path(path)).with_disk(self.source.disk)
        return Spectra(source, pixels=self._pixels, peaks=self.peaks)

    def with_cache(
        self, directory: str | PathLike | None, *, max_bytes: int = CACHE_BYTES
    ) -> Self:
        """Return the same spectra, results of whose passes are kept on disk, too.

        Every process that reads these spectra, views of them or what steps make of
        them then finds what another one has computed: the workers of a grid search or
        of a cluster, and the next run of a program. Kept are reference spectra block
        by block, what is known of each pixel (ion currents, integrated windows) and
        estimated axes.

        Parameters
        ----------
        directory : path-like or None
            The folder, made when it does not exist; on a cluster one that all machines
            see. `None` keeps results in memory only.
        max_bytes : int, default=4 GiB
            When the results take more than this, those that were not used for longest
            are removed.

        Returns
        -------
        Spectra

        Raises
        ------
        ValueError
            When `max_bytes` is no positive whole number.
        OSError
            When the folder cannot be made.

        See Also
        --------
        imsminer.SpectraCache : Keeps the spectra that steps compute.

        Notes
        -----
        A result is found by the content of what it was made of: the file (path, size,
        time of change), the rows, the queued steps with what they were fitted to, and
        the code of imsminer, so that no other version finds it. Results that several
        processes need at a time are computed by one of them. Results on a GPU are not
        kept, nor those that this process had in memory before. The files are pickles of
        joblib's: let nobody write into the folder whom you would not let run code.

        The folder is not part of the `fingerprint`.

        Examples
        --------
        >>> import tempfile
        >>> import numpy as np
        >>> from imsminer import PeakPicker, Spectra
        >>> folder = tempfile.TemporaryDirectory()
        >>> spectra = Spectra.from_arrays(np.eye(64)).with_cache(folder.name)
        >>> spectra[10:].source.disk is spectra.source.disk
        True
        >>> folder.cleanup()
        """
        disk = None
        if directory is not None:
            if not isinstance(max_bytes, numbers.Integral) or max_bytes < 1:
                message = (
                    "Spectra.with_cache: max_bytes must be a whole number of at least "
                    f"1; got {max_bytes!r}."
                )
                raise ValueError(message)
            disk = DiskCache(directory, int(max_bytes))
            disk.folder.mkdir(parents=True, exist_ok=True)
        same = object.__new__(type(self))
        same.__dict__.update(self.__dict__)
        same.source = self.source.with_disk(disk)
        return same
