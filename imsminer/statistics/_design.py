"""Which cells are units, pairs and blocks of a comparison."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imsminer.statistics._cells import Cells

__all__ = [
    "Design",
    "collapse",
    "design_of",
    "group_names",
    "group_pairs",
    "model_blocks",
]

#: Where a pixel is: never what makes a unit.
PLACES = ("x", "y", "z")


class Design(NamedTuple):
    """The columns that a comparison works with."""

    group: str
    unit: list[str]
    block: list[str]
    """Empty without blocks."""
    technical: list[str]


def as_columns(value: Any) -> list[str]:
    """Name, names or nothing, as a list."""
    if value is None or value is False:
        return []
    return [value] if isinstance(value, str) else list(value)


def design_of(group: Any, unit: Any, block: Any, technical: Any, test: str) -> Design:
    """Check the columns of a comparison.

    Raises
    ------
    TypeError
        When `group` or `unit` is not named.
    ValueError
        When a column has two roles, a unit is a pixel, or a test has no use for it.
    """
    if not isinstance(group, str):
        message = (
            "compare: group= must name the column of pixels whose values are compared, "
            f"such as 'condition' or 'roi'; got {group!r}."
        )
        raise TypeError(message)
    columns = as_columns(unit)
    if not columns:
        message = (
            "compare: unit= must name the column(s) of pixels that say which animal, "
            "sample or replicate a pixel is of. Pixels are not samples: those of one "
            "section resemble each other, and tests that count them find differences "
            "where there are none."
        )
        raise TypeError(message)
    if set(columns) & set(PLACES):
        message = (
            f"compare: unit={unit!r} makes units of pixels. Pixels are not samples; "
            "name the column of the animal, sample or replicate."
        )
        raise ValueError(message)
    if block is True:
        message = "compare: block must be a column of pixels, False or None; got True."
        raise ValueError(message)
    design = Design(group, columns, as_columns(block), as_columns(technical))
    _check_roles(design, test)
    return design


def _check_roles(design: Design, test: str) -> None:
    roles = {
        "unit": design.unit,
        "block": design.block,
        "technical": design.technical,
    }
    for name, columns in roles.items():
        if design.group in columns:
            message = (
                f"compare: {name}={design.group!r} is the group itself; groups are "
                f"compared, and {name} must be another column."
            )
            raise ValueError(message)
    if set(design.technical) & {*design.unit, *design.block}:
        message = (
            f"compare: technical={design.technical!r} names repeated measurements "
            "within a unit; it must be another column than unit and block."
        )
        raise ValueError(message)
    if design.block and test in ("welch", "mannwhitney"):
        message = (
            f"compare: test={test!r} has no blocks; use 'paired', 'anova' or 'mixed' "
            f"with block={design.block!r}."
        )
        raise ValueError(message)


def group_names(cells: Cells, group: str) -> list[Any]:
    """Groups that have pixels: in the order of the categories, else sorted."""
    return list(cells.keys[group].drop_duplicates().sort_values())


def group_pairs(names: Sequence[Any], reference: Any) -> list[tuple[int, int]]:
    """Positions of all pairs, or of the reference and each other group.

    Raises
    ------
    ValueError
        With a single group, or an unknown reference.
    """
    if len(names) < 2:
        message = (
            "compare: needs two or more groups; the pixels with a group and a unit "
            f"have only {names[0]!r}."
        )
        raise ValueError(message)
    if reference is None:
        return [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    if reference not in names:
        known = ", ".join(map(repr, names))
        message = (
            f"compare: reference must be one of the groups {known}; got {reference!r}."
        )
        raise ValueError(message)
    first = list(names).index(reference)
    return [(first, other) for other in range(len(names)) if other != first]


def collapse(
    keys: pd.DataFrame, values: np.ndarray, columns: Sequence[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Average cells that agree in `columns`, each cell with the same weight."""
    groups = keys.groupby(list(columns), sort=True, observed=True)
    codes = groups.ngroup().to_numpy()
    first = np.unique(codes, return_index=True)[1]
    means = pd.DataFrame(values).groupby(codes).mean().to_numpy()
    return keys.loc[first, list(columns)].reset_index(drop=True), means


def model_blocks(
    pixels: pd.DataFrame, cells: Cells, design: Design, test: str, *, find: bool
) -> Design:
    """Return the design with the blocks that the test works with.

    Raises
    ------
    ValueError
        When a mixed model has neither blocks nor repeats.
    """
    if test == "paired":
        return design._replace(block=design.block or design.unit)
    if test in ("welch", "mannwhitney"):
        shared = _shared_runs(pixels, cells, design.group) if find else 0
        if shared:
            message = (
                f"compare: {shared} runs hold several of the groups, so their values "
                f"are not independent, as test={test!r} takes them to be. "
                "test='paired' or 'anova' compares within runs; block=False says that "
                "this is meant."
            )
            warnings.warn(message, UserWarning, stacklevel=3)
        return design
    if find:
        design = design._replace(block=_found_blocks(pixels, cells, design))
    if test == "mixed" and not (design.block or design.technical):
        message = (
            "compare: test='mixed' needs block= (a column of what was measured "
            "together) or technical= (a column of repeated measurements of a unit): "
            "there are no runs that hold all groups. With one value per unit use "
            "'anova'."
        )
        raise ValueError(message)
    return design


def _found_blocks(pixels: pd.DataFrame, cells: Cells, design: Design) -> list[str]:
    """Columns that are blocks although nobody named any, or none.

    Where runs hold several groups, what was measured together is compared within: the
    units, when each is in every group; else the runs, when each holds every group and
    no unit lies in two of them. Shared runs that make no such blocks give a warning.
    """
    shared = _shared_runs(pixels, cells, design.group)
    if not shared:
        return []
    used = pixels.loc[cells.used]
    n_groups = used[design.group].nunique()
    per_unit = used.groupby(design.unit, observed=True)
    if (per_unit[design.group].nunique() == n_groups).all():
        return design.unit
    per_run = used.groupby("run", observed=True)[design.group].nunique()
    if (per_run == n_groups).all() and (per_unit["run"].nunique() == 1).all():
        return ["run"]
    message = (
        f"compare: {shared} runs hold several of the groups, but neither every unit "
        "nor every run holds all of them. Values of one run are not independent; name "
        "block= (a column), or block=False to treat them as if they were."
    )
    warnings.warn(message, UserWarning, stacklevel=4)
    return []


def _shared_runs(pixels: pd.DataFrame, cells: Cells, group: str) -> int:
    """Count the runs that hold pixels of several groups."""
    if "run" not in pixels or group == "run":
        return 0
    used = pixels.loc[cells.used, ["run", group]]
    return int((used.groupby("run", observed=True)[group].nunique() > 1).sum())
