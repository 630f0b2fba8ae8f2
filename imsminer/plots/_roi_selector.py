"""Drawing regions of interest by hand, in a window or in a notebook."""

from collections.abc import Iterable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import MouseButton
from matplotlib.widgets import EllipseSelector, PolygonSelector, RectangleSelector

from imsminer.images.roi import (
    ROI,
    Ellipse,
    Polygon,
    Rectangle,
    label_pixels,
    read_geojson,
    write_geojson,
)
from imsminer.plots._montage import Plane, montage_of
from imsminer.plots._roi_controls import SHAPES, add_controls, picture_axes
from imsminer.plots._roi_drawing import draw_outlines, image_box, pixel_runs
from imsminer.plots.images import ion_image

__all__ = ["RoiSelector"]

#: What is being drawn.
LINE = {"color": "k", "linestyle": "-", "linewidth": 1.5, "alpha": 0.9}
BOX = {"facecolor": "none", "edgecolor": "k", "fill": False, "linewidth": 1.5}
#: A box that was drawn cannot be turned, and an r that is typed in a name asks for it.
KEYS = {"rotate": "not-applicable"}
HELP = {
    "polygon": "Click the corners; click the first again to close. Esc starts anew.",
    "rectangle": "Drag from corner to corner.",
    "ellipse": "Drag from corner to corner of its box.",
}


class RoiSelector:
    """Draw regions of interest on an ion image with the mouse.

    In a notebook, ``%matplotlib widget`` (the package ipympl) makes the picture answer;
    in a script, ``plt.show()`` opens a window. Keep the selector in a variable: the
    picture stops to answer when it is gone.

    Keys on the picture: 1, 2, 3 choose polygon, rectangle and ellipse, u (or ctrl+z)
    takes back the last change, w writes the file. They work without the controls, too.

    Parameters
    ----------
    values : Series or array-like of shape (n_pixels,)
        What to draw on: one number per pixel, as in :func:`ion_image`.
    coordinates : array-like, DataFrame, Spectra or MultiIndex, default=None
        Where the pixels are; `None` takes them from the index of `values`. Where it
        names runs, a region belongs to the run that it was drawn on.
    rois : iterable of Rectangle, Ellipse, Polygon or MaskROI, default=()
        Regions to begin with.
    path : path-like, default="rois.geojson"
        File to write to and to read from.
    shape : {"polygon", "rectangle", "ellipse"}, default="polygon"
        What to draw first.
    ax : Axes, default=None
        Where to draw, without controls; `None` makes a figure with them.
    **image
        Options of :func:`ion_image`, such as `cmap` and `pixel_size`.

    Attributes
    ----------
    rois : list of ROI
        The regions, in pixels.
    labels : ndarray of str objects, shape (n_pixels,)
        The region of each pixel, by :func:`label_pixels`.
    name, group : str
        Name and group of the next region; empty: the next free ``"ROI 1"``, none.
        Regions of one name are pieces of one region.
    ax : Axes
        The picture.

    Raises
    ------
    ValueError
        When `shape` is something else, or nothing says where the pixels are.

    Examples
    --------
    >>> from imsminer import Rectangle, plots
    >>> selector = plots.RoiSelector([0.0, 2.0, 4.0], [[1, 1], [2, 1], [2, 2]])
    >>> selector.add(Rectangle("cortex", 1.5, 0.5, 2.5, 2.5))
    >>> selector.labels
    array(['', 'cortex', 'cortex'], dtype=object)
    >>> selector.undo()
    >>> selector.rois
    []
    """

    def __init__(
        self,
        values: Any,
        coordinates: Any = None,
        *,
        rois: Iterable[ROI] = (),
        path: str | PathLike = "rois.geojson",
        shape: str = "polygon",
        ax: Axes | None = None,
        **image: Any,
    ) -> None:
        if shape not in SHAPES:
            message = f"shape must be one of {', '.join(SHAPES)}; got {shape!r}."
            raise ValueError(message)
        self.path = Path(path)
        self.name = self.group = ""
        self._montage = montage_of(values, coordinates)
        self._runs = pixel_runs(values, coordinates)
        self._rois = list(rois)
        self._history: list[list[ROI]] = []
        self._drawn: list[Any] = []
        #: The file that may be replaced: it was read or written here.
        self._known: Path | None = None
        self._controls: dict[str, Any] = {}
        own = ax is None
        if ax is None:
            ax = picture_axes(self._montage.width, self._montage.height)
        self.ax: Axes = ion_image(values, coordinates, ax=ax, **image)
        self._canvas = ax.figure.canvas
        if own:
            actions: dict[str, Any] = {
                "undo": self.undo,
                "save": partial(self._on_file, self.save),
                "load": partial(self._on_file, self.load),
            }
            self._controls = add_controls(self, actions)
        self._selector: Any = None
        self._connection = self._canvas.mpl_connect("key_press_event", self._on_key)
        self.set_shape(shape)
        self._redraw()

    @property
    def rois(self) -> list[ROI]:
        """The regions, in pixels."""
        return list(self._rois)

    @property
    def labels(self) -> np.ndarray:
        """The region of each pixel, by label_pixels."""
        return label_pixels(self._montage.coordinates, self._rois, runs=self._runs)

    def add(self, roi: ROI) -> None:
        """Add a region.

        Parameters
        ----------
        roi : Rectangle, Ellipse, Polygon or MaskROI
            The region, in pixels.
        """
        self._change([*self._rois, roi], f"Added {roi.name!r}.")

    def undo(self) -> None:
        """Take back the last change: a region added, or a file read."""
        if not self._history:
            self._say("There is nothing to take back.")
            return
        self._rois = self._history.pop()
        self._redraw()
        self._say("Taken back.")

    def set_shape(self, shape: str) -> None:
        """Choose what the mouse draws.

        Parameters
        ----------
        shape : {"polygon", "rectangle", "ellipse"}
            What the next region is.

        Raises
        ------
        ValueError
            When it is something else.
        """
        if shape not in SHAPES:
            message = f"shape must be one of {', '.join(SHAPES)}; got {shape!r}."
            raise ValueError(message)
        self._drop_selector()
        self.shape = shape
        self._selector = self._make_selector()
        radio = self._controls.get("shape")
        if radio is not None and radio.value_selected != shape:
            radio.set_active(SHAPES.index(shape))
        self._say(HELP[shape])

    def save(self, path: str | PathLike | None = None) -> Path:
        """Write the regions as GeoJSON, in pixels.

        Parameters
        ----------
        path : path-like, default=None
            Where to; `None` takes that of the selector. A file that was not read or
            written here is not replaced.

        Returns
        -------
        Path

        Raises
        ------
        FileExistsError
            When another file is there.
        """
        path = self.path if path is None else Path(path)
        write_geojson(self._rois, path, overwrite=path.resolve() == self._known)
        self.path, self._known = path, path.resolve()
        self._say(f"Wrote {len(self._rois)} regions to {path.name}.")
        return path

    def load(self, path: str | PathLike | None = None) -> None:
        """Read regions from GeoJSON, in pixels, in place of those there.

        Parameters
        ----------
        path : path-like, default=None
            Where from; `None` takes that of the selector.

        Raises
        ------
        FileNotFoundError, ValueError
            When there is no such file, or it holds something else.
        """
        path = self.path if path is None else Path(path)
        rois = read_geojson(path)
        self.path, self._known = path, path.resolve()
        self._change(rois, f"Read {len(rois)} regions from {path.name}.")

    def disconnect(self) -> None:
        """Stop to answer the mouse and the keys; the picture stays."""
        self._canvas.mpl_disconnect(self._connection)
        self._drop_selector()
        for control in self._controls.values():
            if hasattr(control, "disconnect_events"):
                control.disconnect_events()
        self._canvas.draw_idle()

    def _change(self, rois: list[ROI], message: str) -> None:
        self._history.append(self._rois)
        self._rois = rois
        self._redraw()
        self._say(message)

    def _redraw(self) -> None:
        for artist in self._drawn:
            artist.remove()
        self._drawn = draw_outlines(self.ax, self._rois, self._montage, self._runs)
        box = self._controls.get("name")
        if box is not None:
            box.set_val("")
            box.label.set_text(f"name ({self._free_name()})")
        self._canvas.draw_idle()

    def _say(self, message: str) -> None:
        text = self._controls.get("status")
        if text is not None:
            text.set_text(message)
            self._canvas.draw_idle()

    def _free_name(self) -> str:
        names = {roi.name for roi in self._rois}
        number = 1
        while f"ROI {number}" in names:
            number += 1
        return f"ROI {number}"

    def _make_selector(self) -> Any:
        """The widget of the shape. Each copies the canvas: there is one at a time."""
        if self.shape == "polygon":
            return PolygonSelector(self.ax, self._on_polygon, useblit=True, props=LINE)
        kind = RectangleSelector if self.shape == "rectangle" else EllipseSelector
        return kind(
            self.ax,
            self._on_box,
            useblit=True,
            button=MouseButton.LEFT,
            props=BOX,
            state_modifier_keys=KEYS,
        )

    def _drop_selector(self) -> None:
        if self._selector is None:
            return
        self._selector.set_active(False)
        self._selector.disconnect_events()
        for artist in self._selector.artists:
            artist.remove()
        self._selector = None

    def _on_polygon(self, vertices: Any, _: Any = None) -> None:
        corners = np.asarray(vertices, dtype=np.float64)
        self._selector.clear()
        self._selector.set_visible(True)
        # Clicks on one spot enclose nothing.
        if len(np.unique(corners, axis=0)) < 3:
            self._say("A polygon needs three corners.")
            return
        self._finish(corners, lambda moved, **kept: Polygon(vertices=moved, **kept))

    def _on_box(self, press: Any, release: Any) -> None:
        x0, x1 = sorted((press.xdata, release.xdata))
        y0, y1 = sorted((press.ydata, release.ydata))
        if x0 == x1 or y0 == y1:
            return
        make = _rectangle if self.shape == "rectangle" else _ellipse
        self._finish(np.array([(x0, y0), (x1, y1)]), make)

    def _finish(self, corners: np.ndarray, make: Any) -> None:
        """Make a region of corners in the picture, in pixels of the run below."""
        low, high = corners.min(axis=0), corners.max(axis=0)
        plane = self._plane_at(low / 2 + high / 2)
        image = image_box(plane, self._montage)
        if (high <= image.min).any() or (low >= image.max).any():
            self._say("There is no image. Draw on one.")
            return
        run = None if self._runs is None else str(self._runs[plane.rows[0]])
        roi = make(
            corners - plane.offset,
            name=self.name.strip() or self._free_name(),
            group=self.group.strip() or None,
            run=run,
        )
        self.name = ""
        self.add(roi)

    def _plane_at(self, point: np.ndarray) -> Plane:
        """The image at a point of the picture, or the nearest."""

        def distance(plane: Plane) -> float:
            image = image_box(plane, self._montage)
            beside = np.maximum(image.min - point, point - image.max)
            return float(np.hypot(*beside.clip(0)))

        return min(self._montage.planes, key=distance)

    def _on_key(self, event: Any) -> None:
        typing = any(
            getattr(control, "capturekeystrokes", False)
            for control in self._controls.values()
        )
        if typing or event.key is None:
            return
        if event.key in ("1", "2", "3"):
            self.set_shape(SHAPES[int(event.key) - 1])
        elif event.key in ("u", "ctrl+z"):
            self.undo()
        elif event.key == "w":
            self._on_file(self.save)

    def _on_file(self, action: Any) -> None:
        """Save or load; what goes wrong is told in the picture."""
        try:
            action()
        except (OSError, ValueError) as error:
            self._say(str(error))


def _rectangle(corners: np.ndarray, **labels: Any) -> Rectangle:
    (x0, y0), (x1, y1) = corners.tolist()
    return Rectangle(x0=x0, y0=y0, x1=x1, y1=y1, **labels)


def _ellipse(corners: np.ndarray, **labels: Any) -> Ellipse:
    x, y = corners.mean(axis=0).tolist()
    rx, ry = (np.ptp(corners, axis=0) / 2).tolist()
    return Ellipse(x=x, y=y, rx=rx, ry=ry, **labels)
