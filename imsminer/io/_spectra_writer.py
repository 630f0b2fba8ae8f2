"""The list of spectra of an imzML file that we write: a table, then XML."""

from collections.abc import Iterator

import numpy as np

from imsminer.io._header import ARRAY_GROUPS, cv_param

__all__ = ["SpectrumTable", "spectra_xml"]

# Spectra turned into text at a time.
BATCH = 4096


class SpectrumTable:
    """Where the arrays of each spectrum lie, collected as they are written.

    About 90 bytes a spectrum, which is all of the data that is kept in memory.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(
        self, coordinates: np.ndarray, kinds: np.ndarray, arrays: np.ndarray
    ) -> None:
        """Note the next spectra.

        Parameters
        ----------
        coordinates : ndarray of int64, shape (n, 3)
            x, y, z.
        kinds : ndarray of uint8, shape (n,)
            Numbers of their groups of parameters.
        arrays : ndarray of int64, shape (n, 3 * n_arrays)
            Length, encoded length and offset of each array.
        """
        self._parts.append((coordinates, kinds, arrays))

    def whole(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return coordinates, kinds and arrays of all spectra."""
        if not self._parts:
            return np.empty((0, 3), int), np.empty(0, np.uint8), np.empty((0, 6), int)
        coordinates, kinds, arrays = zip(*self._parts, strict=True)
        return (
            np.concatenate(coordinates),
            np.concatenate(kinds),
            np.concatenate(arrays),
        )


def _template(n_arrays: int) -> bytes:
    text = (
        '<spectrum id="Scan=%d" defaultArrayLength="0" index="%d">\n'
        '<referenceableParamGroupRef ref="spectrum%d"/>\n<scanList count="1">\n'
        + cv_param("MS:1000795", "no combination")
        + '\n<scan instrumentConfigurationRef="IC1">\n'
    )
    for accession, axis in (("50", "x"), ("51", "y"), ("52", "z")):
        text += cv_param(f"IMS:10000{accession}", f"position {axis}", "%d") + "\n"
    text += f'</scan>\n</scanList>\n<binaryDataArrayList count="{n_arrays}">\n'
    for group in ARRAY_GROUPS[:n_arrays]:
        text += '<binaryDataArray encodedLength="0">\n'
        text += f'<referenceableParamGroupRef ref="{group}"/>\n'
        text += cv_param("IMS:1000103", "external array length", "%d") + "\n"
        text += cv_param("IMS:1000104", "external encoded length", "%d") + "\n"
        text += cv_param("IMS:1000102", "external offset", "%d") + "\n"
        text += "<binary/>\n</binaryDataArray>\n"
    return (text + "</binaryDataArrayList>\n</spectrum>\n").encode()


def spectra_xml(
    coordinates: np.ndarray, kinds: np.ndarray, arrays: np.ndarray
) -> Iterator[bytes]:
    """Yield the text of all spectra, in batches.

    Parameters
    ----------
    coordinates : ndarray of int64, shape (n, 3)
        x, y, z.
    kinds : ndarray of int, shape (n,)
        Number of the group of parameters that says what a spectrum is.
    arrays : ndarray of int64, shape (n, 3 * n_arrays)
        Length, encoded length and offset of the m/z array, of the intensities, and of
        ion mobilities where there are any.
    """
    # Numbers go into bytes twice as fast as into text.
    template = _template(arrays.shape[1] // 3)
    index = np.arange(len(coordinates))[:, np.newaxis]
    for start in range(0, len(coordinates), BATCH):
        part = slice(start, start + BATCH)
        group = kinds[part, np.newaxis]
        numbers = np.hstack(
            [index[part] + 1, index[part], group, coordinates[part], arrays[part]]
        )
        yield (template * len(numbers)) % tuple(numbers.ravel().tolist())
