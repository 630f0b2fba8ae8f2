"""Adducts: what an ion adds to its molecules, and which charge that leaves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from imsminer.features._formulas import ELECTRON, atomic_mass, parse_formula

__all__ = ["COMMON", "Adduct", "parse_adduct", "read_adducts"]

#: What is looked for when only the polarity is known.
COMMON = {
    "positive": ("[M+H]+", "[M+Na]+", "[M+K]+", "[M+NH4]+"),
    "negative": ("[M-H]-", "[M+Cl]-"),
}
#: Names that are used for formulas.
SHORT = {
    "ACN": "C2H3N",
    "DMSO": "C2H6OS",
    "FA": "CH2O2",
    "HAc": "C2H4O2",
    "MeOH": "CH4O",
    "TFA": "C2HF3O2",
}

_ADDUCT = re.compile(r"\[(\d*)M((?:[+-]\d*[A-Z][A-Za-z0-9\[\]]*)*)\](.*)")
_TERM = re.compile(r"([+-])(\d*)([A-Z][A-Za-z0-9\[\]]*)")
_CHARGE = re.compile(r"(\d*)([+-])|([+-])(\d+)|(\++|-+)")
_EXPECTED = (
    "Expected a form such as '[M+H]+', '[M-H]-', '[M+2H]2+', '[2M+Na]+', "
    "'[M+H-H2O]+' or '[M+CH3COO]-'"
)


@dataclass(frozen=True)
class Adduct:
    """An ion type: n molecules with a mass added, and a charge.

    Attributes
    ----------
    name : str
        Such as ``"[M-H]-"``.
    mass : float
        What is added to the neutral molecules, without the electrons that are missing
        (added as negative masses).
    charge : int
        Signed.
    n_molecules : int
        Molecules in the ion.
    atoms : tuple of (str, int), or None
        Atoms added and removed; None when only the mass is known.
    """

    name: str
    mass: float
    charge: int
    n_molecules: int = 1
    atoms: tuple[tuple[str, int], ...] | None = None

    def mz(self, mass: Any) -> Any:
        """Return m/z of ions of molecules with a neutral monoisotopic mass."""
        return (self.n_molecules * mass + self.mass) / abs(self.charge)

    def neutral(self, mz: Any) -> Any:
        """Return the neutral monoisotopic mass of molecules with ions of some m/z."""
        return (mz * abs(self.charge) - self.mass) / self.n_molecules

    @property
    def adds_nothing(self) -> bool:
        """Whether the ion is the molecule itself, which was charged before."""
        return self.atoms == () and self.n_molecules == 1


@lru_cache(maxsize=1024)
def parse_adduct(name: str) -> Adduct:
    """Read an adduct from its usual notation.

    Parameters
    ----------
    name : str
        Such as ``"[M+H]+"``, ``"[2M+Na]+"``, ``"[M+H-2H2O]+"``, ``"[M-2H]2-"``.

    Returns
    -------
    Adduct
        With the mass of the missing (or extra) electrons counted.

    Raises
    ------
    ValueError
        When it is not of this form, or names an element that does not exist.
    """
    text = re.sub(r"\s", "", name).replace("−", "-").replace("–", "-")
    whole = _ADDUCT.fullmatch(text)
    charge = _CHARGE.fullmatch(whole[3]) if whole else None
    if whole is None or charge is None:
        message = f"adduct {name!r} is not understood. {_EXPECTED}."
        raise ValueError(message)
    number, sign, first, last, run = charge.groups()
    size = int(number or last or 1) if run is None else len(run)
    negative = "-" in (sign or first or run)
    n_molecules = int(whole[1] or 1)
    if size == 0 or n_molecules == 0:
        message = f"adduct {name!r} has no charge or no molecule. {_EXPECTED}."
        raise ValueError(message)
    atoms: dict[str, int] = {}
    for direction, count, formula in _TERM.findall(whole[2]):
        formula = SHORT.get(formula, formula)
        times = int(count or 1) * (1 if direction == "+" else -1)
        try:
            part = parse_formula(formula)
        except ValueError as error:
            message = f"adduct {name!r}: {error}"
            raise ValueError(message) from error
        for atom, n in part.atoms:
            atoms[atom] = atoms.get(atom, 0) + times * n
    signed = -size if negative else size
    mass = sum(n * atomic_mass(atom) for atom, n in atoms.items()) - signed * ELECTRON
    kept = tuple(sorted((atom, n) for atom, n in atoms.items() if n))
    return Adduct(text, mass, signed, n_molecules, kept)


def read_adducts(
    adducts: Sequence[str] | Mapping[str, Any] | str | None, polarity: str | None
) -> list[Adduct]:
    """Return the adducts that are asked for, all of one polarity.

    Parameters
    ----------
    adducts : sequence of str, mapping, or None
        Names; or a mapping of names to ``(mass, charge, n_molecules)`` (the number may
        be left out), the mass with electrons counted, as +1.007276 for a proton; or
        None for the common ones of the polarity.
    polarity : {"positive", "negative"} or None
        Of the spectra.

    Raises
    ------
    ValueError
        When there are none, a name repeats, or polarities differ.
    """
    if polarity not in (None, *COMMON):
        message = (
            f"annotate: polarity must be 'positive', 'negative' or None, found "
            f"{polarity!r}."
        )
        raise ValueError(message)
    if adducts is None:
        if polarity is None:
            message = (
                "annotate: give adducts, such as ('[M+H]+', '[M+Na]+'), or polarity "
                f"for the usual ones: {COMMON}."
            )
            raise ValueError(message)
        adducts = COMMON[polarity]
    if isinstance(adducts, str):
        adducts = (adducts,)
    if isinstance(adducts, Mapping):
        found = [_from_numbers(name, values) for name, values in adducts.items()]
    else:
        found = [a if isinstance(a, Adduct) else parse_adduct(str(a)) for a in adducts]
    names = [adduct.name for adduct in found]
    if not found or len(set(names)) < len(names):
        message = f"annotate: adducts need one or more different names, found {names}."
        raise ValueError(message)
    signs = {"positive" if adduct.charge > 0 else "negative" for adduct in found}
    if len(signs) > 1 or (polarity is not None and signs != {polarity}):
        wanted = polarity or "one polarity"
        message = (
            f"annotate: spectra have one polarity, but the adducts {names} are "
            f"{' and '.join(sorted(signs))}, not {wanted}. Leave the others out."
        )
        raise ValueError(message)
    return found


def _from_numbers(name: str, values: Any) -> Adduct:
    """Return an adduct whose mass and charge the user gives."""
    try:
        mass, charge, *rest = values
        n_molecules = rest[0] if rest else 1
        adduct = Adduct(str(name), float(mass), int(charge), int(n_molecules))
        exact = charge == int(charge) and n_molecules == int(n_molecules)
    except (TypeError, ValueError):
        exact = False
    if not exact or not charge or n_molecules < 1 or len(rest) > 1:
        message = (
            f"annotate: adduct {name!r} needs (mass, charge) or (mass, charge, "
            f"n_molecules), such as (1.007276, 1) for a proton; found {values!r}."
        )
        raise ValueError(message)
    return adduct
