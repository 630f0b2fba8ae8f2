"""``imsminer image``: a handful of known ions, without picking peaks."""

import re
from pathlib import Path

import click

from imsminer.cli import options as option
from imsminer.cli.output import MARK, common_pixel_size, output_folder
from imsminer.cli.targets import read_targets

__all__ = ["image"]


@click.command(short_help="Show the images of known ions.")
@option.files
@click.option(
    "--mz", "masses", type=float, multiple=True, help="m/z of an ion; repeat for more."
)
@click.option(
    "--targets",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV file with a column mz and, if you like, a column name.",
)
@click.option(
    "--ppm", default=10.0, show_default=True, help="Half width of the window in ppm."
)
@click.option(
    "--normalize",
    is_flag=True,
    help="Divide each spectrum by its total ion current before.",
)
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the pictures and the table of intensities.",
)
@option.jobs
@click.option("--overwrite", is_flag=True, help="Replace results of an earlier run.")
@option.quiet
def image(
    files: tuple[Path, ...],
    masses: tuple[float, ...],
    targets: Path | None,
    ppm: float,
    normalize: bool,
    output: Path,
    jobs: int | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Make ion images of given m/z from imzML FILES (or folders of them).

    The intensities within ± PPM of each m/z are added up. Writes one picture per ion
    and intensities.csv with one row per pixel.

    \b
    Example:
      imsminer image kidney.imzML --mz 885.5499 --ppm 10 --output images
    """
    import json

    from imsminer.core.progress import show_progress
    from imsminer.core.provenance import provenance
    from imsminer.core.windows import ion_images
    from imsminer.io.imzml import ImzMLReader
    from imsminer.plots import ion_image
    from imsminer.plots.export import save
    from imsminer.spectra.normalize import TICNormalizer

    ions = read_targets(masses, targets)
    if not ppm > 0:
        message = f"--ppm must be positive, got {ppm}."
        raise click.UsageError(message)
    if quiet:
        show_progress(False)
    reader = ImzMLReader(list(files) if len(files) > 1 else files[0])
    spectra = reader
    steps = []
    if normalize:
        steps.append(TICNormalizer(n_jobs=jobs))
        spectra = steps[0].fit_transform(reader)
    values = ion_images(spectra, ions["mz"].to_numpy(), ppm, n_jobs=jobs)
    pixel_size = common_pixel_size(reader.runs)
    empty = [f"{mz:.4f}" for mz in ions["mz"][(values == 0).all().to_numpy()]]
    with output_folder(output, overwrite=overwrite) as folder:
        for (_, ion), column in zip(ions.iterrows(), values.columns, strict=True):
            title = f"m/z {ion['mz']:.4f} ± {ppm:g} ppm"
            if ion["name"]:
                title = f"{ion['name']}\n{title}"
            axes = ion_image(values[column], title=title, pixel_size=pixel_size)
            name = re.sub(r"[^A-Za-z0-9.-]+", "_", f"{ion['name']}_{column}").lstrip(
                "_"
            )
            save(axes, folder / f"{name}.png")
        values.reset_index().to_csv(folder / "intensities.csv", index=False)
        record = provenance(reader, *steps, ions=ions.to_dict("records"), ppm=ppm)
        text = json.dumps(record, indent=2) + "\n"
        (folder / MARK).write_text(text, encoding="utf-8")
    if not quiet:
        click.echo(f"{len(ions)} ion images of {len(reader):,} pixels are in {output}")
        if empty:
            click.echo(f"No signal in any pixel at m/z {', '.join(empty)}.")
