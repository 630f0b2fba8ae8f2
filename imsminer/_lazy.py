"""Public names that are loaded on first use."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(
    package: str, home: Mapping[str, str], names: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package.

    Parameters
    ----------
    package : str
        Name of the package.
    home : mapping of str to str
        The module that each name is defined in; a name that is itself that module's
        (``imsminer.plots`` for ``"plots"``) stands for the module.

    names : sequence of str
        What ``dir()`` shows.

    Returns
    -------
    __getattr__, __dir__ : callable
        To be assigned at the package's top level.
    """

    def load(name: str) -> Any:
        if name not in home:
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message)
        module = importlib.import_module(home[name])
        if home[name] == f"{package}.{name}":
            return module
        return getattr(module, name)

    return load, lambda: list(names)
