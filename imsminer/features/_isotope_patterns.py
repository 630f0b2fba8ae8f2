"""Isotope patterns of ions, isotopologues of one nominal mass added up."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from imsminer.features._adducts import Adduct
from imsminer.features._formulas import ELECTRON, atomic_mass, parse_formula

__all__ = ["IsotopePattern", "isotope_pattern"]

#: Nominal masses from the lightest isotopologue on. What is kept of them is exact.
LENGTH = 64
#: Isotopologues below this part of the strongest are not looked for.
LEAST = 1e-4


class IsotopePattern(NamedTuple):
    """m/z and relative abundances, the strongest first."""

    mz: np.ndarray
    abundance: np.ndarray


def isotope_pattern(
    formula: str, adduct: Adduct | None = None, n_peaks: int = 4
) -> IsotopePattern:
    """Return the strongest isotopologues of an ion.

    Parameters
    ----------
    formula : str
        Of the neutral molecule.
    adduct : Adduct or None
        None for the molecule itself, with charge 1 and no electron missing.
    n_peaks : int, default=4
        How many nominal masses.

    Returns
    -------
    IsotopePattern
        Mean m/z of the isotopologues of each nominal mass, weighted by abundance, and
        their abundances in parts of all.

    Raises
    ------
    ValueError
        When the formula is not understood, or lacks the atoms that the adduct removes.
    """
    # In the order of the molecule's atoms, so that decoys share what is computed of it.
    atoms = dict(parse_formula(formula).atoms)
    charge, electrons = 1, 0.0
    if adduct is not None:
        if adduct.atoms is None:
            message = (
                f"the adduct {adduct.name!r} is known by its mass only; its isotopes "
                "are not. Write it with its atoms, such as '[M+Na]+'."
            )
            raise ValueError(message)
        atoms = {atom: n * adduct.n_molecules for atom, n in atoms.items()}
        for atom, n in adduct.atoms:
            atoms[atom] = atoms.get(atom, 0) + n
        charge, electrons = abs(adduct.charge), adduct.charge * ELECTRON
    if min(atoms.values()) < 0:
        name = adduct.name if adduct is not None else ""
        message = f"{formula} does not have the atoms that {name!r} takes away."
        raise ValueError(message)
    probability, moment = _composition(tuple((a, n) for a, n in atoms.items() if n))
    order = np.argsort(-probability, kind="stable")[:n_peaks]
    order = order[probability[order] >= LEAST * probability[order[0]]]
    mass = moment[order] / probability[order]
    return IsotopePattern((mass - electrons) / charge, probability[order])


@lru_cache(maxsize=1 << 14)
def _composition(atoms: tuple[tuple[str, int], ...]) -> np.ndarray:
    """Return all atoms together."""
    last = _power(*atoms[-1])
    return last if len(atoms) == 1 else _convolve(_composition(atoms[:-1]), last)


def _convolve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Add two independent groups of atoms: probabilities, and masses times those."""
    probability = np.convolve(a[0], b[0])[:LENGTH]
    moment = np.convolve(a[1], b[0])[:LENGTH] + np.convolve(a[0], b[1])[:LENGTH]
    return np.stack([probability, moment])


@lru_cache(maxsize=4096)
def _power(atom: str, n: int) -> np.ndarray:
    """Return `n` atoms of one kind."""
    if n == 1:
        return _atom(atom)
    half = _power(atom, n // 2)
    both = _convolve(half, half)
    return _convolve(both, _atom(atom)) if n % 2 else both


@lru_cache(maxsize=1024)
def _atom(atom: str) -> np.ndarray:
    """Return the isotopes of an element, by nominal mass above the lightest."""
    from pyteomics.mass import nist_mass

    table = np.zeros((2, LENGTH))
    if "[" in atom:
        table[:, 0] = 1.0, atomic_mass(atom)
        return table
    found = {
        number: values
        for number, values in nist_mass[atom].items()
        if number and values[1] > 0
    }
    if not found:
        # Elements without stable isotopes, such as uranium's neighbours.
        table[:, 0] = 1.0, atomic_mass(atom)
        return table
    lightest = min(found)
    for number, (mass, share) in found.items():
        table[:, number - lightest] = share, share * mass
    return table
