"""Clean ion images: hot spots and noise."""

from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from imsminer._array import check_same_namespace, device_of, namespace_of
from imsminer._sklearn_compat import Interval, StrOptions
from imsminer.core.grid import Pixels, coordinates_of
from imsminer.images._smoothing import (
    METHODS,
    divided,
    image_scales,
    nonzero_quantile,
    smooth,
    smoothing_changes,
)
from imsminer.spectra._frames import check_values, frame_like

__all__ = ["HotspotClipper", "ImageSmoother"]


class HotspotClipper(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Cut off hot spots: the few pixels that outshine an ion's image.

    What lies above a quantile of the ion's non-zero pixels is set to it. Zeros do not
    count: in the image of a rare ion they are most of the pixels, and a quantile of
    all of them would cut off the signal itself.

    Parameters
    ----------
    quantile : float, default=0.99
        Of the non-zero pixels of each ion, above 0 and up to 1. 1 cuts off nothing in
        the pixels of ``fit``.

    Attributes
    ----------
    limits_ : array of shape (n_features,)
        What each image is cut off at, 0 or more; infinite for one that was empty in
        ``fit``, of which nothing is known.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when X was a DataFrame with string column names.

    See Also
    --------
    ImageSmoother : Denoises images, with the pixels around each pixel.

    Notes
    -----
    The limits are those of ``fit``, for pixels of other runs too. NaN stands for pixels
    that were not measured: they do not count and stay NaN. X follows scikit-learn's
    ``array_api_dispatch``. A DataFrame is answered with a DataFrame.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import HotspotClipper
    >>> X = np.array([[0.0], [2.0], [3.0], [0.0], [4.0], [900.0]])
    >>> clipper = HotspotClipper(quantile=0.5).fit(X)
    >>> clipper.limits_
    array([3.5])
    >>> clipper.transform(X).ravel()
    array([0. , 2. , 3. , 0. , 3.5, 3.5])
    """

    _parameter_constraints: ClassVar[dict] = {
        "quantile": [Interval(Real, 0, 1, closed="right")],
    }

    def __init__(self, quantile=0.99):
        self.quantile = quantile

    def _check_array(self, X: Any, *, reset: bool) -> Any:
        xp = namespace_of(X)
        return validate_data(
            self,
            X,
            dtype=[xp.float64, xp.float32],
            ensure_all_finite="allow-nan",
            reset=reset,
        )

    def fit(self, X, y=None):
        """Learn where each image is cut off.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Features, as PeakIntegrator returns them: each column is an ion image.
        y : Ignored
            For scikit-learn's sake.

        Returns
        -------
        self : HotspotClipper
        """
        self._validate_params()
        X = self._check_array(X, reset=True)
        limits = nonzero_quantile(X, self.quantile)
        # Where most values are negative, zeros must not be cut off.
        xp = namespace_of(X)
        self.limits_ = xp.where(limits > 0, limits, xp.zeros_like(limits))
        return self

    def transform(self, X):
        """Cut off what lies above the limits.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Pixels of this or another run.

        Returns
        -------
        DataFrame or array of shape (n_pixels, n_features)
            Of the type of X.
        """
        check_is_fitted(self)
        check_same_namespace(self, "transform", self.limits_, X)
        values = self._check_array(X, reset=False)
        xp = namespace_of(values)
        limits = xp.astype(self.limits_, values.dtype, copy=False)
        return frame_like(X, xp.where(values > limits, limits, values))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class ImageSmoother(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Denoise ion images with the pixels around each pixel.

    Only measured pixels count, of the same run, plane and side of the mask: each pixel
    becomes a median or mean of those that are there, so that neither the surroundings
    of the tissue nor gaps in it darken its edges.

    Parameters
    ----------
    method : {"median", "gaussian", "bilateral", "tv"}, default="median"
        ``"median"`` takes the median of the window, which removes single bright pixels
        and keeps edges. ``"gaussian"`` is a mean with weights exp(-d² / 2σ²),
        σ = `width`/4, divided by the sum of the weights that are there (normalised
        convolution); it blurs edges. ``"bilateral"`` multiplies these weights with
        exp(-δ² / 2s²), where δ is the difference of two pixels and s is `strength`
        times the image's ``scale_``: what looks different counts less [1]_. ``"tv"``
        looks for the image of small total variation next to the measured one, which
        gives even areas with sharp edges [2]_.
    width : int, default=3
        Edge of the square window in pixels; odd. A window reaches pixels that are up
        to ``width // 2`` king's moves over measured pixels away, and never across a
        gap. 1 leaves the images as they are. ``"tv"`` has no window.
    strength : float, default=0.1
        Of ``"bilateral"`` and ``"tv"``: how large differences are that are evened out,
        as a share of the image's ``scale_``. 0 leaves the images as they are.

    Attributes
    ----------
    scale_ : array of shape (n_features,)
        The 0.99 quantile of each image's absolute values that are not 0 in ``fit``; 1
        for an empty one, and for methods that have no use for it.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when X was a DataFrame with string column names.

    See Also
    --------
    HotspotClipper : Cuts off hot spots, pixel by pixel.
    imsminer.plots.ion_image : Smooths for display only.

    Notes
    -----
    Intensities of neighbouring pixels are no longer independent after smoothing, and a
    test that takes them for so finds too much. Smoothed values of a pixel depend on
    the pixels that are passed along: transform whole images.

    On a full rectangle ``"tv"`` is what ``denoise_tv_chambolle`` of scikit-image makes
    of the image divided by its scale. That one knows no mask: pixels that were not
    measured would count as 0.

    X follows scikit-learn's ``array_api_dispatch``. A DataFrame is answered with a
    DataFrame.

    References
    ----------
    .. [1] Tomasi C., Manduchi R. (1998). Bilateral filtering for gray and color images.
       Sixth International Conference on Computer Vision, 839.
    .. [2] Chambolle A. (2004). An algorithm for total variation minimization and
       applications. Journal of Mathematical Imaging and Vision 20, 89.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer import ImageSmoother
    >>> row = np.array([[1.0], [1.0], [80.0], [2.0], [50.0]])
    >>> where = [[0, 0], [1, 0], [2, 0], [3, 0], [9, 0]]
    >>> ImageSmoother().fit_transform(row, coordinates=where).ravel()
    array([ 1.,  1.,  2., 41., 50.])
    """

    _parameter_constraints: ClassVar[dict] = {
        "method": [StrOptions(set(METHODS))],
        "width": [Interval(Integral, 1, None, closed="left")],
        "strength": [Interval(Real, 0, None, closed="left")],
    }

    def __init__(self, method="median", *, width=3, strength=0.1):
        self.method = method
        self.width = width
        self.strength = strength

    def _pixels(self, X: Any, coordinates: Any, runs: Any, mask: Any) -> Pixels | None:
        """Where the pixels are, when it matters. Looks at X before its validation."""
        if not smoothing_changes(self.method, self.width, self.strength):
            return None
        return divided(coordinates_of(X, coordinates, runs, estimator=self), mask)

    def fit(self, X, y=None, *, coordinates=None, runs=None, mask=None):
        """Learn the scale of each image.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            Features, as PeakIntegrator returns them: each column is an ion image.
            Finite.
        y : Ignored
            For scikit-learn's sake.
        coordinates : array-like of shape (n_pixels, 2 or 3), default=None
            Integer x, y and maybe z of the pixels. By default from the index of X.
        runs : array-like of shape (n_pixels,), default=None
            The run of each pixel. By default from the index of X, else a single run.
        mask : array-like of bool, shape (n_pixels,), default=None
            Such as the pixels on tissue: as in :meth:`transform`.

        Returns
        -------
        self : ImageSmoother

        Raises
        ------
        ValueError
            When nothing says where the pixels are, or `width` is even.
        """
        self._validate_params()
        if self.width % 2 == 0:
            message = (
                f"{type(self).__name__}: width must be odd, so that the window has a "
                f"pixel in its middle; got {self.width}. Take {self.width - 1} or "
                f"{self.width + 1}."
            )
            raise ValueError(message)
        self._pixels(X, coordinates, runs, mask)
        X = check_values(self, X, reset=True)
        if self.method in ("bilateral", "tv"):
            self.scale_ = image_scales(X)
        else:
            xp = namespace_of(X)
            self.scale_ = xp.ones(X.shape[1], dtype=X.dtype, device=device_of(X))
        return self

    def transform(self, X, *, coordinates=None, runs=None, mask=None):
        """Smooth images.

        Parameters
        ----------
        X : DataFrame or array of shape (n_pixels, n_features)
            All pixels of the images of this or another run.
        coordinates, runs : array-like, default=None
            As in :meth:`fit`.
        mask : array-like of bool, shape (n_pixels,), default=None
            Such as the pixels on tissue, see :func:`imsminer.images.roi.tissue_mask`.
            Pixels outside of it are smoothed among themselves: no window sees both.

        Returns
        -------
        DataFrame or array of shape (n_pixels, n_features)
            Of the type of X.

        Raises
        ------
        ValueError
            When nothing says where the pixels are, or a position occurs twice.
        """
        check_is_fitted(self)
        check_same_namespace(self, "transform", self.scale_, X)
        pixels = self._pixels(X, coordinates, runs, mask)
        values = check_values(self, X, reset=False)
        if pixels is not None:
            xp = namespace_of(values)
            values = smooth(
                values,
                pixels,
                self.method,
                width=self.width,
                strength=self.strength,
                scale=xp.astype(self.scale_, values.dtype, copy=False),
            )
        return frame_like(X, values)

    def fit_transform(self, X, y=None, *, coordinates=None, runs=None, mask=None):
        """Smooth images.

        Parameters
        ----------
        X, y, coordinates, runs, mask
            As in :meth:`fit`.

        Returns
        -------
        DataFrame or array of shape (n_pixels, n_features)
        """
        where = {"coordinates": coordinates, "runs": runs, "mask": mask}
        return self.fit(X, y, **where).transform(X, **where)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
