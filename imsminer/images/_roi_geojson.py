"""Regions as GeoJSON in the form of QuPath."""

import json
import math
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from imsminer.images._roi_moved import transformed
from imsminer.images._roi_shapes import ROI, Ellipse, MaskROI, Polygon, Rectangle
from imsminer.io._atomic import atomic_path

__all__ = ["read_geojson", "write_geojson"]


def read_geojson(
    path: str | PathLike,
    *,
    pixel_size: float | tuple[float, float] | None = None,
    origin: tuple[float, float] = (0.0, 0.0),
    registration: Any = None,
) -> list[ROI]:
    """Read regions from GeoJSON, as QuPath exports it.

    Parameters
    ----------
    path : path-like
        A FeatureCollection, a list of features or one feature, with the geometries
        Polygon and MultiPolygon. Each piece of a MultiPolygon becomes a region of the
        same name. ``properties.name`` is the name, ``properties.classification`` the
        group; a feature without a name takes that of its group. ``properties.run`` (or
        ``properties.metadata.run``) is the run.
    pixel_size : float or (float, float), default=None
        µm per pixel (x and y) when the coordinates are in µm; `None` when they are in
        pixels.
    origin : (float, float), default=(0, 0)
        x and y, in pixels, of the file's zero. Coordinates of pixels stand for their
        centres here, while on a picture opened in QuPath the first pixel reaches from 0
        to 1: for a picture whose first pixel is (x, y) pass ``(x - 0.5, y - 0.5)``.
    registration : Registration, default=None
        When the regions were drawn on a picture of another kind, such as histology:
        from :func:`register_landmarks`. Excludes `pixel_size` and `origin`.

    Returns
    -------
    list of Rectangle, Ellipse, Polygon or MaskROI
        In the order of the file, in pixels. What :func:`write_geojson` wrote comes back
        as it was; QuPath's ellipses come back as ellipses.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is no GeoJSON, or a feature has no area; the message names the file and
        the number of the feature.

    Examples
    --------
    >>> import tempfile
    >>> from imsminer import Rectangle, read_geojson, write_geojson
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/rois.geojson"
    ...     write_geojson([Rectangle("cortex", 1, 1, 8, 4, run="a")], path)
    ...     read_geojson(path)
    [Rectangle(name='cortex', x0=1.0, y0=1.0, x1=8.0, y1=4.0, group=None, run='a')]
    """
    matrix = np.linalg.inv(_to_file(pixel_size, origin, registration))
    raw = Path(path).read_bytes()
    try:
        content = json.loads(raw.decode("utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        message = f"{path} is no JSON: {error}. Expected GeoJSON, as QuPath exports it."
        raise ValueError(message) from None
    rois: list[ROI] = []
    for number, feature in enumerate(_features(content, path), 1):
        where = f"{path}, feature {number}"
        try:
            rois += _from_feature(feature, number, matrix)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            message = f"{where}: {_reason(error)}"
            raise ValueError(message) from error
    return rois


def write_geojson(
    rois: Iterable[ROI],
    path: str | PathLike,
    *,
    pixel_size: float | tuple[float, float] | None = None,
    origin: tuple[float, float] = (0.0, 0.0),
    registration: Any = None,
    overwrite: bool = False,
) -> None:
    """Write regions as GeoJSON that QuPath reads.

    Parameters
    ----------
    rois : iterable of Rectangle, Ellipse, Polygon or MaskROI
        The regions.
    path : path-like
        Where to. The file appears whole or not at all.
    pixel_size, origin, registration
        Coordinates of the file, as in :func:`read_geojson`.
    overwrite : bool, default=False
        Whether a file at `path` may be replaced.

    Raises
    ------
    FileExistsError
        When `path` exists and `overwrite` is off.
    TypeError
        When something in `rois` is no region.
    ValueError
        When `pixel_size` is not positive.

    Examples
    --------
    >>> import tempfile
    >>> from imsminer import Ellipse, read_geojson, write_geojson
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = f"{folder}/rois.geojson"
    ...     write_geojson([Ellipse("islet", 10, 8, 4, 2)], path, pixel_size=50)
    ...     read_geojson(path, pixel_size=50)[0].rx
    4.0
    """
    matrix = _to_file(pixel_size, origin, registration)
    features = [_to_feature(roi, matrix) for roi in rois]
    content = {"type": "FeatureCollection", "features": features}
    with atomic_path(path, overwrite=overwrite) as target:
        target.write_text(
            json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n",
            encoding="utf-8",
        )


def _to_file(pixel_size: Any, origin: Any, registration: Any) -> np.ndarray:
    """Matrix from pixels to the coordinates of the file."""
    shift = np.asarray(origin, dtype=np.float64)
    if shift.shape != (2,) or not np.isfinite(shift).all():
        message = f"origin must be x and y in pixels, two finite numbers; got {origin}."
        raise ValueError(message)
    if registration is not None:
        if pixel_size is not None or shift.any():
            message = (
                "registration already says where the pixels are in the picture: leave "
                f"out pixel_size (got {pixel_size!r}) and origin (got {origin!r})."
            )
            raise ValueError(message)
        return np.linalg.inv(registration.matrix)
    size = 1.0 if pixel_size is None else pixel_size
    scale = np.asarray(size, dtype=np.float64)
    if scale.shape not in ((), (2,)) or not np.all((scale > 0) & (scale < math.inf)):
        message = (
            "pixel_size must be one or two positive numbers of µm per pixel, or None "
            f"for coordinates in pixels; got {pixel_size!r}."
        )
        raise ValueError(message)
    scale = np.broadcast_to(scale, 2)
    matrix = np.diag([scale[0], scale[1], 1.0])
    # 0 - x keeps zeros positive, so that nothing reads -0.0.
    matrix[:2, 2] = 0.0 - shift * scale
    return matrix


def _features(content: Any, path: Any) -> list[Any]:
    """Return the features of a file, whichever way they are wrapped."""
    if isinstance(content, list):
        return content
    kind = content.get("type") if isinstance(content, dict) else type(content).__name__
    if kind == "FeatureCollection" and isinstance(content.get("features"), list):
        return content["features"]
    if kind == "Feature":
        return [content]
    message = (
        f"{path} holds {kind!r}, but a FeatureCollection, a list of features or one "
        "Feature is expected: export the regions as GeoJSON, as QuPath does."
    )
    raise ValueError(message)


def _from_feature(feature: Any, number: int, matrix: np.ndarray) -> list[ROI]:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        message = f"expected a Feature, found {str(feature)[:60]}."
        raise ValueError(message)
    properties = feature.get("properties") or {}
    group = _class_name(properties.get("classification"))
    name = properties.get("name") or group or f"ROI {number}"
    run = properties.get("run") or (properties.get("metadata") or {}).get("run")
    labels = (str(name), group, None if run is None else str(run))
    geometry = feature.get("geometry") or {}
    kind = geometry.get("type")
    if kind == "Polygon":
        pieces = [geometry["coordinates"]]
    elif kind == "MultiPolygon":
        pieces = geometry["coordinates"]
    else:
        message = (
            f"{labels[0]!r} is a {kind}, which has no inside. Only Polygon and "
            "MultiPolygon are read; remove it, or turn it into an area."
        )
        raise ValueError(message)
    polygons = [_polygon(rings, labels) for rings in pieces]
    if not polygons:
        message = f"{labels[0]!r} is an empty {kind}. Remove it."
        raise ValueError(message)
    hint = properties.get("shape") or {}
    if geometry.get("isEllipse") or hint.get("type") == "ellipse":
        return transformed(_ellipse(polygons[0], hint, geometry), matrix)
    if hint.get("type") == "rectangle" and _is_rectangle(polygons[0]):
        x0, y0, x1, y1 = polygons[0].bounds
        name, group, run = labels
        rectangle = Rectangle(name, x0, y0, x1, y1, group, run)
        return transformed(rectangle, matrix)
    moved = [piece for polygon in polygons for piece in transformed(polygon, matrix)]
    if hint.get("type") == "mask":
        return _as_mask(moved, hint, matrix)
    return moved


def _polygon(rings: Any, labels: tuple[str, str | None, str | None]) -> Polygon:
    name, group, run = labels
    if not rings:
        message = f"{name!r} has no outline. Remove it."
        raise ValueError(message)
    # A third number of a position would be its height.
    pairs: Any = [[point[:2] for point in ring] for ring in rings]
    return Polygon(name, pairs[0], tuple(pairs[1:]), group, run)


def _class_name(classification: Any) -> str | None:
    """Name of QuPath's classification, in each form that it has had."""
    if isinstance(classification, dict):
        names = classification.get("names")
        classification = classification.get("name") or (
            ": ".join(map(str, names)) if names else None
        )
    return str(classification) if classification else None


def _ellipse(polygon: Polygon, hint: dict, geometry: dict) -> Ellipse | Polygon:
    """Return the ellipse that a polygon stands for."""
    name, group, run = polygon.name, polygon.group, polygon.run
    if hint.get("type") == "ellipse":
        axes = {key: hint[key] for key in ("x", "y", "rx", "ry", "angle")}
        ellipse = Ellipse(name, **axes, group=group, run=run)
        if _same(ellipse.outlines[0][0], polygon.vertices):
            return ellipse
    if not geometry.get("isEllipse"):
        return polygon
    x0, y0, x1, y1 = polygon.bounds
    rx, ry = (x1 - x0) / 2, (y1 - y0) / 2
    return Ellipse(name, x0 + rx, y0 + ry, rx, ry, group=group, run=run)


def _is_rectangle(polygon: Polygon) -> bool:
    """Whether the corners still are those of a rectangle along the axes."""
    x0, y0, x1, y1 = polygon.bounds
    corners = {(x0, y0), (x1, y0), (x1, y1), (x0, y1)}
    return len(polygon.vertices) == 4 and set(polygon.vertices) == corners


def _as_mask(polygons: Sequence[ROI], hint: dict, matrix: np.ndarray) -> list[ROI]:
    """Return the mask whose outlines these are; the polygons when they were edited."""
    height, width = hint["shape"]
    corner = matrix[:2, :2] @ np.asarray(hint["corner"]) + matrix[:2, 2]
    origin = corner + 0.5
    rings = [
        ring for roi in polygons for outer, h in roi.outlines for ring in (outer, *h)
    ]
    steps = np.concatenate([np.asarray(ring) for ring in rings]) - corner
    whole = np.abs(steps - np.rint(steps)).max() < 1e-6
    if not whole or np.abs(origin - np.rint(origin)).max() > 1e-6:
        return list(polygons)
    x0, y0 = np.rint(origin).astype(int).tolist()
    y, x = np.mgrid[y0 : y0 + height, x0 : x0 + width]
    mask = np.zeros((height, width), dtype=bool)
    for polygon in polygons:
        mask |= polygon.contains(x, y)
    first = polygons[0]
    return [MaskROI(first.name, mask, (x0, y0), first.group, first.run)]


def _same(one: Sequence, other: Sequence) -> bool:
    a, b = np.asarray(one), np.asarray(other)
    return a.shape == b.shape and np.abs(a - b).max() <= 1e-6 * np.ptp(a, axis=0).max()


def _to_feature(roi: Any, matrix: np.ndarray) -> dict[str, Any]:
    if not isinstance(roi, ROI):
        message = (
            "rois must be Rectangle, Ellipse, Polygon or MaskROI objects; got "
            f"{type(roi).__name__}."
        )
        raise TypeError(message)
    moved = transformed(roi, matrix)
    pieces = [
        [_closed(outer), *map(_closed, holes)]
        for piece in moved
        for outer, holes in piece.outlines
    ]
    single = len(pieces) == 1
    geometry: dict[str, Any] = {
        "type": "Polygon" if single else "MultiPolygon",
        "coordinates": pieces[0] if single else pieces,
    }
    first = moved[0]
    properties: dict[str, Any] = {"objectType": "annotation", "name": roi.name}
    if roi.group is not None:
        properties["classification"] = {"name": roi.group}
    if roi.run is not None:
        properties["run"] = roi.run
        # QuPath keeps this through its own export, and no other property.
        properties["metadata"] = {"run": roi.run}
    if isinstance(first, Ellipse):
        if first.angle == 0:
            geometry["isEllipse"] = True
        axes = {key: getattr(first, key) for key in ("x", "y", "rx", "ry", "angle")}
        properties["shape"] = {"type": "ellipse", **axes}
    elif isinstance(first, Rectangle):
        properties["shape"] = {"type": "rectangle"}
    elif isinstance(roi, MaskROI):
        x, y = roi.origin
        corner = matrix[:2, :2] @ np.array([x - 0.5, y - 0.5]) + matrix[:2, 2]
        shape = list(roi.mask.shape)
        properties["shape"] = {
            "type": "mask",
            "corner": corner.tolist(),
            "shape": shape,
        }
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _closed(ring: Sequence) -> list[list[float]]:
    """GeoJSON repeats the first corner at the end."""
    return [list(point) for point in (*ring, ring[0])]


def _reason(error: Exception) -> str:
    if isinstance(error, ValueError):
        return str(error)
    return (
        "it is not in the form of GeoJSON, with properties = {…} and coordinates = "
        f"[ring, hole, …], ring = [[x, y], …] ({type(error).__name__}: {error})."
    )
