"""Write a picture to a file."""

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

import imsminer

__all__ = ["as_png", "save"]


def save(axes: Any, path: str | Path, *, dpi: float = 150, close: bool = True) -> None:
    """Write the figure that holds `axes` to a file.

    Parameters
    ----------
    axes : Axes or iterable of Axes
        What a function of :mod:`imsminer.plots` returned.
    path : path-like
        The file; its ending chooses the format, such as ``.png``, ``.svg``, ``.pdf``.
    dpi : float, default=150
        Resolution in dots per inch.
    close : bool, default=True
        Whether to close the figure afterwards, which frees its memory.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from imsminer import plots
    >>> ax = plots.ion_image([1.0, 2.0, 4.0], [[1, 1], [2, 1], [2, 2]])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plots.save(ax, Path(folder) / "ion.png")
    """
    figure = _figure_of(axes)
    path = Path(path)
    # Formats name their fields differently; PNG and PDF are the common ones.
    field = {".png": "Software", ".pdf": "Creator", ".svg": "Creator"}
    key = field.get(path.suffix.lower())
    metadata = {key: f"imsminer {imsminer.__version__}"} if key else None
    figure.savefig(path, dpi=dpi, metadata=metadata)
    if close:
        plt.close(figure)


def as_png(axes: Any, *, dpi: float = 130) -> bytes:
    """Return the figure that holds `axes` as the bytes of a PNG file, and close it.

    Parameters
    ----------
    axes : Axes or iterable of Axes
        What a function of :mod:`imsminer.plots` returned.
    dpi : float, default=130
        Resolution in dots per inch.
    """
    figure, buffer = _figure_of(axes), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    plt.close(figure)
    return buffer.getvalue()


def _figure_of(axes: Any) -> Any:
    first = next(iter(axes)) if isinstance(axes, Iterable) else axes
    return first.get_figure(root=True)
