"""Finding the pairs of files that the user means."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from imsminer.exceptions import ImzMLError
from imsminer.io._text import is_imzml, plain_name

__all__ = ["MissingFileError", "PathOrPaths", "find_files"]

PathOrPaths = str | PathLike | Sequence[str | PathLike]


class MissingFileError(ImzMLError, FileNotFoundError):
    """An imzML file, or the .ibd that belongs to it, does not exist."""


def find_files(paths: PathOrPaths, ibd: PathOrPaths | None) -> list[tuple[Path, Path]]:
    """Return the pairs of files that the user means.

    Raises
    ------
    MissingFileError
        When a file does not exist, or a folder holds no imzML file.
    """
    if isinstance(paths, str | PathLike):
        paths = [paths]
    given = [Path(path) for path in paths]
    found: list[Path] = []
    for path in given:
        if path.is_dir():
            inside = _imzml_files(path)
            if not inside:
                message = (
                    f"The folder {path} holds no imzML file. Expected at least one "
                    "file that ends in .imzML."
                )
                raise MissingFileError(message)
            found += inside
        else:
            found.append(path)
    if not found:
        message = "ImzMLReader needs at least one path, got an empty sequence."
        raise ValueError(message)
    for path in found:
        _check_exists(path)
    if ibd is None:
        return [(path, _find_ibd(path)) for path in found]
    binaries = [ibd] if isinstance(ibd, str | PathLike) else list(ibd)
    if len(binaries) != len(found):
        message = (
            f"ibd names {len(binaries)} files for {len(found)} imzML files; give one "
            "for each, in the same order, or leave ibd=None to find them."
        )
        raise ValueError(message)
    pairs = [(path, Path(b)) for path, b in zip(found, binaries, strict=True)]
    for path, binary in pairs:
        if not binary.is_file():
            message = f"{path}: its binary file {binary}, given as ibd, does not exist."
            raise MissingFileError(message)
    return pairs


def _imzml_files(folder: Path) -> list[Path]:
    """List the imzML files in a folder, by name."""
    # Files that begin with a dot are the system's notes about others.
    files = [
        path
        for path in folder.iterdir()
        if is_imzml(path) and not path.name.startswith(".") and path.is_file()
    ]
    names = {path.name for path in files}
    # Beside the text itself, a compressed copy of it is not another run.
    return sorted(
        path
        for path in files
        if plain_name(path) == path.name or plain_name(path) not in names
    )


def _check_exists(path: Path) -> None:
    if path.suffix.lower() == ".ibd":
        message = (
            f"{path} is the binary part of an imzML pair; pass the .imzML file, and "
            "ibd= where the two names differ."
        )
        raise ImzMLError(message)
    if path.exists() and not path.is_file():
        message = (
            f"{path} is neither a file nor a folder, but a device, pipe or socket. "
            "Copy what it delivers into a file, and pass that."
        )
        raise ImzMLError(message)
    if not path.is_file():
        message = (
            f"There is no file {path} (looked in {path.parent.absolute()}). Check the "
            "path, or pass the folder that holds the imzML files."
        )
        raise MissingFileError(message)


def _find_ibd(path: Path) -> Path:
    """Find the .ibd beside an imzML file, whatever the case of its name."""
    plain = path.with_name(plain_name(path))
    candidates = [plain.with_suffix(suffix) for suffix in (".ibd", ".IBD")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    wanted = candidates[0].name.lower()
    alike = sorted(p for p in path.absolute().parent.iterdir() if p.is_file())
    alike = [p for p in alike if p.name.lower() == wanted]
    if len(alike) == 1:
        return alike[0]
    message = (
        f"{path}: its binary file is missing: tried {candidates[0]}, {candidates[1]} "
        f"and other cases of {candidates[0].name}; found {len(alike)} that could be "
        "it. Put it beside the imzML file, or pass its path as ibd=."
    )
    packed = candidates[0].with_name(f"{candidates[0].name}.gz")
    if packed.is_file():
        message += f" Decompress {packed.name} before: it is read at any place."
    raise MissingFileError(message)
