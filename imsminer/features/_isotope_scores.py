"""Do the images of an ion's isotopologues fit: spatial, spectral, chaos, and FDR."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn import get_config
from sklearn.utils import check_random_state

from imsminer.core.grid import Pixels, coordinates_of
from imsminer.core.spectra import Spectra
from imsminer.features._adducts import Adduct, parse_adduct
from imsminer.features._fdr import decoy_adducts, false_discovery_rate
from imsminer.features._formulas import parse_formula
from imsminer.features._isotope_images import (
    image_scores,
    isotope_images,
    mz_of_columns,
    neighbor_tables,
)
from imsminer.features._isotope_patterns import IsotopePattern, isotope_pattern

__all__ = ["score_isotopes"]

SCORES = ["spatial", "spectral", "chaos", "msm"]


@dataclass(frozen=True)
class _Ion:
    """One ion to be scored, with its pattern."""

    pattern: IsotopePattern
    adduct: str
    is_decoy: bool


def score_isotopes(
    hits: pd.DataFrame,
    data: Any,
    *,
    ppm: float = 5.0,
    n_peaks: int = 4,
    n_decoys: int = 20,
    peaks: Any = None,
    coordinates: Any = None,
    runs: Any = None,
    n_searched: int | None = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    r"""Score hits by the images of their isotopologues, and estimate false discoveries.

    Parameters
    ----------
    hits : DataFrame
        From :func:`annotate`, with `formula` and `adduct`.
    data : Spectra or DataFrame of shape (n_pixels, n_features)
        Where images come from: windows of ± `ppm` around each isotopologue in Spectra,
        or the features (named like ``mz_885.5499``) that lie in these windows.
    ppm : float, default=5
        Half width of windows.
    n_peaks : int, default=4
        Isotopologues (nominal masses) of each ion, the most abundant first.
    n_decoys : int, default=20
        Decoys per ion that was searched for, drawn for the hits from 80 elements that
        are no adducts (so at most 80 per hit); 0 leaves `fdr` out.
    peaks : DataFrame with `mz` or array-like of float, default=None
        The peaks that were annotated. Hits lie at peaks, so decoys must as well: those
        that do not, within `ppm`, get the score 0 and need no image. None takes the
        peaks that Spectra carry, or the features; without any all decoys are looked at.
    coordinates, runs : array-like, default=None
        Of the pixels, where the index of a DataFrame does not tell them.
    n_searched : int, default=None
        How many different ions were searched for, per adduct, in place of the column
        `n_searched` of the hits.
    random_state : int, RandomState instance or None, default=0
        Seed of the decoys' elements.
    n_jobs : int, default=None
        Parts read at a time, as in joblib.

    Returns
    -------
    DataFrame
        The hits, with `spatial`, `spectral`, `chaos`, `msm` (their product), each
        from 0 to 1, and `fdr`: the rate of false discoveries among all hits of that
        adduct that score at least as well; 1 for a hit at a peak where another scores
        better. NaN where a formula is not known.

    Raises
    ------
    ValueError
        When no formula is known, pixels have no place, or nothing tells how many ions
        were searched.

    See Also
    --------
    annotate : Finds the hits.
    imsminer.AnalyteFilter : Selects features, by ``max_fdr`` among others.

    Notes
    -----
    With the theoretical abundances :math:`a_k` of the isotopologues, the strongest
    being number 1, and their images :math:`x_k` [1]_:

    - spatial: :math:`\sum_{k>1} a_k\, r(x_1, x_k) / \sum_{k>1} a_k`, r Pearson's
      correlation over the pixels (below 0: 0);
    - spectral: :math:`1 - \operatorname{mean}_k |a_k/\|a\| - b_k/\|b\||`, where
      :math:`b_k` sums :math:`x_k` over the pixels in which :math:`x_1 > 0`;
    - chaos: 1 − mean number of connected objects at 30 levels over the number of pixels
      above 0; at each level the image is dilated by a cross and eroded by a 3 × 3
      square, within the run and its gaps.

    The FDR at a score s is ((D + 1)/ratio)/(T + 1), with D decoys and T hits that score
    s or more, made monotone. Hits stand for all ions that were searched, most of which
    were at no peak; `ratio` therefore is the number of decoys over the number of ions
    *searched*. Isomers count once. Of several formulas at one peak at most one is taken
    to be right: the best, of any adduct, competes with the decoys. Decoys are drawn
    among those whose m/z lie in the range of the peaks, where they are as likely as
    hits; without any it is 1.

    Spectra are read once, or as often as images exceed a quarter of scikit-learn's
    ``working_memory``; decoys that lie at no peak cost nothing.

    References
    ----------
    .. [1] Palmer A. et al. (2017). FDR-controlled metabolite annotation for
       high-resolution imaging mass spectrometry. Nature Methods 14, 57.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from imsminer import annotate, score_isotopes
    >>> lipids = pd.DataFrame({"name": ["PI 38:4"], "formula": ["C47H83O13P"]})
    >>> y, x = np.mgrid[:8, :8].reshape(2, -1)
    >>> image = np.where(x < 4, 100.0, 10.0)
    >>> features = pd.DataFrame(
    ...     {"mz_885.5499": image, "mz_886.5533": 0.52 * image, "mz_990.1": image},
    ...     index=pd.MultiIndex.from_arrays([x, y], names=["x", "y"]),
    ... )
    >>> hits = annotate(features, lipids, adducts=["[M-H]-"])
    >>> score_isotopes(hits, features)[["name", "spatial", "spectral", "fdr"]].round(2)
          name  spatial  spectral   fdr
    0  PI 38:4     0.73      0.95  0.02
    """
    _check_numbers(ppm=ppm, n_peaks=n_peaks, n_decoys=n_decoys)
    columns = [name for name in ("formula", "adduct") if name not in hits.columns]
    if columns:
        message = (
            f"score_isotopes: hits need the columns formula and adduct, but {columns} "
            "are missing. Annotate with a database that has formulas."
        )
        raise ValueError(message)
    pixels = _pixels(data, coordinates, runs)
    known_mz = _known_mz(data, peaks)
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    keys = _keys(hits)
    ions = [key for key in dict.fromkeys(keys) if key is not None]
    if not ions and len(hits):
        message = (
            "score_isotopes: no hit has a formula and an adduct, so that no isotope "
            "pattern is known. Annotate with a database that has formulas."
        )
        raise ValueError(message)
    searched = _searched(hits, ions, keys, n_searched) if n_decoys else {}
    adducts = {a: parse_adduct(a) for a in dict.fromkeys(a for _, a in ions)}
    wanted = [
        _Ion(isotope_pattern(f, adducts[a], n_peaks), a, is_decoy=False)
        for f, a in ions
    ]
    if not ions:
        return hits.assign(**dict.fromkeys([*SCORES, *["fdr"] * (n_decoys > 0)], 0.0))
    drawn = dict.fromkeys(adducts, 0)
    span = _span(wanted, known_mz)
    for formula, name in ions if n_decoys else ():
        n = math.ceil(n_decoys * searched[name] / sum(a == name for _, a in ions))
        decoys = _decoys(formula, adducts[name], n, n_peaks, seed, span)
        drawn[name] += len(decoys)
        at_peak = [_Ion(p, name, is_decoy=True) for p in decoys]
        wanted += [ion for ion in at_peak if _at_peak(ion.pattern, known_mz, ppm)]
    table = _score(wanted, data, pixels, ppm, n_jobs)
    result = pd.DataFrame(table[: len(ions)], columns=SCORES)
    if n_decoys:
        best = _best_at_peak(hits, keys, ions, table[:, -1])
        result["fdr"] = _rates(table[:, -1], wanted, best, drawn, searched)
    places = {key: i for i, key in enumerate(ions)}
    rows = np.array([places.get(key, -1) for key in keys], np.int64)
    values = np.vstack([result.to_numpy(), np.full(result.shape[1], np.nan)])[rows]
    found = pd.DataFrame(values, columns=result.columns, index=hits.index)
    others = hits.drop(columns=[c for c in result.columns if c in hits.columns])
    return pd.concat([others, found], axis=1)


def _keys(hits: pd.DataFrame) -> list[tuple[str, str] | None]:
    """Return formula and adduct of each hit; None where the formula is not known."""
    known = {}
    for text in pd.unique(hits["formula"]):
        try:
            known[text] = not pd.isna(text) and bool(parse_formula(str(text)))
        except ValueError:
            known[text] = False
    pairs = zip(hits["formula"], hits["adduct"], strict=True)
    return [(str(f), str(a)) if known.get(f) else None for f, a in pairs]


def _score(
    ions: list[_Ion], data: Any, pixels: Pixels, ppm: float, n_jobs: int | None
) -> np.ndarray:
    """Read images in parts that fit into memory, and score them."""
    n = max(len(ion.pattern.mz) for ion in ions)
    mz = np.zeros((len(ions), n))
    abundance = np.zeros((len(ions), n))
    for i, ion in enumerate(ions):
        mz[i, : len(ion.pattern.mz)] = ion.pattern.mz
        abundance[i, : len(ion.pattern.mz)] = ion.pattern.abundance
    cross, around = neighbor_tables(pixels)
    budget = int(get_config()["working_memory"]) * 2**20 // 4
    size = max(1, budget // (4 * n * len(pixels.runs)))
    scores = np.zeros((len(ions), len(SCORES)))
    for start in range(0, len(ions), size):
        part = slice(start, start + size)
        images = isotope_images(data, mz[part], ppm, n_jobs)
        scores[part] = image_scores(images, abundance[part], cross, around)
    return scores


def _decoys(
    formula: str,
    adduct: Adduct,
    n_decoys: int,
    n_peaks: int,
    seed: int,
    span: tuple[float, float],
) -> list[IsotopePattern]:
    """Draw decoys of one ion among those in the range of m/z."""
    drawn = decoy_adducts(formula, adduct, seed)
    mz = np.array([decoy.mz(parse_formula(formula).mass) for decoy in drawn])
    inside = np.flatnonzero((mz >= span[0]) & (mz <= span[1]))
    return [isotope_pattern(formula, drawn[k], n_peaks) for k in inside[:n_decoys]]


def _at_peak(pattern: IsotopePattern, mz: np.ndarray | None, ppm: float) -> bool:
    """Whether the strongest isotopologue lies at one of the peaks."""
    if mz is None:
        return True
    ends = pattern.mz[0] * (1 + 1e-6 * ppm * np.array([-1, 1]))
    first, last = np.searchsorted(mz, ends)
    return bool(last > first)


def _span(ions: list[_Ion], mz: np.ndarray | None) -> tuple[float, float]:
    """Return the range of m/z in which decoys would be as likely as hits."""
    first = np.array([ion.pattern.mz[0] for ion in ions])
    every = first if mz is None or mz.size == 0 else np.concatenate([first, mz])
    return float(every.min()), float(every.max())


def _rates(
    msm: np.ndarray,
    ions: list[_Ion],
    best: np.ndarray,
    drawn: dict[str, int],
    searched: dict[str, int],
) -> np.ndarray:
    """Return the FDR of each target that is best at a peak, among its adduct's."""
    n_targets = best.size
    name = np.array([ion.adduct for ion in ions], dtype=object)
    decoy = np.arange(len(ions)) >= n_targets
    rates = np.ones(n_targets)
    for adduct, n in drawn.items():
        mine = name == adduct
        ratio = n / searched[adduct]
        if n == 0:
            continue
        counted = mine[:n_targets] & best
        targets = msm[:n_targets][counted]
        rates[counted] = false_discovery_rate(targets, msm[mine & decoy], ratio)
    return rates


def _best_at_peak(
    hits: pd.DataFrame, keys: list, ions: list, msm: np.ndarray
) -> np.ndarray:
    """Return which ions score best at one of the peaks at which they are hits."""
    if "mz" not in hits.columns:
        return np.ones(len(ions), bool)
    places = {key: i for i, key in enumerate(ions)}
    ion = np.array([places.get(key, -1) for key in keys], np.int64)
    table = pd.DataFrame({"mz": hits["mz"].to_numpy(), "ion": ion})[ion >= 0]
    table["msm"] = msm[table["ion"]]
    highest = table.groupby("mz")["msm"].transform("max")
    best = np.zeros(len(ions), bool)
    best[table["ion"][table["msm"] >= highest]] = True
    return best


def _searched(
    hits: pd.DataFrame, ions: list, keys: list, n_searched: int | None
) -> dict[str, int]:
    """Return how many ions of each adduct were searched for."""
    found = {a: sum(b == a for _, b in ions) for a in dict.fromkeys(a for _, a in ions)}
    if n_searched is not None:
        return {a: max(int(n_searched), n) for a, n in found.items()}
    if "n_searched" not in hits.columns:
        message = (
            "score_isotopes: the FDR depends on how many ions were searched for; the "
            "hits have no column n_searched. Give n_searched= (different formulas in "
            "the database), or n_decoys=0 for scores without FDR."
        )
        raise ValueError(message)
    told = hits["n_searched"].to_numpy()
    for key, n in zip(keys, told, strict=True):
        if key is not None:
            found[key[1]] = max(found[key[1]], int(n))
    return found


def _pixels(data: Any, coordinates: Any, runs: Any) -> Pixels:
    if isinstance(data, Spectra):
        places = data.pixels if coordinates is None else coordinates
        return coordinates_of(data, places, runs, estimator="score_isotopes")
    if not isinstance(data, pd.DataFrame):
        message = (
            "score_isotopes: data must be Spectra, or features as a DataFrame whose "
            f"columns are named like mz_885.5499; found {type(data).__name__}."
        )
        raise TypeError(message)
    return coordinates_of(data, coordinates, runs, estimator="score_isotopes")


def _known_mz(data: Any, peaks: Any) -> np.ndarray | None:
    """Return the m/z of the peaks that were annotated, sorted, if they are known."""
    if peaks is not None:
        mz = peaks["mz"] if isinstance(peaks, pd.DataFrame) else peaks
        return np.sort(np.asarray(mz, dtype=np.float64))
    if isinstance(data, Spectra):
        return None if data.peaks is None else np.sort(data.peaks["mz"].to_numpy())
    return np.sort(mz_of_columns(data))


def _check_numbers(*, ppm: Any, n_peaks: Any, n_decoys: Any) -> None:
    if not (np.isscalar(ppm) and np.isfinite(ppm) and ppm > 0):
        message = f"score_isotopes: ppm must be a number above 0, found {ppm!r}."
        raise ValueError(message)
    if not (isinstance(n_peaks, int | np.integer) and n_peaks >= 2):
        message = f"score_isotopes: n_peaks must be 2 or more, found {n_peaks!r}."
        raise ValueError(message)
    if not (isinstance(n_decoys, int | np.integer) and n_decoys >= 0):
        message = f"score_isotopes: n_decoys must be 0 or more, found {n_decoys!r}."
        raise ValueError(message)
