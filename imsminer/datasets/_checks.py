"""Checks of what the simulator is asked for."""

from typing import Any

import numpy as np
from scipy import sparse

from imsminer.datasets._shapes import ANALYSERS

__all__ = ["checked_distributions", "checked_options", "checked_pixels"]

NOT_NEGATIVE = (
    "height_spread",
    "baseline",
    "chemical_noise",
    "shot_noise",
    "noise",
    "mass_shift_ppm",
    "mass_stretch_ppm",
)
POSITIVE = ("height", "chemical_height")
POSITIVE_OR_NONE = ("resolving_power", "at_mz", "points_per_fwhm")
COUNTS = {"n_regions": 0, "n_peaks": 1, "chunk_bytes": 1}
CHOICES = {
    "analyser": tuple(ANALYSERS),
    "mode": ("processed", "continuous"),
    "spectrum_type": ("profile", "sparse", "centroid"),
}


def _fail(name: str, demand: str, value: Any) -> None:
    message = f"make_ims: {name} must be {demand}, got {value!r}."
    raise ValueError(message)


def _is_number(value: Any) -> bool:
    return np.ndim(value) == 0 and np.isreal(value) and bool(np.isfinite(value))


def checked_options(options: dict[str, Any]) -> dict[str, Any]:
    """Return the plain parameters of `make_ims`, or raise."""
    for name, allowed in CHOICES.items():
        if options[name] not in allowed:
            _fail(name, f"one of {list(allowed)}", options[name])
    for name in NOT_NEGATIVE:
        if not _is_number(options[name]) or options[name] < 0:
            _fail(name, "0 or more", options[name])
    for name in (*POSITIVE, *POSITIVE_OR_NONE):
        value = options[name]
        if value is None and name in POSITIVE_OR_NONE:
            continue
        if value is None or not _is_number(value) or value <= 0:
            _fail(name, "positive", value)
    for name, least in COUNTS.items():
        value = options[name]
        if not isinstance(value, int | np.integer) or value < least:
            _fail(name, f"a whole number from {least} on", value)
    shape = options["shape"]
    if len(shape) != 2 or min(shape) < 1:
        _fail("shape", "(height, width), both at least 1", shape)
    low, high = (float(value) for value in options["mz_range"])
    if not 0 < low < high:
        _fail("mz_range", "(low, high) with 0 < low < high", options["mz_range"])
    snr = options["snr"]
    if snr is not None and not (
        np.ndim(snr) in (0, 1)
        and np.size(snr) == 1 + np.ndim(snr)
        and np.all(np.isfinite(snr))
        and np.min(snr) > 0
    ):
        _fail("snr", "a positive number, (low, high) or None", snr)
    if options["mode"] == "continuous" and options["spectrum_type"] == "centroid":
        message = (
            "make_ims: centroids have m/z of their own in each pixel, which "
            "mode='continuous' cannot store. Use mode='processed'."
        )
        raise ValueError(message)
    arrays = ("path", "mz", "distributions", "coordinates", "labels", "missing")
    left_out = (*arrays, "chunk_bytes", "random_state")
    kept = {key: value for key, value in options.items() if key not in left_out}
    kept["mz_range"] = (low, high)
    return kept


def checked_distributions(
    distributions: Any, coordinates: Any, labels: Any, n_peaks: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return abundances, coordinates and labels of given pixels."""
    if sparse.issparse(distributions):
        distributions = distributions.toarray()
    values = np.asarray(distributions, dtype=np.float64)
    if coordinates is None:
        message = (
            "make_ims: distributions need the coordinates of their pixels in "
            "coordinates, shape (n_pixels, 2) or (n_pixels, 3)."
        )
        raise ValueError(message)
    places = np.asarray(coordinates)
    n_pixels = len(places)
    if values.shape != (n_pixels, n_peaks):
        message = (
            f"make_ims: distributions have shape {values.shape}, expected "
            f"{(n_pixels, n_peaks)}: a row for each of coordinates, a column for each "
            "of mz."
        )
        raise ValueError(message)
    if not np.isfinite(values).all() or values.min(initial=0) < 0:
        _fail("distributions", "finite and not negative", values.min(initial=0))
    found = np.zeros(n_pixels, int) if labels is None else np.asarray(labels)
    if found.shape != (n_pixels,):
        _fail("labels", f"of shape {(n_pixels,)}", found.shape)
    return values, places, found.astype(np.int64)


def checked_pixels(
    missing: Any,
    places: np.ndarray,
    shape: tuple[int, int],
    simulated: bool,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return which pixels there are, as a mask."""
    if missing is None:
        return np.ones(len(places), bool)
    if np.ndim(missing) == 0:
        if not 0 <= missing < 1:
            _fail("missing", "a share from 0 to below 1, or a mask", missing)
        keep = rng.random(len(places)) >= missing
    else:
        mask = np.asarray(missing, dtype=bool)
        if not simulated or mask.shape != tuple(shape):
            _fail("missing", f"a mask of shape {tuple(shape)} or a share", mask.shape)
        keep = ~mask.ravel()
    if not keep.any():
        message = "make_ims: all pixels are missing."
        raise ValueError(message)
    return keep
