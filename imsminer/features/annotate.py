"""Which molecules the ions may be: search of m/z in a table of molecules."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd

from imsminer.core.peaktable import feature_mz, feature_names
from imsminer.core.spectra import Spectra
from imsminer.features._adducts import Adduct, read_adducts
from imsminer.features._database import Database, read_database
from imsminer.features._formulas import parse_formula
from imsminer.features._isotope_overlap import isotope_overlap
from imsminer.features._isotope_scores import score_isotopes

__all__ = ["annotate", "score_isotopes"]

#: What makes an analyte in the summary of many spectra.
ANALYTE = ["name", "formula", "adduct", "theoretical_mz"]


def annotate(
    peaks: Any,
    database: pd.DataFrame | str | PathLike,
    *,
    adducts: Sequence[str] | Mapping[str, Any] | None = None,
    ppm: float = 5.0,
    mass: str | None = None,
    where: Mapping[str, Any] | None = None,
    polarity: str | None = None,
    fwhm: float | Sequence[float] | None = None,
) -> pd.DataFrame:
    """List the molecules whose ions have the m/z of peaks.

    Parameters
    ----------
    peaks : DataFrame, array-like of float, or several of them
        A peak table with `mz` (and best `height` and `fwhm`), such as
        ``PeakPicker.peaks_``; or features with columns such as ``mz_773.5272``; or m/z
        values. A list of peak tables, of arrays, of pairs (m/z, intensity), or
        centroided Spectra are searched together: see Returns.
    database : DataFrame or path-like
        One molecule a row: a DataFrame, or a CSV or TSV file. Names, classes and ion
        types are found by their usual column names (those of LIPID MAPS, HMDB and
        METASPACE among them); all columns go into the hits.
    adducts : sequence of str or mapping, default=None
        Such as ``["[M-H]-", "[M+Cl]-"]``, ``"[M+2H]2+"``, ``"[2M+Na]+"`` or
        ``"[M+H-H2O]+"``. A mapping gives others by their mass, as ``{"[M+X]+":
        (22.9892, 1)}``: mass added (missing electrons taken off), charge, and number
        of molecules if that is not 1. None takes the usual ones of `polarity`.
    ppm : float, default=5
        Largest distance from the theoretical m/z, in parts per million of it.
    mass : str, default=None
        Column of neutral monoisotopic masses, or of formulas, from which masses are
        computed. None looks for masses first, then for formulas, by usual names.
    where : mapping, default=None
        Search part of the database: values, or lists of values, that columns must
        have, such as ``{"MAIN_CLASS": ["Glycerophosphocholines"]}``.
    polarity : {"positive", "negative"}, default=None
        Of the spectra; adducts of the other polarity are an error.
    fwhm : float or array-like of shape (n_peaks,), default=None
        Width of peaks in m/z, where the peak table has no column `fwhm`; with it, hits
        on isotopologues are told.

    Returns
    -------
    DataFrame
        One row per hit, sorted by peak, then by distance: `peak` (position of the
        peak), `mz`, `feature` (its column after `PeakIntegrator`), `name`, `formula`,
        `adduct`, `theoretical_mz`, `ppm` (signed: measured minus theoretical, over
        theoretical), `n_searched` (how many different ions of that adduct were searched
        for, which :func:`score_isotopes` needs), `analyte_class` and `ion_type` where
        the database has them, and its other columns.

        With widths and heights also `isotope_overlap`: whether the hit lies within a
        FWHM of an isotopologue of a *stronger* peak, whose m/z is `isotope_of`, and
        `isotope_share`, the part of the hit's height that this isotopologue has if the
        stronger ion is a typical lipid.

        For several spectra one row per analyte (name, formula, adduct): `n_spectra`,
        `frequency` (share of the spectra with a hit), `mz` (mean), `ppm` and `ppm_sd`
        (mean and standard deviation, of the closest peak of each spectrum; NaN for
        one).

    Raises
    ------
    ValueError
        When a parameter is out of range, the database lacks a column, adducts have
        several polarities, or profile spectra are given.

    Warns
    -----
    UserWarning
        When hits lie on isotopologues of stronger ions, when formulas are not
        understood, or when masses and formulas of the database disagree.

    See Also
    --------
    score_isotopes : Scores hits by the images of their isotopologues.
    imsminer.AnalyteFilter : Selects features by hits.

    Notes
    -----
    m/z = (n · M + adduct) / \\|z\\|, electrons counted. Molecules are sorted by mass
    once, and every peak and adduct is looked up by bisection. A molecule whose formula
    ends with a charge is found by adducts that add nothing (``"[M]+"``) only; one that
    lacks the atoms that an adduct takes away is not found by it.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer import annotate
    >>> lipids = pd.DataFrame(
    ...     {"name": ["PI 38:4", "PE 38:4"], "formula": ["C47H83O13P", "C43H78NO8P"]}
    ... )
    >>> hits = annotate([766.5390, 885.5505], lipids, adducts=["[M-H]-"], ppm=3)
    >>> hits[["mz", "name", "adduct", "theoretical_mz", "ppm"]].round(4)
             mz     name  adduct  theoretical_mz     ppm
    0  766.5390  PE 38:4  [M-H]-        766.5392 -0.2983
    1  885.5505  PI 38:4  [M-H]-        885.5499  0.7307
    """
    if not (np.isscalar(ppm) and np.isfinite(ppm) and ppm > 0):
        message = f"annotate: ppm must be a number above 0, found {ppm!r}."
        raise ValueError(message)
    ions = read_adducts(adducts, polarity)
    many = _tables(peaks)
    molecules = read_database(database, mass, where)
    if many is not None:
        mz = [_values(table) for table in many]
        owner = np.repeat(np.arange(len(mz)), [len(part) for part in mz])
        hits = _search(np.concatenate([*mz, np.empty(0)]), molecules, ions, ppm)
        return _summary(hits, owner, len(mz))
    hits = _search(_values(peaks), molecules, ions, ppm)
    height, widths = _heights(peaks), _widths(peaks, fwhm)
    if height is None or widths is None:
        return hits
    found = isotope_overlap(hits, _values(peaks), height, widths)
    hits = pd.concat([hits, found], axis=1)
    n = int(found["isotope_overlap"].sum())
    if n:
        message = (
            f"annotate: {n} of {len(hits)} hits lie within a FWHM of an isotopologue "
            "of a stronger ion, and may be that: see the columns isotope_overlap, "
            "isotope_of and isotope_share."
        )
        warnings.warn(message, UserWarning, stacklevel=2)
    return hits


def _search(
    mz: np.ndarray, molecules: Database, ions: list[Adduct], ppm: float
) -> pd.DataFrame:
    """Return all pairs of peaks and ions within `ppm`."""
    parts = []
    for k, ion in enumerate(ions):
        # Within ppm of the theoretical m/z t: |m − t| ≤ t · ppm.
        low = ion.neutral(mz / (1 + 1e-6 * ppm))
        high = ion.neutral(mz / (1 - 1e-6 * ppm))
        first = np.searchsorted(molecules.mass, low, side="left")
        count = np.searchsorted(molecules.mass, high, side="right") - first
        peak = np.repeat(np.arange(mz.size), count)
        start = np.cumsum(count) - count
        at = np.arange(peak.size) + np.repeat(first - start, count)
        charge = molecules.charge[at]
        # The charge of the molecule itself is all that [M]+ has.
        own = ion.adds_nothing & (charge == ion.charge)
        keep = (charge == 0) | own
        parts.append((peak[keep], at[keep], np.full(int(keep.sum()), k)))
    peak, at, which = (np.concatenate(column) for column in zip(*parts, strict=True))
    exact = np.empty(peak.size)
    for k, ion in enumerate(ions):
        mine = which == k
        exact[mine] = ion.mz(molecules.mass[at[mine]])
    error = 1e6 * (mz[peak] - exact) / exact
    row = molecules.rows[at]
    order = np.lexsort((row, which, np.abs(error), peak))
    peak, row, which = peak[order], row[order], which[order]
    names = np.asarray(feature_names(mz), dtype=object)
    adduct = np.asarray([ion.name for ion in ions], dtype=object)
    table = molecules.table.iloc[row].reset_index(drop=True)
    own = {
        "peak": peak,
        "mz": mz[peak],
        "feature": names[peak],
        "adduct": adduct[which],
        "theoretical_mz": exact[order],
        "ppm": error[order],
        "n_searched": np.full(peak.size, molecules.n_ions),
    }
    taken = {name: f"database_{name}" for name in own if name in table.columns}
    hits = pd.concat([pd.DataFrame(own), table.rename(columns=taken)], axis=1)
    front = ["peak", "mz", "feature", "name", "formula", *list(own)[3:]]
    front = [name for name in front if name in hits.columns]
    hits = _possible(hits, ions)
    return hits[[*front, *(name for name in hits.columns if name not in front)]]


def _possible(hits: pd.DataFrame, ions: list[Adduct]) -> pd.DataFrame:
    """Leave out ions that would lose atoms which their molecules do not have."""
    if "formula" not in hits.columns:
        return hits
    keep = np.ones(len(hits), bool)
    for ion in ions:
        lost = {atom: -n for atom, n in ion.atoms or () if n < 0}
        mine = (hits["adduct"] == ion.name).to_numpy()
        for text in pd.unique(hits["formula"][mine]) if lost else ():
            try:
                atoms = dict(parse_formula(str(text)).atoms)
            except ValueError:
                # Found by its mass; its atoms are not known.
                continue
            if any(atoms.get(a, 0) * ion.n_molecules < n for a, n in lost.items()):
                keep &= ~(mine & (hits["formula"] == text).to_numpy())
    return hits if keep.all() else hits[keep].reset_index(drop=True)


def _summary(hits: pd.DataFrame, owner: np.ndarray, n_spectra: int) -> pd.DataFrame:
    """Return how often, and how exactly, each analyte is found in many spectra."""
    if n_spectra == 0:
        message = "annotate: the list of spectra is empty."
        raise ValueError(message)
    keys = [name for name in ANALYTE if name in hits.columns]
    hits = hits.assign(spectrum=owner[hits["peak"].to_numpy()])
    # Hits of one peak are sorted by distance, those of a spectrum must be, too.
    order = np.argsort(np.abs(hits["ppm"].to_numpy()), kind="stable")
    closest = hits.iloc[order].drop_duplicates([*keys, "spectrum"])
    groups = closest.groupby(keys, sort=False, dropna=False)
    table = groups.agg(
        n_spectra=("spectrum", "size"),
        mz=("mz", "mean"),
        ppm=("ppm", "mean"),
        ppm_sd=("ppm", "std"),
    ).reset_index()
    table.insert(len(keys) + 1, "frequency", table["n_spectra"] / n_spectra)
    other = ["peak", "mz", "feature", "ppm", "spectrum"]
    rest = hits.drop(columns=other).drop_duplicates(keys)
    table = table.merge(rest, on=keys, how="left")
    return table.sort_values(
        ["frequency", "theoretical_mz"], ascending=[False, True], kind="stable"
    ).reset_index(drop=True)


def _tables(peaks: Any) -> list | None:
    """Return a list of peak tables, or None when there is one table."""
    if isinstance(peaks, Spectra):
        if peaks.profile:
            message = (
                "annotate: these are profile spectra, which have no list of m/z. Give "
                "the peaks of a PeakPicker, or centroid them with CentroidSpectra."
            )
            raise ValueError(message)
        return list(peaks)
    if isinstance(peaks, pd.DataFrame | np.ndarray | pd.Series):
        return None
    if isinstance(peaks, Mapping):
        return list(peaks.values())
    items = list(peaks)
    return items if any(np.ndim(item) > 0 for item in items) else None


def _values(peaks: Any) -> np.ndarray:
    """Return the m/z of one peak table."""
    if isinstance(peaks, pd.DataFrame):
        if "mz" in peaks.columns:
            mz = peaks["mz"].to_numpy(dtype=np.float64)
        else:
            mz = feature_mz(peaks.columns)
            if np.isnan(mz).any():
                message = (
                    "annotate: a DataFrame needs a column mz, or columns that are "
                    "named like mz_773.5272; found "
                    f"{', '.join(map(str, peaks.columns[:8]))}."
                )
                raise ValueError(message)
    elif isinstance(peaks, tuple) and len(peaks) == 2 and np.ndim(peaks[0]) == 1:
        mz = np.asarray(peaks[0], dtype=np.float64)
    else:
        mz = np.asarray(peaks, dtype=np.float64)
    if mz.ndim != 1 or not (np.isfinite(mz) & (mz > 0)).all():
        message = (
            "annotate: peaks need a list of m/z above 0; found "
            f"{'shape ' + str(mz.shape) if mz.ndim != 1 else 'other values'}."
        )
        raise ValueError(message)
    return mz


def _heights(peaks: Any) -> np.ndarray | None:
    """Return the intensities of peaks, where they are known."""
    if not isinstance(peaks, pd.DataFrame):
        return None
    if "mz" not in peaks.columns:
        return np.nanmean(peaks.to_numpy(dtype=np.float64), axis=0)
    known = [name for name in ("height", "intensity") if name in peaks.columns]
    return peaks[known[0]].to_numpy(dtype=np.float64) if known else None


def _widths(peaks: Any, fwhm: Any) -> np.ndarray | None:
    """Return the widths of peaks, where they are known."""
    n = len(_values(peaks))
    if fwhm is None:
        table = isinstance(peaks, pd.DataFrame) and "mz" in peaks.columns
        if not (table and "fwhm" in peaks.columns):
            return None
        widths = peaks["fwhm"].to_numpy(dtype=np.float64)
        # Targets that were not found, and centroids, have no width.
        return np.where(np.isfinite(widths) & (widths > 0), widths, 0.0)
    widths = np.asarray(fwhm, dtype=np.float64)
    if widths.ndim > 1 or (widths.ndim == 1 and widths.size != n):
        message = (
            f"annotate: fwhm needs one number or one for each of {n} peaks, found "
            f"shape {widths.shape}."
        )
        raise ValueError(message)
    if not (np.isfinite(widths) & (widths > 0)).all():
        message = "annotate: fwhm must be above 0."
        raise ValueError(message)
    return np.broadcast_to(widths, n)
