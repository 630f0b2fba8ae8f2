"""How many annotations are false at a nominal rate, on runs with known molecules.

Run ``python benchmarks/accuracy/annotate.py``; it takes a few minutes. Each run holds
ions of 120 known lipids; the database holds these and many more formulas that are not
in the sample (entrapment), and each formula is searched with adducts of which it has
one. Printed for each nominal FDR, as means over five runs: the share of false ones
among the hits (formula and adduct) that are accepted, and the share of the true ions
that are found. For comparison the share of false ones among all hits within the ppm
window: what a search by m/z alone gives.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from _tables import Table, show

from imsminer import ImzMLReader, PeakPicker
from imsminer.datasets import make_ims
from imsminer.features._adducts import parse_adduct
from imsminer.features._formulas import parse_formula
from imsminer.features.annotate import annotate, score_isotopes

RANGE = (400.0, 1000.0)
ADDUCTS = ("[M+H]+", "[M+Na]+")
LEVELS = (0.05, 0.1, 0.2, 0.5)


def lipids() -> list[str]:
    """Return formulas of lipids: PC, PE, PS, PI, PG, SM, Cer, DG, TG."""
    heads = {
        "PC": (8, 18, 1, 8, 1),
        "PE": (5, 12, 1, 8, 1),
        "PS": (6, 12, 1, 10, 1),
        "PG": (6, 13, 0, 10, 1),
        "PI": (9, 17, 0, 13, 1),
    }
    found = []
    for carbon in range(26, 44):
        for double in range(7):
            for c, h, n, o, p in heads.values():
                hydrogen = h + 2 * carbon - 2 * double - 2
                nitrogen = "N" if n else ""
                found.append(f"C{c + carbon}H{hydrogen}{nitrogen}O{o}P{'' if p else 0}")
            found.append(f"C{carbon + 3}H{2 * carbon + 4 - 2 * double}O5")
            found.append(f"C{carbon}H{2 * carbon + 1 - 2 * double}NO3")
    return sorted(set(found))


def entrapment(rng: np.random.Generator, n: int, known: set[str]) -> list[str]:
    """Draw formulas with the elements and mass defects of metabolites."""
    found: set[str] = set()
    while len(found) < n:
        c = int(rng.integers(18, 56))
        h = int(rng.integers(c, 2 * c + 3))
        nitrogen, oxygen = int(rng.integers(0, 7)), int(rng.integers(1, 14))
        phosphorus, sulfur = int(rng.integers(0, 3)), int(rng.integers(0, 2))
        if (h + nitrogen + phosphorus) % 2:
            h += 1
        parts = zip("CHNOPS", (c, h, nitrogen, oxygen, phosphorus, sulfur), strict=True)
        text = "".join(f"{e}{k if k > 1 else ''}" for e, k in parts if k)
        if text not in known and RANGE[0] < parse_formula(text).mass < RANGE[1]:
            found.add(text)
    return sorted(found)


def simulate(
    folder: Path, seed: int, *, n_true: int = 120, n_false: int = 1200, **options
) -> tuple[ImzMLReader, pd.DataFrame, set]:
    """Write a run; return it, its database, and the (formula, adduct) in it."""
    rng = np.random.default_rng(seed)
    known = lipids()
    ions = {a: parse_adduct(a) for a in ADDUCTS}
    rows = []
    for formula in rng.permutation(known):
        adduct = ADDUCTS[int(rng.random() < 0.3)]
        mz = float(ions[adduct].mz(parse_formula(formula).mass))
        near = any(abs(mz - other) < 1e-4 * mz for _, _, other in rows)
        if RANGE[0] + 5 < mz < RANGE[1] - 5 and not near:
            rows.append((str(formula), adduct, mz))
        if len(rows) == n_true:
            break
    mz = np.array([row[2] for row in rows])
    path = folder / f"run{seed}.imzML"
    settings = {"shape": (24, 24), "snr": (5.0, 300.0), "analyser": "orbitrap"}
    make_ims(path, mz=mz, mz_range=RANGE, random_state=seed, **(settings | options))
    true = {formula for formula, _, _ in rows}
    database = pd.DataFrame({"formula": [*true, *entrapment(rng, n_false, set(known))]})
    return ImzMLReader(path), database, {row[:2] for row in rows}


def accept(
    reader: ImzMLReader, database: pd.DataFrame, ppm: float = 5.0, loq: float = 5.0
) -> pd.DataFrame:
    """Return one row per hit with its FDR."""
    spectra = PeakPicker(loq=loq, min_points=3).fit_transform(reader)
    peaks = spectra.peaks.drop(columns="fwhm")
    hits = annotate(peaks, database, adducts=ADDUCTS, ppm=ppm)
    scored = score_isotopes(hits, spectra, ppm=ppm)
    return scored.drop_duplicates(["formula", "adduct"])


def shares(hits: pd.DataFrame, true: set, level: float) -> tuple[int, int, float]:
    """Return hits accepted, how many of them are false, and true ions' found share."""
    kept = hits[hits["fdr"] <= level]
    right = [key in true for key in zip(kept["formula"], kept["adduct"], strict=True)]
    return len(kept), len(kept) - sum(right), sum(right) / len(true)


def rates() -> Table:
    """The share of false hits, and of true ions found, at each nominal rate."""
    kinds = {
        "TOF 20,000, sparse": {"analyser": "tof", "spectrum_type": "sparse"},
        "Orbitrap, centroids": {"spectrum_type": "centroid"},
        "FT-ICR, centroids": {"analyser": "fticr", "spectrum_type": "centroid"},
        "masses off by 2 ppm": {"spectrum_type": "centroid", "mass_shift_ppm": 2.0},
        "3,000 false formulas": {"spectrum_type": "centroid", "n_false": 3000},
        "6,000 false formulas": {"spectrum_type": "centroid", "n_false": 6000},
        "20,000 false formulas": {"spectrum_type": "centroid", "n_false": 20000},
    }
    levels = (f"FDR {level:g}" for level in LEVELS)
    table = Table(
        "False hits / true ions found (%)",
        ["1,200 false formulas", "m/z alone", *levels],
    )
    for name, options in kinds.items():
        found = []
        for seed in range(5):
            with tempfile.TemporaryDirectory() as folder:
                reader, database, true = simulate(Path(folder), seed, **options)
                hits = accept(reader, database)
            found.append([shares(hits, true, v) for v in (1.0, *LEVELS)])
        cells = []
        for n, false, right in np.mean(found, axis=0):
            wrong = f"{100 * false / n:.0f}" if n else "–"
            cells.append(f"{wrong} / {100 * right:.0f}")
        table.add(name, *cells)
    return table


if __name__ == "__main__":
    show([rates()])
