"""The only module that imports private parts of scikit-learn.

Each name here is used elsewhere in imsminer; a release of scikit-learn that moves one
breaks this file and nothing else.
"""

from types import ModuleType

from sklearn.utils._array_api import get_namespace
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in

__all__ = [
    "Interval",
    "Options",
    "Parallel",
    "StrOptions",
    "check_feature_names_in",
    "delayed",
    "get_namespace",
    "numpy_namespace",
]


def numpy_namespace() -> ModuleType:
    """Return the very NumPy namespace that scikit-learn compares others with.

    ``get_namespace(X, y)`` raises when X and y report different namespaces, and it
    compares by identity with the copy of array-api-compat that scikit-learn vendors.
    """
    from sklearn.externals.array_api_compat import numpy as namespace

    return namespace
