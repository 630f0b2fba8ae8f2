"""Errors of alignment against true shifts, beside msalign on the same pixels.

    python benchmarks/accuracy/align.py [--rst]

It takes some minutes, most of them for msalign. Pixels are shifted by a normal amount
with a standard deviation of a quarter FWHM, and stretched by as much at the ends.
*Arrays* have 40,000 points, 40 peaks of 8 points FWHM, and normal noise. *Files* are
those of `make_ims`: a time-of-flight analyser with R = 10,000, m/z 800 to 900, 40 ions,
counting statistics and detector noise. The weakest peak has an apex of the S/N
of the column over the noise of a sample.

The error of a pixel is the mean distance to the true shift over the range of the
reference peaks, in FWHM: beyond it imsminer keeps the shift, and msalign the slope.
Printed are the median and the 90 % quantile over the pixels that msalign ran on. Both
tools get the true places of the peaks; msalign takes lines through points, which the
shifts are in arrays, and to 0.01 FWHM in files. Its Gaussians are as wide as is best of
`WIDTHS`.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _rivals import Missing, msalign
from _tables import Table, show

from imsminer import ImzMLReader, MassAligner
from imsminer.datasets import make_ims

FWHM, N_POINTS, N_PEAKS = 8.0, 40_000, 40
N_PIXELS, N_RIVAL = 200, 24
AT = np.linspace(1000, 39_000, 39)
# Largest shift, in FWHM, and widths of the Gaussians exp(-(x / width)²) of msalign.
REACH = 2.0
WIDTHS = (0.6, 1.0)
RATIOS = (3, 10, 30, 100)
R, LOW, HIGH = 10_000.0, 800.0, 900.0
MZ_AT = np.linspace(LOW + 2, HIGH - 2, 39)

METHODS = {
    "imsminer, landmarks, linear": {},
    "imsminer, landmarks, piecewise": {"model": "piecewise"},
    "imsminer, grid": {"method": "grid"},
}


def simulate(snr: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, places of peaks, and the true shift (n, 39) at `AT`.

    Noise has a standard deviation of 1, and apexes are at least `snr`.
    """
    rng = np.random.default_rng(seed)
    places = np.sort(rng.choice(np.arange(600, 39_400, 60), N_PEAKS, replace=False))
    places = places + rng.uniform(-0.5, 0.5, N_PEAKS)
    shift, stretch = rng.normal(0, FWHM / 4, (2, N_PIXELS, 1))
    height = snr * np.exp(rng.exponential(0.7, N_PEAKS))
    X = rng.normal(0, 1, (N_PIXELS, N_POINTS))
    sd = FWHM / 2.3548
    for row, a, b in zip(X, shift, stretch, strict=True):
        for place, top in zip(places, height, strict=True):
            moved = place + a[0] + b[0] * (place / 20_000 - 1)
            near = np.arange(int(moved - 30), int(moved + 30))
            row[near] += top * np.exp(-0.5 * ((near - moved) / sd) ** 2)
    return X, places, shift + stretch * (AT / 20_000 - 1)


def ours(X: np.ndarray, places: np.ndarray, **keywords) -> np.ndarray:
    """Return the shift of each row at `AT`, in points."""
    aligner = MassAligner(
        reference=places, tolerance=REACH * FWHM, guard=False, **keywords
    )
    aligner.fit(X)
    report, model = aligner.report_, aligner._kernel.model
    u = np.clip((AT - model.centre) / model.half, -1, 1)
    line = report[["shift_points", "stretch_points"]].to_numpy()
    if model.knots.size == 2:
        return line @ np.stack([np.ones_like(u), u])
    from imsminer.spectra._align_learning import match_values

    found = match_values(X, model, None)
    theta, _, _ = model.fit_lines(found, model.prior[0], model.precision[0])
    return theta @ model.design(u).T


def rival(X: np.ndarray, places: np.ndarray, fwhm: float, at: np.ndarray) -> list:
    """Return shifts at some points, in points, for each width of Gaussians."""
    x, results = np.arange(X.shape[1], dtype=np.float64), []
    for width in WIDTHS:
        shift, scale = msalign(x, X, places, width * fwhm, REACH * fwhm)
        results.append((scale - 1) * at + shift)
    return results


def arrays(snr: float) -> dict[str, Callable]:
    """Return functions for errors in FWHM, by method, of simulated arrays."""
    X, places, true = simulate(snr)

    inside = (places[0] <= AT) & (places[-1] >= AT)

    def error(found: np.ndarray) -> np.ndarray:
        distance = np.abs(found - true[: len(found)])
        return distance[:, inside].mean(axis=1) / FWHM

    methods = {
        name: lambda k=keywords: [error(ours(X, places, **k))]
        for name, keywords in METHODS.items()
    }
    methods["msalign"] = lambda: [
        error(found) for found in rival(X[:N_RIVAL], places, FWHM, AT)
    ]
    return methods


def files(folder: Path, snr: float) -> dict[str, Callable]:
    """Do the same for a run in a file."""
    rng = np.random.default_rng(1)
    slots = np.linspace(LOW + 1, HIGH - 1, N_PEAKS)
    mz = slots + rng.uniform(-0.3, 0.3, N_PEAKS)
    heights = snr * np.exp(rng.exponential(0.7, N_PEAKS))
    truth = make_ims(
        folder / f"{snr}.imzML",
        distributions=np.tile(heights, (N_PIXELS, 1)),
        coordinates=np.column_stack(np.divmod(np.arange(N_PIXELS), 20)) + 1,
        mz=mz,
        isotopes=False,
        height=float(np.median(heights)),
        mz_range=(LOW, HIGH),
        resolving_power=R,
        baseline=0.0,
        chemical_noise=0.0,
        mass_shift_ppm=0.25e6 / R,
        mass_stretch_ppm=0.25e6 / R,
    )
    reader = ImzMLReader(truth.path)
    per_ppm = 1e-6 * MZ_AT / truth.analyser.fwhm(MZ_AT)
    true = truth.shift_at(MZ_AT) * per_ppm

    def error(found: np.ndarray) -> np.ndarray:
        return np.abs(found - true[: len(found)]).mean(axis=1)

    def aligned(**keywords) -> list:
        aligner = MassAligner(
            reference=mz, tolerance=REACH * 1e6 / R, guard=False, **keywords
        )
        spectra = aligner.fit_transform(reader)
        found = []
        for (before, _), (after, _) in zip(reader, spectra, strict=True):
            ppm = (before / after - 1) * 1e6
            found.append(np.interp(MZ_AT, after, ppm) * per_ppm)
        return [error(np.array(found))]

    def other() -> list:
        X = np.stack([reader[i].intensity for i in range(N_RIVAL)]).astype(float)
        points = np.arange(truth.axis.size)
        places = np.interp(mz, truth.axis, points)
        at = np.interp(MZ_AT, truth.axis, points)
        density = truth.analyser.fwhm(MZ_AT) / truth.analyser.spacing(MZ_AT)
        width = float(density.mean())
        return [error(one / density) for one in rival(X, places, width, at)]

    methods = {name: lambda k=k: aligned(**k) for name, k in METHODS.items()}
    return methods | {"msalign": other}


def table(title: str, cases: dict[str, dict[str, Callable]]) -> Table:
    """Print medians and 90 % quantiles of the errors of some cases."""
    result = Table(title, ["method", *cases])
    for name in next(iter(cases.values())):
        cells = []
        try:
            for methods in cases.values():
                errors = min(methods[name](), key=lambda e: np.median(e[:N_RIVAL]))
                same = errors[:N_RIVAL]
                cells.append(f"{np.median(same):.4f} ({np.quantile(same, 0.9):.4f})")
        except Missing as reason:
            result.skip(name, reason)
        else:
            result.add(name, *cells)
    return result


def main() -> None:
    """Print the tables."""
    title = "Error of alignment in FWHM, median (90 %), by S/N of the weakest peak"
    with tempfile.TemporaryDirectory() as name:
        show(
            [
                table(f"{title}: arrays", {f"S/N {s}": arrays(s) for s in RATIOS}),
                table(
                    f"{title}: files",
                    {f"S/N {s}": files(Path(name), s) for s in RATIOS},
                ),
            ]
        )


if __name__ == "__main__":
    main()
