"""The text of an imzML file, decompressed where it is gzip."""

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO

from imsminer.exceptions import ImzMLError

__all__ = ["is_imzml", "open_text", "plain_name", "run_name"]

GZIP = b"\x1f\x8b"
# The XML of real files shrinks to between a tenth and a hundredth. Gzip itself goes to
# a thousandth, but only for text without any content.
MAX_EXPANSION = 400
#: Below this, any expansion is harmless.
ALWAYS_ALLOWED = 1 << 26
PIECE = 1 << 20


def is_imzml(path: Path) -> bool:
    """Whether a name is that of an imzML file, also of a compressed one."""
    return plain_name(path).lower().endswith(".imzml")


def run_name(path: str | PathLike) -> str:
    """Return the name of an imzML file without ``.imzML`` or ``.imzML.gz``."""
    return Path(plain_name(Path(path))).stem


def plain_name(path: Path) -> str:
    """Return the name of a file without ``.gz``."""
    return path.stem if path.suffix.lower() == ".gz" else path.name


@contextmanager
def open_text(path: str | PathLike, in_memory: int) -> Iterator[IO[bytes]]:
    """Open the text of an imzML file.

    Parameters
    ----------
    path : path-like
        The file; whether it is compressed is told by its first bytes.
    in_memory : int
        Size up to which a decompressed text stays in memory. Larger ones go to a
        temporary file without a name.

    Yields
    ------
    binary file
        Readable from any position.

    Raises
    ------
    ImzMLError
        When gzip data are cut off or damaged, or expand beyond all reason.
    """
    with open(path, "rb") as file:
        compressed = file.read(2) == GZIP
        file.seek(0)
        if not compressed:
            yield file
            return
        with tempfile.SpooledTemporaryFile(in_memory) as text:
            _expand(path, file, text)
            text.seek(0)
            yield text


def _expand(path: str | PathLike, file: IO[bytes], text: IO[bytes]) -> None:
    """Decompress piece by piece, and stop when it gets out of hand."""
    size = file.seek(0, 2)
    file.seek(0)
    limit = max(MAX_EXPANSION * size, ALWAYS_ALLOWED)
    written = 0
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            while piece := stream.read(PIECE):
                written += len(piece)
                if written > limit:
                    message = (
                        f"{path}: its {size:,} bytes of gzip expand to more than "
                        f"{limit:,} bytes, which no imzML file does; at most "
                        f"{MAX_EXPANSION} times the compressed size is read. "
                        "Decompress it yourself if it is genuine."
                    )
                    raise ImzMLError(message)
                text.write(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        message = (
            f"{path}: the gzip-compressed XML is cut off or damaged after "
            f"{written:,} decompressed bytes: {error}. Copy or export the file again."
        )
        raise ImzMLError(message) from error
