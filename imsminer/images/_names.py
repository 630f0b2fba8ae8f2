"""Names for columns that are numbered: clusters, segments, components."""

from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from imsminer._sklearn_compat import check_feature_names_in

__all__ = ["NumberedColumns"]


class NumberedColumns:
    """An estimator whose columns are called ``_prefix`` and a number from 0.

    A subclass sets `_prefix`, and `_n_columns` as an attribute or a property.
    """

    _prefix: ClassVar[str]
    _n_columns: int

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that come out: a word and a number from 0.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Must equal ``feature_names_in_`` where there are such names.

        Returns
        -------
        names : ndarray of shape (n_columns,)
            Such as ``"segment0"``, ``"segment1"``, …
        """
        check_is_fitted(self)
        check_feature_names_in(self, input_features)
        names = [f"{self._prefix}{i}" for i in range(self._n_columns)]
        return np.asarray(names, dtype=object)
