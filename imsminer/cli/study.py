"""What ``imsminer run`` knows of a study: samples, regions, comparisons, molecules."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from imsminer.core.spectra import Spectra

__all__ = [
    "TABLES",
    "annotate_peaks",
    "check_columns",
    "open_study",
    "read_regions",
    "score_hits",
    "scoring_of",
    "table_parameters",
]

SHEETS = frozenset((".csv", ".tsv", ".txt"))
#: Tables of the configuration file that are functions, not steps of the pipeline.
TABLES = ("compare", "annotate")
#: Parameters of these functions that come from the pipeline.
GIVEN = frozenset(("features", "pixels", "peaks"))


def table_parameters(name: str) -> set[str]:
    """Return the parameters that a table of the configuration file may have."""
    function: Callable[..., Any]
    more: set[str]
    if name == "compare":
        from imsminer.statistics import compare as function

        more = set()
    else:
        from imsminer.features.annotate import annotate as function

        more = {"fdr"}
    return set(inspect.signature(function).parameters) - GIVEN | more


def open_study(files: list[Path], on_error: str) -> Spectra:
    """Open files, folders, or one sample sheet.

    Raises
    ------
    click.UsageError
        When a sample sheet stands beside other files.
    """
    from imsminer.io.imzml import ImzMLReader

    sheets = [path for path in files if path.suffix.lower() in SHEETS]
    if sheets and len(files) > 1:
        message = f"give the sample sheet {sheets[0]} alone: it names the imzML files."
        raise click.UsageError(message)
    if sheets:
        return ImzMLReader.from_sample_sheet(sheets[0], on_error=on_error)
    return ImzMLReader(files if len(files) > 1 else files[0], on_error=on_error)


def read_regions(reader: Spectra, path: Path) -> None:
    """Add the columns ``roi`` and, from their groups, ``condition`` to the pixels.

    Pixels in no region have an empty name, and are left out of comparisons. A column
    ``condition`` of the sample sheet stays as it is.
    """
    from imsminer.images.roi import label_pixels, read_geojson, rois_from_table

    is_table = path.suffix.lower() in SHEETS
    rois = rois_from_table(path) if is_table else read_geojson(path)
    runs = reader.pixels["run"]
    names = label_pixels(reader.coordinates, rois, runs=runs)
    if not (names != "").any():
        message = f"{path}: no pixel lies in any of its {len(rois)} regions."
        raise click.ClickException(message)
    reader.pixels["roi"] = names
    if "condition" not in reader.pixels and all(roi.group for roi in rois):
        reader.pixels["condition"] = label_pixels(
            reader.coordinates, rois, runs=runs, by="group"
        )


def check_columns(pixels: pd.DataFrame, options: dict[str, Any]) -> None:
    """Check the columns of a comparison before the work begins.

    Raises
    ------
    click.UsageError
        When one is not named or does not exist.
    """
    for name, option in (("group", "--compare"), ("unit", "--unit")):
        columns = np.atleast_1d(options.get(name, [])).tolist()
        missing = [column for column in columns if column not in pixels]
        if columns and not missing:
            continue
        known = ", ".join(pixels.columns.difference(["x", "y", "z"], sort=False))
        found = f"there is no column {missing[0]}" if missing else "none was named"
        message = (
            f"{option} needs a column of the pixels, and {found}. Sample sheet and "
            f"--rois give: {known}."
        )
        raise click.UsageError(message)


def annotate_peaks(
    peaks: pd.DataFrame, runs: pd.DataFrame, options: dict[str, Any]
) -> pd.DataFrame:
    """Search the peaks in a database of molecules, by adducts of the runs' polarity."""
    from imsminer.features.annotate import annotate

    found = runs["polarity"].dropna().unique().tolist()
    if len(found) == 1:
        return annotate(peaks, **{"polarity": found[0], **options})
    if "adducts" not in options and "polarity" not in options:
        message = (
            f"the runs have {len(found) or 'no'} polarities: name the adducts to "
            "search for, such as --adduct '[M-H]-'."
        )
        raise click.ClickException(message)
    return annotate(peaks, **options)


def scoring_of(search: dict[str, Any], **options: Any) -> dict[str, Any] | None:
    """Take the false discovery rate from the options of a search, for `score_hits`.

    Raises
    ------
    click.UsageError
        When it is no rate.
    """
    fdr = search.pop("fdr", None)
    if fdr is None:
        return None
    if isinstance(fdr, bool) or not isinstance(fdr, int | float) or not 0 < fdr <= 1:
        message = (
            f"fdr must be a number above 0 and at most 1, such as 0.1; got {fdr!r}."
        )
        raise click.UsageError(message)
    # Images in the windows that were searched.
    width = {"ppm": search["ppm"]} if "ppm" in search else {}
    return {"fdr": fdr, **width, **options}


def score_hits(
    hits: pd.DataFrame, spectra: Spectra, fdr: float, **options: Any
) -> pd.DataFrame:
    """Score hits by the images of their isotopologues; one pass over the spectra.

    Adds the scores, the false discovery rate, and whether that is at most `fdr`.
    """
    from imsminer.features.annotate import score_isotopes

    scored = score_isotopes(hits, spectra, **options)
    scored["accepted"] = scored["fdr"] <= fdr
    scored.attrs = {
        **hits.attrs,
        "fdr": fdr,
        "n_accepted": int(scored["accepted"].sum()),
    }
    return scored
