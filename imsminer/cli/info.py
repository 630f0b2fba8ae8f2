"""``imsminer info``: what is in a file, and what is odd about it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np

from imsminer.cli import options as option

__all__ = ["info", "lines"]


@click.command(short_help="Show what is in imzML files, and what is odd about them.")
@option.files
@click.option("--checksum", is_flag=True, help="Compare the data with their checksum.")
@click.option(
    "--statistics", is_flag=True, help="Read all spectra and describe ion currents."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bars.")
def info(
    files: tuple[Path, ...],
    checksum: bool,
    statistics: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Describe imzML FILES (or folders of them).

    Size, pixels, raster, m/z range, mode, polarity, pixel size, and every oddity found.
    Spectra that cannot be read are counted, with the reason. Data is only looked at as
    far as needed, unless --checksum or --statistics read it.

    Exit code 1 when a file cannot be read at all; the others are still described.
    """
    import json

    from imsminer.core.progress import show_progress
    from imsminer.io._find import find_files
    from imsminer.io.describe import describe

    if quiet:
        show_progress(False)
    described: list[dict[str, Any]] = []
    failed = 0
    for given in files:
        try:
            for path, ibd in find_files(given, None):
                facts = describe(
                    path, ibd=ibd, checksum=checksum, statistics=statistics
                )
                described.append(facts)
                if not as_json:
                    click.echo("\n".join(lines(facts, checked=checksum)))
                    click.echo()
        except (OSError, ValueError) as error:
            failed += 1
            click.echo(f"Error: {error}", err=True)
    if as_json:
        click.echo(json.dumps(described, indent=2, ensure_ascii=False))
    if failed:
        raise click.exceptions.Exit(1)


def lines(facts: dict[str, Any], *, checked: bool) -> Iterator[str]:
    """Yield the description of one file as lines of text.

    Parameters
    ----------
    facts : dict
        From :func:`imsminer.io.describe.describe`.
    checked : bool
        Whether the checksum was compared.
    """
    yield facts["path"]
    columns, rows, planes = facts["raster"]
    raster = f"{columns} × {rows}" + (f" × {planes}" if planes > 1 else "")
    ends = ", ".join(
        f"{name} {facts[name][0]} to {facts[name][1]}"
        for name in "xyz"
        if name != "z" or planes > 1
    )
    least, median, most = facts["points"]
    points = f"{most:,} points" if least == most else f"{least:,} to {most:,} points"
    if least != most:
        points += f" (median {median:,.0f})"
    low, high = facts["mz_range"]
    rest = {
        "size": f"{_bytes(facts['xml_bytes'])} XML, {_bytes(facts['ibd_bytes'])} data",
        "pixels": f"{facts['n_pixels']:,} on {raster} positions "
        f"({facts['filled']:.0%} filled); {ends}",
        "spectra": f"{facts['mode']}, {facts['spectrum_type']}, {points}",
        "m/z": "no points" if low is None else f"{low:.4f} to {high:.4f}",
        "mobility": facts["mobility"],
        "polarity": facts["polarity"] or "not given",
        "pixel size": _area(facts),
        "instrument": facts["instrument"] or "not given",
        "stored": facts["stored"],
        "uuid": facts["uuid"] or "not given",
        "checksum": _checksum(facts["checksums"], checked),
        "empty": f"{facts['n_empty']:,} spectra" if facts["n_empty"] else None,
    }
    for number, value in facts.get("statistics", {}).items():
        label = {
            "n_empty": "no signal in",
            "points": "points above 0",
            "tic": "ion current",
            "tic_cv": "its variation",
            "max_intensity": "highest",
        }[number]
        rest[label] = "none" if value is None else _number(number, value)
    for label, text in rest.items():
        if text is not None:
            yield f"  {label:<15}{text}"
    if facts["n_skipped"]:
        yield f"  {'unreadable':<15}{facts['n_skipped']:,} spectra:"
        for reason, count in facts["skipped"].items():
            yield f"    {count:,} × {reason}"
    if facts["oddities"]:
        yield "  oddities"
        for text in facts["oddities"]:
            yield f"    - {text}"


def _bytes(size: int) -> str:
    if size < 1000:
        return f"{size} bytes"
    power = min(int(np.log10(size)) // 3, 4)
    return f"{size / 1000**power:,.1f} {('', 'kB', 'MB', 'GB', 'TB')[power]}"


def _area(facts: dict[str, Any]) -> str:
    if facts["pixel_size"] is None:
        return "not given"
    width, height = facts["pixel_size"]
    columns, rows, _ = facts["raster"]
    return (
        f"{width:g} × {height:g} µm; the raster covers "
        f"{columns * width / 1e3:.4g} × {rows * height / 1e3:.4g} mm"
    )


def _checksum(checksums: dict[str, str], checked: bool) -> str:
    if not checksums:
        return "not given"
    spelling = {"sha1": "SHA-1", "sha256": "SHA-256", "md5": "MD5"}
    names = ", ".join(spelling[name] for name in checksums)
    return f"{names}, {'right' if checked else 'not compared (--checksum)'}"


def _number(name: str, value: float) -> str:
    if name == "n_empty":
        return f"{value:,.0f} pixels"
    if name == "tic_cv":
        return f"{value:.0%} (standard deviation over mean)"
    return f"{value:,.6g}" + (" (median)" if name in ("points", "tic") else "")
