"""Lists of other programs: METASPACE annotations, SCiLS features and regions."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from imsminer.features._text_tables import (
    TextTable,
    find_column,
    plain_name,
    read_rows,
)

__all__ = ["read_metaspace_annotations", "read_scils_features", "read_scils_regions"]

METASPACE = "METASPACE's CSV of annotations, with columns formula, adduct and mz"
#: METASPACE's names (without case and spaces), and ours.
METASPACE_NAMES = {
    "moleculenames": "name",
    "moleculeids": "molecule_ids",
    "rhospatial": "spatial",
    "rhospectral": "spectral",
    "rhochaos": "chaos",
    "offsample": "off_sample",
}
FEATURES = (
    "a SCiLS feature list: CSV with semicolons, a column m/z and, after #, comments"
)
REGIONS = (
    "a SCiLS region: CSV with columns x and y (and the region's name), or with spot "
    "names such as R00X121Y054"
)
POSITIONS = ("{}", "{} position", "pos {}", "{} pos", "{} [um]", "{} coordinate")
_SPOT = re.compile(r"(?:R(\d+))?X(-?\d+)Y(-?\d+)", re.IGNORECASE)
_OBJECT = re.compile(r"object (?:full )?name\s*:\s*(.+)", re.IGNORECASE)


def read_metaspace_annotations(path: str | PathLike) -> pd.DataFrame:
    """Read the annotations that METASPACE exports as CSV.

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    DataFrame
        As :func:`annotate` and :func:`score_isotopes` return hits: `mz` and
        `theoretical_mz` (both theoretical), `name`, `formula`, `adduct` (as
        ``"[M+H]+"``), `spatial`, `spectral`, `chaos`, `msm`, `fdr`, where the file has
        them; then its other columns. `AnalyteFilter` takes it.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When a column is missing or a cell is no number; names file and line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from imsminer.features.imports import read_metaspace_annotations
    >>> text = (
    ...     "# Generated at 1/1/2024\\n"
    ...     "datasetName,formula,adduct,ion,mz,msm,fdr,moleculeNames\\n"
    ...     "kidney,C47H83O13P,M-H,C47H82O13P-,885.54986,0.91,0.05,PI(38:4)\\n"
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "annotations.csv"
    ...     _ = path.write_text(text)
    ...     hits = read_metaspace_annotations(path)
    >>> hits[["mz", "name", "adduct", "msm", "fdr"]]
              mz      name   adduct   msm   fdr
    0  885.54986  PI(38:4)  [M-H]-  0.91  0.05
    """
    head, table = read_rows(path, METASPACE)
    columns = {name: find_column(table.columns, [name]) for name in ("formula", "mz")}
    adduct = find_column(table.columns, ["adduct"])
    missing = [name for name, column in columns.items() if column is None]
    if missing or adduct is None:
        missing += ["adduct"] if adduct is None else []
        raise ValueError(_lacks(head, missing, METASPACE))
    renamed = {
        name: METASPACE_NAMES.get(plain_name(name), plain_name(name))
        if plain_name(name) in METASPACE_NAMES or name in (adduct, *columns.values())
        else name
        for name in table.columns
    }
    lines = table.index.to_numpy()
    table = table.rename(columns=renamed)
    for name in ("mz", "msm", "fdr", "spatial", "spectral", "chaos"):
        if name in table.columns:
            table[name] = _numbers(head, table[name], required=name == "mz")
    ions = table["ion"] if "ion" in table.columns else [""] * len(table)
    table["adduct"] = [
        _bracketed(head, line, text, ion)
        for line, text, ion in zip(lines, table["adduct"], ions, strict=True)
    ]
    table["theoretical_mz"] = table["mz"]
    first = ["mz", "name", "formula", "adduct", "theoretical_mz"]
    first += ["spatial", "spectral", "chaos", "msm", "fdr"]
    first = [name for name in first if name in table.columns]
    rest = [name for name in table.columns if name not in first]
    return table[[*first, *rest]].reset_index(drop=True)


def read_scils_features(path: str | PathLike) -> pd.DataFrame:
    """Read a feature list (or mass list) that SCiLS Lab exports as CSV.

    Parameters
    ----------
    path : path-like
        The file. Semicolons within names do no harm.

    Returns
    -------
    DataFrame
        A peak table: `mz`, `left`, `right` (m/z ± interval width, where the file has
        widths), `name` and `color`, then the other columns. ``PeakIntegrator(peaks=
        table)`` integrates it, ``AnalyteFilter(mz=table["mz"])`` selects by it.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it has no column m/z, or a cell is no number; names file and line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from imsminer.features.imports import read_scils_features
    >>> text = (
    ...     "# Exported with SCiLS Lab\\n"
    ...     "m/z;Interval Width (+/- Da);Color;Name\\n"
    ...     "885.5499;0.0100;#ff0000;PI 38:4\\n"
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "features.csv"
    ...     _ = path.write_text(text)
    ...     read_scils_features(path)
             mz      left     right     name    color
    0  885.5499  885.5399  885.5599  PI 38:4  #ff0000
    """
    head, table = read_rows(path, FEATURES, spill="name")
    source = find_column(table.columns, ["m/z", "mz", "centroid m/z"])
    if source is None:
        raise ValueError(_lacks(head, ["m/z"], FEATURES))
    mz = _numbers(head, table[source], required=True)
    found = {"mz": mz}
    width = next(
        (c for c in table.columns if plain_name(c).startswith("intervalwidth")), None
    )
    if width is not None:
        # "+/- Da" is half of the interval; without this it is not said.
        half = _numbers(head, table[width], required=True)
        found |= {"left": mz - half, "right": mz + half}
    used = [source, width]
    for name in ("name", "color"):
        column = find_column(table.columns, [name])
        if column is not None:
            found[name] = table[column]
            used.append(column)
    for name in table.columns:
        if name not in used:
            found[name] = _numbers_if_all(table[name])
    return pd.DataFrame(found).reset_index(drop=True)


def read_scils_regions(
    path: str | PathLike,
    *,
    pixel_size: float | tuple[float, float] | None = None,
    origin: tuple[float, float] = (0.0, 0.0),
) -> pd.DataFrame:
    """Read the spots of regions that SCiLS Lab exports as CSV.

    Parameters
    ----------
    path : path-like
        The file: columns x and y, or spot names such as ``R00X121Y054``; the region's
        name in a column, else in the comment "Object Full Name", else that of the file.
    pixel_size : float or (float, float), default=None
        Width and height of a pixel, in the unit of x and y, to turn positions into
        pixels. None takes them as pixels.
    origin : (float, float), default=(0, 0)
        Position of pixel (0, 0), in that unit.

    Returns
    -------
    DataFrame
        One row per spot: `region`, `x`, `y` (integers where they are pixels), and
        `run` (such as ``"R00"``) where spot names have it. Merged into
        ``spectra.pixels`` on x and y it labels the pixels.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When there are no positions, or they are no numbers or, with `pixel_size`, no
        pixels; names file and line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from imsminer.features.imports import read_scils_regions
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "spots.csv"
    ...     _ = path.write_text("# Object Full Name: Tumour\\nx;y\\n3;7\\n4;7\\n")
    ...     read_scils_regions(path)
       region  x  y
    0  Tumour  3  7
    1  Tumour  4  7
    """
    head, table = read_rows(path, REGIONS)
    lines = table.index.to_numpy()
    x = find_column(
        table.columns, ["x", "x position", "pos x", "x [um]", "x coordinate"]
    )
    y = find_column(
        table.columns, ["y", "y position", "pos y", "y [um]", "y coordinate"]
    )
    run = None
    if x is not None and y is not None:
        place = np.stack(
            [_numbers(head, table[name], required=True) for name in (x, y)], axis=1
        )
        used = [x, y]
    else:
        used = [_spot_column(head, table)]
        place, run = _from_spots(head, lines, table[used[0]])
    region = find_column(
        [name for name in table.columns if name not in used],
        ["region", "region name", "roi", "label", "annotation", "name"],
    )
    if region is not None:
        names = table[region].to_numpy(dtype=object)
    else:
        told = [m[1].strip() for m in map(_OBJECT.search, head.comments) if m]
        names = np.full(len(table), told[0] if told else Path(path).stem, dtype=object)
    if pixel_size is not None:
        place = (place - np.asarray(origin)) / np.asarray(pixel_size, dtype=np.float64)
        off = np.flatnonzero((np.abs(place - np.rint(place)) > 0.25).any(axis=1))
        if off.size:
            message = (
                f"{path}, line {lines[off[0]]}: with pixel_size={pixel_size} and "
                f"origin={origin} the spot lies at {place[off[0]].round(2)}, between "
                "pixels. Correct them."
            )
            raise ValueError(message)
        place = np.rint(place)
    whole = bool((place == np.rint(place)).all())
    place = place.astype(np.int64) if whole else place
    found = {"region": names, "x": place[:, 0], "y": place[:, 1]}
    if run is not None:
        found["run"] = run
    return pd.DataFrame(found)


def _spot_column(head: TextTable, table: pd.DataFrame) -> str:
    """Return the column of spot names, by what stands in its first row."""
    for name in table.columns:
        if len(table) and _SPOT.search(str(table[name].iloc[0])):
            return name
    raise ValueError(_lacks(head, ["x", "y"], REGIONS))


def _from_spots(
    head: TextTable, lines: np.ndarray, spots: pd.Series
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return positions and runs in spot names."""
    found = [_SPOT.search(str(spot)) for spot in spots]
    for line, spot, match in zip(lines, spots, found, strict=True):
        if match is None:
            place = f"{head.path}, line {line}"
            message = f"{place}: {spot!r} is no spot name. Expected {REGIONS}."
            raise ValueError(message)
    place = np.array([(float(m[2]), float(m[3])) for m in found if m]).reshape(-1, 2)
    if any(m is not None and m[1] is None for m in found):
        return place, None
    return place, np.array([f"R{m[1]}" for m in found if m], dtype=object)


def _numbers(head: TextTable, column: pd.Series, *, required: bool) -> np.ndarray:
    """Return a column as numbers; decimal commas are understood."""
    text = column.astype(str).str.strip()
    if head.separator != ",":
        text = text.str.replace(",", ".", regex=False)
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    empty = text.str.lower().isin(["", "nan", "na", "null", "none"]).to_numpy(bool)
    wrong = np.flatnonzero(~np.isfinite(values) & (required | ~empty))
    if wrong.size:
        message = (
            f"{head.path}, line {column.index[wrong[0]]}: column {column.name!r} holds "
            f"{column.iloc[wrong[0]]!r}, but a number is expected."
        )
        raise ValueError(message)
    return values


def _numbers_if_all(column: pd.Series) -> pd.Series:
    """Return numbers where all cells are, else the text."""
    numbers = pd.to_numeric(column, errors="coerce")
    return column if numbers.isna().any() else numbers


def _bracketed(head: TextTable, line: int, adduct: str, ion: str) -> str:
    """Write METASPACE's adducts (M+H, +H, or whole) as [M+H]+."""
    text = adduct.replace(" ", "")
    if text.startswith("["):
        return text
    if not text.startswith("M"):
        text = f"M{text}"
    sign = ion.strip()[-1:] if ion.strip()[-1:] in ("+", "-") else ""
    if not sign:
        removes = text.startswith("M-") and "+" not in text
        takes = text in ("M+Cl", "M+Br", "M+CH3COO", "M+HCOO", "M+C2H3O2", "M+CHO2")
        sign = "-" if removes or takes else "+"
    if text == "M" and not ion.strip():
        message = (
            f"{head.path}, line {line}: adduct {adduct!r} without a column ion leaves "
            "the polarity open. Expected an ion such as C47H82O13P-."
        )
        raise ValueError(message)
    return f"[{text}]{sign}"


def _lacks(head: TextTable, missing: list[str], expected: str) -> str:
    return (
        f"{head.path}, line {head.line}: no column {' or '.join(missing)} among "
        f"{', '.join(head.names)}. Expected {expected}."
    )
