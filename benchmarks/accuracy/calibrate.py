"""Errors of calibration: simulated errors of second degree, and lipids of a kidney.

Simulated: peaks at 30 masses, R = 20,000, counting statistics, an error of up to 20 ppm
that is a parabola in m/z; what is left is compared with the truth over the whole range.
Kidney: m/z of [M−H]⁻ from formulas; errors at references that the fit did not see. It
needs the full file; without its path, the packaged part (m/z 700 to 920) is taken.

    python benchmarks/accuracy/calibrate.py [kidney.imzML]
"""

import re
import sys
import warnings

import numpy as np

from imsminer import ImzMLReader, Spectra
from imsminer.datasets import load_kidney
from imsminer.spectra.calibrate import MassCalibrator

R = 20_000.0
MASSES = np.linspace(451.3, 988.8, 30)
AT = np.linspace(455, 985, 100)
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


def simulate(n: int, counts: float, seed: int) -> Spectra:
    """Return ragged spectra with that error."""
    rng = np.random.default_rng(seed)
    step = np.sqrt(700) / (2 * R * 6)
    low, high = np.sqrt(430), np.sqrt(1010)
    mz = (low + np.arange(int((high - low) / step)) * step) ** 2
    mean = np.full(mz.size, 0.05)
    for place in MASSES * (1 + 1e-6 * bend(MASSES)):
        sd = place / R / 2.3548
        near = slice(*np.searchsorted(mz, [place - 6 * sd, place + 6 * sd]))
        top = counts * rng.gamma(2.0, 0.5)
        mean[near] += top * np.exp(-0.5 * ((mz[near] - place) / sd) ** 2)
    X = rng.poisson(mean, (n, mz.size)).astype(np.float32)
    rows, columns = np.nonzero(X)
    indptr = np.concatenate([[0], np.cumsum((X > 0).sum(1))])
    return Spectra.from_arrays(X[rows, columns], mz[columns], indptr=indptr)


def main() -> None:
    """Print the tables."""
    print("simulated: what is left of up to 20 ppm, over the range (ppm)")
    print("pixels  counts  wrong references  degree   median  largest")
    for n, counts, wrong in ((20, 200, 0), (20, 20, 0), (200, 5, 0), (20, 200, 6)):
        spectra = simulate(n, counts, seed=n)
        masses = MASSES.copy()
        masses[2 : 2 + 4 * wrong : 4] *= 1 + 12e-6
        for degree in (1, 2):
            calibrator = MassCalibrator(masses, degree=degree, tolerance=40)
            left = np.abs(calibrator.fit(spectra).mass_error(AT) - bend(AT))
            row = f"{n:6d}  {counts:6d}  {wrong:16d}  {degree:6d}"
            print(f"{row}   {np.median(left):6.2f}  {left.max():7.2f}")
    path = sys.argv[1] if len(sys.argv) > 1 else load_kidney()
    reader = ImzMLReader(path)
    masses = np.array([deprotonated(formula) for formula in LIPIDS])
    print("\nkidney: errors at references left out of the fit (ppm)")
    print("degree  found  used   before median  90 %   after median  90 %  calibrated")
    for degree in (0, 1, 2, 3):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "MassCalibrator", UserWarning)
            run = MassCalibrator(masses, degree=degree).fit(reader).runs_.iloc[0]
        print(
            f"{degree:6d}  {run['n_found']:5d}  {run['n_used']:4d}  "
            f"{run['before_ppm']:14.2f} {run['before_p90_ppm']:5.2f}  "
            f"{run['loo_ppm']:13.2f} {run['loo_p90_ppm']:5.2f}  {run['calibrated']}"
        )


if __name__ == "__main__":
    main()
