"""cuML, for CuPy arrays and where it is installed; nothing else imports it."""

import importlib
import importlib.util
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from imsminer._array import is_cupy_array

__all__ = ["package_for", "seed_from"]


def package_for(array: Any) -> ModuleType | None:
    """Return cuML when it can compute on an array, else `None`.

    Parameters
    ----------
    array : array
        cuML works on CuPy's; for others it is not even looked for.

    Returns
    -------
    module or None
        `None` where cuML is not installed. One that is installed but does not work
        raises, as its import does.
    """
    if not is_cupy_array(array) or importlib.util.find_spec("cuml") is None:
        return None
    return importlib.import_module("cuml")


def seed_from(random_state: Any) -> int:
    """Draw the integer that cuML takes as a seed.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An int gives the same seed each time.
    """
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
