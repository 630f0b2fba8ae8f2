"""Glycerophospholipids and sulfatides by their numbers of carbons and double bonds."""

import pandas as pd

__all__ = ["lipid_table"]

#: C, H, N, O, P, S of a lipid with n carbons and d double bonds in its chains:
#: C_(n+c) H_(2n+h-2d), and the other atoms.
CLASSES = {
    "PA": (3, 5, "O8P"),
    "PE": (5, 10, "NO8P"),
    "PG": (6, 11, "O10P"),
    "PI": (9, 15, "O13P"),
    "PS": (6, 10, "NO10P"),
    "SHexCer": (6, 11, "NO11S"),
}
CARBONS = {"SHexCer": (38, 40, 42)}
USUAL = (34, 36, 38)
DOUBLE_BONDS = {34: (1, 2), 36: (1, 2, 4), 38: (4, 5, 6), 40: (1, 2), 42: (1, 2, 3)}


def lipid_table() -> pd.DataFrame:
    """Return lipids of animal tissue: ``name``, ``formula``, ``analyte_class``."""
    rows = []
    for kind, (carbon, hydrogen, rest) in CLASSES.items():
        for n in CARBONS.get(kind, USUAL):
            for d in DOUBLE_BONDS[n]:
                formula = f"C{n + carbon}H{2 * n + hydrogen - 2 * d}{rest}"
                rows.append((f"{kind}({n}:{d})", formula, kind))
    return pd.DataFrame(rows, columns=["name", "formula", "analyte_class"])
