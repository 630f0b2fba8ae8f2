"""``imsminer convert``: raw data or features into the format of another tool."""

from pathlib import Path
from typing import Any

import click

from imsminer.cli import options as option

__all__ = ["convert"]


@click.command(short_help="Write data or features in the format of another tool.")
@click.argument("source", metavar="IN", type=click.Path(exists=True, path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--mz",
    "masses",
    type=float,
    multiple=True,
    help="Take the ion of this m/z instead of picking peaks; repeat for more.",
)
@click.option(
    "--targets",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The same from a CSV file with a column mz and, if you like, name.",
)
@click.option(
    "--ppm", default=10.0, show_default=True, help="Half width of their windows in ppm."
)
@option.loq
@option.baseline
@option.align
@click.option(
    "--normalize/--no-normalize",
    default=None,
    help="Divide by the total ion current. [on where peaks are picked]",
)
@option.config
@click.option(
    "--mode",
    type=click.Choice(["continuous", "processed"]),
    help="imzML: one m/z array for all spectra, or one each. [as IN]",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64", "int8", "int16", "int32", "int64"]),
    help="imzML: type of the stored intensities. [as IN]",
)
@click.option(
    "--mz-dtype",
    type=click.Choice(["float64", "float32"]),
    default="float64",
    show_default=True,
    help="imzML: type of the stored m/z.",
)
@click.option("--zlib", "compress", is_flag=True, help="imzML: compress the arrays.")
@option.on_error
@option.jobs
@click.option("--overwrite", is_flag=True, help="Replace OUT where it exists.")
@option.quiet
def convert(source: Path, target: Path, quiet: bool, **options: Any) -> None:
    """Convert IN to OUT; the ending of OUT says what it becomes.

    \b
    IN is
      an imzML file, or a folder of them: a study
      the results folder of imsminer run
      features as .parquet, .zarr or .h5ad that imsminer wrote

    \b
    OUT is
      .imzML       spectra, after the steps that are switched on; features become
                   a continuous, centroid file with one m/z per peak
      .h5ad        AnnData, for scanpy and squidpy
      .sdata.zarr  SpatialData, for napari-spatialdata
      .zarr        Zarr arrays of features, peaks and pixels
      .ome.tif     a stack of ion images, for QuPath, napari and Fiji
      .npz         the same as NumPy arrays
      .parquet     a table of pixels × peaks, for pandas, R and DuckDB
      .csv         the same as text

    Where IN is raw and OUT holds features, peaks are picked and integrated as imsminer
    run does, or the given ions are taken (--mz, --targets).

    \b
    Examples:
      imsminer convert kidney.imzML kidney.h5ad --loq 5
      imsminer convert kidney.imzML small.imzML --zlib
      imsminer convert results/ kidney.ome.tif
    """
    from imsminer.core.progress import show_progress

    if quiet:
        show_progress(False)
    made = _convert(source, target, **options)
    if not quiet:
        click.echo(f"{made} are in {target}")


def _convert(
    source: Path,
    target: Path,
    *,
    mode: str | None,
    dtype: str | None,
    mz_dtype: str,
    compress: bool,
    overwrite: bool,
    **options: Any,
) -> str:
    """Convert, and say what was written."""
    from imsminer.cli.features import (
        as_spectra,
        load_features,
        make_features,
        processed_spectra,
    )
    from imsminer.io.export import FORMATS, write_features
    from imsminer.io.writer import write_imzml

    ending = target.name.lower().partition(".")[2]
    to_imzml = ending.endswith("imzml")
    if not (to_imzml or ending.endswith(FORMATS)):
        known = ", ".join(f".{name}" for name in ("imzML", *FORMATS))
        message = f"the ending of {target.name} is none of {known}."
        raise click.UsageError(message)
    given = {"--mode": mode, "--dtype": dtype, "--zlib": compress}
    wrong = [name for name, value in given.items() if value]
    if wrong and not to_imzml:
        message = f"{', '.join(wrong)} is for OUT.imzML only, got {target.name}."
        raise click.UsageError(message)
    # Before an hour of work, not after it.
    if target.exists() and not overwrite:
        message = f"{target} exists. Choose another name, or pass --overwrite."
        raise click.UsageError(message)
    saved = load_features(source)
    if to_imzml:
        spectra = as_spectra(saved) if saved else processed_spectra(source, options)
        write_imzml(
            spectra,
            target,
            mode=mode,
            dtype=dtype,
            mz_dtype=mz_dtype,
            compression="zlib" if compress else None,
            overwrite=overwrite,
        )
        return f"{len(spectra):,} spectra"
    saved = saved or make_features(source, options)
    parts = saved._asdict()
    write_features(parts.pop("features"), target, **parts, overwrite=overwrite)
    n_pixels, n_features = saved.features.shape
    return f"{n_features:,} features of {n_pixels:,} pixels"
