"""Baselines: what lies under the peaks of profile spectra, and its removal."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from imsminer._array import (
    array_namespace,
    check_same_namespace,
    device_of,
    is_numpy_array,
)
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.binning import sample_cells
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.spectra import Spectra
from imsminer.spectra._frames import (
    SameColumns,
    check_values,
    empty_like,
    frame_like,
    map_blocks,
)
from imsminer.spectra._kernels import snip_numba, snip_xp

__all__ = ["BaselineSubtractor", "SubtractSnip"]

#: The spacing of the samples is smooth in m/z: this many values describe it.
N_KNOTS = 1024


@dataclass(frozen=True)
class SubtractSnip(ChunkKernel):
    """Subtract the SNIP baseline of each spectrum.

    Attributes
    ----------
    half_window : float
        In points or ppm.
    unit : {"points", "ppm"}
        Of `half_window`.
    knots, steps : ndarray of float64 or None
        Spacing of the samples' grid at some m/z; `None` where all spectra are dense.
    low, high : float
        Range of the grid.
    """

    half_window: float
    unit: str = "points"
    knots: np.ndarray | None = None
    steps: np.ndarray | None = None
    low: float = np.nan
    high: float = np.nan

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        if not chunk.profile:
            raise ValueError(_centroided([chunk.run]))
        if chunk.indptr is None:
            mz = np.asarray(chunk.mz)
            return chunk.replace(
                intensity=subtract_rows(chunk.intensity, self._reach(mz, _spacing(mz)))
            )
        if is_numpy_array(chunk.intensity):
            return chunk.replace(intensity=self._points(chunk))
        xp = array_namespace(chunk.intensity)
        device = device_of(chunk.intensity)
        knots = xp.asarray(self.knots, device=device)
        steps = xp.asarray(self.steps, device=device)
        spacing = snip_xp.interpolate(chunk.mz, knots, steps)
        result = snip_xp.snip_points(
            chunk.intensity,
            chunk.indptr,
            chunk.mz,
            knots,
            steps,
            self.low,
            self.high,
            self._reach(chunk.mz, spacing),
        )
        return chunk.replace(intensity=result)

    def _points(self, chunk: SpectrumChunk) -> np.ndarray:
        mz, intensity, indptr = chunk.mz, chunk.intensity, chunk.indptr
        result = np.empty_like(intensity)
        if mz.size == 0:
            return result
        reach = self._reach(mz, np.interp(mz, self.knots, self.steps))
        position = np.empty(mz.size, np.int64)
        length = np.empty(chunk.n_spectra, np.int64)
        # A gap wider than every window is as good as any: nothing sees across it.
        limit = int(reach.max()) + 1
        grid = (self.knots, self.steps, self.low, self.high, limit)
        snip_numba.grid_positions(mz, indptr, *grid, position, length)
        snip_numba.snip_points(intensity, indptr, position, length, reach, result)
        return result

    def _reach(self, mz: Any, spacing: Any) -> Any:
        """Return the half window at each point, in points of the grid."""
        xp = array_namespace(mz)
        if self.unit == "points":
            width = int(self.half_window)
            return xp.full(mz.shape, width, dtype=xp.int64, device=device_of(mz))
        reach = xp.round(mz * self.half_window * 1e-6 / spacing)
        return xp.astype(xp.clip(reach, 1.0, 1e6), xp.int64)


def subtract_rows(X: Any, reach: np.ndarray) -> Any:
    """Return the rows of `X` minus their SNIP baselines, in its namespace."""
    if is_numpy_array(X):
        result = np.empty(X.shape, X.dtype)
        snip_numba.snip_rows(X, reach, result)
        return result
    xp = array_namespace(X)
    return snip_xp.snip_rows(X, xp.asarray(reach, device=device_of(X)))


def _spacing(mz: np.ndarray) -> np.ndarray:
    return np.gradient(mz) if mz.size > 1 else np.ones(mz.size)


def _centroided(runs: list[str]) -> str:
    named = ", ".join(repr(run) for run in runs[:5])
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    return (
        f"BaselineSubtractor: centroid spectra in {named}{more}. A baseline is what "
        "lies between the peaks of a profile, and centroiding has already removed "
        "that. Leave this step out. If the file is wrong about itself and holds "
        "profiles, build the Spectra with profile=True."
    )


class BaselineSubtractor(SameColumns, SpectraTransformer):
    r"""Subtract the baseline of each profile spectrum.

    SNIP compresses intensities by :math:`v = \log(\log(\sqrt{y + 1} + 1) + 1)` and
    replaces, for p = m, m − 1, …, 1, each v by the smaller of itself and
    :math:`(v_{i-p} + v_{i+p}) / 2`: peaks narrower than the window of 2m + 1 points are
    clipped off. What is left, expanded again, is the baseline. The result is never
    negative. `fit` learns nothing and makes no pass; `transform` queues the step.

    Parameters
    ----------
    method : {"snip"}, default="snip"
        How the baseline is found.
    half_window : float, default=40
        Half window m: at least the width of a peak at its base. A whole number for
        points.
    unit : {"points", "ppm"}, default="points"
        Of `half_window`. Points are samples of the profile; ppm follow the m/z axis,
        and need Spectra.
    n_jobs : int, default=None
        Blocks of pixels of an array at a time, as in joblib. Passes over Spectra take
        theirs from the step that makes them.

    Attributes
    ----------
    n_features_in_ : int
        Number of m/z values; not set when each pixel has an axis of its own.
    feature_names_in_ : ndarray of str
        Names of the columns, when they have names.

    Raises
    ------
    ValueError
        By `fit` and `transform`, when spectra are centroided: they have no baseline.

    Notes
    -----
    Sparse profiles (files that leave out zeros, with an m/z axis for each pixel) get
    the baseline that they would have with the zeros in place: windows count points of
    the instrument's grid, and a grid point that is not stored is 0. So an isolated
    narrow peak keeps all of its intensity.

    Near both ends of the axis the window is as wide as fits, and the outermost points
    become 0. Negative intensities count as 0. Data of Fourier-transform instruments
    usually have no baseline.

    References
    ----------
    Ryan, C. G. et al. (1988), "SNIP, a statistics-sensitive background treatment for
    the quantitative analysis of PIXE spectra", Nucl. Instrum. Methods B 34:396.
    Morháč, M. et al. (1997), "Background elimination methods for multidimensional
    coincidence γ-ray spectra", Nucl. Instrum. Methods A 401:113.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import BaselineSubtractor
    >>> x = np.arange(200)
    >>> peak = 100 * np.exp(-0.5 * ((x - 100) / 3) ** 2)
    >>> spectrum = peak + 50 - 0.1 * x
    >>> clean = BaselineSubtractor(half_window=20).fit_transform(spectrum[None, :])
    >>> clean[0, [20, 100, 180]].round().tolist()
    [0.0, 100.0, 0.0]
    """

    _parameter_constraints: ClassVar[dict] = {
        "method": [StrOptions({"snip"})],
        "half_window": [Interval(numbers.Real, 0, None, closed="neither")],
        "unit": [StrOptions({"points", "ppm"})],
        "n_jobs": [None, numbers.Integral],
    }

    def __init__(
        self,
        *,
        method: str = "snip",
        half_window: float = 40,
        unit: str = "points",
        n_jobs: int | None = None,
    ) -> None:
        self.method = method
        self.half_window = half_window
        self.unit = unit
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> BaselineSubtractor:
        """Check parameters and spectra; there is nothing to learn.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            Profile spectra.
        y : None
            Ignored.

        Returns
        -------
        BaselineSubtractor
            The fitted estimator.
        """
        self._validate_params()
        if self.unit == "points" and self.half_window != round(self.half_window):
            message = (
                "BaselineSubtractor: half_window must be a whole number of points; got "
                f"{self.half_window!r}. Use unit='ppm' for a width in m/z."
            )
            raise ValueError(message)
        if isinstance(X, Spectra):
            self._require_profile(self._check_spectra(X, reset=True))
        else:
            values = self._check_array(X, reset=True)
            self._like = empty_like(values)
        self._is_fitted = True
        return self

    def transform(self, X: Any) -> Any:
        """Subtract the baseline of each spectrum.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            Profile spectra.

        Returns
        -------
        Spectra, array or DataFrame
            Of the type of `X`, with its dtype, at least 0. Spectra are lazy.
        """
        check_is_fitted(self)
        if isinstance(X, Spectra):
            self._require_profile(self._check_spectra(X, reset=False))
            return X.map(self._kernel(X))
        values = self._check_array(X, reset=False)
        check_same_namespace(self, "transform", getattr(self, "_like", values), values)
        reach = np.full(values.shape[1], int(self.half_window), np.int64)
        parts = map_blocks(
            lambda block: subtract_rows(block, reach), values, self.n_jobs
        )
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return frame_like(X, whole)

    def _kernel(self, X: Spectra) -> SubtractSnip:
        if X.source.mz is not None:
            return SubtractSnip(self.half_window, self.unit)
        edges = sample_cells(X).edges
        middle = 0.5 * (edges[1:] + edges[:-1])
        chosen = np.linspace(0, middle.size - 1, min(N_KNOTS, middle.size))
        chosen = chosen.round().astype(np.int64)
        steps = np.diff(edges)[chosen]
        low, high = X.source.mz_range()
        return SubtractSnip(
            self.half_window, self.unit, middle[chosen], steps, low, high
        )

    def _require_profile(self, X: Spectra) -> None:
        run_of_row = np.searchsorted(X.source.run_bounds, X.rows, side="right") - 1
        used = np.unique(run_of_row)
        wrong = used[~X.source.profile[used]]
        if wrong.size:
            raise ValueError(_centroided([str(name) for name in X.runs.index[wrong]]))

    def _check_array(self, X: Any, *, reset: bool) -> Any:
        if self.unit == "ppm":
            message = (
                "BaselineSubtractor: unit='ppm' needs m/z values, which an array does "
                "not have. Pass Spectra (Spectra.from_arrays(X, mz=...)), or give the "
                "half window in points."
            )
            raise ValueError(message)
        return check_values(self, X, reset=reset)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_is_fitted")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.array_api_support = True
        return tags
