"""What all pictures of pixels share: places of runs, colour bars and scale bars."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from imsminer._array import to_numpy
from imsminer.core.grid import known_coordinates, to_image

__all__ = [
    "Montage",
    "Plane",
    "add_color_bar",
    "add_scale_bar",
    "as_table",
    "color_map",
    "compact_number",
    "draw_planes",
    "image_axes",
    "montage_of",
    "pixel_edges",
    "power_of_1000",
    "scaled_label",
    "sheet_axes",
]

#: Where nothing was measured.
BACKGROUND = "0.88"
#: Height of a caption over the longest edge of an image.
CAPTION = 0.12
#: Width over height that a montage of several runs aims at.
MONTAGE_ASPECT = 1.6


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
    n_columns = _columns(len(rows), widths.max() + gap, height + top, MONTAGE_ASPECT)
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
        For ``Axes.imshow``: `cmap`, `vmin`, `vmax`.

    Returns
    -------
    ScalarMappable
        For the colour bar.
    """
    mappable: Any = None
    xs: list[float] = []
    ys: list[float] = []
    for plane in montage.planes:
        at = montage.coordinates[plane.rows]
        image = to_image(values[plane.rows], at)
        x, y = at[:, 0].min() + plane.offset[0], at[:, 1].min() + plane.offset[1]
        height, width = image.shape
        extent = (x - 0.5, x + width - 0.5, y + height - 0.5, y - 0.5)
        mappable = ax.imshow(
            image, extent=extent, interpolation="nearest", aspect=aspect, **style
        )
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
    length = _round_down(0.3 * montage.planes[0].room * unit)
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
    compact : bool
        Label only the two ends, for sheets of many images.
    """
    # Inside the Axes' own frame of reference the bar follows the image's height.
    cax = ax.inset_axes((1.02, 0.0, 0.035, 1.0))
    figure = ax.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(mappable, cax=cax, extend="max" if clipped else "neither")
    bar.outline.set_visible(False)
    low, high = mappable.get_clim()
    assert low is not None
    assert high is not None
    if compact:
        bar.set_ticks([low, high])
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: compact_number(v)))
        bar.ax.tick_params(labelsize="x-small", length=2, pad=1.5)
        return
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
        n_columns = _columns(n, *cell, MONTAGE_ASPECT)
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


def compact_number(value: float) -> str:
    """Write a number in at most about five characters, such as ``12k`` or ``0.031``."""
    for power, suffix in ((9, "G"), (6, "M"), (3, "k")):
        if abs(value) >= 0.9995 * 10**power:
            return f"{value / 10**power:.3g}{suffix}"
    if value == 0 or abs(value) >= 1e-3:
        return f"{value:.3g}"
    return f"{value:.1e}".replace("e-0", "e-")


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


def _columns(n: int, width: float, height: float, aspect: float) -> int:
    """Columns of a grid of `n` cells whose outline comes closest to `aspect`."""
    columns = range(1, n + 1)
    ratio = [c * width / (math.ceil(n / c) * height) for c in columns]
    empty = [math.ceil(n / c) * c - n for c in columns]
    # An empty cell costs as much as a departure of 5 % in shape.
    cost = [
        abs(math.log(r / aspect)) + 0.05 * e for r, e in zip(ratio, empty, strict=True)
    ]
    return columns[int(np.argmin(cost))]


def _round_down(value: float) -> float:
    """Return the largest of 1, 2, 5 × 10ⁿ that is not above `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(m * power for m in (1, 2, 5) if m * power <= value * (1 + 1e-9))


def power_of_1000(value: float) -> int:
    """Return the multiple of 3 that is the power of ten to write `value` in."""
    # 0.01 to 9,999 are readable as they are.
    if value == 0 or 0.01 <= value < 10_000:
        return 0
    return 3 * math.floor(math.log10(value) / 3)


def scaled_label(label: str, power: int) -> str:
    """Say in the unit that numbers are in powers of ten: ``intensity (10³ a.u.)``."""
    if not power:
        return label
    ten = f"$10^{{{power}}}$"
    if label.endswith(")") and "(" in label:
        quantity, unit = label.rsplit("(", 1)
        return f"{quantity}({ten} {unit}"
    return f"{label} ({ten})" if label else ten


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
