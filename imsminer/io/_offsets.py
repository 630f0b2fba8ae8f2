"""Byte offsets that were written as 32-bit numbers."""

from collections.abc import Mapping

import numpy as np

from imsminer.io._layout import Arrays, Layout

__all__ = ["unwrap_offsets"]

_WRAP = 1 << 32
# No writer leaves as much room between arrays.
_WIDE = 1 << 20


def unwrap_offsets(
    arrays: Mapping[str, Arrays],
    rows: np.ndarray,
    size: int,
    problems: dict[int, str],
    oddities: dict[str, str],
) -> bool:
    """Undo offsets that a writer cut to signed or unsigned 32-bit numbers.

    In a file of at most 4 GiB a negative offset has only one meaning. In a larger one
    each offset may stand for several places. They are recovered where they ascend from
    spectrum to spectrum, but for falls, each by the 4 GiB that were cut off, and the
    arrays then fill the file to its end. Otherwise all spectra become problems.

    Parameters
    ----------
    arrays : mapping of Arrays
        The arrays of each kind, whose offsets are changed.
    rows : ndarray of int64
        The spectra to look at, whose arrays are not empty.
    size : int
        Size of the ``.ibd`` in bytes.
    problems, oddities : dict
        To which what is found is added.

    Returns
    -------
    bool
        Whether offsets were changed.
    """
    if rows.size == 0:
        return False
    lowest = min(int(a.offsets[rows].min()) for a in arrays.values())
    highest = max(int(a.offsets[rows].max()) for a in arrays.values())
    signed = -(_WRAP >> 1) <= lowest < 0 and highest < _WRAP >> 1 < size
    if not signed:
        if size <= _WRAP or lowest < 0 or highest >= _WRAP:
            return False
        ends = (int((a.offsets + a.sizes)[rows].max()) for a in arrays.values())
        if max(ends) >= size - _WIDE:
            return False
    for kind in arrays.values():
        cut = kind.offsets[rows] % _WRAP
        if size > _WRAP:
            cut[1:] += np.cumsum(cut[1:] < cut[:-1]) * _WRAP
        kind.offsets[rows] = cut
    if size > _WRAP and not _fill(arrays, rows, size):
        reason = (
            f"the .ibd has {size:,} bytes, but all offsets are below 2^32, as if cut "
            "to 32 bits, and their order does not show the true ones"
        )
        problems.update(dict.fromkeys(rows.tolist(), reason))
        return True
    oddities["offsets"] = (
        "byte offsets are written as 32-bit numbers, which start again beyond "
        f"{'2' if signed else '4'} GB; they were counted on from there."
    )
    return True


def _fill(arrays: Mapping[str, Arrays], rows: np.ndarray, size: int) -> bool:
    """Whether the arrays lie one after the other, up to the end of the file."""
    layout = Layout(arrays, rows, size)
    widest, last = int(layout.gaps.max()), int(layout.gaps[-1])
    return int(layout.gaps.min()) >= 0 and (last == 0 or widest < _WIDE)
