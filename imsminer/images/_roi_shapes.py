"""Regions of interest: rectangles, ellipses, polygons and masks of pixels."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from imsminer.images._roi_checks import check_labels, finite, ring_of, store
from imsminer.images._roi_rings import TOLERANCE, Ring, inside_ring, mask_rings

__all__ = ["ROI", "Ellipse", "MaskROI", "Polygon", "Rectangle", "turn"]

#: Corners by which an ellipse is drawn and written: its four ends are among them.
N_CORNERS = 96


class _Shape:
    """What regions share: a name, and which points lie inside."""

    name: str
    group: str | None
    run: str | None

    def contains(self, x: Any, y: Any) -> np.ndarray:
        """Tell which points lie in the region.

        Parameters
        ----------
        x, y : array-like of one shape
            Positions in pixels. A pixel is the unit square around its coordinates, and
            belongs to the region when they lie inside or on the edge.

        Returns
        -------
        ndarray of bool, of the same shape
        """
        x, y = np.broadcast_arrays(
            np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        )
        result = np.zeros(x.shape, dtype=bool)
        x0, y0, x1, y1 = self.bounds
        near = (x >= x0 - TOLERANCE) & (x <= x1 + TOLERANCE)
        near &= (y >= y0 - TOLERANCE) & (y <= y1 + TOLERANCE)
        result[near] = self._holds(x[near], y[near])
        return result

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest x and y, largest x and y."""
        raise NotImplementedError

    @property
    def outlines(self) -> list[tuple[Ring, list[Ring]]]:
        """Outer ring and rings of holes of each piece."""
        raise NotImplementedError

    def _holds(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        raise NotImplementedError


@dataclass(frozen=True)
class Rectangle(_Shape):
    """A rectangle along the axes, given by two opposite corners.

    Parameters
    ----------
    name : str
        Name of the region.
    x0, y0, x1, y1 : float
        Two opposite corners in pixels; they are sorted. Pixels whose centres lie on the
        edge belong to it: ``Rectangle("a", 1, 1, 3, 2)`` holds 3 × 2 pixels.
    group : str, default=None
        Group that the region belongs to, such as its condition; QuPath's
        classification.
    run : str, default=None
        Run that the region lies in; `None` stands for every run.

    Raises
    ------
    ValueError
        When the name is empty or a number is not finite.

    Examples
    --------
    >>> from imsminer import Rectangle
    >>> Rectangle("cortex", 1, 1, 3, 2).contains([1, 3, 4], [1, 2, 2])
    array([ True,  True, False])
    """

    name: str
    x0: float
    y0: float
    x1: float
    y1: float
    group: str | None = None
    run: str | None = None

    def __post_init__(self) -> None:
        check_labels(self)
        x0, x1 = sorted(finite(self, x0=self.x0, x1=self.x1))
        y0, y1 = sorted(finite(self, y0=self.y0, y1=self.y1))
        store(self, x0=x0, y0=y0, x1=x1, y1=y1)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest x and y, largest x and y."""
        return self.x0, self.y0, self.x1, self.y1

    @property
    def outlines(self) -> list[tuple[Ring, list[Ring]]]:
        """Outer ring and rings of holes of each piece."""
        x0, y0, x1, y1 = self.bounds
        return [(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), [])]

    def _holds(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.ones(x.shape, dtype=bool)


@dataclass(frozen=True)
class Ellipse(_Shape):
    """An ellipse, given by its centre and its half axes.

    Parameters
    ----------
    name : str
        Name of the region.
    x, y : float
        Centre in pixels.
    rx, ry : float
        Half axes in pixels, positive.
    angle : float, default=0
        Degrees from the x axis to the half axis `rx`, towards the y axis: clockwise on
        a picture whose y points down.
    group : str, default=None
        Group that the region belongs to, such as its condition; QuPath's
        classification.
    run : str, default=None
        Run that the region lies in; `None` stands for every run.

    Raises
    ------
    ValueError
        When the name is empty, a number is not finite or a half axis not positive.

    Examples
    --------
    >>> from imsminer import Ellipse
    >>> Ellipse("islet", 10, 10, rx=4, ry=2).contains([14, 10, 13], [10, 12, 12])
    array([ True,  True, False])
    """

    name: str
    x: float
    y: float
    rx: float
    ry: float
    angle: float = 0.0
    group: str | None = None
    run: str | None = None

    def __post_init__(self) -> None:
        check_labels(self)
        x, y, rx, ry, angle = finite(
            self, x=self.x, y=self.y, rx=self.rx, ry=self.ry, angle=self.angle
        )
        for name, value in (("rx", rx), ("ry", ry)):
            if value <= 0:
                message = (
                    f"Ellipse {self.name!r}: {name} is half the width or height and "
                    f"must be positive; got {value!r}."
                )
                raise ValueError(message)
        store(self, x=x, y=y, rx=rx, ry=ry, angle=angle)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest x and y, largest x and y."""
        cos, sin = turn(self.angle)
        width = math.hypot(self.rx * cos, self.ry * sin)
        height = math.hypot(self.rx * sin, self.ry * cos)
        return self.x - width, self.y - height, self.x + width, self.y + height

    @property
    def outlines(self) -> list[tuple[Ring, list[Ring]]]:
        """Outer ring and rings of holes of each piece."""
        cos, sin = turn(self.angle)
        ring = []
        for step in range(N_CORNERS):
            c, s = turn(360 * step / N_CORNERS)
            a, b = self.rx * c, self.ry * s
            ring.append((self.x + a * cos - b * sin, self.y + a * sin + b * cos))
        return [(tuple(ring), [])]

    def _holds(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        cos, sin = turn(self.angle)
        dx, dy = x - self.x, y - self.y
        a, b = dx * cos + dy * sin, dy * cos - dx * sin
        distance = np.hypot(a / self.rx, b / self.ry)
        return distance <= 1 + TOLERANCE / min(self.rx, self.ry)


@dataclass(frozen=True)
class Polygon(_Shape):
    """A polygon, maybe with holes.

    Parameters
    ----------
    name : str
        Name of the region.
    vertices : array-like of shape (n_vertices, 2)
        x and y of three or more corners in pixels; the last is joined to the first.
        Where the outline crosses itself, the even–odd rule decides what is inside.
    holes : sequence of array-like of shape (n_vertices, 2), default=()
        Outlines of what is cut out. Pixels on the edge of a hole belong to the polygon.
    group : str, default=None
        Group that the region belongs to, such as its condition; QuPath's
        classification.
    run : str, default=None
        Run that the region lies in; `None` stands for every run.

    Raises
    ------
    ValueError
        When the name is empty, corners are missing or a number is not finite.

    Examples
    --------
    >>> from imsminer import Polygon
    >>> Polygon("medulla", [(0, 0), (4, 0), (0, 4)]).contains([1, 2, 3], [1, 2, 3])
    array([ True,  True, False])
    """

    name: str
    vertices: Ring
    holes: tuple[Ring, ...] = ()
    group: str | None = None
    run: str | None = None

    def __post_init__(self) -> None:
        check_labels(self)
        vertices = ring_of(self.vertices, f"Polygon {self.name!r}: vertices")
        holes = tuple(
            ring_of(hole, f"Polygon {self.name!r}: holes[{i}]")
            for i, hole in enumerate(self.holes)
        )
        store(self, vertices=vertices, holes=holes)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest x and y, largest x and y."""
        x, y = zip(*self.vertices, strict=True)
        return min(x), min(y), max(x), max(y)

    @property
    def outlines(self) -> list[tuple[Ring, list[Ring]]]:
        """Outer ring and rings of holes of each piece."""
        return [(self.vertices, list(self.holes))]

    def _holds(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        inside, on_edge = inside_ring(x, y, self.vertices)
        result = inside | on_edge
        for hole in self.holes:
            inside, on_edge = inside_ring(x, y, hole)
            result &= on_edge | ~inside
        return result


@dataclass(frozen=True, eq=False)
class MaskROI(_Shape):
    """A region given pixel by pixel.

    Parameters
    ----------
    name : str
        Name of the region.
    mask : array-like of bool, shape (height, width)
        Rows are y, columns are x. It is copied.
    origin : (int, int), default=(0, 0)
        x and y of the mask's first pixel.
    group : str, default=None
        Group that the region belongs to, such as its condition; QuPath's
        classification.
    run : str, default=None
        Run that the region lies in; `None` stands for every run.

    Raises
    ------
    ValueError
        When the name is empty, the mask is not two-dimensional, not bool or all False,
        or the origin is not a pixel.

    Examples
    --------
    >>> from imsminer import MaskROI
    >>> corner = MaskROI("corner", [[True, True], [True, False]], origin=(5, 7))
    >>> corner.contains([5, 6, 6], [7, 7, 8])
    array([ True,  True, False])
    """

    name: str
    mask: np.ndarray
    origin: tuple[int, int] = (0, 0)
    group: str | None = None
    run: str | None = None

    def __post_init__(self) -> None:
        check_labels(self)
        mask = np.array(self.mask)
        if mask.dtype != bool or mask.ndim != 2 or not mask.any():
            message = (
                f"MaskROI {self.name!r}: mask must be a two-dimensional array of bool "
                f"with at least one True; got {mask.dtype} of shape {mask.shape}"
                f"{', all False' if mask.dtype == bool and not mask.any() else ''}."
            )
            raise ValueError(message)
        mask.setflags(write=False)
        origin = finite(self, x=self.origin[0], y=self.origin[1])
        if any(value != round(value) for value in origin) or len(self.origin) != 2:
            message = (
                f"MaskROI {self.name!r}: origin must be the x and y of a pixel, two "
                f"whole numbers; got {self.origin!r}."
            )
            raise ValueError(message)
        store(self, mask=mask, origin=(round(origin[0]), round(origin[1])))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MaskROI):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        mask = self.mask
        labels = (self.name, self.origin, self.group, self.run)
        return (*labels, mask.shape, mask.tobytes())

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest x and y, largest x and y."""
        row, column = np.nonzero(self.mask)
        x, y = column + self.origin[0], row + self.origin[1]
        return (
            float(x.min()) - 0.5,
            float(y.min()) - 0.5,
            float(x.max()) + 0.5,
            float(y.max()) + 0.5,
        )

    @property
    def outlines(self) -> list[tuple[Ring, list[Ring]]]:
        """Outer ring and rings of holes of each piece."""
        return mask_rings(self.mask, self.origin)

    def _holds(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        height, width = self.mask.shape
        padded = np.pad(self.mask, 1)
        # A point on the edge between pixels belongs to both.
        columns = _either(x - self.origin[0], width)
        rows = _either(y - self.origin[1], height)
        result = np.zeros(x.shape, dtype=bool)
        for row in rows:
            for column in columns:
                result |= padded[row, column]
        return result


#: Any of the regions.
ROI: TypeAlias = Rectangle | Ellipse | Polygon | MaskROI


def turn(degrees: float) -> tuple[float, float]:
    """Cosine and sine, exact for right angles."""
    quarter, rest = divmod(degrees, 90)
    radians = math.radians(rest)
    c, s = math.cos(radians), math.sin(radians)
    turns = ((c, s), (-s, c), (-c, -s), (s, -c))
    return turns[int(quarter) % 4]


def _either(position: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Both indices into a padded axis that a position may belong to."""
    low = np.ceil(position - 0.5 - TOLERANCE).astype(np.int64)
    high = np.floor(position + 0.5 + TOLERANCE).astype(np.int64)
    return np.clip(low, -1, size) + 1, np.clip(high, -1, size) + 1
