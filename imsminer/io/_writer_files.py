"""The two files of an imzML pair: they appear together, or not at all."""

import os
import uuid
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

__all__ = ["FilePair"]


class FilePair:
    """An .imzML file and its .ibd, written beside their names and renamed into place.

    Parameters
    ----------
    path : path-like
        The .imzML file to come, in a folder that exists.
    overwrite : bool
        Whether files of these names may be replaced.

    Attributes
    ----------
    path, ibd : Path
        The names that the files will have.
    xml_part, ibd_part : Path
        Where they are written to: hidden files in the same folder.

    Raises
    ------
    ValueError
        When `path` does not end in .imzML.
    FileExistsError
        When a file of one of the names is there and `overwrite` is off, or a folder.
    FileNotFoundError
        When there is no folder to write to.
    """

    def __init__(self, path: str | PathLike, overwrite: bool) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != ".imzml":
            message = f"ImzMLWriter: path must end in .imzML, got {str(path)!r}."
            raise ValueError(message)
        self.ibd = self.path.with_suffix(".ibd")
        self.overwrite = overwrite
        self.check()
        token = uuid.uuid4().hex[:16]
        self.xml_part, self.ibd_part, self._replaced = (
            self.path.parent / f".imsminer-{token}.{kind}"
            for kind in ("imzML.part", "ibd.part", "ibd.old")
        )

    def check(self) -> None:
        """Refuse to write where something is that must stay."""
        folder = self.path.parent
        if not folder.is_dir():
            message = f"The folder {folder} does not exist. Create it first."
            raise FileNotFoundError(message)
        for path in (self.path, self.ibd):
            if path.is_dir():
                message = f"{path} is a folder, which no file replaces. Choose a name."
                raise FileExistsError(message)
            if path.exists() and not self.overwrite:
                message = f"{path} exists. Pass overwrite=True to replace it."
                raise FileExistsError(message)

    def refuse_inputs(self, inputs: Iterable[str | PathLike]) -> None:
        """Refuse to replace files that are read from, under whatever name."""
        for source in map(Path, inputs):
            for path in (self.path, self.ibd):
                if path.exists() and source.exists() and path.samefile(source):
                    message = (
                        f"{path} is one of the files that the spectra are read from; "
                        "it is never overwritten. Write to another name."
                    )
                    raise FileExistsError(message)

    def publish(self) -> None:
        """Give both files their names, or, where that fails, leave all as it was."""
        # Something may have appeared while they were written.
        self.check()
        if self.ibd.exists():
            os.replace(self.ibd, self._replaced)
        try:
            os.replace(self.ibd_part, self.ibd)
            os.replace(self.xml_part, self.path)
        except BaseException:
            self.ibd.unlink(missing_ok=True)
            if self._replaced.exists():
                os.replace(self._replaced, self.ibd)
            raise
        self._replaced.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what was written so far."""
        self.xml_part.unlink(missing_ok=True)
        self.ibd_part.unlink(missing_ok=True)
