"""Tables of pixels as stacks of images, a plane of a run at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from imsminer.io._export_table import FeatureTable

__all__ = ["Plane", "Share", "all_planes", "fill_stack", "image_planes", "plane_blocks"]

#: Images held at once while a stack is written.
_BLOCK_BYTES = 1 << 25


@dataclass(frozen=True)
class Plane:
    """Where the pixels of one z of one run lie in the bounding box of the run.

    Attributes
    ----------
    run : str
        Name of the run.
    z : int
        As the file says.
    rows : ndarray of int64, shape (n,)
        Rows of the table.
    flat : ndarray of int64, shape (n,)
        Places in the image of shape (height, width), counted row by row.
    shape : (int, int)
        Height and width.
    offset : (int, int)
        x and y of the first column and row.
    """

    run: str
    z: int
    rows: np.ndarray
    flat: np.ndarray
    shape: tuple[int, int]
    offset: tuple[int, int]


def image_planes(table: FeatureTable, run: str) -> list[Plane]:
    """Return a plane per z of `run`, all over the bounding box of the run.

    Raises
    ------
    ValueError
        When two pixels lie at one position.
    """
    run_column = table.pixels["run"].cat
    of_run = np.flatnonzero(run_column.codes == run_column.categories.get_loc(run))
    x, y, z = (table.pixels[name].to_numpy()[of_run] for name in "xyz")
    left, top = int(x.min()), int(y.min())
    shape = (int(y.max()) - top + 1, int(x.max()) - left + 1)
    planes = []
    for level in np.unique(z):
        at = np.flatnonzero(z == level)
        flat = (y[at] - top) * shape[1] + (x[at] - left)
        _check_distinct(flat, run, int(level), shape[1], (left, top))
        planes.append(Plane(run, int(level), of_run[at], flat, shape, (left, top)))
    return planes


def all_planes(table: FeatureTable, purpose: str) -> dict[str, list[Plane]]:
    """Return the planes of each run, or say that there is nothing to draw."""
    n_pixels, n_features = table.values.shape
    if n_pixels == 0 or n_features == 0:
        message = (
            f"{purpose} needs images, but features have {n_pixels} pixels and "
            f"{n_features} columns. Tables (.parquet, .csv, .zarr, .h5ad) may be empty."
        )
        raise ValueError(message)
    return {run: image_planes(table, run) for run in table.run_names}


def fill_stack(
    values: np.ndarray, plane: Plane, fill: float, columns: slice | None = None
) -> np.ndarray:
    """Return the images of some columns: float32, (n_columns, height, width)."""
    n_columns = len(range(values.shape[1])[columns or slice(None)])
    height, width = plane.shape
    stack = np.full((n_columns, height * width), fill, dtype=np.float32)
    first = (columns or slice(0)).start or 0
    step = max(1, _BLOCK_BYTES // (4 * max(1, plane.rows.size)))
    for start in range(0, n_columns, step):
        stop = min(start + step, n_columns)
        # One pass over the rows per block; a column alone would touch every line of
        # memory for four bytes of it.
        part = values[:, first + start : first + stop][plane.rows]
        stack[start:stop, plane.flat] = part.T
    return stack.reshape(n_columns, height, width)


def plane_blocks(
    values: np.ndarray, plane: Plane, n_at_once: int = 1
) -> Iterator[np.ndarray]:
    """Yield the images of all columns, a block of columns at a time.

    Blocks are smaller where `n_at_once` planes are gone through side by side.
    """
    n_columns = values.shape[1]
    image_bytes = 4 * plane.shape[0] * plane.shape[1]
    step = max(1, _BLOCK_BYTES // (n_at_once * image_bytes))
    for start in range(0, n_columns, step):
        columns = slice(start, min(start + step, n_columns))
        yield fill_stack(values, plane, np.nan, columns)


class Share:
    """Turns parts done into whole pixels, which is what progress bars count."""

    def __init__(self, advance: Any, n_pixels: int, n_parts: int) -> None:
        self._advance, self._n_pixels, self._n_parts = advance, n_pixels, n_parts
        self._done = 0

    def __call__(self, parts: int) -> None:
        before = self._done * self._n_pixels // self._n_parts
        self._done += parts
        self._advance(self._done * self._n_pixels // self._n_parts - before)


def _check_distinct(
    flat: np.ndarray, run: str, z: int, width: int, offset: tuple[int, int]
) -> None:
    ordered = np.sort(flat)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if twice.size:
        x, y = int(twice[0]) % width + offset[0], int(twice[0]) // width + offset[1]
        message = (
            f"run {run!r} has {twice.size} pixels at a position of another, the first "
            f"at (x, y, z) = ({x}, {y}, {z}). An image holds one pixel per position: "
            "keep one of each, or tell acquisitions apart by their run."
        )
        raise ValueError(message)
