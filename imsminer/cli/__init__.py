"""The command line: ``imsminer info``, ``run``, ``image``, ``convert``, ``demo``."""

import importlib
import warnings
from typing import Any

import click

import imsminer

__all__ = ["main"]

COMMANDS = ("convert", "demo", "image", "info", "run")


class _LazyGroup(click.Group):
    """Imports a command's module when it is called: ``--help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"imsminer.cli.{cmd_name}"), cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Say what is wrong with a file or value without a traceback."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("once")
                warnings.showwarning = _show_warning
                return super().invoke(ctx)
        except (OSError, ValueError) as error:
            # Notes say in which step, run and pixel it happened.
            notes = getattr(error, "__notes__", [])
            raise click.ClickException("\n".join([str(error), *notes])) from error


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning as a sentence, without the line of code that raised it."""
    click.echo(f"Note: {message}", err=True)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(imsminer.__version__, prog_name="imsminer")
def main() -> None:
    """Imaging mass spectrometry: from raw imzML files to ion images and segments.

    Each command leaves its input files untouched and writes into one output folder,
    which appears when everything in it is complete.

    Exit codes: 0 success, 1 something is wrong with the data, or interrupted, 2 wrong
    usage.
    """
