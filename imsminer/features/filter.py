"""Select features by what is known of their ions."""

from __future__ import annotations

import numbers
import warnings
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from imsminer._array import (
    check_same_namespace,
    device_of,
    moved_like,
    namespace_of,
    to_numpy,
)
from imsminer._sklearn_compat import Interval, check_feature_names_in
from imsminer.core.grid import Pixels, coordinates_of, known_coordinates
from imsminer.core.moran import moran_i
from imsminer.core.peaktable import feature_mz
from imsminer.features._selection import (
    count_hits,
    near_any,
    near_hits,
    read_ms2,
    select_hits,
    with_mz,
)
from imsminer.features._tissue import checked_tissue, tissue_auc

__all__ = ["AnalyteFilter"]

_SHARE = Interval(numbers.Real, 0, 1, closed="both")


class AnalyteFilter(TransformerMixin, BaseEstimator):
    """Keep the features whose ions fulfil all that is asked for.

    Without parameters every feature stays. Criteria that are given must all hold.

    Parameters
    ----------
    hits : DataFrame, default=None
        Annotations, such as :func:`annotate`, :func:`score_isotopes` or
        :func:`read_metaspace_annotations` return them: with `mz`, or with `feature`
        (names of columns, which then decide). Features without a hit are left out.
    mz : array-like of float, default=None
        Keep features within `ppm` of one of these.
    ppm : float, default=10
        Largest distance of m/z, for `mz`, `hits` and `ms2`, in parts per million.
    min_hits : int, default=None
        Smallest number of hits that pass the next three; 1 when `None` and `hits` are
        given.
    analyte_class : str or sequence of str, default=None
        Hits count if their `analyte_class` is one of these.
    ion_type : str or sequence of str, default=None
        Hits count if their `ion_type` (or `adduct`, where hits have no ion type) is
        one of these.
    max_fdr : float, default=None
        Hits count up to this `fdr`.
    min_frequency : float, default=None
        Smallest share of the pixels with a value above 0.
    min_moran : float, default=None
        Smallest Moran's I; needs to know where the pixels are.
    min_tissue_auc : float, default=None
        Smallest on-tissue AUC: the probability that a pixel of the tissue is brighter
        than one off it. 0.5 drops ions that are brighter off the tissue, such as those
        of the matrix.
    tissue : array-like of bool, shape (n_pixels,), default=None
        Which pixels of `fit` are tissue. `None` finds them by Otsu's threshold on the
        logarithm of each pixel's sum, run by run; features must not be normalised by
        this sum then.
    ms2 : DataFrame, path-like or array-like of float, default=None
        A merged MS2 table: keep features within `ppm` of a precursor, whose m/z is the
        column `mz`, `precursor_mz` or the like.

    Attributes
    ----------
    table_ : DataFrame
        One row per feature: `feature`, `mz` (NaN where its name has none), `selected`,
        and what was asked for: `n_hits`, `near_mz`, `frequency`, `moran`, `tissue_auc`,
        `ms2`.
    hits_ : DataFrame or None
        The hits that count, with `column`, the position of their feature.
    ms2_ : DataFrame or None
        The MS2 table joined to the features: `column`, `ppm` (feature minus
        precursor), then its columns.
    tissue_ : array of bool, shape (n_pixels,), or None
        The tissue that was used, where X is.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Their names, when X was a DataFrame.

    See Also
    --------
    imsminer.features.annotate.annotate : Finds hits.

    Notes
    -----
    Nothing about pixels is learnt but which features stay, so that other runs get the
    same columns. m/z are read from names such as ``mz_885.5499``, which the features
    of a ``PeakIntegrator`` have; `mz`, `hits` by m/z and `ms2` therefore need a
    DataFrame. A DataFrame is answered with a DataFrame.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer import AnalyteFilter
    >>> features = pd.DataFrame(
    ...     {"mz_766.5392": [1.0, 0.0], "mz_885.5499": [4, 5.0], "mz_901.1": [2.0, 3]}
    ... )
    >>> chosen = AnalyteFilter(mz=[885.5499, 766.5392], min_frequency=0.6)
    >>> chosen.fit_transform(features)
       mz_885.5499
    0          4.0
    1          5.0
    """

    _parameter_constraints: ClassVar[dict] = {
        "hits": [pd.DataFrame, None],
        "mz": ["array-like", None],
        "ppm": [Interval(numbers.Real, 0, None, closed="neither")],
        "min_hits": [Interval(numbers.Integral, 1, None, closed="left"), None],
        "analyte_class": [str, "array-like", None],
        "ion_type": [str, "array-like", None],
        "max_fdr": [_SHARE, None],
        "min_frequency": [_SHARE, None],
        "min_moran": [Interval(numbers.Real, -1, 1, closed="both"), None],
        "min_tissue_auc": [_SHARE, None],
        "tissue": ["array-like", None],
        "ms2": "no_validation",
    }

    def __init__(
        self,
        hits: pd.DataFrame | None = None,
        *,
        mz: Any = None,
        ppm: float = 10.0,
        min_hits: int | None = None,
        analyte_class: Any = None,
        ion_type: Any = None,
        max_fdr: float | None = None,
        min_frequency: float | None = None,
        min_moran: float | None = None,
        min_tissue_auc: float | None = None,
        tissue: Any = None,
        ms2: Any = None,
    ) -> None:
        self.hits = hits
        self.mz = mz
        self.ppm = ppm
        self.min_hits = min_hits
        self.analyte_class = analyte_class
        self.ion_type = ion_type
        self.max_fdr = max_fdr
        self.min_frequency = min_frequency
        self.min_moran = min_moran
        self.min_tissue_auc = min_tissue_auc
        self.tissue = tissue
        self.ms2 = ms2

    def fit(
        self, X: Any, y: Any = None, *, coordinates: Any = None, runs: Any = None
    ) -> AnalyteFilter:
        """Find the features to keep.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_pixels, n_features)
            Features.
        y : None
            Ignored.
        coordinates, runs : array-like, default=None
            Of the pixels, for `min_moran` (and `runs` for the tissue), where the index
            of X does not tell them.

        Returns
        -------
        AnalyteFilter
            The fitted filter. It warns when no feature is left.

        Raises
        ------
        ValueError
            When a criterion needs hits, columns of hits, names with m/z, or places of
            pixels that are not there.
        """
        self._validate_params()
        self._check_needs()
        pixels = self._pixels(X, coordinates, runs)
        xp = namespace_of(X)
        values = validate_data(self, X, dtype=[xp.float64, xp.float32])
        names = check_feature_names_in(self)
        mz = feature_mz(names)
        host = to_numpy(values)
        found: dict[str, np.ndarray] = {}
        keep = np.ones(mz.size, bool)
        self.hits_ = self.ms2_ = self.tissue_ = None
        if self.hits is not None:
            self.hits_ = self._chosen_hits(names, mz)
            found["n_hits"] = count_hits(self.hits_, mz.size)
            keep &= found["n_hits"] >= (self.min_hits or 1)
        if self.mz is not None:
            targets = np.asarray(self.mz, dtype=np.float64).ravel()
            found["near_mz"] = near_any(with_mz(mz, "mz"), targets, self.ppm)
            keep &= found["near_mz"]
        if self.ms2 is not None:
            self.ms2_ = read_ms2(self.ms2, with_mz(mz, "ms2"), self.ppm)
            found["ms2"] = count_hits(self.ms2_, mz.size) > 0
            keep &= found["ms2"]
        if self.min_frequency is not None:
            found["frequency"] = (host > 0).mean(axis=0)
            keep &= found["frequency"] >= self.min_frequency
        if self.min_moran is not None:
            found["moran"] = moran_i(host, pixels.coordinates, pixels.runs)
            keep &= found["moran"] >= self.min_moran
        if self.min_tissue_auc is not None:
            runs = None if pixels is None else pixels.runs
            tissue = checked_tissue(self.tissue, host, runs)
            found["tissue_auc"] = tissue_auc(host, tissue)
            self.tissue_ = moved_like(tissue, values)
            keep &= found["tissue_auc"] >= self.min_tissue_auc
        self.table_ = pd.DataFrame({"feature": names, "mz": mz, **found})
        self.table_.insert(2, "selected", keep)
        if mz.size and not keep.any():
            message = (
                f"AnalyteFilter: none of {mz.size} features fulfils all criteria; see "
                "table_ for what each has."
            )
            warnings.warn(message, UserWarning, stacklevel=2)
        # Tells in which array library the filter was fitted.
        self._support = xp.asarray(np.flatnonzero(keep), device=device_of(values))
        return self

    def fit_transform(
        self, X: Any, y: Any = None, *, coordinates: Any = None, runs: Any = None
    ) -> Any:
        """Find the features to keep, and return them.

        Parameters
        ----------
        X, y, coordinates, runs
            As in :meth:`fit`.

        Returns
        -------
        DataFrame or array of shape (n_pixels, n_selected)
        """
        return self.fit(X, y, coordinates=coordinates, runs=runs).transform(X)

    def transform(self, X: Any) -> Any:
        """Return the selected columns.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_pixels, n_features)
            Features.

        Returns
        -------
        DataFrame or array of shape (n_pixels, n_selected)
            Of the type of X.
        """
        check_is_fitted(self)
        check_same_namespace(self, "transform", self._support, X)
        xp = namespace_of(X)
        values = validate_data(self, X, dtype=[xp.float64, xp.float32], reset=False)
        if isinstance(X, pd.DataFrame):
            return X.loc[:, self.get_support()]
        return xp.take(values, self._support, axis=1)

    def inverse_transform(self, X: Any) -> Any:
        """Put the selected columns back in their places, zeros elsewhere.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n_pixels, n_selected)
            As `transform` returns it.

        Returns
        -------
        DataFrame or array of shape (n_pixels, n_features)
        """
        check_is_fitted(self)
        check_same_namespace(self, "inverse_transform", self._support, X)
        xp = namespace_of(X)
        frame = X if isinstance(X, pd.DataFrame) else None
        values = X if hasattr(X, "dtype") and hasattr(X, "ndim") else np.asarray(X)
        support = self.get_support(indices=True)
        if values.ndim != 2 or values.shape[1] != support.size:
            message = (
                f"AnalyteFilter.inverse_transform: X needs shape (n_pixels, "
                f"{support.size}), one column per selected feature; got "
                f"{tuple(values.shape)}."
            )
            raise ValueError(message)
        # A column of zeros behind the selected ones is what all others take.
        source = np.full(self.n_features_in_, support.size, np.int64)
        source[support] = np.arange(support.size)
        index = xp.asarray(source, device=device_of(values))
        zeros = xp.zeros((values.shape[0], 1), dtype=values.dtype, **_on(values))
        whole = xp.take(xp.concat([values, zeros], axis=1), index, axis=1)
        if frame is None:
            return whole
        names = check_feature_names_in(self)
        return pd.DataFrame(whole, index=frame.index, columns=names)

    def get_support(self, indices: bool = False) -> np.ndarray:
        """Return which features are kept.

        Parameters
        ----------
        indices : bool, default=False
            Return positions instead of a mask.

        Returns
        -------
        ndarray of bool, shape (n_features,), or of int, shape (n_selected,)
        """
        check_is_fitted(self)
        mask = self.table_["selected"].to_numpy(dtype=bool)
        return np.flatnonzero(mask) if indices else mask

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the selected features.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Names of the columns, when an array was fitted.

        Returns
        -------
        ndarray of str objects
        """
        check_is_fitted(self)
        return check_feature_names_in(self, input_features)[self.get_support()]

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "table_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.array_api_support = True
        return tags

    def _check_needs(self) -> None:
        """Refuse criteria that have nothing to act on."""
        for name in ("min_hits", "analyte_class", "ion_type", "max_fdr"):
            if getattr(self, name) is not None and self.hits is None:
                message = (
                    f"AnalyteFilter: {name} selects among annotations; give hits=, "
                    "such as annotate(peaks, database, ...) returns them."
                )
                raise ValueError(message)
        if self.tissue is not None and self.min_tissue_auc is None:
            message = (
                "AnalyteFilter: tissue is used by min_tissue_auc, which is None. Give "
                "min_tissue_auc, such as 0.5, or leave tissue out."
            )
            raise ValueError(message)

    def _pixels(self, X: Any, coordinates: Any, runs: Any) -> Pixels | None:
        """Where the pixels are, when it matters. Looks at X before its validation."""
        if self.min_moran is not None:
            return coordinates_of(X, coordinates, runs, estimator=self)
        if self.min_tissue_auc is None or self.tissue is not None:
            return None
        if runs is not None and coordinates is None:
            # A threshold per run needs no places.
            coordinates = np.zeros((len(runs), 2), np.int64)
        return known_coordinates(X, coordinates, runs)

    def _chosen_hits(self, names: np.ndarray, mz: np.ndarray) -> pd.DataFrame:
        hits = select_hits(
            self.hits,
            analyte_class=self.analyte_class,
            ion_type=self.ion_type,
            max_fdr=self.max_fdr,
        )
        by_name = "feature" in hits.columns and bool(
            hits["feature"].isin(set(names)).any()
        )
        if by_name:
            places = pd.Series(np.arange(names.size), index=names)
            column = places.reindex(hits["feature"]).to_numpy(dtype=np.float64)
            known = np.isfinite(column)
            return hits[known].assign(column=column[known].astype(np.int64))
        if len(hits) and "mz" not in hits.columns:
            message = (
                "AnalyteFilter: hits need a column mz, or a column feature with the "
                f"names of columns of X; found {', '.join(map(str, hits.columns))}."
            )
            raise ValueError(message)
        mz = with_mz(mz, "hits")
        return near_hits(hits, mz, self.ppm)


def _on(values: Any) -> dict[str, Any]:
    device = device_of(values)
    return {} if device is None else {"device": device}
