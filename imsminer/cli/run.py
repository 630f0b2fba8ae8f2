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
@click.option(
    "--rois",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="GeoJSON (QuPath) or CSV file of regions: columns roi and condition.",
)
@click.option(
    "--compare",
    "group",
    metavar="COLUMN",
    help="Compare the groups in this column of the sample sheet or regions.",
)
@click.option(
    "--unit",
    multiple=True,
    metavar="COLUMN",
    help="What is a sample: the column with the animal or replicate. Repeatable.",
)
@click.option(
    "--test",
    type=click.Choice(["welch", "paired", "mannwhitney", "anova", "mixed"]),
    help="Test of the comparison. [welch]",
)
@click.option("--reference", help="Compare each other group to this one.")
@click.option(
    "--database",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV or TSV file of molecules, to search the peaks in.",
)
@click.option(
    "--adduct", multiple=True, help="Such as [M-H]-; the usual ones if not named."
)
@click.option("--ppm", type=float, help="Largest mass error of a hit. [5]")
@click.option(
    "--fdr",
    type=click.FloatRange(0, 1, min_open=True),
    help="Score hits by the images of their isotopologues; accept those up to this "
    "false discovery rate, such as 0.1.",
)
@option.config
@click.option("--random-state", type=int, default=0, show_default=True, help="Seed.")
@option.jobs
@option.on_error
@click.option("--overwrite", is_flag=True, help="Replace results of an earlier run.")
@option.quiet
def run(files: tuple[Path, ...], output: Path, **options: Any) -> None:
    """Take imzML FILES (or folders of them) through the default pipeline.

    Several files are one study: their peaks are picked together. Instead of files, give
    a sample sheet: a CSV file with the column path, and what is known of each run.

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

    \b
    With --compare, --database:
      comparison.csv       fold change, confidence interval, p and q of each ion
      volcano.png, heatmap.png, boxes.png
      annotations.csv      the molecules that have the mass of a peak, with --fdr
                           also scores, and whether they are accepted
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
    rois: Path | None = None,
    group: str | None = None,
    unit: tuple[str, ...] = (),
    test: str | None = None,
    reference: str | None = None,
    database: Path | None = None,
    adduct: tuple[str, ...] = (),
    ppm: float | None = None,
    fdr: float | None = None,
    config: Path | None = None,
    random_state: int = 0,
    jobs: int | None = None,
    on_error: str = "raise",
    overwrite: bool = False,
    quiet: bool = False,
) -> None:
    """Do what ``imsminer run`` does; see its help for the parameters."""
    from imsminer.cli.pictures import write_pictures
    from imsminer.cli.pipeline import build_steps, read_config
    from imsminer.cli.report import write_report
    from imsminer.cli.results import compute, write_tables
    from imsminer.cli.study import (
        check_columns,
        open_study,
        read_regions,
        scoring_of,
    )
    from imsminer.core.progress import show_progress

    started = time.perf_counter()
    jobs_of = {"n_jobs": jobs}
    parameters = read_config(config)
    comparison = parameters.pop("compare", {}) | _given(
        group=group, unit=list(unit), test=test, reference=reference
    )
    search = parameters.pop("annotate", {}) | _given(
        database=database, adducts=list(adduct), ppm=ppm, fdr=fdr
    )
    if search and "database" not in search:
        message = "--adduct, --ppm and --fdr need a --database of molecules."
        raise click.UsageError(message)
    scoring = scoring_of(search, random_state=random_state, n_jobs=jobs)
    steps = build_steps(
        parameters,
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
    reader = open_study(files, on_error)
    if rois is not None:
        read_regions(reader, rois)
    if comparison:
        check_columns(reader.pixels, comparison)
    with output_folder(output, overwrite=overwrite) as folder:
        results = compute(reader, steps, comparison, search, scoring)
        record = write_tables(results, folder)
        pictures = write_pictures(results, folder)
        write_report(results, pictures, record, folder / "report.html")
    if not quiet:
        seconds = time.perf_counter() - started
        click.echo(results.summary(seconds))
        click.echo(f"Results are in {output}")


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value not in (None, [])}
