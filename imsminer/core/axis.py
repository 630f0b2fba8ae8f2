"""m/z axes: the bins in which spectra are added up, and how wide they are."""

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from imsminer.core._axis_estimate import estimate_bins, native_bins
from imsminer.core._bins import (
    LAWS,
    bins_around,
    lay_bins,
    number,
    positive,
    rule_text,
)

if TYPE_CHECKING:
    from imsminer.core.spectra import Spectra

__all__ = ["MassAxis", "estimate_grid"]


class MassAxis:
    """An m/z axis: a rule for the width of its bins and, once resolved, the bins.

    Made by one of its constructors, never directly. A rule (:meth:`even`,
    :meth:`ppm`, :meth:`resolving_power`, :meth:`regression`) does not know the range
    of the data; :meth:`resolve` applies it to a range and returns an axis with
    :attr:`edges` and :attr:`centers`. :meth:`from_values` and :meth:`estimate` return
    resolved axes. The object does not change, pickles, and equals another that makes
    the same bins.

    Bins lie at the same places whatever the range is: bins of axes that were resolved
    for two ranges coincide where the ranges overlap. Bin ``j`` holds
    ``edges[j] <= mz < edges[j + 1]``; its label is ``centers[j]``.

    References
    ----------
    Marshall, A. G., Hendrickson, C. L. (2008). High-resolution mass spectrometers.
    Annual Review of Analytical Chemistry 1, 579–599: how peak widths grow with m/z.

    Examples
    --------
    >>> from imsminer import MassAxis
    >>> axis = MassAxis.ppm(5).resolve(400, 2200)
    >>> axis.n_bins
    340953
    >>> axis = MassAxis.even(0.5).resolve(100, 102)
    >>> axis.centers
    array([ 99.5, 100. , 100.5, 101. , 101.5, 102. , 102.5])
    """

    __slots__ = ("_centers", "_edges", "_fingerprint", "_parameters", "_rule")

    def __init__(
        self,
        rule: str,
        parameters: dict[str, Any],
        edges: np.ndarray | None = None,
        centers: np.ndarray | None = None,
    ) -> None:
        self._rule = rule
        self._parameters = parameters
        self._edges = edges
        self._centers = centers
        self._fingerprint: str | None = None
        self._freeze()

    # Rules -----------------------------------------------------------------------

    @classmethod
    def even(cls, step: float) -> "MassAxis":
        """Make bins of one width.

        Parameters
        ----------
        step : float
            Width in m/z. Centres are multiples of it.

        Returns
        -------
        MassAxis

        Raises
        ------
        ValueError
            When `step` is not a positive number.

        Notes
        -----
        The width ``at_mz / (r * bins_per_fwhm)`` that a resolving power gives at a
        reference m/z is ``resolving_power(r, at_mz, "constant", bins_per_fwhm)``.
        """
        step = positive("even", "step", step)
        return cls("even", {"step": step})

    @classmethod
    def ppm(cls, width: float) -> "MassAxis":
        """Make bins whose width is a constant part of their m/z.

        Parameters
        ----------
        width : float
            Width in parts per million.

        Returns
        -------
        MassAxis

        Raises
        ------
        ValueError
            When `width` is not a positive number.
        """
        width = positive("ppm", "width", width)
        return cls("ppm", {"width": width})

    @classmethod
    def resolving_power(
        cls,
        r: float,
        at_mz: float,
        law: str = "tof",
        bins_per_fwhm: float = 4.0,
    ) -> "MassAxis":
        """Make bins that follow the peak width of a mass analyser.

        Parameters
        ----------
        r : float
            Resolving power m/Δm at `at_mz`, where Δm is the full width at half maximum.
        at_mz : float
            The m/z at which `r` holds.
        law : {"tof", "axial_tof", "orbitrap", "fticr", "constant"}, default="tof"
            How the peak width grows with m/z: ``"tof"`` ∝ m (an orthogonal or
            reflector time of flight: constant resolving power), ``"axial_tof"`` ∝ √m,
            ``"orbitrap"`` ∝ m^1.5, ``"fticr"`` ∝ m², ``"constant"`` is one *width* at
            all m/z.
        bins_per_fwhm : float, default=4.0
            Bins per peak width.

        Returns
        -------
        MassAxis

        Raises
        ------
        ValueError
            When a number is not positive or the law is unknown.
        """
        name = "resolving_power"
        if law not in LAWS:
            message = (
                f"MassAxis.{name}: law must be one of {sorted(LAWS)}, got {law!r}."
            )
            raise ValueError(message)
        parameters = {
            "r": positive(name, "r", r),
            "at_mz": positive(name, "at_mz", at_mz),
            "law": law,
            "bins_per_fwhm": positive(name, "bins_per_fwhm", bins_per_fwhm),
        }
        return cls(name, parameters)

    @classmethod
    def regression(
        cls, intercept: float, slope: float, bins_per_fwhm: float = 4.0
    ) -> "MassAxis":
        """Make bins that follow a resolving power linear in m/z.

        Parameters
        ----------
        intercept, slope : float
            ``R(m) = intercept + slope * m``, the resolving power m/Δm (FWHM).
        bins_per_fwhm : float, default=4.0
            Bins per peak width.

        Returns
        -------
        MassAxis

        Raises
        ------
        ValueError
            When a parameter is not a number, `bins_per_fwhm` is not positive, or the
            resolving power is nowhere positive. :meth:`resolve` raises when it is not
            positive in the range that is asked for.
        """
        intercept = number("regression", "intercept", intercept)
        slope = number("regression", "slope", slope)
        if intercept <= 0 and slope <= 0:
            message = (
                "MassAxis.regression: the resolving power intercept + slope * mz must "
                f"be positive somewhere; got intercept={intercept!r}, slope={slope!r}."
            )
            raise ValueError(message)
        bins = positive("regression", "bins_per_fwhm", bins_per_fwhm)
        parameters = {"intercept": intercept, "slope": slope, "bins_per_fwhm": bins}
        return cls("regression", parameters)

    @classmethod
    def from_values(cls, mz: Any) -> "MassAxis":
        """Make one bin around each value, with edges half-way between neighbours.

        Parameters
        ----------
        mz : array-like of float, shape (n,)
            Increasing m/z.

        Returns
        -------
        MassAxis
            A resolved axis; ``centers`` are the values.

        Raises
        ------
        ValueError
            When the values are not finite, not increasing or fewer than 2.
        """
        return cls("from_values", {}, *bins_around(mz))

    @classmethod
    def estimate(cls, spectra: "Spectra") -> "MassAxis":
        """Choose an axis that suits the data, from facts of its whole source.

        Selected rows do not matter: a subset of the rows gets the same axis, which
        reaches 100 ppm further where a queued step moves m/z. At most
        10 spectra are read, spread over runs and rows. In this order:

        1. A shared axis is taken as it is.
        2. Profile spectra whose m/z lie on the grid of the instrument get that grid
           (see :func:`estimate_grid`).
        3. Other profile spectra get bins as wide as the distance between neighbouring
           samples, which is fitted as a power of m/z.
        4. Centroids get bins with a third of the FWHM by which the centroids of one
           ion scatter between pixels, fitted as a power of m/z, and at least 1 ppm; 5
           ppm where no two pixels share centroids.

        Parameters
        ----------
        spectra : Spectra
            The spectra.

        Returns
        -------
        MassAxis
            A resolved axis that covers all rows of the source.

        Raises
        ------
        ValueError
            When the source holds no point.
        """
        return cls(*estimate_bins(spectra))

    # Bins ------------------------------------------------------------------------

    def resolve(self, low: float, high: float) -> "MassAxis":
        """Apply the rule to a range of m/z.

        Parameters
        ----------
        low, high : float
            The range to cover; bins reach a little further on both sides.

        Returns
        -------
        MassAxis
            A resolved axis; a resolved axis returns itself.

        Raises
        ------
        ValueError
            When the range is not positive and increasing, when it takes more than 50
            million bins, or when a regression is not positive in it.
        """
        if self._edges is not None:
            return self
        bins = lay_bins(self._rule, self._parameters, low, high)
        return type(self)(self._rule, self._parameters, *bins)

    @property
    def is_resolved(self) -> bool:
        """Whether the axis has bins, not only a rule for them."""
        return self._edges is not None

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins, float64, shape (n_bins + 1,), increasing."""
        return self._bins(self._edges)

    @property
    def centers(self) -> np.ndarray:
        """Labels of the bins: their m/z, float64, shape (n_bins,)."""
        return self._bins(self._centers)

    @property
    def bin_widths(self) -> np.ndarray:
        """Width of each bin in m/z, float64, shape (n_bins,)."""
        return np.diff(self.edges)

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return self.centers.size

    @property
    def fingerprint(self) -> str:
        """Hash of the bins, or of the rule before they are resolved."""
        if self._fingerprint is None:
            digest = hashlib.sha256()
            if self._edges is None:
                digest.update(
                    repr((self._rule, sorted(self._parameters.items()))).encode()
                )
            else:
                digest.update(self._edges.tobytes())
                digest.update(self.centers.tobytes())
            self._fingerprint = digest.hexdigest()[:32]
        return self._fingerprint

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MassAxis):
            return NotImplemented
        return self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        text = rule_text(self._rule, self._parameters)
        if self._edges is None:
            return text
        low, high = self._edges[0], self._edges[-1]
        return f"<{text}: {self.n_bins:,} bins, m/z {low:.4f} to {high:.4f}>"

    def __getstate__(self) -> tuple:
        return (self._rule, self._parameters, self._edges, self._centers)

    def __setstate__(self, state: tuple) -> None:
        self._rule, self._parameters, self._edges, self._centers = state
        self._fingerprint = None
        self._freeze()

    def _freeze(self) -> None:
        for array in (self._edges, self._centers):
            if array is not None:
                array.flags.writeable = False

    def _bins(self, array: np.ndarray | None) -> np.ndarray:
        if array is None:
            message = (
                f"{self!r} is a rule and has no bins yet: call resolve(low, high) "
                "with the m/z range of the data."
            )
            raise AttributeError(message)
        return array


def estimate_grid(spectra: "Spectra") -> MassAxis | None:
    """Recover the m/z grid of the instrument from profile spectra.

    Parameters
    ----------
    spectra : Spectra
        The spectra; of their source, at most 10 spectra are read.

    Returns
    -------
    MassAxis or None
        The shared axis when there is one, and for profile spectra that store only
        some points of a common grid, the whole grid: a polynomial of degree 1 to 3, in
        the number of the point, of m, √m (time of flight), 1/√m (Orbitrap), 1/m
        (FT-ICR) or log m. Spectra that all have the same m/z give these. A queued step
        that moves all spectra alike (`ChunkKernel.transform_axis`) moves the grid, so
        that samples stay in the middle of their bins. `None` for centroids and without
        any point, and when the points of different pixels lie on no common grid to a
        fifth of its step.
    """
    found = native_bins(spectra)
    return None if found is None else MassAxis(*found)
