"""The packaged example: a small part of a real MALDI imaging run of kidney tissue."""

import hashlib
import os
import shutil
import tempfile
import uuid
from importlib import resources
from os import PathLike
from pathlib import Path

import numpy as np

from imsminer.core.folders import cache_folder
from imsminer.io.writer import ImzMLWriter

__all__ = ["load_kidney"]

NAME = "kidney_mz700-920"
#: Raised whenever another file is written from the same package data.
VERSION = 1


def load_kidney(cache_dir: str | PathLike | None = None) -> Path:
    """Return the path of a real imzML file, which is written on the first call.

    A MALDI timsTOF run of kidney tissue: 342 pixels (19 × 18), negative mode,
    processed, profile (time-of-flight bins without counts are not stored), ion
    mobility summed, m/z 700 to 920, 12 MB. The pixel size is not known. Among the
    strongest structures are those at m/z 885.55 (phosphatidylinositol 38:4, 885.5499)
    and 722.516; round objects look like glomeruli.

    Parameters
    ----------
    cache_dir : path-like or None, default=None
        Folder to keep the file in. When `None`: the environment variable
        ``IMSMINER_CACHE``, else the user's cache folder.

    Returns
    -------
    pathlib.Path
        The .imzML file; the .ibd lies beside it.

    Notes
    -----
    The data are the m/z range 700 to 920 of a test file of the imzy 0.3.0 source
    distribution, converted to imzML with unchanged values (BSD-3-Clause, copyright
    2022 imzy; the licence lies beside the data in the package).

    Several processes may call this at once: each writes a folder of its own, and the
    first to finish gives it its name.

    Examples
    --------
    >>> from imsminer.datasets import load_kidney
    >>> load_kidney().name
    'kidney_mz700-920.imzML'
    """
    cache = cache_folder(cache_dir)
    folder = cache / f"{NAME}-v{VERSION}"
    path = folder / f"{NAME}.imzML"
    if path.exists() and path.with_suffix(".ibd").exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=cache))
    try:
        _write(partial / path.name)
        _give_name(partial, folder, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def _give_name(partial: Path, folder: Path, path: Path) -> None:
    """Move a written folder to its place, unless another process was first."""
    partial.chmod(0o755)
    try:
        os.replace(partial, folder)
    except OSError:
        if path.exists() and path.with_suffix(".ibd").exists():
            return
        if not folder.is_dir():
            raise
        # An incomplete folder, which only a user can have made: fill it.
        for name in (path.with_suffix(".ibd").name, path.name):
            os.replace(partial / name, folder / name)


def _write(path: Path) -> None:
    source = resources.files("imsminer.datasets") / "data" / f"{NAME}.npz"
    data = source.read_bytes()
    # The same on every machine, so that results can be compared by it.
    name = hashlib.sha256(data).hexdigest()
    identity = uuid.uuid5(uuid.NAMESPACE_OID, f"imsminer/{NAME}/{VERSION}/{name}")
    with source.open("rb") as file, np.load(file) as arrays:
        mz = arrays["mz"][np.cumsum(arrays["idx"], dtype=np.int64)]
        intensity = arrays["inten"].astype(np.float32)
        indptr, coordinates = arrays["indptr"], arrays["coords"]
    with ImzMLWriter(
        path,
        polarity="negative",
        uuid=identity.hex,
        instrument="timsTOF",
        processing=("ion mobility summed", "restricted to m/z 700-920"),
    ) as writer:
        writer.add_chunk(mz, intensity, coordinates, indptr)
