"""The only module that knows array libraries other than NumPy.

Arrays decide which code runs: plain arrays follow scikit-learn's
``array_api_dispatch`` switch, NumPy arrays go to numba kernels, CuPy arrays to the
``_cuda`` kernels where there are any, anything else to the array-API (``_xp``) kernels.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

import array_api_compat
import numpy as np
from array_api_compat import array_namespace

from imsminer._optional import import_optional
from imsminer._sklearn_compat import get_namespace

__all__ = [
    "array_namespace",
    "check_same_namespace",
    "current_stream",
    "device_kernels",
    "device_of",
    "is_cupy_array",
    "is_numpy",
    "is_numpy_array",
    "moved_like",
    "namespace_name",
    "namespace_of",
    "to_numpy",
]


def namespace_of(*arrays: Any) -> ModuleType:
    """Return the array namespace to compute in, as ``array_api_dispatch`` allows.

    With dispatch off this is NumPy's for every input, as in scikit-learn.
    """
    xp, _ = get_namespace(*arrays)
    return xp


def is_numpy(xp: ModuleType) -> bool:
    """Whether `xp` is NumPy or one of its wrappers, scikit-learn's own included."""
    return namespace_name(xp) == "numpy"


def is_numpy_array(array: Any) -> bool:
    """Whether `array` is a NumPy array, for which there are numba kernels."""
    return isinstance(array, np.ndarray)


def is_cupy_array(array: Any) -> bool:
    """Whether `array` is a CuPy array; CuPy is not imported to find out."""
    return array_api_compat.is_cupy_array(array)


def device_kernels(array: Any, xp_kernels: ModuleType) -> ModuleType:
    """Return the kernels for an array that is not NumPy's.

    Parameters
    ----------
    array : array
        What the kernels will work on.
    xp_kernels : module
        The ``_xp`` kernels, which take every array. CuPy arrays go to the module of the
        same name that ends in ``_cuda``: it has the same functions.

    Returns
    -------
    module

    Raises
    ------
    OptionalDependencyError
        When the array is CuPy's and numba-cuda is not installed.
    """
    if not is_cupy_array(array):
        return xp_kernels
    import_optional("numba_cuda", purpose="Computing on CuPy arrays", extra="gpu-cu12")
    return importlib.import_module(xp_kernels.__name__.removesuffix("_xp") + "_cuda")


def current_stream() -> int:
    """Return the address of CuPy's current stream; 0 for the default one."""
    cupy = sys.modules.get("cupy")
    return 0 if cupy is None else int(cupy.cuda.get_current_stream().ptr)


def namespace_name(xp: ModuleType) -> str:
    """Short name of an array namespace, such as ``"numpy"`` or ``"torch"``."""
    name = xp.__name__.removeprefix("sklearn.externals.")
    return name.removeprefix("array_api_compat.").split(".")[0]


def device_of(array: Any) -> Any:
    """Device of an array; ``None`` for NumPy, where there is no choice."""
    if isinstance(array, np.ndarray):
        return None
    return array_api_compat.device(array)


def to_numpy(array: Any) -> np.ndarray:
    """Copy an array of any library to the host as NumPy; NumPy passes through."""
    if isinstance(array, np.ndarray):
        return array
    if array_api_compat.is_cupy_array(array):
        return array.get()
    if array_api_compat.is_torch_array(array):
        return array.detach().cpu().numpy()
    if array_api_compat.is_array_api_obj(array):
        device = array_api_compat.device(array)
        if str(device) not in ("cpu", "CPU_DEVICE", "None"):
            xp = array_api_compat.array_namespace(array)
            cpu = xp.__array_namespace_info__().default_device()
            array = array_api_compat.to_device(array, cpu)
        return np.asarray(array)
    return np.asarray(array)


def moved_like(values: np.ndarray, like: Any) -> Any:
    """Copy an array of the host to where another array is, in its own dtype."""
    if isinstance(like, np.ndarray):
        return values
    if not values.flags.writeable:
        # Which torch does not take: the memory of tables, and of what is kept.
        values = values.copy()
    return array_namespace(like).asarray(values, device=device_of(like))


def check_same_namespace(estimator: Any, method: str, fitted: Any, X: Any) -> None:
    """Raise when `X` is not where the fitted attribute is.

    Parameters
    ----------
    estimator : estimator
        For its name in the message.
    method : str
        The method that received `X`, for the message.
    fitted : array
        An array attribute that ``fit`` has set.
    X : array
        The input of `method`.

    Raises
    ------
    ValueError
        When the two differ in their libraries or in their devices.
    """
    fitted_name = namespace_name(array_namespace(fitted))
    found = namespace_name(namespace_of(X))
    if fitted_name == found:
        if fitted_name == "numpy":
            return
        devices = device_of(fitted), device_of(X)
        if devices[0] == devices[1]:
            return
        there, here = (f"{fitted_name} on {device}" for device in devices)
        remedy = f"Move X to {devices[0]}"
    else:
        there, here = fitted_name, found
        remedy = f"Convert X with {fitted_name}.asarray"
        if is_numpy(namespace_of(fitted)):
            # Arrays of all libraries count as NumPy's while dispatch is off.
            remedy += " and turn scikit-learn's array_api_dispatch on"
    name = type(estimator).__name__
    message = (
        f"Inputs passed to {name}.{method}() must use the same namespace and the "
        f"same device as those passed to fit(): fit() received {there}, "
        f"{method}() received {here}. {remedy}, or fit {name} again."
    )
    raise ValueError(message)
