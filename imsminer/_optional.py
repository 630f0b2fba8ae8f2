"""Import optional dependencies with an error that says how to install them."""

import importlib
from types import ModuleType

from imsminer.exceptions import OptionalDependencyError

__all__ = ["import_optional"]


def import_optional(name: str, *, purpose: str, extra: str) -> ModuleType:
    """Import `name`, or say which extra of imsminer brings it.

    Parameters
    ----------
    name : str
        Module to import, such as ``"anndata"``.
    purpose : str
        What needs it, as the subject of the error message.
    extra : str
        The extra of imsminer that installs it.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    OptionalDependencyError
        When the module is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = (
            f"{purpose} needs the package {name!r}, which is not installed. "
            f"Install it with: pip install '.[{extra}]' in the source tree of imsminer."
        )
        raise OptionalDependencyError(message) from error
