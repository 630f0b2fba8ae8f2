"""Arrays in and out of the steps that answer in the type they were given."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from joblib import effective_n_jobs
from sklearn.base import OneToOneFeatureMixin
from sklearn.utils.validation import validate_data

from imsminer._array import array_namespace, device_of, is_numpy_array, namespace_of
from imsminer._sklearn_compat import Parallel, delayed
from imsminer.core.chunk import SpectrumChunk, rows_as_chunk
from imsminer.core.spectra import Spectra

__all__ = [
    "SameColumns",
    "check_values",
    "empty_like",
    "frame_like",
    "map_chunks",
    "map_values",
    "take_rows",
]

BLOCK_VALUES = 2**18


class SameColumns(OneToOneFeatureMixin):
    """Columns keep their names; ragged Spectra have no columns to name."""

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns, which are those of the input.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the input columns.

        Returns
        -------
        ndarray of str objects
            Empty after spectra that have an m/z axis each.
        """
        if self.__sklearn_is_fitted__() and not hasattr(self, "n_features_in_"):
            # A pipeline asks each step in turn; the names come from a later one.
            return np.empty(0, dtype=object)
        return super().get_feature_names_out(input_features)


def check_values(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Check an array of spectra or features; float32 stays, all else gets float64."""
    xp = namespace_of(X)
    return validate_data(estimator, X, reset=reset, dtype=[xp.float64, xp.float32])


def empty_like(X: Any) -> Any:
    """Return an array without values that remembers the library and device of `X`."""
    if is_numpy_array(X):
        return np.empty(0, X.dtype)
    return array_namespace(X).empty(0, dtype=X.dtype, device=device_of(X))


def frame_like(original: Any, values: Any) -> Any:
    """Return `values` as a DataFrame with the index of `original` if that is one."""
    if isinstance(original, pd.DataFrame):
        return pd.DataFrame(
            values, index=original.index, columns=original.columns, copy=False
        )
    return values


def map_chunks(
    function: Callable[[SpectrumChunk], Any], X: Any, n_jobs: int | None
) -> Any:
    """Apply `function` to blocks of the rows of `X`; its results as one array.

    An array that is not NumPy's is one block: its library has threads of its own.
    """
    if not is_numpy_array(X):
        return function(rows_as_chunk(X))
    blocks = _blocks(X, n_jobs)
    parts = _run(lambda rows: function(rows_as_chunk(X[rows])), blocks, n_jobs)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def map_values(
    function: Callable[[np.ndarray], Any], X: np.ndarray, n_jobs: int | None
) -> Any:
    """Do the same with a function of arrays that returns an array like its own."""
    if not is_numpy_array(X):
        return function(X)
    out = np.empty_like(X)

    def fill(rows: slice) -> None:
        out[rows] = function(X[rows])

    _run(fill, _blocks(X, n_jobs), n_jobs)
    return out


def take_rows(X: Any, rows: np.ndarray) -> Any:
    """Return some rows of Spectra, or of an array of any library, by their numbers."""
    if isinstance(X, Spectra) or is_numpy_array(X):
        return X[rows]
    xp = array_namespace(X)
    return xp.take(X, xp.asarray(rows, device=device_of(X)), axis=0)


def _blocks(X: np.ndarray, n_jobs: int | None) -> list[slice]:
    """Return at least one block of rows, two for each of several threads.

    Threads wait for each other where memory is given out, so theirs are few.
    """
    size = max(1, BLOCK_VALUES // max(1, X.shape[1]))
    threads = effective_n_jobs(n_jobs)
    if threads > 1:
        size = max(size, -(-len(X) // (2 * threads)))
    return [slice(start, start + size) for start in range(0, max(len(X), 1), size)]


def _run(function: Callable, items: list, n_jobs: int | None) -> list:
    if len(items) == 1 or effective_n_jobs(n_jobs) == 1:
        return [function(item) for item in items]
    call = delayed(function)
    return Parallel(n_jobs=n_jobs, prefer="threads")(call(item) for item in items)
