"""Where the pixels of several runs go in one picture: side by side, with captions."""

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imsminer.core.grid import known_coordinates

__all__ = ["Montage", "Plane", "grid_columns", "montage_of"]

#: Height of a caption over the longest edge of an image.
CAPTION = 0.12
#: Width over height that a grid of images aims at.
ASPECT = 1.6


class Plane(NamedTuple):
    """One image: the pixels of one run and one z."""

    rows: np.ndarray
    """Positions of its pixels in the table."""
    caption: str
    """Run and z, as far as they tell the planes apart."""
    offset: tuple[float, float]
    """What to add to x and y of the file to place it in the picture."""
    room: float
    """Width that its caption may take, in pixels of the image."""


class Montage(NamedTuple):
    """Where each plane goes in one Axes; a single plane stays where the file says."""

    coordinates: np.ndarray
    planes: list[Plane]
    width: float
    height: float
    caption_height: float
    """Room above each image in pixels of the image; 0 for a single plane."""


def montage_of(values: Any, coordinates: Any) -> Montage:
    """Find the pixels of `values` and lay their runs out side by side.

    Parameters
    ----------
    values : Series, DataFrame or array, one row per pixel
        A MultiIndex with the levels x and y brings the coordinates.
    coordinates : array-like, DataFrame, MultiIndex, Spectra or None
        Where the pixels are; takes precedence over the index of `values`.

    Raises
    ------
    ValueError
        When nothing says where the pixels are.
    """
    table = _table(coordinates)
    pixels = known_coordinates(values, table)
    if pixels is None:
        message = (
            "the plot needs to know where the pixels are: pass values with the index "
            "(run, x, y, z) that PeakIntegrator gives them, or coordinates= (n_pixels, "
            "2 or 3) or features or spectra that have them."
        )
        raise ValueError(message)
    if len(pixels.runs) == 0:
        message = "there are no pixels to draw."
        raise ValueError(message)
    names = _run_names(values, table, pixels.runs)
    z = pixels.coordinates[:, 2]
    groups = pd.DataFrame({"run": pixels.runs, "z": z}).groupby(["run", "z"], sort=True)
    rows = list(groups.indices.items())
    several_runs, several_z = len(names) > 1, np.unique(z).size > 1
    captions = [
        ", ".join([names[run]] * several_runs + [f"z = {plane}"] * several_z)
        for (run, plane), _ in rows
    ]
    boxes = []
    for _, members in rows:
        xy = pixels.coordinates[members, :2]
        low, high = xy.min(axis=0), xy.max(axis=0)
        boxes.append((*low, *(high - low + 1)))
    widths = np.array([box[2] for box in boxes], dtype=np.float64)
    height = float(max(box[3] for box in boxes))
    if len(rows) == 1:
        planes = [Plane(rows[0][1], captions[0], (0.0, 0.0), widths[0])]
        return Montage(pixels.coordinates, planes, widths[0], height, 0.0)
    gap = max(2.0, 0.06 * widths.max())
    # Room for the caption above each image.
    top = max(2.0, CAPTION * max(widths.max(), height))
    n_columns = grid_columns(len(rows), widths.max() + gap, height + top)
    column_width = [widths[column::n_columns].max() for column in range(n_columns)]
    left = np.concatenate([[0.0], np.cumsum(np.add(column_width, gap))])
    planes = []
    for i, ((_, members), caption) in enumerate(zip(rows, captions, strict=True)):
        row, column = divmod(i, n_columns)
        offset = (left[column] - boxes[i][0], row * (height + top) - boxes[i][1])
        planes.append(Plane(members, caption, offset, column_width[column] + gap))
    n_rows = math.ceil(len(rows) / n_columns)
    return Montage(
        pixels.coordinates, planes, left[-1] - gap, n_rows * (height + top), top
    )


def _table(coordinates: Any) -> Any:
    """Whatever brings coordinates, as a table of x, y, … or an array."""
    if coordinates is None or isinstance(coordinates, np.ndarray):
        return coordinates
    if hasattr(coordinates, "pixels") and hasattr(coordinates, "iter_chunks"):
        return coordinates.pixels
    index = getattr(coordinates, "index", coordinates)
    if isinstance(index, pd.MultiIndex) and {"x", "y"} <= set(index.names):
        return index.to_frame(index=False)
    return coordinates


def _run_names(values: Any, table: Any, codes: np.ndarray) -> list[str]:
    """Name of each run code; codes number runs in order of appearance."""
    index = getattr(values, "index", None)
    runs: Any = None
    if isinstance(table, pd.DataFrame) and "run" in table:
        runs = table["run"]
    elif isinstance(index, pd.MultiIndex) and "run" in index.names:
        runs = index.get_level_values("run")
    n_runs = int(codes.max()) + 1
    if runs is None:
        return [f"run {code + 1}" for code in range(n_runs)]
    return [str(name) for name in pd.unique(np.asarray(runs))]


def grid_columns(n: int, width: float, height: float) -> int:
    """Return how many columns give a grid of `n` cells the best outline."""
    columns = range(1, n + 1)
    ratio = [c * width / (math.ceil(n / c) * height) for c in columns]
    empty = [math.ceil(n / c) * c - n for c in columns]
    # An empty cell costs as much as a departure of 5 % in shape.
    cost = [
        abs(math.log(r / ASPECT)) + 0.05 * e for r, e in zip(ratio, empty, strict=True)
    ]
    return columns[int(np.argmin(cost))]
