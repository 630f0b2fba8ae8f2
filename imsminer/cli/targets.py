"""Ions that the user names, on the command line or in a table."""

from pathlib import Path

import click
import numpy as np
import pandas as pd

__all__ = ["read_targets"]


def read_targets(masses: tuple[float, ...], targets: Path | None) -> pd.DataFrame:
    """Return the ions asked for: columns `mz` and `name`, in the order given.

    Parameters
    ----------
    masses : tuple of float
        From the command line.
    targets : Path or None
        CSV file with a column `mz` and perhaps `name`.

    Raises
    ------
    click.UsageError
        When there is no ion, no column `mz`, or a value that is not a positive number.
    """
    table = pd.DataFrame({"mz": list(masses), "name": [""] * len(masses)})
    if targets is not None:
        listed = pd.read_csv(targets)
        listed.columns = [str(column).strip().lower() for column in listed.columns]
        if "mz" not in listed.columns:
            message = (
                f"{targets} needs a column mz; it has {', '.join(listed.columns)}."
            )
            raise click.UsageError(message)
        if "name" not in listed.columns:
            listed["name"] = ""
        listed["mz"] = pd.to_numeric(listed["mz"], errors="coerce")
        listed["name"] = listed["name"].fillna("").astype("str")
        table = pd.concat([table, listed[["mz", "name"]]], ignore_index=True)
    if table.empty:
        message = "name at least one ion with --mz or --targets."
        raise click.UsageError(message)
    bad = np.flatnonzero(~(table["mz"].to_numpy(dtype=np.float64) > 0))
    if bad.size:
        message = f"ion number {bad[0] + 1} has no positive m/z."
        raise click.UsageError(message)
    return table.astype({"mz": "float64"})
