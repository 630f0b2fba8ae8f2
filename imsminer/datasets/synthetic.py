"""Simulated imzML files with known answers."""

import hashlib
import uuid
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer.datasets._checks import (
    checked_distributions,
    checked_options,
    checked_pixels,
)
from imsminer.datasets._heights import heights_for_snr, snr_goal
from imsminer.datasets._noise import Noise
from imsminer.datasets._regions import draw_distributions, draw_labels
from imsminer.datasets._shapes import (
    ANALYSERS,
    DISTANCE_13C,
    Analyser,
    draw_mz,
    isotopologues,
)
from imsminer.datasets._simulate import CHUNK_BYTES, simulate_spectra
from imsminer.datasets.truth import Truth
from imsminer.io.writer import ImzMLWriter

__all__ = ["make_ims"]


def make_ims(
    path: str | PathLike,
    *,
    shape: tuple[int, int] = (32, 32),
    n_regions: int = 4,
    n_peaks: int = 150,
    mz_range: tuple[float, float] = (400.0, 1000.0),
    analyser: str = "tof",
    resolving_power: float | None = None,
    at_mz: float | None = None,
    points_per_fwhm: float | None = None,
    isotopes: bool = True,
    mz: Any = None,
    height: float = 100.0,
    height_spread: float = 1.0,
    snr: float | tuple[float, float] | None = None,
    baseline: float = 2.0,
    chemical_noise: float = 50.0,
    chemical_height: float = 5.0,
    shot_noise: float = 1.0,
    noise: float = 1.0,
    noise_free: bool = False,
    mass_shift_ppm: float = 0.0,
    mass_stretch_ppm: float = 0.0,
    mode: str = "processed",
    spectrum_type: str = "profile",
    threshold: float | None = None,
    distributions: Any = None,
    coordinates: Any = None,
    labels: Any = None,
    missing: Any = None,
    dtype: Any = "float32",
    polarity: str | None = "positive",
    pixel_size: float | None = 50.0,
    chunk_bytes: int = CHUNK_BYTES,
    random_state: Any = 0,
) -> Truth:
    """Write a simulated imaging run as imzML, and return what is true of it.

    Ions are Gaussians of the analyser's width, sampled on its native grid. Their
    abundance follows a tissue with smooth regions, with variation inside them, varying
    total ion current, and matrix ions that are brightest off tissue; or real
    distributions that are given. To this come a baseline, ions at random places
    (chemical noise), counting statistics and the noise of a detector. Spectra are
    written as they are made, so memory does not grow with the m/z axis times the
    pixels.

    Parameters
    ----------
    path : path-like
        The .imzML file to write; it must not exist.
    shape : (int, int), default=(32, 32)
        Height and width in pixels.
    n_regions : int, default=4
        Regions of the tissue, labelled from 1; label 0 is off tissue.
    n_peaks : int, default=150
        Monoisotopic ions.
    mz_range : (float, float), default=(400, 1000)
        m/z range.
    analyser : {"tof", "orbitrap", "fticr", "even"}, default="tof"
        Peak width grows with m, m^1.5, m² or not at all; samples are even in √m (time),
        1/√m or 1/m (frequencies), or in m.
    resolving_power : float or None, default=None
        m/Δm (FWHM) at `at_mz`; `None`: 20,000, 60,000, 200,000 or 5,000.
    at_mz : float or None, default=None
        Reference m/z; `None`: the middle of the range.
    points_per_fwhm : float or None, default=None
        Samples per FWHM at `at_mz`; `None`: 6 (8 for ``"even"``).
    isotopes : bool, default=True
        Whether ions have ¹³C isotopologues of lipid-like abundance.
    mz : array-like of float or None, default=None
        m/z of the monoisotopic ions instead of random ones, in place of `n_peaks`.
    height : float, default=100.0
        Median apex of the ions' mean over all pixels, in counts.
    height_spread : float, default=1.0
        Standard deviation of the logarithm of heights. Not used with `distributions`,
        which have heights of their own.
    snr : float, (float, float) or None, default=None
        S/N in the mean spectrum, in place of `height`: of the weakest monoisotopic
        ion, with the others in proportion; or log-uniform between two values. The
        definition is that of :meth:`Truth.true_list`; mass shifts come on top. It needs
        some noise.
    baseline : float, default=2.0
        Counts at the lower end of the range; falls to 1/e every half range.
    chemical_noise : float, default=50.0
        Mean number of ions at random m/z in each spectrum.
    chemical_height : float, default=5.0
        Mean of their (exponential) apex heights.
    shot_noise : float, default=1.0
        Intensity of one detected ion: a sample is this times a Poisson number. 0
        switches counting statistics off.
    noise : float, default=1.0
        Standard deviation of the detector's noise in a sample. Samples below 0 become
        0.
    noise_free : bool, default=False
        Sets baseline, chemical noise, shot noise and noise to 0.
    mass_shift_ppm : float, default=0.0
        Standard deviation, over pixels, of a shift of the whole spectrum.
    mass_stretch_ppm : float, default=0.0
        Standard deviation of a further shift at the upper end of the range, opposite
        at the lower end, linear in between.
    mode : {"processed", "continuous"}, default="processed"
        How the file stores m/z.
    spectrum_type : {"profile", "sparse", "centroid"}, default="profile"
        ``"sparse"`` stores only samples from `threshold` on, as time-of-flight
        instruments do. ``"centroid"`` stores one point an ion, with its apex as
        intensity; its m/z scatters the less, the more ions were counted. Ions that
        the mean profile does not resolve share a centroid.
    threshold : float or None, default=None
        Smallest stored intensity of sparse and centroid spectra; `None`: 4 standard
        deviations above the baseline's highest point, at least a thousandth of
        `height`.
    distributions : array-like or sparse array, shape (n_pixels, n_ions), or None
        Real abundances, with their coordinates in `coordinates` and their m/z in `mz`.
        Means of columns give relative heights. `shape`, `n_regions` and `n_peaks` are
        not used.
    coordinates : array-like of int, shape (n_pixels, 2) or (n_pixels, 3), or None
        Pixels of `distributions`.
    labels : array-like of int, shape (n_pixels,), or None
        Labels of these pixels; 0 when `None`.
    missing : float or ndarray of bool, shape (height, width), or None, default=None
        Pixels that were not measured: a share of all, at random, or a mask.
    dtype : dtype, default="float32"
        How intensities are stored; integers are rounded.
    polarity, pixel_size : default="positive" and 50.0
        Facts of the run, as in :class:`ImzMLWriter`.
    chunk_bytes : int, default=32 MiB
        Memory for spectra that wait for being written. The file does not depend on it.
    random_state : int, numpy.random.Generator or None, default=0
        Seed. The same seed gives the same ions, regions, shifts and noise in each mode.

    Returns
    -------
    Truth
        Peaks, areas, regions, shifts, mean profile and noise.

    Raises
    ------
    ValueError
        When parameters are out of range or do not fit to each other.
    FileExistsError
        When the file exists.

    Notes
    -----
    S/N, the true list and matching follow one definition: noise-free apex in the mean
    spectrum over the local standard deviation of that spectrum's noise; local maxima of
    the noise-free mean profile, merged below one FWHM; one to one within half a FWHM.

    Examples
    --------
    >>> import tempfile
    >>> from imsminer import ImzMLReader
    >>> from imsminer.datasets import make_ims
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     truth = make_ims(
    ...         f"{folder}/run.imzML", shape=(3, 4), n_peaks=5, mz_range=(700, 720)
    ...     )
    ...     ImzMLReader(truth.path).shape[0], truth.areas.shape
    (12, (12, 17))
    """
    path = Path(path)
    options = checked_options(dict(locals()))
    rng = np.random.default_rng(random_state)
    seed = int(rng.integers(2**63))
    mz_rng, height_rng, tissue_rng, shift_rng, missing_rng = rng.spawn(5)

    low, high = options["mz_range"]
    law = ANALYSERS[analyser]
    instrument = Analyser(
        analyser,
        float(resolving_power or law[2]),
        float(at_mz or 0.5 * (low + high)),
        float(points_per_fwhm or law[3]),
    )
    noise_model = _noise_model(options, spectrum_type, height)
    grid = instrument.grid(low, high)
    if mz is None:
        if distributions is not None:
            message = "make_ims: distributions need the m/z of their columns in mz."
            raise ValueError(message)
        mz = draw_mz(mz_rng, n_peaks, low, high, instrument)
    mz = np.asarray(mz, dtype=np.float64)
    if mz.ndim != 1 or mz.size == 0 or not ((mz > low) & (mz < high)).all():
        message = f"make_ims: mz must be a list of m/z between {low:g} and {high:g}."
        raise ValueError(message)
    relative = np.exp(height_spread * height_rng.standard_normal(mz.size))
    if distributions is None:
        image = draw_labels(tissue_rng, shape, n_regions)
        abundance = draw_distributions(tissue_rng, image, mz.size)
        labels, places = image.ravel(), np.argwhere(np.ones(shape, bool))[:, ::-1] + 1
    else:
        abundance, places, labels = checked_distributions(
            distributions, coordinates, labels, mz.size
        )
        relative = None
    keep = checked_pixels(missing, places, shape, distributions is None, missing_rng)
    abundance, places, labels = abundance[keep], places[keep], labels[keep]
    if relative is None:
        # Real data keep their real proportions.
        relative = np.maximum(abundance.mean(axis=0), 1e-12)
    abundance = abundance / np.maximum(abundance.mean(axis=0), 1e-300)
    n_pixels = len(places)
    full = np.ones((n_pixels, 3), dtype=np.int64)
    full[:, : places.shape[1]] = places

    heights = height * relative / np.median(relative)
    if snr is not None:
        goal = snr_goal(snr, relative, height_rng)
        heights = heights_for_snr(
            goal, mz, abundance, grid, noise_model, instrument, spectrum_type
        )
    truth = Truth(
        path=path,
        peaks=_peak_table(mz, heights, isotopes, high, instrument),
        labels=labels,
        coordinates=full,
        shifts=mass_shift_ppm * shift_rng.standard_normal(n_pixels),
        stretches=mass_stretch_ppm * shift_rng.standard_normal(n_pixels),
        axis=grid,
        mode=mode,
        spectrum_type=spectrum_type,
        seed=seed,
        analyser=instrument,
        noise=noise_model,
        parent_heights=abundance * heights,
    )
    _finish_table(truth)
    with ImzMLWriter(
        path,
        mode=mode,
        intensity_dtype=dtype,
        spectrum_type="centroid" if spectrum_type == "centroid" else "profile",
        polarity=polarity,
        pixel_size=pixel_size,
        uuid=_identity(options, truth),
        processing=("simulated",),
    ) as writer:
        for rows, part_mz, intensity, indptr in simulate_spectra(truth, chunk_bytes):
            if np.dtype(dtype).kind == "i":
                intensity = np.rint(intensity)
            writer.add_chunk(part_mz, intensity, full[rows], indptr)
    return truth


# Truth ---------------------------------------------------------------------------


def _noise_model(options: dict, spectrum_type: str, height: float) -> Noise:
    off = 0.0 if options["noise_free"] else 1.0
    low, high = options["mz_range"]
    gain, sd = off * options["shot_noise"], off * options["noise"]
    baseline = off * options["baseline"]
    if spectrum_type == "profile":
        threshold = 0.0
    elif options["threshold"] is None:
        spread = np.sqrt(sd**2 + gain * baseline)
        above = 4 * spread if spectrum_type == "centroid" else baseline + 4 * spread
        threshold = max(above, 1e-3 * height)
    else:
        threshold = options["threshold"]
    return Noise(
        gain=gain,
        sd=sd,
        count=off * options["chemical_noise"],
        height=options["chemical_height"],
        baseline=0.0 if spectrum_type == "centroid" else baseline,
        low=low,
        high=high,
        threshold=float(threshold),
    )


def _peak_table(
    mz: np.ndarray, heights: np.ndarray, isotopes: bool, high: float, law: Analyser
) -> pd.DataFrame:
    parent, isotope, ratio = (
        np.arange(mz.size),
        np.zeros(mz.size, int),
        np.ones(mz.size),
    )
    if isotopes:
        more = isotopologues(mz, high)
        parent = np.concatenate([parent, more[0]])
        isotope = np.concatenate([isotope, more[1]])
        ratio = np.concatenate([ratio, more[2]])
    ions = mz[parent] + DISTANCE_13C * isotope
    return pd.DataFrame(
        {
            "mz": ions,
            "height": heights[parent] * ratio,
            "fwhm": law.fwhm(ions),
            "area": np.nan,
            "snr": np.nan,
            "parent": parent,
            "isotope": isotope,
            "ratio": ratio,
        }
    )


def _finish_table(truth: Truth) -> None:
    table = truth.peaks
    mz = table["mz"].to_numpy()
    heights = truth.heights
    table["area"] = truth.areas.mean(axis=0)
    sd = np.interp(mz, truth.axis, truth.noise_sd)
    seen = [truth.visible(heights[:, j], m).mean() for j, m in enumerate(mz)]
    table["snr"] = np.divide(seen, sd, out=np.full(mz.size, np.inf), where=sd > 0)


def _identity(options: dict, truth: Truth) -> str:
    """Make a UUID from all that the file depends on."""
    digest = hashlib.sha256(repr(sorted(options.items(), key=str)).encode())
    for array in (truth.peaks["mz"].to_numpy(), truth.parent_heights, truth.shifts):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(f"{truth.seed} {truth.mode} {truth.spectrum_type}".encode())
    return uuid.uuid5(uuid.NAMESPACE_OID, digest.hexdigest()).hex
