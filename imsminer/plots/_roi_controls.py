"""Buttons and boxes below the picture on which regions are drawn."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.widgets import Button, RadioButtons, TextBox

__all__ = ["SHAPES", "add_controls", "picture_axes"]

SHAPES = ("polygon", "rectangle", "ellipse")
#: Height of the panel of controls in inches, and its least width.
PANEL, LEAST_WIDTH = 1.5, 6.0


def add_controls(
    selector: Any, actions: Mapping[str, Callable[[], None]]
) -> dict[str, Any]:
    """Make the controls of a selector below its picture.

    They set its shape, `name` and `group`, and a button for each of `actions` calls it.
    The result holds them by name, and the text that tells what happened.
    """
    figure: Any = selector.ax.figure
    width, height = figure.get_size_inches()

    def place(x: float, y: float, w: float, h: float) -> Axes:
        """Axes in inches from the lower left corner."""
        return figure.add_axes((x / width, y / height, w / width, h / height))

    shapes = place(0.1, 0.45, 1.2, 0.95)
    shapes.set_frame_on(False)
    radio = RadioButtons(shapes, SHAPES)
    radio.on_clicked(lambda shape: selector.set_shape(str(shape)))
    name = _TextBox(place(3.0, 1.05, 1.4, 0.3), "name (ROI 1)")
    name.on_text_change(lambda text: setattr(selector, "name", text))
    group = _TextBox(place(3.0, 0.6, 1.4, 0.3), "group")
    group.on_text_change(lambda text: setattr(selector, "group", text))
    buttons = {}
    for i, (label, action) in enumerate(actions.items()):
        button = Button(place(4.8, 1.05 - 0.4 * i, 0.9, 0.32), label)
        button.on_clicked(partial(_called, action))
        buttons[label] = button
    status = figure.text(
        0.15 / width, 0.2 / height, "", fontsize="small", va="center", wrap=True
    )
    return {
        "shape": radio,
        "name": name,
        "group": group,
        "status": status,
        **buttons,
    }


def picture_axes(columns: float, rows: float) -> Axes:
    """Axes for an image above a panel of controls."""
    scale = min(5.5 / rows, 8.0 / columns)
    width = max(columns * scale + 1.6, LEAST_WIDTH)
    height = rows * scale + 0.9 + PANEL
    figure = plt.figure(figsize=(width, height))
    # Room for the title above, the scale bar below and the colour bar at the right.
    box = (0.3, PANEL + 0.5, width - 1.6, height - PANEL - 0.9)
    left, bottom, across, up = box
    return figure.add_axes((left / width, bottom / height, across / width, up / height))


def _called(action: Callable[[], None], event: Any) -> None:
    """Answer a button, whose event says nothing more."""
    action()


class _TextBox(TextBox):
    """A box that Enter leaves, and that is not drawn anew at each click beside it."""

    def __init__(self, ax: Axes, label: str) -> None:
        super().__init__(ax, label)
        self.on_submit(lambda _: self.stop_typing())

    def stop_typing(self) -> None:
        if self.capturekeystrokes:
            super().stop_typing()

    def set_val(self, val: str) -> None:
        super().set_val(val)
        # It shows the cursor even where nobody types.
        self.cursor.set_visible(self.capturekeystrokes)
