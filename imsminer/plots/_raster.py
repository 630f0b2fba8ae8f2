"""What all pictures of pixels share: Axes, images, colour bars and scale bars."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, FuncNorm
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, NullFormatter
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from imsminer._array import to_numpy
from imsminer.core.grid import to_image
from imsminer.plots._montage import Montage, Plane, grid_columns
from imsminer.plots._numbers import (
    compact_number,
    power_of_1000,
    round_down,
    scaled_label,
)

__all__ = [
    "BACKGROUND",
    "add_color_bar",
    "add_scale_bar",
    "as_table",
    "color_map",
    "draw_planes",
    "image_axes",
    "pixel_edges",
    "sheet_axes",
]

#: Where nothing was measured.
BACKGROUND = "0.88"


def draw_planes(
    ax: Axes, values: np.ndarray, montage: Montage, *, aspect: float = 1.0, **style: Any
) -> ScalarMappable:
    """Draw the image of each plane, y downwards, and hide the frame.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    values : ndarray of shape (n_pixels,)
        One number per pixel; NaN shows the background.
    montage : Montage
        Of the same pixels.
    aspect : float, default=1
        Height over width of one pixel.
    **style
        For ``Axes.imshow``: `cmap`, `vmin` and `vmax` or `norm`, and `interpolation`.

    Returns
    -------
    ScalarMappable
        For the colour bar.
    """
    style.setdefault("interpolation", "nearest")
    mappable: Any = None
    xs: list[float] = []
    ys: list[float] = []
    for plane in montage.planes:
        at = montage.coordinates[plane.rows]
        image = to_image(values[plane.rows], at)
        x, y = at[:, 0].min() + plane.offset[0], at[:, 1].min() + plane.offset[1]
        height, width = image.shape
        extent = (x - 0.5, x + width - 0.5, y + height - 0.5, y - 0.5)
        mappable = ax.imshow(image, extent=extent, aspect=aspect, **style)
        xs += extent[:2]
        ys += extent[2:]
        if montage.caption_height:
            label = _elide(plane, ax, montage)
            ax.annotate(
                label,
                (x - 0.5, y - 0.5),
                xytext=(0, 2),
                textcoords="offset points",
                fontsize="x-small",
                va="bottom",
            )
    ax.set_xlim(min(xs), max(xs))
    ax.set_ylim(max(ys), min(ys) - montage.caption_height)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    return mappable


def add_scale_bar(
    ax: Axes, montage: Montage, pixel_size: float, *, fontsize: str = "small"
) -> None:
    """Draw a scale bar below the image, outside of it: it hides no pixel.

    `pixel_size` in µm; where it is not known (NaN), the bar counts pixels.
    """
    known = math.isfinite(pixel_size)
    unit = pixel_size if known else 1.0
    length = round_down(0.3 * montage.planes[0].room * unit)
    if not known:
        length = max(1.0, round(length))
        label = f"{length:g} pixel" + ("s" if length > 1 else "")
    elif length >= 1000:
        label = f"{length / 1000:g} mm"
    else:
        label = f"{length:g} µm"
    bar = AnchoredSizeBar(
        ax.transData,
        length / unit,
        label,
        loc="upper left",
        pad=0,
        borderpad=0.3,
        sep=3,
        frameon=False,
        # A thickness in data units that comes out as about 2 points.
        size_vertical=0.012 * montage.height,
        label_top=False,
        bbox_to_anchor=(0, 0, 1, 0),
        bbox_transform=ax.transAxes,
        fontproperties={"size": fontsize},
    )
    bar.set_label("scale bar")
    bar.set_clip_on(False)
    ax.add_artist(bar)


def add_color_bar(
    ax: Axes,
    mappable: ScalarMappable,
    label: str,
    *,
    clipped: bool = False,
    below: bool = False,
    compact: bool = False,
) -> None:
    """Draw a colour bar as high as the image.

    Parameters
    ----------
    ax : Axes
        That holds the image.
    mappable : ScalarMappable
        From :func:`draw_planes`.
    label : str
        Quantity and unit.
    clipped : bool
        Whether values lie above its end.
    below : bool
        Whether values lie below its start.
    compact : bool
        Label only the two ends, for sheets of many images.
    """
    # Inside the Axes' own frame of reference the bar follows the image's height.
    cax = ax.inset_axes((1.02, 0.0, 0.035, 1.0))
    figure = ax.get_figure(root=True)
    assert figure is not None
    extend = {(0, 0): "neither", (0, 1): "max", (1, 0): "min", (1, 1): "both"}
    bar = figure.colorbar(mappable, cax=cax, extend=extend[int(below), int(clipped)])
    bar.outline.set_visible(False)
    low, high = mappable.get_clim()
    assert low is not None
    assert high is not None
    if compact:
        bar.set_ticks([low, high])
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: compact_number(v)))
        bar.ax.tick_params(labelsize="x-small", length=2, pad=1.5)
        return
    if isinstance(mappable.norm, FuncNorm):
        # Ticks even in brightness, not in value.
        places = np.asarray(mappable.norm.inverse(np.linspace(0, 1, 5)))
        bar.set_ticks(places.tolist())
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: compact_number(v)))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    power = power_of_1000(max(abs(low), abs(high)))
    if power:
        scale = 10.0**power
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v / scale:g}"))
    bar.set_label(scaled_label(label, power))
    bar.ax.tick_params(labelsize="small")


def image_axes(ax: Axes | None, montage: Montage, *, margin: float = 1.3) -> Axes:
    """Return `ax`, or that of a new figure that fits the image.

    `margin` is what colour bar or legend take, in inches.
    """
    if ax is not None:
        return ax
    longest = 4.2 if len(montage.planes) == 1 else 7.0
    scale = longest / max(montage.width, 1.3 * montage.height)
    size = (montage.width * scale + margin, montage.height * scale + 0.7)
    _, new = plt.subplots(figsize=size, layout=_layout())
    return new


def sheet_axes(
    axes: Sequence[Axes] | np.ndarray | None,
    n: int,
    montage: Montage,
    n_columns: int | None,
    *,
    title_lines: int = 1,
) -> np.ndarray:
    """Return `n` Axes: those given, or the first of a grid in a new figure."""
    if axes is not None:
        given = np.asarray(axes, dtype=object).ravel()
        if given.size < n:
            message = f"ax holds {given.size} Axes, but there are {n} images."
            raise ValueError(message)
        return given[:n]
    longest = max(montage.width, montage.height)
    width, height = montage.width / longest, montage.height / longest
    # A cell holds the image, its title, colour bar and scale bar.
    edge = 2.3 if len(montage.planes) == 1 else 3.8
    cell = (edge * width + 0.65, edge * height + 0.4 + 0.17 * title_lines)
    if n_columns is None:
        n_columns = grid_columns(n, *cell)
    n_columns = min(n_columns, n)
    n_rows = math.ceil(n / n_columns)
    _, grid = plt.subplots(
        n_rows,
        n_columns,
        figsize=(cell[0] * n_columns, cell[1] * n_rows),
        squeeze=False,
        layout=_layout(),
    )
    for unused in grid.ravel()[n:]:
        unused.remove()
    return grid.ravel()[:n]


def _layout() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08)


def color_map(name: Any, n: int | None = None) -> Colormap:
    """Return a colour map that shows NaN as background."""
    return plt.get_cmap(name, n).with_extremes(bad=BACKGROUND)


def as_table(values: Any) -> pd.DataFrame:
    """Columns of numbers of any array library as a DataFrame on the host."""
    if isinstance(values, pd.DataFrame):
        return values
    return pd.DataFrame(to_numpy(values))


def pixel_edges(pixel_size: Any) -> tuple[float, float]:
    """Return width and height of a pixel in µm, NaN where not known.

    Raises
    ------
    ValueError
        When a size is not positive.
    """
    if pixel_size is None:
        return math.nan, math.nan
    edges = np.broadcast_to(np.asarray(pixel_size, dtype=np.float64), (2,))
    if np.any(edges <= 0):
        message = f"pixel_size must be positive (µm) or None, got {pixel_size!r}."
        raise ValueError(message)
    return float(edges[0]), float(edges[1])


def _elide(plane: Plane, ax: Axes, montage: Montage) -> str:
    """Shorten a caption in its middle so that it does not run into the next one."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    inches = ax.get_position(original=True).width * figure.get_figwidth()
    # An x-small character is about 0.065 inches wide.
    room = max(6, int(inches * plane.room / montage.width / 0.065))
    if len(plane.caption) <= room:
        return plane.caption
    tail = (room - 1) // 2
    return f"{plane.caption[: room - 1 - tail]}…{plane.caption[-tail:]}"
