"""Molecular formulas: atoms, charge and monoisotopic mass."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from string import ascii_lowercase, ascii_uppercase

import numpy as np
import pandas as pd
import pyarrow as pa

__all__ = ["ELECTRON", "Formula", "atomic_mass", "parse_formula", "plain_masses"]

#: Mass of an electron in u (CODATA, as in pyteomics).
ELECTRON = 0.00054857990943

#: A number of charges is told from one of atoms by ^ or brackets: C10H12^2-, C6H6(2-).
_CHARGE = re.compile(r"(.*?)(?:([+-])|\^(\d*)([+-])|\((\d*)([+-])\))")


@dataclass(frozen=True)
class Formula:
    """Atoms of a molecule.

    Attributes
    ----------
    atoms : tuple of (str, int)
        Elements, or isotopes such as ``"C[13]"``, and their numbers, sorted.
    charge : int
        Of the molecule itself; 0 for most.
    mass : float
        Monoisotopic mass of the atoms, electrons of the charge not taken off.
    """

    atoms: tuple[tuple[str, int], ...]
    charge: int
    mass: float


@lru_cache(maxsize=1024)
def atomic_mass(atom: str) -> float:
    """Return the mass of an element's most abundant isotope, or of an isotope.

    Raises
    ------
    ValueError
        When there is no such element.
    """
    from pyteomics import mass

    atom = {"D": "H[2]", "T": "H[3]"}.get(atom, atom)
    try:
        return mass.calculate_mass(composition={atom: 1})
    except (KeyError, mass.PyteomicsError) as error:
        message = f"there is no element or isotope {atom!r}"
        raise ValueError(message) from error


@lru_cache(maxsize=1 << 20)
def parse_formula(text: str) -> Formula:
    """Read a formula such as ``"C47H83O13P"`` or, with a charge, ``"C5H14NO+"``.

    Parameters
    ----------
    text : str
        Elements and numbers; isotopes as in pyteomics, such as ``"C[13]6H12O6"``.

    Returns
    -------
    Formula

    Raises
    ------
    ValueError
        When it cannot be read.
    """
    from pyteomics import mass

    bare, charge = text.strip(), 0
    tail = _CHARGE.fullmatch(bare)
    if tail is not None:
        bare = tail[1]
        number, sign = tail[3] or tail[5], tail[2] or tail[4] or tail[6]
        charge = int(number or 1) * (1 if sign == "+" else -1)
    try:
        found = dict(mass.Composition(formula=bare)) if bare else {}
    except mass.PyteomicsError:
        found = {}
    atoms = {("H[2]" if a == "D" else a): n for a, n in found.items() if n}
    if not atoms or min(atoms.values()) < 0:
        message = (
            f"formula {text!r} is not understood; expected elements and numbers, such "
            "as C47H83O13P"
        )
        raise ValueError(message)
    weight = sum(n * atomic_mass(atom) for atom, n in atoms.items())
    return Formula(tuple(sorted(atoms.items())), charge, weight)


def plain_masses(column: pd.Series) -> np.ndarray:
    """Return the monoisotopic masses of formulas without charge, isotope or bracket.

    Reading each of a million formulas with :func:`parse_formula` takes half a minute.

    Parameters
    ----------
    column : Series of str
        Formulas; anything may be missing.

    Returns
    -------
    ndarray of float64, shape (n,)
        NaN for a formula that is not as plain, or not understood: ask
        :func:`parse_formula` of it.
    """
    from imsminer.features._kernels import formulas_numba

    texts = pa.array(column.astype("string[pyarrow]"), type=pa.large_string())
    _, bounds, text = texts.buffers()
    masses = np.empty(len(texts))
    formulas_numba.plain_masses(
        np.frombuffer(text or b"", np.uint8),
        np.frombuffer(bounds, np.int64, len(texts) + 1, texts.offset * 8),
        _element_masses(),
        masses,
    )
    return masses


@cache
def _element_masses() -> np.ndarray:
    """Masses of elements by their letters, as `formulas_numba` expects them."""
    table = np.full((26, 27), np.nan)
    for i, first in enumerate(ascii_uppercase):
        for j, second in enumerate(("", *ascii_lowercase)):
            try:
                # Deuterium and tritium have letters, but are no elements.
                if first + second not in ("D", "T"):
                    table[i, j] = atomic_mass(first + second)
            except ValueError:
                continue
    return table
