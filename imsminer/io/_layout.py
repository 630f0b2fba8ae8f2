"""Where the arrays of a run lie in its .ibd: their order, overlaps and gaps."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from imsminer.io._stored import ITEM_SIZES

__all__ = ["KINDS", "Arrays", "Layout", "find_overlaps", "find_wide_types"]

KINDS = {"mz": "m/z", "intensity": "intensity", "mobility": "ion mobility"}
# Places where arrays overlap, per spectrum, from which on no offset is relied on.
_MANY = 0.01
_ZLIB = 128


class Arrays(NamedTuple):
    """The arrays of one kind: a value for each spectrum, in plain columns.

    Attributes
    ----------
    offsets, lengths, encoded : ndarray of int64
        As the file gives them.
    types : ndarray of uint8
        Codes of the stored types.
    packed : ndarray of bool
        Which are compressed.
    sizes : ndarray of int64
        Stored bytes.
    """

    offsets: np.ndarray
    lengths: np.ndarray
    encoded: np.ndarray
    types: np.ndarray
    packed: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray, kind: str) -> "Arrays":
        """Take the columns of a kind out of a table of records."""
        offsets, lengths, encoded, types, packed = (
            np.ascontiguousarray(table[f"{kind}_{name}"])
            for name in ("offset", "length", "encoded", "type", "zlib")
        )
        sizes = lengths * ITEM_SIZES[types]
        if packed.any():
            sizes = np.where(packed & (lengths > 0), encoded, sizes)
        return cls(offsets, lengths, encoded, types, packed, sizes)


class Layout:
    """The stored arrays of some spectra, in the order in which they lie in the file.

    Arrays that spectra share count once. In files as instruments write them the arrays
    ascend, interleaved or kind after kind, and nothing needs sorting.

    Parameters
    ----------
    arrays : mapping of Arrays
        The arrays of each kind.
    rows : ndarray of int64, not empty
        The spectra to look at, whose arrays are inside of the file and not empty.
    size : int
        Size of the ``.ibd`` in bytes.

    Attributes
    ----------
    starts, ends : ndarray of int64
        The bytes that each array takes.
    gaps : ndarray of int64
        Bytes from the end of each array, or of one before it that reaches further, to
        the next one or the end of the file. Negative where arrays overlap.
    """

    def __init__(
        self, arrays: Mapping[str, Arrays], rows: np.ndarray, size: int
    ) -> None:
        self.arrays, self.rows, self.size = arrays, rows, size
        self._order: np.ndarray | None = None
        # Number of each array among the different ones, where some are the same.
        self._group: np.ndarray | None = None
        starts = {kind: self._take(a.offsets) for kind, a in arrays.items()}
        ends = {kind: starts[kind] + self._take(a.sizes) for kind, a in arrays.items()}
        self._arrange(starts, ends)
        self.starts = self._flat(starts.__getitem__)
        self.ends = self._flat(ends.__getitem__)
        if (self.starts[1:] < self.starts[:-1]).any():
            self._order = np.argsort(self.starts, kind="stable")
            self.starts, self.ends = self.starts[self._order], self.ends[self._order]
        self.gaps = np.append(self.starts[1:], size) - self.ends
        if self.gaps.min() < 0:
            self._unite()

    def _take(self, column: np.ndarray) -> np.ndarray:
        whole = self.rows.size == column.size
        return column if whole else column[self.rows]

    def _arrange(
        self, starts: dict[str, np.ndarray], ends: dict[str, np.ndarray]
    ) -> None:
        """Find out in which order the arrays probably lie."""

        def is_one(kind: str) -> bool:
            columns = (starts[kind], ends[kind], self._codes(kind))
            return all(c[0] == c[-1] and (c == c[0]).all() for c in columns)

        kinds = sorted(self.arrays, key=lambda kind: int(starts[kind][0]))
        self._single = [kind for kind in kinds if is_one(kind)]
        self._several = [kind for kind in kinds if kind not in self._single]
        self._in_blocks = all(
            starts[one][-1] < starts[next_one][0]
            for one, next_one in zip(self._several, self._several[1:], strict=False)
        )

    def _codes(self, kind: str) -> np.ndarray:
        """Number the ways in which arrays are stored: type and compression."""
        arrays = self.arrays[kind]
        return self._take(arrays.types | (arrays.packed * np.uint8(_ZLIB)))

    def _flat(self, column: Callable[[str], np.ndarray]) -> np.ndarray:
        """Return a column of all kinds in the order of the file."""
        parts = [column(kind)[:1] for kind in self._single]
        several = [column(kind) for kind in self._several]
        if several:
            parts += several if self._in_blocks else [np.stack(several, 1).ravel()]
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return values if self._order is None else values[self._order]

    def _unite(self) -> None:
        """Count arrays once that are the same: bytes, kind and type."""
        columns = (self.starts, self.ends, self.kinds(), self.codes())
        differ = np.ones(self.starts.size, np.bool_)
        differ[1:] = np.logical_or.reduce([c[1:] != c[:-1] for c in columns])
        self.starts, self.ends = self.starts[differ], self.ends[differ]
        self.gaps = np.append(self.starts[1:], self.size) - self.reach()
        self._group, self._first = np.cumsum(differ) - 1, differ

    def reach(self) -> np.ndarray:
        """Return how far each array and those before it reach."""
        return np.maximum.accumulate(self.ends)

    def _unique(self, column: Callable[[str], np.ndarray]) -> np.ndarray:
        values = self._flat(column)
        return values if self._group is None else values[self._first]

    def kinds(self) -> np.ndarray:
        """Return the kind of each array: its place in `arrays`."""
        n = self.rows.size
        numbers = {kind: number for number, kind in enumerate(self.arrays)}
        return self._unique(lambda kind: np.full(n, numbers[kind], np.uint8))

    def codes(self) -> np.ndarray:
        """Return type and, as the highest bit, compression of each array."""
        return self._unique(self._codes)

    def owners(self) -> np.ndarray:
        """Return one of the spectra of each array."""
        return self._unique(lambda kind: self.rows)

    def marked(self, chosen: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return which arrays are of a spectrum that is chosen for their kind."""

        def column(kind: str) -> np.ndarray:
            mine = self._take(chosen[kind])
            return np.array([mine.any()]) if kind in self._single else mine

        values = self._flat(column)
        return (
            values
            if self._group is None
            else np.bincount(self._group, values).astype(np.bool_)
        )

    def spectra(self, marked: np.ndarray) -> np.ndarray:
        """Return the spectra to which any of the marked arrays belongs."""
        if self._group is not None:
            marked = marked[self._group]
        n = self.rows.size
        of_all = self._flat(lambda kind: np.full(n, kind in self._single))
        if (marked & of_all).any():
            return self.rows
        return np.unique(self._flat(lambda kind: self.rows)[marked])


def find_overlaps(layout: Layout, ibd: str) -> dict[int, str]:
    """Return the spectra whose arrays overlap, with the reason.

    Two arrays that overlap cannot both be where they are said to be. Where that is so
    in a few places, the spectra there are refused, and those whose arrays lie at an
    unusual distance from both neighbours: they may have moved, too. Otherwise all are.
    Compressed arrays may overlap, as those do whose length is given before compression:
    zlib knows where they end, and by their checksum whether they are right.
    """
    if layout.gaps.min() >= 0:
        return {}
    starts, ends, rows = layout.starts, layout.ends, layout.owners()
    kinds, names = layout.kinds(), [KINDS[kind] for kind in layout.arrays]
    apart = np.concatenate([[True], starts[1:] >= layout.reach()[:-1]])
    cluster = np.cumsum(apart) - 1
    raw = layout.codes() < _ZLIB
    twice = np.concatenate([[False], starts[1:] == starts[:-1]])
    wrong = (np.bincount(cluster) > 1) & (np.bincount(cluster, raw | twice) > 0)
    overlapping = np.flatnonzero(wrong[cluster])
    if overlapping.size == 0:
        return {}
    # A member of the same cluster: the one before, or of the first the one after.
    other = np.arange(starts.size) + np.where(apart, 1, -1)

    def describe(i: int) -> str:
        j = other[i]
        return (
            f"{names[kinds[i]]} array (bytes {starts[i]} to {ends[i]} of {ibd}) "
            f"overlaps the {names[kinds[j]]} array of spectrum {rows[j]} (bytes "
            f"{starts[j]} to {ends[j]})"
        )

    n_places = np.count_nonzero(wrong)
    if n_places > max(2, _MANY * layout.rows.size):
        i = int(overlapping[0])
        reason = (
            f"arrays overlap in {n_places:,} places of the file, where for example in "
            f"spectrum {rows[i]} the {describe(i)}: offsets, lengths or data types are "
            "wrong, and none can be relied on"
        )
        return dict.fromkeys(layout.rows.tolist(), reason)
    wrong_type = "an offset, length or data type is wrong"
    # Backwards, so that the first of a spectrum's arrays has the last word.
    problems = {
        int(rows[i]): f"its {describe(i)}: {wrong_type}"
        for i in overlapping[::-1].tolist()
    }
    reason = f"it shares an array, which overlaps others, with a spectrum: {wrong_type}"
    for number in layout.spectra(wrong[cluster]).tolist():
        problems.setdefault(number, reason)
    gaps, counts = np.unique(layout.gaps[layout.gaps >= 0], return_counts=True)
    unusual = layout.gaps != gaps[np.argmax(counts)]
    before = np.concatenate([[True], unusual[:-1]])
    reason = (
        "its arrays lie apart from all others, in a file where some arrays overlap: "
        "its offsets cannot be relied on"
    )
    for number in layout.spectra(raw & unusual & before).tolist():
        problems.setdefault(number, reason)
    return problems


def find_wide_types(layout: Layout, kind: str, chosen: np.ndarray) -> np.ndarray:
    """Tell which arrays leave room for a type of two, four or eight times the size.

    Values of 64 bits that are declared as 32 leave, after every array of their kind
    and type, a gap as large as the array itself.

    Parameters
    ----------
    layout : Layout
    kind : str
        Which arrays to look at.
    chosen : ndarray of bool
        In which spectra.

    Returns
    -------
    ndarray of bool
        One value for each array of the layout.
    """
    nothing = np.zeros(chosen.size, np.bool_)
    mine = layout.marked({k: chosen if k == kind else nothing for k in layout.arrays})
    sizes, codes = layout.ends - layout.starts, layout.codes()
    result = np.zeros(sizes.size, np.bool_)
    for code in np.unique(codes[mine & (codes < _ZLIB)]).tolist():
        of_code = mine & (codes == code)
        checked = of_code.copy()
        if np.count_nonzero(checked) > 1:
            # What follows the last array need not be part of it.
            checked[np.argmax(layout.ends)] = False
        for factor in (2, 4, 8):
            fits = factor * int(ITEM_SIZES[code]) <= 8
            gaps = (factor - 1) * sizes[checked]
            if fits and np.array_equal(layout.gaps[checked], gaps):
                result |= of_code
    return result
