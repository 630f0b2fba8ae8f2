"""The default pipeline of ``imsminer run``, its options and its configuration file."""

import tomllib
from pathlib import Path
from typing import Any

import click
from sklearn.base import BaseEstimator

from imsminer.cli.study import TABLES, table_parameters
from imsminer.core.axis import MassAxis
from imsminer.features.integrate import PeakIntegrator
from imsminer.images.cluster import ImageClusterer
from imsminer.images.segment import InSituSegmenter
from imsminer.spectra.align import MassAligner
from imsminer.spectra.baseline import BaselineSubtractor
from imsminer.spectra.normalize import TICNormalizer
from imsminer.spectra.peaks import PeakPicker

__all__ = ["STEPS", "build_steps", "read_config", "through"]

#: Sections of the configuration file in the order of the data's path, and whether the
#: step runs unless the file or an option says otherwise.
STEPS: dict[str, tuple[type[BaseEstimator], bool]] = {
    "baseline": (BaselineSubtractor, False),
    "align": (MassAligner, False),
    "normalize": (TICNormalizer, True),
    "pick": (PeakPicker, True),
    "integrate": (PeakIntegrator, True),
    "segment": (InSituSegmenter, True),
    "cluster": (ImageClusterer, True),
}
REQUIRED = ("pick", "integrate", "segment", "cluster")


def read_config(path: Path | None) -> dict[str, dict[str, Any]]:
    """Read a TOML file with one table of parameters per step or comparison.

    Parameters
    ----------
    path : Path or None
        The file; `None` gives an empty configuration.

    Returns
    -------
    dict
        Parameters by step; ``enabled`` switches a step on or off.

    Raises
    ------
    click.UsageError
        When the file is not TOML, or names a step or parameter that does not exist.
    """
    if path is None:
        return {}
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        message = f"{path} is not valid TOML: {error}"
        raise click.UsageError(message) from error
    for step, parameters in config.items():
        if step not in STEPS and step not in TABLES:
            known = ", ".join((*STEPS, *TABLES))
            message = f"{path}: there is no step [{step}]; steps are {known}."
            raise click.UsageError(message)
        if not isinstance(parameters, dict):
            message = f"{path}: {step} must be a table of parameters, such as [{step}]."
            raise click.UsageError(message)
        allowed = (
            table_parameters(step)
            if step in TABLES
            else {*STEPS[step][0]().get_params(), "enabled"}
        )
        unallowed = sorted(set(parameters) - allowed)
        if unallowed:
            message = (
                f"{path}: [{step}] has no parameter {', '.join(unallowed)}; it has "
                f"{', '.join(sorted(allowed))}."
            )
            raise click.UsageError(message)
    return config


def build_steps(
    config: dict[str, dict[str, Any]], options: dict[str, dict[str, Any]]
) -> dict[str, BaseEstimator]:
    """Make the estimators of the steps that run, in order.

    Parameters
    ----------
    config : dict
        Parameters by step, from a file.
    options : dict
        Parameters by step that were given on the command line (`None` where not);
        they win over the file.

    Returns
    -------
    dict
        Estimators by step.
    """
    steps: dict[str, BaseEstimator] = {}
    for step, (make, default) in STEPS.items():
        parameters = dict(config.get(step, {}))
        given = {k: v for k, v in options.get(step, {}).items() if v is not None}
        parameters.update(given)
        # Naming a step in the file switches it on.
        enabled = parameters.pop("enabled", default or step in config)
        if not enabled and step in REQUIRED:
            message = f"the step [{step}] cannot be switched off."
            raise click.UsageError(message)
        if "axis" in parameters:
            parameters["axis"] = _axis(parameters["axis"])
        if isinstance(parameters.get("noise"), list):
            parameters["noise"] = tuple(parameters["noise"])
        if enabled:
            steps[step] = make(**parameters)
    return steps


def through(data: Any, steps: dict[str, BaseEstimator]) -> Any:
    """Fit each step on what the one before it returns, and return the last result."""
    for step in steps.values():
        data = step.fit_transform(data)
    return data


def _axis(table: Any) -> MassAxis | None:
    """Make an axis of a table such as ``{ppm = 5}`` or ``{even = 0.002}``."""
    makers: dict[str, Any] = {
        "even": MassAxis.even,
        "ppm": MassAxis.ppm,
        "resolving_power": MassAxis.resolving_power,
        "regression": MassAxis.regression,
    }
    if isinstance(table, dict) and len(table) == 1:
        ((kind, value),) = table.items()
        if kind in makers:
            if isinstance(value, dict):
                return makers[kind](**value)
            return makers[kind](value)
    message = (
        f"axis must be a table with one of {', '.join(makers)}, such as "
        f"axis = {{ppm = 5}}; got {table!r}."
    )
    raise click.UsageError(message)
