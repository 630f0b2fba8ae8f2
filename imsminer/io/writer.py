"""Writing imzML: spectra go to disk as they come, the XML follows at the end."""

import uuid as uuid_module
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import joblib
import numpy as np

from imsminer.core.progress import progress_bar
from imsminer.core.spectra import Spectra
from imsminer.io import _writer_checks as checks
from imsminer.io._arrays_writer import ArrayWriter
from imsminer.io._header import (
    MODES,
    SPECTRUM_TYPES,
    TYPES,
    SourceFile,
    Step,
    WriterFacts,
    header_xml,
    tail_xml,
)
from imsminer.io._ibd_writer import IbdFile
from imsminer.io._spectra_writer import SpectrumTable, spectra_xml
from imsminer.io._writer_facts import input_files, study_facts, widest_type
from imsminer.io._writer_files import FilePair

__all__ = ["ImzMLWriter", "write_imzml"]


class ImzMLWriter:
    """Write an imzML file and its .ibd, chunk by chunk.

    Both are written under temporary names and renamed into place when the ``with``
    block ends; when it ends by an error, nothing is left, and files that were to be
    replaced are as they were. Memory grows by about 90 bytes a spectrum.

    Parameters
    ----------
    path : path-like
        The .imzML file; the .ibd gets the same stem.
    mode : {"processed", "continuous"}, default="processed"
        Whether each spectrum has its own m/z array, or all share the first one.
    mz_dtype : {"float64", "float32"}, default="float64"
        How m/z are stored. As float32, close m/z may become equal.
    intensity_dtype : str, default="float32"
        How intensities are stored: float32, float64, int8, int16, int32 or int64.
    spectrum_type : {"profile", "centroid"}, default="profile"
        What the points are, where :meth:`add_chunk` is not told.
    polarity : {"positive", "negative"} or None, default=None
        Of spectra for which :meth:`add_chunk` is not told; `None` when not known.
    pixel_size : float, (float, float) or None, default=None
        In µm; `None` when it is not known: the file then does not say.
    compression : {"zlib"} or None, default=None
        Compression of each array. pyopenms refuses such files, and pyimzML 1.5 and
        m2aia 0.5 read them wrongly without a word.
    uuid : str or None, default=None
        32 hexadecimal digits; drawn at random when `None`.
    checksum : bool, default=True
        Whether to compute the SHA-1 of the .ibd, which imzML demands.
    instrument : str or None, default=None
        Name of the instrument's model.
    processing : sequence of str or (str, dict), default=()
        What was done to the data, in order: names of steps, or names and parameters.
    sources : sequence of SourceFile, default=()
        The files that the data came from.
    notes : dict, default=None
        Anything else to be said of the run, by name.
    mobility : str, default="mean inverse reduced ion mobility"
        What the third array holds, where :meth:`add_chunk` is given one: a name of
        the vocabulary, or another one with "mobility" or "drift time" in it.
    overwrite : bool, default=False
        Whether files of these names may be replaced.
    n_jobs : int, default=None
        Number of threads that compress. `None` means 1.

    Raises
    ------
    ValueError
        When a parameter is not one of those listed.
    FileExistsError, FileNotFoundError
        When a file is there and `overwrite` is `False`, or the folder is not.

    See Also
    --------
    write_imzml : Write `Spectra`, with what is known of them.

    Examples
    --------
    >>> import tempfile
    >>> from imsminer import ImzMLReader
    >>> from imsminer.io.writer import ImzMLWriter
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ImzMLWriter(f"{folder}/a.imzML", pixel_size=50) as writer:
    ...         writer.add([100.0, 200.0], [1, 2], (1, 1))
    ...         writer.add([150.0], [7], (2, 1))
    ...     ImzMLReader(f"{folder}/a.imzML")[1].intensity
    array([7.], dtype=float32)
    """

    def __init__(
        self,
        path: str | PathLike,
        *,
        mode: str = "processed",
        mz_dtype: Any = "float64",
        intensity_dtype: Any = "float32",
        spectrum_type: str = "profile",
        polarity: str | None = None,
        pixel_size: float | tuple[float, float] | None = None,
        compression: str | None = None,
        uuid: str | None = None,
        checksum: bool = True,
        instrument: str | None = None,
        processing: Sequence[str | Step] = (),
        sources: Sequence[SourceFile] = (),
        notes: Mapping[str, object] | None = None,
        mobility: str = "mean inverse reduced ion mobility",
        overwrite: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        digits = (uuid or uuid_module.uuid4().hex).replace("-", "").lower()
        mz_name, name = np.dtype(mz_dtype).name, np.dtype(intensity_dtype).name
        self._facts = WriterFacts(
            mode=checks.one_of("mode", mode, MODES),
            mz_dtype=checks.one_of("mz_dtype", mz_name, checks.FLOATS),
            intensity_dtype=checks.one_of("intensity_dtype", name, TYPES),
            pixel_size=checks.checked_pixel_size(pixel_size),
            compression=checks.one_of("compression", compression, ("zlib", None)),
            instrument=instrument,
            processing=checks.checked_steps(processing),
            sources=tuple(sources),
            notes=dict(notes or {}),
            mobility=checks.checked_mobility(mobility),
            uuid=uuid_module.UUID(hex=digits).hex,
        )
        self._spectrum_type = checks.one_of(
            "spectrum_type", spectrum_type, SPECTRUM_TYPES
        )
        self._polarity = checks.checked_polarity(polarity, 1)[0]
        self._checksum = checksum
        self._n_jobs = joblib.effective_n_jobs(n_jobs)
        self._files = FilePair(path, overwrite)
        self._table = SpectrumTable()

    @property
    def path(self) -> Path:
        """The imzML file."""
        return self._files.path

    @property
    def uuid(self) -> str:
        """The UUID of both files, 32 hexadecimal digits."""
        return self._facts.uuid

    def __enter__(self) -> "ImzMLWriter":
        self._ibd = IbdFile(self._files.ibd_part, self._checksum)
        try:
            self._ibd.write(bytes.fromhex(self._facts.uuid))
            self._arrays = ArrayWriter(self._ibd, self._facts, self._n_jobs)
        except BaseException:
            self._ibd.close()
            self._files.discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._arrays.close()
            if kind is None:
                self._write_xml(self._ibd.finish())
                self._files.publish()
        finally:
            # After a success there is nothing left to close or to remove.
            self._ibd.close()
            self._files.discard()

    def add(self, mz: Any, intensity: Any, position: Sequence[int]) -> None:
        """Write one spectrum.

        Parameters
        ----------
        mz, intensity : array-like, shape (n_points,)
            The spectrum. In continuous mode, m/z are those of the first spectrum;
            `None` stands for them.
        position : sequence of int, length 2 or 3
            x, y and z (1 if missing), as they go into the file.
        """
        intensity = np.asarray(intensity)
        coordinates = np.asarray(position)[np.newaxis]
        if self._facts.mode == "continuous":
            self.add_chunk(mz, intensity[np.newaxis], coordinates)
        else:
            self.add_chunk(mz, intensity, coordinates, [0, intensity.size])

    def add_chunk(
        self,
        mz: Any,
        intensity: Any,
        coordinates: Any,
        indptr: Any = None,
        *,
        mobility: Any = None,
        spectrum_type: str | None = None,
        polarity: str | Sequence[str | None] | None = None,
    ) -> None:
        """Write many spectra at once.

        Parameters
        ----------
        mz : array-like of float, shape (n_mz,) or (n_points,), or None
            The axis that the spectra share, or the m/z of all points. In continuous
            mode the same at each call, or `None` after the first.
        intensity : array-like, shape (n, n_mz) or (n_points,)
            Intensities; two-dimensional on a shared axis, as in a `SpectrumChunk`.
        coordinates : array-like of int, shape (n, 2) or (n, 3)
            x, y and z (1 if missing).
        indptr : array-like of int, shape (n + 1,), or None
            Where each spectrum starts and ends in flat arrays.
        mobility : array-like of float, shape (n_points,), or None
            Ion mobility of each point; for all spectra of a file, or for none.
        spectrum_type : {"profile", "centroid"}, default=None
            What these spectra are, where it is not what the writer was told.
        polarity : str or sequence of str, default=None
            Polarity of these, or of each, where it is not what the writer was told.

        Raises
        ------
        ValueError
            When shapes do not fit, m/z are not finite and increasing, or intensities
            are not finite or do not fit into the stored type.
        """
        self._add(mz, intensity, coordinates, indptr, mobility, spectrum_type, polarity)
        # What was given may change once this returns.
        self._arrays.settle()

    def add_zeros(self, coordinates: Any) -> None:
        """Add spectra of zeros that take no space on disk, in continuous mode.

        The .ibd gets holes where the file system knows them. It needs
        ``checksum=False`` and no compression, and a spectrum with the m/z before it.

        Parameters
        ----------
        coordinates : array-like of int, shape (n, 2) or (n, 3)
            x, y and z (1 if missing).
        """
        coordinates = checks.checked_coordinates(coordinates)
        arrays = self._arrays.add_zeros(len(coordinates))
        kind = (self._spectrum_type, self._polarity, len(coordinates))
        self._table.add(coordinates, checks.spectrum_kinds(*kind), arrays)

    def _add(
        self,
        mz: Any,
        intensity: Any,
        coordinates: Any,
        indptr: Any,
        mobility: Any,
        spectrum_type: str | None,
        polarity: Any,
    ) -> None:
        """Check and write spectra, whose arrays must not change any more."""
        coordinates = checks.checked_coordinates(coordinates)
        kinds = checks.spectrum_kinds(
            spectrum_type or self._spectrum_type,
            self._polarity if polarity is None else polarity,
            len(coordinates),
        )
        arrays = self._arrays.add(mz, intensity, coordinates, indptr, mobility)
        self._table.add(coordinates, kinds, arrays)

    def _write_xml(self, sha1: str | None) -> None:
        coordinates, kinds, arrays = self._table.whole()
        used = np.unique(kinds).tolist()
        n_arrays = arrays.shape[1] // 3
        with open(self._files.xml_part, "xb") as file:
            for line in header_xml(self._facts, sha1, coordinates, used, n_arrays):
                file.write(f"{line}\n".encode())
            file.writelines(spectra_xml(coordinates, kinds, arrays))
            file.write(tail_xml().encode())


def write_imzml(
    spectra: Spectra,
    path: str | PathLike,
    *,
    mode: str | None = None,
    dtype: Any = None,
    mz_dtype: Any = "float64",
    compression: str | None = None,
    overwrite: bool = False,
    n_jobs: int | None = None,
) -> Path:
    """Write `Spectra` as imzML: what was read, selected and computed, in one pass.

    Queued steps are applied chunk by chunk, so that memory stays bounded. The header
    says what the runs' files said (polarity, pixel size, instrument), where they lie,
    and what was done. Nothing is left when writing is interrupted, and the files that
    the spectra come from are never overwritten.

    Parameters
    ----------
    spectra : Spectra
        What to write, in order.
    path : path-like
        The .imzML file; the .ibd gets the same stem.
    mode : {"continuous", "processed"}, default=None
        Whether all spectra share one m/z array, or each has its own, which on a shared
        axis is a copy. `None` shares it where the spectra do.
    dtype : str, default=None
        How intensities are stored: float32, float64, int8, int16, int32 or int64.
        `None` keeps what is delivered: float32, or float64 where any run needs it.
    mz_dtype : {"float64", "float32"}, default="float64"
        How m/z are stored. As float32, close m/z may become equal.
    compression : {"zlib"} or None, default=None
        Compression of each array, which not all other programs read.
    overwrite : bool, default=False
        Whether files of these names may be replaced. The old ones stay until the new
        ones are complete.
    n_jobs : int, default=None
        Number of threads that compress. `None` means 1.

    Returns
    -------
    Path
        The .imzML file.

    Raises
    ------
    ValueError
        When there is nothing to write, values do not fit into the types, `mode` is
        ``"continuous"`` for spectra with axes of their own, or one of several runs
        has several planes.
    FileExistsError
        When a file is there and `overwrite` is `False`, or it is one that the spectra
        are read from.

    Warns
    -----
    ImzMLWarning
        When runs have pixels of different sizes: the file gives none then.

    Notes
    -----
    Several runs become the planes z = 1, 2, … of one file, in their order, since their
    positions would collide; the header notes which is which.

    Examples
    --------
    >>> import tempfile
    >>> from imsminer import ImzMLReader
    >>> from imsminer.datasets import load_kidney
    >>> from imsminer.io.writer import write_imzml
    >>> reader = ImzMLReader(load_kidney())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_imzml(reader[reader.pixels["x"] < 5], f"{folder}/left.imzML")
    ...     ImzMLReader(path)
    <ImzMLReader left.imzML: 72 pixels; own m/z axes; processed profile>
    """
    if not isinstance(spectra, Spectra):
        message = (
            "write_imzml writes Spectra, such as an ImzMLReader or what "
            f"Spectra.from_arrays makes, not {type(spectra).__name__}."
        )
        raise TypeError(message)
    shared = spectra.mz is not None
    if mode == "continuous" and not shared:
        message = (
            "write_imzml: mode='continuous' stores one m/z array for all spectra, but "
            "these have axes of their own. Use mode='processed', or bring them onto "
            "one axis first."
        )
        raise ValueError(message)
    facts = study_facts(spectra)
    writer = ImzMLWriter(
        path,
        mode=mode or ("continuous" if shared else "processed"),
        mz_dtype=mz_dtype,
        intensity_dtype=widest_type(spectra) if dtype is None else dtype,
        compression=compression,
        overwrite=overwrite,
        n_jobs=n_jobs,
        **facts.options,
    )
    writer._files.refuse_inputs(input_files(spectra))
    with progress_bar("Writing imzML", len(spectra)) as advance, writer:
        for chunk in spectra.iter_chunks():
            writer._add(*facts.arguments(chunk))
            advance(chunk.n_spectra)
    return writer.path
