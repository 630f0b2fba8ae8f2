"""Where imsminer keeps files of its own."""

import os
from os import PathLike
from pathlib import Path

import platformdirs

__all__ = ["cache_folder"]


def cache_folder(given: str | PathLike | None = None) -> Path:
    """Return `given`, else the environment's ``IMSMINER_CACHE``, else the user's."""
    return Path(
        given
        or os.environ.get("IMSMINER_CACHE")
        or platformdirs.user_cache_dir("imsminer", appauthor=False)
    )
