"""Options that several commands share; each says the same everywhere."""

from pathlib import Path

import click

__all__ = [
    "align",
    "baseline",
    "config",
    "files",
    "jobs",
    "loq",
    "on_error",
    "quiet",
]

files = click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
loq = click.option(
    "--loq", type=float, help="Peaks must reach this times the noise. [10]"
)
baseline = click.option(
    "--baseline/--no-baseline", default=None, help="Subtract a baseline."
)
align = click.option(
    "--align/--no-align", default=None, help="Align the m/z of each pixel."
)
config = click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TOML file with parameters of every step (see the user guide).",
)
on_error = click.option(
    "--on-error",
    type=click.Choice(["raise", "skip"]),
    default="raise",
    show_default=True,
    help="Stop at pixels that cannot be read, or leave them out and count them.",
)
jobs = click.option("--jobs", "-j", type=int, help="Threads; -1 uses all cores. [1]")
quiet = click.option(
    "--quiet", "-q", is_flag=True, help="No progress bars, no summary."
)
