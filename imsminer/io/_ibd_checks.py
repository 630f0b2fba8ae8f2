"""Checks of the values that were read from an .ibd file, and what they say.

An error names the file and the number of the spectrum in it, whichever rows were asked
for.
"""

import zlib

import numpy as np

from imsminer.exceptions import ImzMLError
from imsminer.io._stored import read_only, unpack

__all__ = ["ValueChecks"]

# From here on float64 leaves out integers.
_EXACT = 2.0**53
_KINDS = {"mz": "m/z", "intensity": "intensity", "mobility": "ion mobility"}


class ValueChecks:
    """Checks of the arrays of one run.

    Parameters
    ----------
    path : str
        The ``.ibd``.
    numbers : ndarray of int64
        The number in the file of each of the run's rows.
    """

    def __init__(self, path: str, numbers: np.ndarray) -> None:
        self.path = path
        self.numbers = numbers

    def check_values(
        self,
        mz: np.ndarray,
        intensity: np.ndarray,
        indptr: np.ndarray,
        rows: np.ndarray | slice,
        mobility: np.ndarray | None = None,
    ) -> None:
        """Refuse m/z that are not finite and ascending, and others not finite."""
        from imsminer.io._kernels.ibd_numba import first_not_finite

        self.check_order(mz, indptr, rows)
        for kind, values in (("intensity", intensity), ("mobility", mobility)):
            if values is not None:
                bad = first_not_finite(read_only(values), indptr)
                if bad >= 0:
                    self.refuse(kind, rows, bad)

    def check_order(
        self, mz: np.ndarray, indptr: np.ndarray, rows: np.ndarray | slice
    ) -> None:
        """Refuse m/z that are not finite and ascending within each spectrum."""
        from imsminer.io._kernels.ibd_numba import first_unsorted

        bad = first_unsorted(read_only(mz), indptr)
        if bad >= 0:
            self.refuse("mz", rows, bad)

    def check_exact(
        self,
        values: np.ndarray,
        stored: np.dtype,
        indptr: np.ndarray,
        rows: np.ndarray | slice,
        kind: str,
    ) -> None:
        """Refuse integers that float64 cannot hold to the last digit."""
        if stored.str != "<i8" or not values.size or np.abs(values).max() < _EXACT:
            return
        at = int(np.argmax(np.abs(values)))
        number = self._number(rows, int(np.searchsorted(indptr, at, side="right")) - 1)
        message = (
            f"{self.path}: the {_KINDS[kind]} array of spectrum {number} holds the "
            f"64-bit integer {values[at]:.0f}, expected less than 2^53: float64, in "
            "which values are delivered, cannot hold it exactly. Select other rows."
        )
        raise ImzMLError(message)

    def unpack(
        self,
        piece: np.ndarray,
        stored: np.dtype,
        length: int,
        rows: np.ndarray | slice,
        i: int,
        kind: str,
    ) -> np.ndarray:
        """Decompress the array of row `i` of `rows`."""
        try:
            return unpack(piece, stored, length)
        except zlib.error as error:
            message = (
                f"{self.path}: the {_KINDS[kind]} array of spectrum "
                f"{self._number(rows, i)} has {error}, expected "
                f"{length * stored.itemsize} ({length} values of {stored.name}). Copy "
                "or export the file again."
            )
            raise ImzMLError(message) from error

    def refuse(self, kind: str, rows: np.ndarray | slice, i: int) -> None:
        """Raise an error about the values of row `i` of `rows`."""
        if kind == "mz":
            found = "NaN, infinite, negative, repeated zero or unsorted"
            expected = "finite, ascending, positive values"
        else:
            found, expected = "NaN or infinite", "finite values"
        message = (
            f"{self.path}: the {_KINDS[kind]} array of spectrum "
            f"{self._number(rows, i)} holds {found} values, expected {expected}. "
            "Select other rows, or repair the file."
        )
        raise ImzMLError(message)

    def _number(self, rows: np.ndarray | slice, i: int) -> int:
        return int(self.numbers[rows][i])
