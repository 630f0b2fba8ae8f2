"""Smoothing of profile spectra along m/z."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.signal import savgol_coeffs
from sklearn.utils.validation import check_is_fitted

from imsminer._array import (
    array_namespace,
    check_same_namespace,
    device_kernels,
    device_of,
    is_numpy_array,
    to_numpy,
)
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.chunk import ChunkKernel, SpectrumChunk
from imsminer.core.estimator import SpectraTransformer
from imsminer.core.spectra import Spectra
from imsminer.spectra._frames import (
    SameColumns,
    check_values,
    empty_like,
    frame_like,
    map_values,
)
from imsminer.spectra._gridded import (
    LONGEST_GAP,
    SampleGrid,
    Width,
    centroided,
    on_grid,
    require_profile,
    spacing_of,
)
from imsminer.spectra._kernels import median_numba, median_xp, smooth_numba, smooth_xp

__all__ = ["SpectrumSmoother"]

FWHM = 2 * np.sqrt(2 * np.log(2))
#: Gaussians end at this many standard deviations.
TRUNCATE = 4.0
#: Widths in ppm change along the axis: Gaussians in steps of this ratio.
STEP = 1.02
#: Wider windows hold more than any peak, and their weights would fill the memory.
MAX_POINTS = 4001
WHY = "Centroids are not samples of a curve: each stands for a peak of its own."


@dataclass(frozen=True)
class Smooth(ChunkKernel):
    """Smooth each spectrum.

    Attributes
    ----------
    method : {"savgol", "gaussian", "moving_average", "median"}
    width : Width
        Of the window, or the FWHM of the Gaussian.
    degree : int
        Of the polynomials of ``"savgol"``.
    grid : SampleGrid or None
        Where the samples of ragged spectra lie; `None` where all spectra are dense.
    """

    method: str
    width: Width
    degree: int = 2
    grid: SampleGrid | None = None

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        if not chunk.profile:
            raise ValueError(centroided("SpectrumSmoother", [chunk.run], WHY))
        if chunk.indptr is None:
            mz = np.asarray(to_numpy(chunk.mz), np.float64)
            wide = self.width.in_points(mz, spacing_of(mz))
            return chunk.replace(intensity=self.rows(chunk.intensity, wide))
        grid = self.grid
        assert grid is not None
        if not is_numpy_array(chunk.intensity):
            return chunk.replace(intensity=self._stored_points(chunk, grid))

        def smooth(row: Any, mz: Any) -> Any:
            return self.rows(row, self.width.in_points(mz, grid.spacing(mz)))

        return chunk.replace(intensity=on_grid(chunk, grid, smooth))

    def rows(self, X: Any, wide: np.ndarray) -> Any:
        """Return the smoothed rows of `X` (n, m); `wide` (m,) is in points."""
        if X.shape[0] == 0 or X.shape[1] == 0:
            return X
        self._check_width(float(wide.max()))
        numpy = is_numpy_array(X)
        if self.method == "median":
            halves = _halves(wide)
            if numpy:
                return _medians(X, halves)
            return device_kernels(X, median_xp).nearest_rows(X, halves)
        kind, tables = self._tables(wide)
        if not numpy:
            return device_kernels(X, smooth_xp).smooth_rows(X, kind, tables)
        sizes = np.array([table.size // 2 for table in tables])
        padded = np.zeros((len(tables), 2 * int(sizes.max()) + 1))
        for row, table in zip(padded, tables, strict=True):
            row[: table.size] = table
        out = np.empty(X.shape, X.dtype)
        smooth_numba.smooth_rows(X, kind, padded, sizes, out)
        return out

    def _stored_points(self, chunk: SpectrumChunk, grid: SampleGrid) -> Any:
        """Smooth ragged spectra of libraries but NumPy; the host waits for no value."""
        values, mz = chunk.intensity, chunk.mz
        xp, device = array_namespace(mz), device_of(mz)
        points = (
            xp.asarray(chunk.indptr, device=device),
            *grid.positions(chunk, LONGEST_GAP),
        )
        span = np.array(self.width.span(grid))
        self._check_width(float(span[1]))
        wide = self.width.in_points(mz, grid.spacing(mz))
        if self.method == "median":
            median = device_kernels(values, median_xp).median_points
            return median(values, *points, _halves(wide), True)
        kind, tables = xp.zeros_like(points[1]), [self._weights()]
        if self.width.unit == "ppm":
            low, high = self._numbers(span).tolist()
            kind = xp.clip(self._numbers(wide), low, high) - low
            tables = [self._table(number) for number in range(low, high + 1)]
        smooth = device_kernels(values, smooth_xp).smooth_points
        return smooth(values, *points, kind, tables)

    def _check_width(self, widest: float) -> None:
        if widest > MAX_POINTS:
            message = (
                f"SpectrumSmoother: width={self.width.value:g} {self.width.unit} is a "
                f"window of {widest:.0f} points, but at most {MAX_POINTS} are allowed. "
                "Give a smaller width."
            )
            raise ValueError(message)

    def _tables(self, wide: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Return which weights each point takes, and the weights."""
        if self.width.unit == "points":
            return np.zeros(wide.size, np.int64), [self._weights()]
        numbers, kind = np.unique(self._numbers(wide), return_inverse=True)
        return kind, [self._table(int(number)) for number in numbers]

    def _numbers(self, wide: Any) -> Any:
        """Return the numbers of the weights for widths in points."""
        if self.method != "gaussian":
            return _halves(wide)
        xp = array_namespace(wide)
        step = xp.round(xp.log(xp.clip(wide, 1e-3, None)) / float(np.log(STEP)))
        return xp.astype(step, xp.int64)

    def _table(self, number: int) -> np.ndarray:
        """Return the weights of a number."""
        if self.method == "gaussian":
            return _gaussian(STEP ** float(number))
        return self._window(number)

    def _weights(self) -> np.ndarray:
        if self.method == "gaussian":
            return _gaussian(self.width.value)
        return self._window(int(self.width.value) // 2)

    def _window(self, half: int) -> np.ndarray:
        size = 2 * half + 1
        # Through so few points a polynomial of any higher degree is exact.
        if self.method == "moving_average":
            return np.full(size, 1 / size)
        return savgol_coeffs(size, min(self.degree, size - 1), use="dot")


def _halves(wide: Any) -> Any:
    """Return half windows of the odd windows of about so many points."""
    xp = array_namespace(wide)
    return xp.astype(xp.clip(xp.round((wide - 1) / 2), 0.0, None), xp.int64)


def _gaussian(fwhm: float) -> np.ndarray:
    sd = fwhm / FWHM
    half = int(TRUNCATE * sd + 0.5)
    place = np.arange(-half, half + 1)
    weights = np.exp(-0.5 * (place / sd) ** 2)
    return weights / weights.sum()


def _medians(X: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Return running medians; beyond the ends the outermost value goes on."""
    m = X.shape[1]
    widest = int(halves.max())
    reach = np.zeros(m + 2 * widest, np.int64)
    reach[widest : widest + m] = halves
    padded = np.pad(X, ((0, 0), (widest, widest)), mode="edge")
    out = np.empty_like(padded)
    median_numba.median_rows(padded, reach, out)
    return np.ascontiguousarray(out[:, widest : widest + m])


class SpectrumSmoother(SameColumns, SpectraTransformer):
    r"""Smooth each profile spectrum along m/z.

    Each value becomes a weighted mean, or the median, of its neighbours. `fit` learns
    nothing and makes no pass; `transform` queues the step.

    Parameters
    ----------
    method : str, default="savgol"
        - ``"savgol"``: a polynomial is fitted to each window by least squares, and
          taken at its middle (Savitzky and Golay). Keeps the heights of peaks best;
          values beside a sharp edge may fall below 0.
        - ``"gaussian"``: Gaussian weights, up to 4 standard deviations.
        - ``"moving_average"``: equal weights.
        - ``"median"``: the median of the window; removes single spikes.
    width : float, default=7
        Width of the window, or full width at half maximum of the Gaussian. Windows of
        points are an odd whole number; those in ppm become one. At most 4001 points.
    unit : {"points", "ppm"}, default="points"
        Of `width`. Points are samples of the profile; ppm follow the m/z axis, and need
        Spectra.
    degree : int, default=2
        Of the polynomials of ``"savgol"``, below the number of points of the window.
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
        By `fit` and `transform`, when spectra are centroided, or a parameter is wrong.

    Notes
    -----
    Beyond both ends of the axis the outermost value goes on, so constant spectra stay
    what they are and any window fits. Sums are float64, whatever the dtype.

    Sparse profiles (files that leave out zeros, with an m/z axis for each pixel) are
    smoothed with the zeros in place, and keep the points that they have: what spreads
    to points that are not stored is left out, so that weak and narrow peaks lose
    intensity.

    Widths of a Gaussian in ppm are rounded to steps of 2 %, those of other windows to
    odd numbers of points.

    References
    ----------
    Savitzky, A. and Golay, M. J. E. (1964), "Smoothing and differentiation of data by
    simplified least squares procedures", Anal. Chem. 36:1627.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer.spectra.smooth import SpectrumSmoother
    >>> spectrum = np.array([[0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0]])
    >>> smoother = SpectrumSmoother(method="moving_average", width=3)
    >>> smoother.fit_transform(spectrum)[0].round(6).tolist()
    [0.0, 0.0, 3.0, 3.0, 3.0, 0.0, 0.0]
    """

    _parameter_constraints: ClassVar[dict] = {
        "method": [StrOptions({"savgol", "gaussian", "moving_average", "median"})],
        "width": [Interval(numbers.Real, 0, None, closed="neither")],
        "unit": [StrOptions({"points", "ppm"})],
        "degree": [Interval(numbers.Integral, 0, 30, closed="both")],
        "n_jobs": [None, numbers.Integral],
    }

    def __init__(
        self,
        *,
        method: str = "savgol",
        width: float = 7,
        unit: str = "points",
        degree: int = 2,
        n_jobs: int | None = None,
    ) -> None:
        self.method = method
        self.width = width
        self.unit = unit
        self.degree = degree
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> SpectrumSmoother:
        """Check parameters and spectra; there is nothing to learn.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            Profile spectra.
        y : None
            Ignored.

        Returns
        -------
        SpectrumSmoother
            The fitted estimator.
        """
        self._validate_params()
        self.__dict__.pop("_like", None)
        if self.unit == "points" and self.method != "gaussian":
            self._check_window()
        if isinstance(X, Spectra):
            require_profile("SpectrumSmoother", self._check_spectra(X, reset=True), WHY)
        else:
            self._like = empty_like(self._check_array(X, reset=True))
        self._is_fitted = True
        return self

    def transform(self, X: Any) -> Any:
        """Smooth each spectrum.

        Parameters
        ----------
        X : Spectra or array-like of shape (n_pixels, n_mz)
            Profile spectra.

        Returns
        -------
        Spectra, array or DataFrame
            Of the type of `X`, with its dtype. Spectra are lazy.
        """
        check_is_fitted(self)
        width = Width(self.width, self.unit)
        if isinstance(X, Spectra):
            X = self._check_spectra(X, reset=False)
            require_profile("SpectrumSmoother", X, WHY)
            grid = SampleGrid.of(X)
            return X.map(Smooth(self.method, width, self.degree, grid))
        values = self._check_array(X, reset=False)
        check_same_namespace(self, "transform", getattr(self, "_like", values), values)
        kernel = Smooth(self.method, width, self.degree)
        wide = np.full(values.shape[1], float(self.width))
        smooth = map_values(lambda block: kernel.rows(block, wide), values, self.n_jobs)
        return frame_like(X, smooth)

    def _check_window(self) -> None:
        if self.width != round(self.width) or self.width % 2 != 1:
            message = (
                "SpectrumSmoother: width must be an odd whole number of points for "
                f"method={self.method!r}; got {self.width!r}. Use unit='ppm' for a "
                "width in m/z."
            )
            raise ValueError(message)
        if self.method == "savgol" and self.degree >= self.width:
            message = (
                f"SpectrumSmoother: degree must be below width, {self.width!r} points; "
                f"got {self.degree}. Widen the window or lower the degree."
            )
            raise ValueError(message)

    def _check_array(self, X: Any, *, reset: bool) -> Any:
        if self.unit == "ppm":
            message = (
                "SpectrumSmoother: unit='ppm' needs m/z values, which an array does "
                "not have. Pass Spectra (Spectra.from_arrays(X, mz=...)), or give the "
                "width in points."
            )
            raise ValueError(message)
        return check_values(self, X, reset=reset)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_is_fitted")
