"""False discovery rate of scored ions, from decoys with implausible adducts."""

from __future__ import annotations

import zlib

import numpy as np

from imsminer.features._adducts import Adduct
from imsminer.features._formulas import ELECTRON, atomic_mass

__all__ = ["DECOYS", "decoy_adducts", "false_discovery_rate"]

#: Elements that no one expects on a molecule (Palmer 2017).
DECOYS = tuple(
    """
    He Li Be B C N O F Ne Mg Al Si P S Cl Ar Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se
    Br Kr Rb Sr Y Zr Nb Mo Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Sm Eu Gd Tb
    Dy Ho Ir Th Pt Os Yb Lu Bi Pb Re Tl Tm U W Au Er Hf Hg Ta
    """.split()
)


def decoy_adducts(formula: str, adduct: Adduct, seed: int) -> list[Adduct]:
    """Return the decoys of one ion in random order.

    Parameters
    ----------
    formula : str
        Of the molecule.
    adduct : Adduct
        Of the ion.
    seed : int
        The order depends on this, the formula and the adduct only: neither the order
        of the hits nor what else is scored changes it.

    Returns
    -------
    list of Adduct
        Of the charge and number of molecules of the ion. Elements that the adduct
        itself holds are no decoys of it.
    """
    own = {atom for atom, _ in adduct.atoms or ()}
    elements = [element for element in DECOYS if element not in own]
    key = zlib.crc32(f"{formula} {adduct.name}".encode())
    rng = np.random.default_rng([seed, key])
    sign = "+" if adduct.charge > 0 else "-"
    number = adduct.n_molecules if adduct.n_molecules > 1 else ""
    size = abs(adduct.charge) if abs(adduct.charge) > 1 else ""
    return [
        Adduct(
            f"[{number}M+{elements[k]}]{size}{sign}",
            atomic_mass(elements[k]) - adduct.charge * ELECTRON,
            adduct.charge,
            adduct.n_molecules,
            ((elements[k], 1),),
        )
        for k in rng.permutation(len(elements))
    ]


def false_discovery_rate(
    scores: np.ndarray, decoys: np.ndarray, ratio: float
) -> np.ndarray:
    """Return the false discovery rate at which each score is accepted.

    Parameters
    ----------
    scores : ndarray of float, shape (n_targets,)
        The larger, the better.
    decoys : ndarray of float, shape (n_decoys,)
        Scores of decoys.
    ratio : float
        Decoys per target that was searched for.

    Returns
    -------
    ndarray of float64, shape (n_targets,)
        At most 1, and never smaller for a smaller score. 1 for a score of 0.

    Notes
    -----
    At a score s it is ((D + 1)/ratio) / (T + 1), where D decoys and T targets reach s;
    then the smallest of it over all scores up to s.
    """
    scores = np.asarray(scores, dtype=np.float64)
    positive = scores[scores > 0]
    # A score of 0 is no evidence, and decoys without images are not counted there.
    levels, place = np.unique(positive, return_inverse=True)
    targets = positive.size - np.searchsorted(np.sort(positive), levels, side="left")
    found = decoys.size - np.searchsorted(np.sort(decoys), levels, side="left")
    rate = ((found + 1) / ratio) / (targets + 1)
    rates = np.ones(scores.size)
    rates[scores > 0] = np.minimum(np.minimum.accumulate(rate), 1.0)[place.ravel()]
    return rates
