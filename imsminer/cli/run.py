"""``imsminer run``: from raw files to peaks, features, segments and pictures."""

import time
from pathlib import Path
from typing import Any

import click

from imsminer.cli import options as option
from imsminer.cli.output import output_folder

__all__ = ["run", "run_pipeline"]


@click.command(short_help="Pick peaks, make ion images, segment the tissue.")
@option.files
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the results; it appears when all of them are complete.",
)
@option.loq
@click.option(
    "--min-points", type=int, help="Smallest distance of two peaks, in m/z bins. [6]"
)
@click.option("--max-peaks", type=int, help="Keep only this many of the highest peaks.")
@click.option(
    "--segments", type=int, help="Number of regions to divide the pixels into. [8]"
)
@click.option(
    "--clusters", type=int, help="Number of groups of similar ion images. [8]"
)
@option.baseline
@option.align
@click.option(
    "--normalize/--no-normalize",
    default=None,
    help="Divide each spectrum by its total ion current. [on]",
)
@option.config
@click.option("--random-state", type=int, default=0, show_default=True, help="Seed.")
@option.jobs
@option.on_error
@click.option("--overwrite", is_flag=True, help="Replace results of an earlier run.")
@option.quiet
def run(files: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Take imzML FILES (or folders of them) through the default pipeline.

    Several files are one study: their peaks are picked together.

    \b
    Writes into the output folder:
      report.html          all of it on one page, to be opened in a browser
      peaks.csv            m/z, height, S/N, FWHM, frequency, Moran's I, ion cluster
      features.parquet     pixels × peaks, with run, x, y, z
      segments.csv         the segment of each pixel
      mean_spectrum.png    mean spectrum with the picked peaks
      ion_images.png       the ion images with most spatial structure
      segmentation.png     the segments on the tissue
      segment_profiles.png mean peak intensities of each segment
      cluster_images.png   mean image of each group of similar ions
      provenance.json      files, version, parameters
    """
    run_pipeline(list(files), output, **options)


def run_pipeline(
    files: list[Path],
    output: Path,
    *,
    loq: float | None = None,
    min_points: int | None = None,
    max_peaks: int | None = None,
    segments: int | None = None,
    clusters: int | None = None,
    baseline: bool | None = None,
    align: bool | None = None,
    normalize: bool | None = None,
    config: Path | None = None,
    random_state: int = 0,
    jobs: int | None = None,
    on_error: str = "raise",
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Do what ``imsminer run`` does; see its help for the parameters."""
    from imsminer.cli.pipeline import build_steps, read_config
    from imsminer.cli.report import write_report
    from imsminer.cli.results import compute, write_pictures, write_tables
    from imsminer.core.progress import show_progress
    from imsminer.io.imzml import ImzMLReader

    started = time.perf_counter()
    jobs_of = {"n_jobs": jobs}
    steps = build_steps(
        read_config(config),
        {
            "baseline": {"enabled": baseline},
            "align": {"enabled": align, **jobs_of},
            "normalize": {"enabled": normalize, **jobs_of},
            "pick": {
                "loq": loq,
                "min_points": min_points,
                "max_peaks": max_peaks,
                **jobs_of,
            },
            "integrate": jobs_of,
            "segment": {"n_clusters": segments, "random_state": random_state},
            "cluster": {"n_clusters": clusters, "random_state": random_state},
        },
    )
    if quiet:
        show_progress(False)
    reader = ImzMLReader(files if len(files) > 1 else files[0], on_error=on_error)
    with output_folder(output, overwrite=overwrite) as folder:
        results = compute(reader, steps)
        record = write_tables(results, folder)
        pictures = write_pictures(results, folder)
        write_report(results, pictures, record, folder / "report.html")
    if not quiet:
        seconds = time.perf_counter() - started
        click.echo(results.summary(seconds))
        click.echo(f"Results are in {output}")
