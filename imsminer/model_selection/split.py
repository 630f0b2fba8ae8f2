"""Cross-validation by blocks of neighbouring pixels."""

import numbers
from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator

from imsminer.core.grid import Pixels, known_coordinates
from imsminer.core.spectra import Spectra

__all__ = ["SpatialBlockSplit"]

#: Blocks per fold, when their size is not given.
BLOCKS_PER_FOLD = 4


class SpatialBlockSplit(BaseCrossValidator):
    """Split pixels into folds made of square blocks of the tissue.

    Neighbouring pixels are alike, so folds of random pixels leak. Here each run is cut
    into square blocks, which are dealt out to the folds in a lattice, as the colours
    of a checkerboard: every fold has blocks all over the tissue, and no pixel of it
    lies between two of another fold unless the blocks end there.

    Parameters
    ----------
    n_splits : int, default=4
        Number of folds; at least 2.
    block_size : int, default=None
        Edge of a block in pixels. `None` makes about four blocks per fold of each run.

    See Also
    --------
    sklearn.model_selection.GroupKFold : Split by run or by sample.

    Notes
    -----
    Deterministic. Blocks extend through z: consecutive sections of one run at the same
    place go to the same fold.

    Given Spectra, it tells their source which rows belong to which fold, so that a
    pass keeps its results per fold: the folds of a search then read the file once in
    all, as long as no step that is fitted on the fold comes first.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import Spectra
    >>> from imsminer.model_selection import SpatialBlockSplit
    >>> y, x = np.mgrid[:8, :8].reshape(2, -1)
    >>> spectra = Spectra.from_arrays(np.ones((64, 3)), coordinates=np.stack([x, y], 1))
    >>> splitter = SpatialBlockSplit(2, block_size=4)
    >>> for train, test in splitter.split(spectra):
    ...     print(len(train), len(test))
    32 32
    32 32
    """

    def __init__(self, n_splits: int = 4, *, block_size: int | None = None) -> None:
        self.n_splits = n_splits
        self.block_size = block_size
        for name, value, least in (
            ("n_splits", n_splits, 2),
            ("block_size", block_size, 1),
        ):
            if value is None and name == "block_size":
                continue
            if not isinstance(value, numbers.Integral) or value < least:
                message = (
                    f"SpatialBlockSplit: {name} must be a whole number of at least "
                    f"{least}; got {value!r}."
                )
                raise ValueError(message)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X, y, groups : object
            Ignored.

        Returns
        -------
        int
        """
        return self.n_splits

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the positions of the training and of the test pixels of each fold.

        Parameters
        ----------
        X : Spectra, DataFrame or array, one row per pixel
            A DataFrame with the index ``(run, x, y, z)`` brings its coordinates.
        y : object
            Ignored.
        groups : array-like of shape (n_pixels, 2 or 3), or DataFrame, default=None
            x, y and maybe z of each pixel, for an X that has none; or a table with
            these columns and maybe ``run``, such as ``Spectra.pixels``.

        Yields
        ------
        train, test : ndarray of int
            Positions in `X`, increasing.

        Raises
        ------
        ValueError
            When nothing says where the pixels are, or a fold would be empty.
        """
        folds = self.assign(X, groups)
        if isinstance(X, Spectra):
            # Small numbers, because they travel to every process.
            kind = np.min_scalar_type(self.n_splits)
            labels = np.full(X.source.n_rows, self.n_splits, kind)
            labels[X.rows] = folds
            X.source.blocks = labels
        for fold in range(self.n_splits):
            yield np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)

    def assign(self, X: Any, groups: Any = None) -> np.ndarray:
        """Return the fold of each pixel.

        Parameters
        ----------
        X, groups : object
            As in :meth:`split`.

        Returns
        -------
        ndarray of int, shape (n_pixels,)
        """
        pixels = self._pixels(X, groups)
        folds = np.empty(pixels.runs.size, np.int64)
        # Fold numbers advance by about 0.38 of them from row to row of blocks.
        step = max(1, round(0.382 * self.n_splits))
        for run in range(int(pixels.runs.max(initial=-1)) + 1):
            rows = np.flatnonzero(pixels.runs == run)
            place = pixels.coordinates[rows, :2]
            place = place - place.min(axis=0)
            block = place // self._block_size(np.unique(place, axis=0).shape[0])
            folds[rows] = (block[:, 0] + step * block[:, 1] + run) % self.n_splits
        empty = np.setdiff1d(np.arange(self.n_splits), folds)
        if empty.size:
            message = (
                f"SpatialBlockSplit: {empty.size} of {self.n_splits} folds have no "
                f"pixel of {folds.size}. Use fewer splits or a smaller block_size "
                f"(got {self.block_size})."
            )
            raise ValueError(message)
        return folds

    def _block_size(self, n_places: int) -> int:
        if self.block_size is not None:
            return self.block_size
        return max(1, int(np.sqrt(n_places / (BLOCKS_PER_FOLD * self.n_splits))))

    def _pixels(self, X: Any, groups: Any) -> Pixels:
        if isinstance(X, Spectra):
            table = X.pixels if groups is None else groups
            pixels = known_coordinates(X, table)
        else:
            pixels = known_coordinates(X, groups)
        if pixels is None:
            message = (
                "SpatialBlockSplit needs to know where the pixels are. Split Spectra, "
                "or a DataFrame whose index has the levels (run, x, y, z), as "
                "PeakIntegrator returns it; or pass groups= (n_pixels, 2 or 3) with x, "
                "y and maybe z of each pixel."
            )
            raise ValueError(message)
        return pixels
