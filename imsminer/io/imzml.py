"""ImzMLReader: imzML files as a lazy sequence of spectra."""

import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer.core.disk import DiskCache
from imsminer.core.source import ConcatSource, Source
from imsminer.core.spectra import Spectra
from imsminer.exceptions import ImzMLWarning
from imsminer.io._find import PathOrPaths, find_files
from imsminer.io._sheet import read_sheet
from imsminer.io._source import ImzMLSource

__all__ = ["ImzMLReader", "ImzMLSource"]


class ImzMLReader(Spectra):
    """Spectra of one imzML file, or of many: a study.

    Opening reads the XML and checks it against the size and the UUID of the ``.ibd``;
    spectra are read when someone asks for them. Views, pickles and threads share one
    open file.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        One ``.imzML`` file, a folder (all its imzML files, by name), or several.
    ibd : path-like or sequence of path-like, default=None
        The binary files, where they do not lie beside the imzML files under the same
        name.
    checksum : bool, default=False
        Compare each ``.ibd`` with the SHA-1 or MD5 in its imzML file, which reads all
        of it once.
    on_error : {"raise", "skip"}, default="raise"
        ``"skip"`` leaves out the spectra that cannot be read and lists them in
        `skipped`, and reads an ``.ibd`` whose UUID is another one, with a warning.
    mmap : bool, default=True
        Read through a memory map. `False` reads into buffers, which suits network
        drives on which files may shrink.
    spectrum_type : {"profile", "centroid"}, default=None
        What the spectra are; `None` believes the files.
    mobility : {"sum", "keep"}, default="sum"
        What to do about files that give each point an ion mobility. Points are sorted
        by m/z; ``"sum"`` adds up those of exactly equal m/z, ``"keep"`` leaves all.
        Chunks carry the mobilities, in the unit of the file: of sums, the mean weighted
        by intensity.

    Attributes
    ----------
    skipped : DataFrame
        The spectra that were left out: run, index in the file, x, y, z, reason.
    paths : list of Path
        The imzML files.

    Raises
    ------
    ImzMLError
        When a file cannot be read without a guess that could be wrong: cut-off XML,
        a truncated ``.ibd`` or one of another file, arrays of different lengths,
        unknown data types. Missing files raise one that is also a
        `FileNotFoundError`.

    Warns
    -----
    ImzMLWarning
        Once per kind of departure from the standard and file, where it does not
        change what is read.

    Notes
    -----
    m/z are float64. Intensities are float32, or float64 where the file stores 64-bit
    floats or 32- or 64-bit integers. Reading checks that m/z are finite and ascending.

    References
    ----------
    .. [1] Schramm T. et al., imzML — a common data format for the flexible exchange
       and processing of mass spectrometry imaging data. J. Proteomics 75, 5106 (2012).

    Examples
    --------
    >>> import tempfile
    >>> from imsminer import ImzMLReader
    >>> from imsminer.io.writer import ImzMLWriter
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = f"{folder.name}/tissue.imzML"
    >>> with ImzMLWriter(path, polarity="negative", pixel_size=50) as writer:
    ...     writer.add([100.0, 200.0], [1, 2], (1, 1))
    ...     writer.add([150.0], [7], (2, 1))
    >>> reader = ImzMLReader(path)
    >>> reader
    <ImzMLReader tissue.imzML: 2 pixels; own m/z axes; processed profile>
    >>> reader[0].mz
    array([100., 200.])
    >>> reader.runs.loc["tissue", "polarity"]
    'negative'
    >>> reader[reader.pixels["x"] == 2].shape
    (1, None)
    >>> folder.cleanup()
    """

    def __init__(
        self,
        paths: PathOrPaths,
        *,
        ibd: PathOrPaths | None = None,
        checksum: bool = False,
        on_error: str = "raise",
        mmap: bool = True,
        spectrum_type: str | None = None,
        mobility: str = "sum",
    ) -> None:
        for name, value, allowed in (
            ("on_error", on_error, ("raise", "skip")),
            ("spectrum_type", spectrum_type, (None, "profile", "centroid")),
            ("mobility", mobility, ("sum", "keep")),
        ):
            if value not in allowed:
                message = (
                    f"ImzMLReader: {name} must be one of {allowed}, got {value!r}."
                )
                raise ValueError(message)
        sources = []
        for path, binary in find_files(paths, ibd):
            source = ImzMLSource(
                path,
                binary,
                checksum=checksum,
                on_error=on_error,
                mmap=mmap,
                spectrum_type=spectrum_type,
                mobility=mobility,
            )
            for text in source.warnings:
                warnings.warn(text, ImzMLWarning, stacklevel=2)
            sources.append(source)
        super().__init__(sources[0] if len(sources) == 1 else ConcatSource(sources))

    @classmethod
    def from_sample_sheet(
        cls, sheet: str | PathLike | pd.DataFrame, **options: Any
    ) -> "ImzMLReader":
        """Open a study that a table describes.

        Parameters
        ----------
        sheet : path-like or DataFrame
            One row a file. The column ``path`` holds the imzML files, relative to the
            sheet (for a DataFrame, to the working directory); ``ibd`` their binary
            files, where these have other names; ``run`` the names of the runs, which
            are the files' stems otherwise. All other columns, such as ``condition`` or
            ``replicate``, become columns of `runs` and `pixels`. Text files may be
            separated by comma, semicolon or tab; cells that are numbers become numbers,
            except identifiers with leading zeros.
        **options
            Passed to :class:`ImzMLReader`.

        Returns
        -------
        ImzMLReader

        Raises
        ------
        ValueError
            When the sheet lacks the column ``path``, has columns or cells twice that
            must not repeat, or columns named like the files' own facts.
        ImzMLError
            As :class:`ImzMLReader`.

        Examples
        --------
        >>> import pandas as pd
        >>> from imsminer import ImzMLReader
        >>> from imsminer.datasets import load_kidney
        >>> sheet = pd.DataFrame({"path": [load_kidney()], "condition": ["healthy"]})
        >>> study = ImzMLReader.from_sample_sheet(sheet)
        >>> study.pixels["condition"].value_counts().to_dict()
        {'healthy': 342}
        """
        paths, ibd, annotations = read_sheet(sheet)
        reader = cls(paths, ibd=ibd, **options)
        source = reader.source
        parts = source.sources if isinstance(source, ConcatSource) else (source,)
        reader.source = ConcatSource(parts, annotations)
        return reader

    @property
    def n_mz(self) -> int | None:
        """Number of points of the shared axis, or `None`."""
        if isinstance(self.source, ImzMLSource):
            return self.source.n_mz
        return super().n_mz

    @property
    def paths(self) -> list[Path]:
        """The imzML files, in the order of the runs."""
        return [Path(path) for path in self.runs["path"]]

    @property
    def skipped(self) -> pd.DataFrame:
        """Spectra that were left out, with the reason; empty for whole files."""
        sources = getattr(self.source, "sources", (self.source,))
        tables = [
            source.skipped.assign(run=name)
            for source, name in zip(sources, self.runs.index, strict=True)
        ]
        return pd.concat(tables, ignore_index=True)

    def __repr__(self) -> str:
        runs = self.runs
        modes = ", ".join(
            f"{mode} {kind}"
            for mode, kind in dict.fromkeys(
                zip(runs["mode"], runs["spectrum_type"], strict=True)
            )
        )
        what = self.paths[0].name if len(runs) == 1 else f"{len(runs)} runs"
        axis = "own m/z axes" if self.n_mz is None else f"{self.n_mz:,} m/z values"
        parts = [f"{len(self):,} pixels", axis, modes]
        if len(self.skipped):
            parts.append(f"{len(self.skipped):,} spectra skipped")
        return f"<ImzMLReader {what}: {'; '.join(parts)}>"

    def __reduce__(self) -> tuple:
        pixels = self._pixels
        if pixels is not None and pixels.equals(self.source.pixels):
            # Looked at, not added to: the source has it.
            pixels = None
        return _restore_reader, (
            type(self),
            self.source,
            pixels,
            self.peaks,
            self.source.blocks,
            self.source.disk,
        )


def _restore_reader(
    cls: type[ImzMLReader],
    source: Source,
    pixels: pd.DataFrame | None,
    peaks: pd.DataFrame | None,
    blocks: np.ndarray | None,
    disk: DiskCache | None,
) -> ImzMLReader:
    reader = cls.__new__(cls)
    Spectra.__init__(reader, source, pixels=pixels, peaks=peaks)
    source.blocks, source.disk = blocks, disk
    return reader
