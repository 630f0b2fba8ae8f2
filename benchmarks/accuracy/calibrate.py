"""Errors of calibration: simulated errors of second degree, and lipids of a kidney.

    python benchmarks/accuracy/calibrate.py [kidney.imzML] [--rst]

Simulated: runs of `make_ims`, 30 ions, a time-of-flight analyser with R = 20,000,
counting statistics alone, and an error of up to 20 ppm that is a parabola in m/z. What
a tool finds is compared with the truth at all ions. All tools but imsminer start from
the peaks that it picked. "Wrong": so many of the reference masses are 12 ppm off.

Kidney: m/z of [M−H]⁻ from formulas; errors at references that the fit did not see. It
needs the full file; without its path, the packaged part (m/z 700 to 920) is taken.
"""

import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from _rivals import Missing, openms_calibrated, original
from _tables import Table, show

from imsminer import ImzMLReader, ImzMLWarning, PeakPicker, Spectra
from imsminer.datasets import load_kidney, make_ims
from imsminer.spectra.calibrate import MassCalibrator

R = 20_000.0
MASSES = np.linspace(451.3, 988.8, 30)
TOLERANCE = 40.0
CASES = ((20, 200, 0), (20, 20, 0), (200, 5, 0), (20, 200, 6))
ATOMS = {
    "C": 12.0,
    "H": 1.00782503223,
    "N": 14.00307400443,
    "O": 15.99491461957,
    "P": 30.97376199842,
    "S": 31.9720711744,
}
ELECTRON = 0.000548579909065
LIPIDS = """C23H48NO7P C25H44NO7P C24H48NO9P C27H53O12P C37H71O8P C39H73O8P C39H75O8P
C39H76NO8P C41H74NO8P C41H78NO8P C41H80NO8P C43H78NO8P C40H77O10P C42H80NO10P
C44H78NO10P C43H81O13P C45H79O13P C45H83O13P C47H83O13P C46H89NO11S C48H93NO11S
C48H93NO12S""".split()


def deprotonated(formula: str) -> float:
    """Return the m/z of [M−H]⁻."""
    parts = re.findall(r"([A-Z])(\d*)", formula)
    mass = sum(ATOMS[atom] * int(number or 1) for atom, number in parts)
    return mass - ATOMS["H"] + ELECTRON


def bend(mz: np.ndarray) -> np.ndarray:
    """Return the true error in ppm."""
    u = (mz - 720) / 270
    return 6 - 9 * u + 5 * u**2


def simulate(path: Path, n: int, counts: float) -> Spectra:
    """Write and open a run of `n` pixels with that error."""
    rng = np.random.default_rng(n)
    heights = counts * rng.gamma(2.0, 0.5, MASSES.size)
    truth = make_ims(
        path,
        distributions=np.tile(heights, (n, 1)),
        coordinates=np.column_stack([np.arange(n) + 1, np.ones(n, int)]),
        mz=MASSES * (1 + 1e-6 * bend(MASSES)),
        isotopes=False,
        height=float(np.median(heights)),
        mz_range=(430.0, 1010.0),
        resolving_power=R,
        spectrum_type="sparse",
        threshold=1.0,
        baseline=0.05,
        chemical_noise=0.0,
        noise=0.0,
    )
    return ImzMLReader(truth.path)


# Tools: from spectra, picked peaks and references to the errors in ppm at all ions ---

OBSERVED = MASSES * (1 + 1e-6 * bend(MASSES))


def ours(degree: int) -> Callable:
    def errors(reader: Spectra, peaks: pd.DataFrame, references: np.ndarray):
        calibrator = MassCalibrator(references, degree=degree, tolerance=TOLERANCE)
        return calibrator.fit(reader).mass_error(MASSES)

    return errors


def imsminer_1(reader: Spectra, peaks: pd.DataFrame, references: np.ndarray):
    picked = peaks["mz"].to_numpy()
    after = original("calibrate", mz=picked, reference=references, degree=2)["mz"]
    nearest = np.abs(picked - OBSERVED[:, np.newaxis]).argmin(axis=1)
    return 1e6 * (picked / after - 1)[nearest]


def openms(ransac: bool) -> Callable:
    def errors(reader: Spectra, peaks: pd.DataFrame, references: np.ndarray):
        after = openms_calibrated(
            peaks["mz"], peaks["height"], references, TOLERANCE, OBSERVED, ransac=ransac
        )
        return 1e6 * (OBSERVED / after - 1)

    return errors


TOOLS = {
    "imsminer, degree 1": ours(1),
    "imsminer, degree 2": ours(2),
    "iMSminer 1.1.1, degree 2": imsminer_1,
    "OpenMS InternalCalibration, quadratic": openms(False),
    "the same, RANSAC": openms(True),
}


def simulated(folder: Path) -> Table:
    names = [f"{n} pixels, {c} counts" + (f", {w} wrong" if w else "")
             for n, c, w in CASES]  # fmt: skip
    result = Table(
        "Left of an error of up to 20 ppm, in ppm: median (largest)", ["tool", *names]
    )
    runs = []
    for k, (n, counts, wrong) in enumerate(CASES):
        reader = simulate(folder / f"{k}.imzML", n, counts)
        references = MASSES.copy()
        references[2 : 2 + 4 * wrong : 4] *= 1 + 12e-6
        runs.append((reader, PeakPicker().fit(reader).peaks_, references))
    for name, tool in TOOLS.items():
        cells = []
        try:
            for run in runs:
                left = np.abs(tool(*run) - bend(MASSES))
                cells.append(f"{np.median(left):.2f} ({left.max():.2f})")
        except Missing as reason:
            result.skip(name, reason)
        else:
            result.add(name, *cells)
    return result


def kidney(path: Path) -> Table:
    result = Table(
        "Kidney: errors at references left out of the fit, in ppm: median (90 %)",
        ["degree", "found", "used", "before", "after", "calibrated"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImzMLWarning)
        warnings.filterwarnings("ignore", "MassCalibrator", UserWarning)
        reader = ImzMLReader(path)
        masses = np.array([deprotonated(formula) for formula in LIPIDS])
        for degree in (0, 1, 2, 3):
            run = MassCalibrator(masses, degree=degree).fit(reader).runs_.iloc[0]
            result.add(
                degree,
                run["n_found"],
                run["n_used"],
                f"{run['before_ppm']:.2f} ({run['before_p90_ppm']:.2f})",
                f"{run['loo_ppm']:.2f} ({run['loo_p90_ppm']:.2f})",
                "yes" if run["calibrated"] else "no",
            )
    return result


def main() -> None:
    """Print the tables."""
    paths = [argument for argument in sys.argv[1:] if argument != "--rst"]
    with tempfile.TemporaryDirectory() as name:
        tables = [
            simulated(Path(name)),
            kidney(Path(paths[0] if paths else load_kidney())),
        ]
    show(tables)


if __name__ == "__main__":
    main()
