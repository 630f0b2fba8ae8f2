"""Regions of interest: which pixels lie in what was drawn."""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from imsminer._array import to_numpy
from imsminer.images._roi_geojson import read_geojson, write_geojson
from imsminer.images._roi_shapes import ROI, Ellipse, MaskROI, Polygon, Rectangle
from imsminer.images._roi_table import rois_from_table
from imsminer.images._roi_tissue import tissue_mask

__all__ = [
    "ROI",
    "Ellipse",
    "MaskROI",
    "Polygon",
    "Rectangle",
    "label_pixels",
    "read_geojson",
    "rois_from_table",
    "tissue_mask",
    "write_geojson",
]


def label_pixels(
    coordinates: Any,
    rois: Iterable[ROI],
    *,
    runs: Any = None,
    by: str = "name",
    outside: str = "",
    overlap: str = "raise",
) -> np.ndarray:
    """Name the region that each pixel lies in.

    Parameters
    ----------
    coordinates : array-like of shape (n_pixels, 2 or 3), or DataFrame
        x, y and maybe z of the pixels, such as ``Spectra.coordinates``; regions reach
        through all z. A DataFrame has the columns x and y, and maybe run
        (``Spectra.pixels``), or an index with these levels (features).
    rois : iterable of Rectangle, Ellipse, Polygon or MaskROI
        The regions. A pixel belongs to one when its centre lies inside or on the edge.
    runs : array-like of shape (n_pixels,), default=None
        Name of the run of each pixel, such as ``Spectra.pixels["run"]``. Needed where a
        region has a run, unless `coordinates` says it.
    by : {"name", "group"}, default="name"
        What to write for a pixel: the region's name, or its group.
    outside : str, default=""
        What to write for pixels in no region.
    overlap : {"raise", "first", "last"}, default="raise"
        What to do with pixels in several regions of different labels: refuse them, or
        take the first or the last region.

    Returns
    -------
    ndarray of str objects, shape (n_pixels,)
        To be kept as a column of ``Spectra.pixels``.

    Raises
    ------
    ValueError
        When regions overlap, a region has no group, its label is that of `outside`, or
        the run of the pixels is not known where a region has one.

    Warns
    -----
    UserWarning
        When no pixel lies in a region: coordinates may be in another unit, or the run
        have another name.

    Examples
    --------
    >>> from imsminer import Rectangle, label_pixels
    >>> rois = [Rectangle("cortex", 0, 0, 2, 2), Rectangle("medulla", 3, 0, 5, 2)]
    >>> label_pixels([[1, 1], [4, 2], [9, 9]], rois)
    array(['cortex', 'medulla', ''], dtype=object)
    """
    for name, value, allowed in (
        ("by", by, ("name", "group")),
        ("overlap", overlap, ("raise", "first", "last")),
    ):
        if value not in allowed:
            message = f"label_pixels: {name} must be one of {allowed}; got {value!r}."
            raise ValueError(message)
    x, y, runs = _places(coordinates, runs)
    labels = np.full(x.size, outside, dtype=object)
    owner = np.full(x.size, -1, dtype=np.int64)
    rois = list(rois)
    for number, roi in enumerate(rois):
        label = _label(roi, by, outside)
        inside = roi.contains(x, y)
        if roi.run is not None:
            inside &= _of_run(roi, runs)
        if not inside.any():
            warnings.warn(_nothing_inside(roi, x, y, runs), UserWarning, stacklevel=2)
        taken = np.flatnonzero(inside & (owner >= 0))
        if taken.size and overlap == "raise":
            other = taken[labels[taken] != label]
            if other.size:
                raise ValueError(_overlap(rois, owner, number, other, x, y))
        if overlap == "first":
            inside &= owner < 0
        labels[inside] = label
        owner[inside] = number
    return labels


def _places(coordinates: Any, runs: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return x, y and the names of the runs (or None)."""
    table = coordinates
    index = getattr(coordinates, "index", None)
    if isinstance(index, pd.MultiIndex) and {"x", "y"} <= set(index.names):
        table = index.to_frame(index=False)
    if isinstance(table, pd.DataFrame):
        if not {"x", "y"} <= set(table.columns):
            message = (
                "label_pixels: coordinates needs columns, or levels of the index, "
                f"named x and y; found {', '.join(map(str, table.columns))}."
            )
            raise ValueError(message)
        if runs is None and "run" in table:
            runs = table["run"]
        table = table[["x", "y"]]
    places = to_numpy(table)
    if places.ndim != 2 or places.shape[1] not in (2, 3):
        message = (
            "label_pixels: coordinates must have the shape (n_pixels, 2) or "
            f"(n_pixels, 3), for x, y and maybe z; got {places.shape}."
        )
        raise ValueError(message)
    places = places[:, :2].astype(np.float64)
    if not np.isfinite(places).all():
        message = "label_pixels: coordinates must be finite; some are NaN or infinite."
        raise ValueError(message)
    if runs is not None:
        runs = to_numpy(runs).astype(str)
        if runs.shape != (len(places),):
            message = (
                f"label_pixels: runs must name the run of each of {len(places)} "
                f"pixels; got the shape {runs.shape}."
            )
            raise ValueError(message)
    return places[:, 0], places[:, 1], runs


def _label(roi: Any, by: str, outside: str) -> str:
    if not isinstance(roi, ROI):
        message = (
            "label_pixels: rois must be Rectangle, Ellipse, Polygon or MaskROI "
            f"objects; got {type(roi).__name__}. read_geojson reads them from a file."
        )
        raise TypeError(message)
    label = getattr(roi, by)
    if label is None:
        message = (
            f"label_pixels: region {roi.name!r} has no group. Give it one (QuPath's "
            'classification), or use by="name".'
        )
        raise ValueError(message)
    if label == outside:
        message = (
            f"label_pixels: {label!r} names a region and the pixels outside of all. "
            "Choose another text for outside."
        )
        raise ValueError(message)
    return label


def _of_run(roi: ROI, runs: Any) -> np.ndarray:
    if runs is None:
        message = (
            f"label_pixels: region {roi.name!r} lies in run {roi.run!r}, but nothing "
            'says which run a pixel is of. Pass runs=, such as study.pixels["run"].'
        )
        raise ValueError(message)
    return runs == roi.run


def _nothing_inside(roi: ROI, x: np.ndarray, y: np.ndarray, runs: Any) -> str:
    """Say where a region lies, and where the pixels do."""
    if roi.run is not None:
        names = np.unique(runs)
        if roi.run not in names:
            found = ", ".join(map(repr, names[:5].tolist()))
            return (
                f"region {roi.name!r} holds no pixel: its run {roi.run!r} is none of "
                f"the {names.size} runs of the data ({found}"
                f"{', …' if names.size > 5 else ''})."
            )
        x, y = x[runs == roi.run], y[runs == roi.run]
    x0, y0, x1, y1 = roi.bounds
    if not x.size:
        return f"region {roi.name!r} holds no pixel: there are no pixels."
    return (
        f"region {roi.name!r} holds no pixel: it spans x {x0:g} to {x1:g} and y {y0:g} "
        f"to {y1:g}, the pixels x {x.min():g} to {x.max():g} and y {y.min():g} to "
        f"{y.max():g}. Are its coordinates in pixels (see pixel_size= and origin= of "
        "read_geojson)?"
    )


def _overlap(
    rois: list[ROI],
    owner: np.ndarray,
    number: int,
    pixels: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
) -> str:
    first = pixels[0]
    both = int((owner[pixels] == owner[first]).sum())
    return (
        f"label_pixels: regions {rois[owner[first]].name!r} and {rois[number].name!r} "
        f"share {both} pixels, the first at (x, y) = ({x[first]:g}, {y[first]:g}). "
        'Correct them, or pass overlap="first" or "last" to let one of them win.'
    )
