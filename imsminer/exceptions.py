"""Errors and warnings that imsminer raises on purpose."""

__all__ = ["ImzMLError", "ImzMLWarning", "OptionalDependencyError"]


class ImzMLError(ValueError):
    """A file that cannot be read without a guess that could be wrong.

    The message names the file, the spectrum and byte range where that applies, what
    was found, what was expected, and the option that would go on.
    """


class ImzMLWarning(UserWarning):
    """A file that departs from the standard but is read rightly all the same."""


class OptionalDependencyError(ImportError):
    """A feature needs a package that is not installed; the message says which."""
