"""Probabilistic quotient normalisation."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn import get_config

from imsminer._array import (
    array_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    to_numpy,
)
from imsminer._sklearn_compat import Interval
from imsminer.core.axis import MassAxis
from imsminer.core.chunk import SpectrumChunk, rows_as_chunk
from imsminer.core.engine import axis_statistics, map_rows, row_statistics
from imsminer.core.spectra import Spectra
from imsminer.core.windows import cell_edges
from imsminer.spectra._frames import map_chunks
from imsminer.spectra._kernels import normalize_numba, normalize_xp
from imsminer.spectra._normalizing import (
    DivideSpectra,
    _Normalizer,
    measure_points,
    sum_values,
)
from imsminer.spectra._normalizing_windows import (
    column_windows,
    mean_columns,
    place_like,
    window_sums,
)

__all__ = ["DivideByQuotient", "PQNNormalizer"]


@dataclass(frozen=True)
class DivideByQuotient(DivideSpectra):
    """Divide each spectrum by its median quotient to a reference, over `scale`."""

    low: np.ndarray
    high: np.ndarray
    reference: np.ndarray

    def measure(self, chunk: SpectrumChunk) -> Any:
        """Return the median of the quotients that are not 0."""
        sums = window_sums(chunk, self.low, self.high)
        return median_quotients(sums, self.reference)


def median_quotients(values: Any, reference: np.ndarray) -> Any:
    """Return the median of those quotients in each row that are not 0."""
    if not is_numpy_array(values):
        xp, device = array_namespace(values), device_of(values)
        reference = xp.asarray(reference, device=device)
    return measure_points("medians", rows_as_chunk(values / reference))


@dataclass(frozen=True)
class _WindowSums:
    """Sums over windows, for a pass over chunks."""

    low: np.ndarray
    high: np.ndarray

    def __call__(self, chunk: SpectrumChunk) -> Any:
        return window_sums(chunk, self.low, self.high)


class PQNNormalizer(_Normalizer):
    r"""Probabilistic quotient normalisation: divide by the median quotient.

    .. math:: x' = x \cdot s / \operatorname{median}_j \frac{x_j}{r_j}, \qquad
              r_j = \operatorname{median}_i \frac{x_{ij}}{\sum_k x_{ik}}

    The reference r is the median of the spectra of `fit`, each over its total ion
    current. Where most ions of a pixel keep their proportions, the median of the
    quotients is the factor between pixel and reference, however much the others
    change; the total ion current follows those that do.

    `fit` makes three passes over Spectra (more when a column of numbers per variable
    exceeds scikit-learn's ``working_memory``), `transform` none (the step is queued).

    Parameters
    ----------
    n_variables : int, default=1000
        Columns, or bins of the m/z axis, to compare at most: those with the largest
        mean among the ones that at least half of the pixels show. `None` takes all.
    scale : {"median", "mean", "none"} or float, default="median"
        The median quotient that each pixel gets: the median or mean of those of `fit`
        above 0, 1 (``"none"``), or a number.
    n_jobs : int, default=None
        Blocks of pixels at a time, as in joblib.

    Attributes
    ----------
    reference_ : array of shape (n_used,), float64
        The median of the spectra, each over its total ion current.
    variables_ : array of shape (n_used,)
        Centres of the bins that are compared, in m/z; of arrays, column numbers.
    scale_ : float
        The median quotient of every pixel after `transform`; 1 when every pixel of
        `fit` is blank.
    factors_ : array of shape (n_pixels,), float64
        What each pixel of `fit` is divided by. 0 marks a blank pixel.
    mask_ : array of shape (n_pixels,), bool
        Pixels of `fit` that are not blank.
    n_blank_ : int
        Number of blank pixels in `fit`.
    n_features_in_ : int
        Number of columns; not set when each pixel has an axis of its own.
    feature_names_in_ : ndarray of str
        Names of the columns, when they have names.

    Raises
    ------
    ValueError
        When no variable is above 0 in half of the pixels, so that the median spectrum
        is 0.

    Notes
    -----
    To divide by the total first, as in the paper, and then by the median quotient to
    the reference, is the same as to divide by the median quotient of what was not
    divided: the total cancels. Values that are 0 give no quotient, because in sparse
    spectra they say "below detection"; a pixel without any quotient above 0 is blank
    and becomes 0. Spectra with an axis each are summed in the bins of
    :meth:`MassAxis.estimate`; put a :class:`MassAligner` before, or use the features.

    References
    ----------
    Dieterle, F. et al. (2006), "Probabilistic quotient normalization as robust method
    to account for dilution of complex biological mixtures", Anal. Chem. 78:4281.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import PQNNormalizer
    >>> X = np.array([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 97.0]])
    >>> PQNNormalizer().fit_transform(X)
    array([[ 1.,  2.,  1.],
           [ 1.,  2.,  1.],
           [ 1.,  2., 97.]])
    """

    _measured = "median quotient"
    _same_kind = True

    _parameter_constraints: ClassVar[dict] = {
        **_Normalizer._parameter_constraints,
        "n_variables": [None, Interval(numbers.Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        n_variables: int | None = 1000,
        scale: str | float = "median",
        n_jobs: int | None = None,
    ) -> None:
        self.n_variables = n_variables
        self.scale = scale
        self.n_jobs = n_jobs

    def _learn_and_measure(self, X: Any) -> tuple[DivideSpectra, Any]:
        learn = self._learn_spectra if isinstance(X, Spectra) else self._learn_array
        centers, low, high, reference, n_filled, values = learn(X)
        used = reference > 0
        if n_filled and not used.any():
            message = (
                f"PQNNormalizer: none of the variables is above 0 in half of the "
                f"{n_filled} pixels with signal, so the median spectrum is 0. Use "
                "features that more pixels show, or another normalisation."
            )
            raise ValueError(message)
        reference = reference[used]
        self.reference_ = place_like(X, reference)
        self.variables_ = place_like(X, centers[used])
        kernel = DivideByQuotient(1.0, low[used], high[used], reference)
        if values is None:
            return kernel, self._measures(X, kernel)

        # What the reference was found in says the quotients, too: no further pass.
        def measure(chunk: SpectrumChunk) -> Any:
            return median_quotients(chunk.intensity[:, used], reference)

        return kernel, map_chunks(measure, values, self.n_jobs)

    def _learn_array(self, X: Any) -> tuple:
        xp = array_namespace(X)
        total = map_chunks(sum_values, X, self.n_jobs)
        count = xp.sum(xp.astype((X > 0) & (total > 0)[:, None], xp.int64), axis=0)
        n_filled = int(xp.sum(xp.astype(total > 0, xp.int64)))
        columns = self._choose(to_numpy(count), n_filled, mean_columns(X))
        if is_numpy_array(X):
            reference = np.empty(columns.size)
            normalize_numba.median_columns(X[:, columns], total, reference)
        else:
            taken = xp.take(X, xp.asarray(columns, device=device_of(X)), axis=1)
            kernels = device_kernels(taken, normalize_xp)
            reference = to_numpy(kernels.median_columns(taken, total))
        return columns, *column_windows(columns), reference, n_filled, None

    def _learn_spectra(self, X: Spectra) -> tuple:
        total = row_statistics(X, n_jobs=self.n_jobs).total
        n_filled = int(np.sum(total > 0))
        if n_filled == 0:
            return *(np.empty(0),) * 4, 0, None
        axis = None if X.mz is not None else MassAxis.estimate(X)
        edges = cell_edges(X.mz) if axis is None else axis.edges
        statistics = axis_statistics(X, axis, n_jobs=self.n_jobs)
        bins = self._choose(statistics.count, n_filled, statistics.mean)
        low, high = edges[bins], edges[bins + 1]
        reference = np.empty(bins.size)
        # As many columns at a time as fit into half of the memory, twice 8 bytes each.
        room = int(get_config()["working_memory"] * 2**20) // 32
        step = max(1, room // len(X))
        values = None
        for start in range(0, bins.size, step):
            part = slice(start, start + step)
            sums = _WindowSums(low[part], high[part])
            key = ("sums", low[part].tobytes(), high[part].tobytes())
            values = to_numpy(
                map_rows(X, sums, key, n_jobs=self.n_jobs, label="Median spectrum")
            )
            normalize_numba.median_columns(values, total, reference[part])
        known = values if step >= bins.size else None
        return statistics.mz[bins], low, high, reference, n_filled, known

    def _choose(self, count: np.ndarray, n_filled: int, mean: np.ndarray) -> np.ndarray:
        """Return the variables whose median may be above 0, the strongest of them."""
        chosen = np.flatnonzero((2 * count >= n_filled) & (count > 0))
        if self.n_variables is not None and chosen.size > self.n_variables:
            order = np.argsort(-mean[chosen], kind="stable")
            chosen = np.sort(chosen[order[: self.n_variables]])
        return chosen
