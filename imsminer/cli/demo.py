"""``imsminer demo``: ``imsminer run`` on the packaged example."""

from pathlib import Path

import click

from imsminer.cli import options as option

__all__ = ["demo"]


@click.command(short_help="Run the packaged example: a real kidney section.")
@click.option(
    "--output",
    "-o",
    default=Path("imsminer-demo"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for the results; those of an earlier demo are replaced.",
)
@option.quiet
def demo(output: Path, quiet: bool) -> None:
    """Take a real kidney section through the default pipeline.

    342 pixels of a MALDI timsTOF run (negative mode, m/z 700 to 920) that comes with
    imsminer. The same as `imsminer run` on that file with 5 segments.
    """
    from imsminer.cli.run import run_pipeline
    from imsminer.datasets import load_kidney

    run_pipeline([load_kidney()], output, segments=5, overwrite=True, quiet=quiet)
