"""An output folder that appears whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import pandas as pd

from imsminer.io._atomic import atomic_path

__all__ = ["common_pixel_size", "output_folder"]

#: A folder that holds this file was written by imsminer, so it may be replaced.
MARK = "provenance.json"


def common_pixel_size(runs: pd.DataFrame) -> tuple[float, float]:
    """Return the width and height of a pixel in µm that all runs share.

    NaN where runs differ or do not say: one scale bar would be wrong for some of them.
    """
    sizes = runs[["pixel_size_x", "pixel_size_y"]].to_numpy(np.float64)
    x, y = np.where((sizes == sizes[0]).all(axis=0), sizes[0], np.nan).tolist()
    return x, y


@contextmanager
def output_folder(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a folder to write into; it becomes `path` when the block succeeds.

    An exception, Ctrl-C included, removes what was written and leaves `path` as it
    was.

    Parameters
    ----------
    path : Path
        The folder that the user asked for.
    overwrite : bool
        Whether results that imsminer wrote there before are replaced.

    Raises
    ------
    click.UsageError
        When `path` is not empty, and `overwrite` is off or the content is not ours.
    """
    path = path.resolve()
    if path.exists() and not path.is_dir():
        message = f"{path} is a file; --output needs a folder."
        raise click.UsageError(message)
    if path.exists() and any(path.iterdir()):
        if not (path / MARK).exists():
            message = (
                f"{path} is not empty and was not written by imsminer. Choose another "
                "folder."
            )
            raise click.UsageError(message)
        if not overwrite:
            message = (
                f"{path} holds results already. Choose another folder, or replace "
                "them with --overwrite."
            )
            raise click.UsageError(message)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, overwrite=True, mark=MARK) as partial:
        partial.mkdir()
        yield partial
