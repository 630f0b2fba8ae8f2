"""Progress bars of long passes: on in a terminal or notebook, off elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar", "show_progress"]

_shown: bool | None = None


def show_progress(shown: bool | None) -> None:
    """Switch progress bars on or off for this process.

    Parameters
    ----------
    shown : bool or None
        `None` (the state at import) shows them when standard error is a terminal.
    """
    global _shown
    _shown = shown


@contextmanager
def progress_bar(
    label: str, total: int, *, unit: str = "pixels"
) -> Iterator[Callable[[int], None]]:
    """Show a bar of `total` steps; yields a function that advances it.

    Parameters
    ----------
    label : str
        What is going on, such as ``"Mean spectrum"``.
    total : int
        Number of steps.
    unit : str, default="pixels"
        What a step is; ``"bytes"`` are shown as MB or GB.
    """
    shown = sys.stderr.isatty() if _shown is None else _shown
    if not shown:
        yield lambda steps: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    count = (DownloadColumn(),)
    if unit != "bytes":
        count = (MofNCompleteColumn(), TextColumn(unit))  # type: ignore[assignment]
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        *count,
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total)
        yield lambda steps: progress.advance(task, steps)
