"""What estimators that take Spectra or arrays have in common."""

import functools
from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator, TransformerMixin

from imsminer.core.spectra import Spectra

__all__ = ["SpectraTransformer"]


def _pass_spectra(wrapped: Callable) -> Callable:
    """Leave Spectra alone, and let scikit-learn wrap the output of arrays."""
    plain = wrapped.__wrapped__  # type: ignore[attr-defined]

    @functools.wraps(plain)
    def method(self: Any, X: Any, *args: Any, **keywords: Any) -> Any:
        if isinstance(X, Spectra):
            return plain(self, X, *args, **keywords)
        return wrapped(self, X, *args, **keywords)

    return method


class SpectraTransformer(
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,  # type: ignore[call-arg]
):
    """Mixin of steps that take Spectra or arrays and answer in kind.

    ``set_output`` and ``set_config(transform_output=...)`` act on arrays. Spectra pass
    untouched: a container for them would read the whole file.
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for name in ("transform", "fit_transform"):
            method = cls.__dict__.get(name)
            if method is not None and hasattr(method, "__wrapped__"):
                setattr(cls, name, _pass_spectra(method))

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit to `X`, then transform it.

        Parameters
        ----------
        X : Spectra or array of shape (n_pixels, n_features)
            The spectra.
        y : None
            Ignored.
        **fit_params : dict
            Passed to `fit`.

        Returns
        -------
        Spectra, array or DataFrame
            As `transform` returns it.
        """
        return self.fit(X, y, **fit_params).transform(X)  # type: ignore[attr-defined]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.array_api_support = True
        return tags

    def _check_spectra(self, X: Spectra, *, reset: bool) -> Spectra:
        """Check the rows and the number of m/z values of Spectra.

        Ragged Spectra set no `n_features_in_`, since they have none.
        """
        name = type(self).__name__
        if len(X) == 0:
            message = (
                f"{name}: X has 0 pixels; at least 1 is required. Look at the rows "
                "you selected."
            )
            raise ValueError(message)
        if reset:
            if X.n_mz is None:
                self.__dict__.pop("n_features_in_", None)
            else:
                self.n_features_in_ = X.n_mz
            self.__dict__.pop("feature_names_in_", None)
        return X

    def _check_same_kind(self, X: Any, *, from_spectra: bool) -> None:
        """Refuse an array after a fit on Spectra, and the other way round.

        m/z of spectra and columns of an array are different axes: positions on one say
        nothing on the other.
        """
        if isinstance(X, Spectra) != from_spectra:
            name = type(self).__name__
            kinds = ("an array", "Spectra")
            message = (
                f"{name} was fitted on {kinds[from_spectra]}, but X is "
                f"{kinds[not from_spectra]}: the columns of an array have no m/z. Fit "
                f"{name} again on what it is to transform."
            )
            raise ValueError(message)
