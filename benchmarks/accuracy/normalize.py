"""How well normalisers find the known amounts of simulated pixels.

Run ``python benchmarks/accuracy/normalize.py``; it takes a minute. Files of 24 × 24
pixels in two regions are written and read: each pixel has the composition of its region
times an amount (a factor of known size, log-normal with sd 0.3), and noise. What is
printed is the error of the factors, in percent: within a region (sd of the logarithm of
factor over amount), and between the two regions (difference of its means). Both are
nothing when the normaliser finds the amounts.
"""

import tempfile
from pathlib import Path

import numpy as np

from imsminer import ImzMLReader, PeakIntegrator, TICNormalizer
from imsminer.datasets import make_ims
from imsminer.spectra.normalize import (
    MaxNormalizer,
    MedianNormalizer,
    RMSNormalizer,
)
from imsminer.spectra.normalize_pqn import PQNNormalizer
from imsminer.spectra.normalize_reference import ReferenceNormalizer
from imsminer.spectra.normalize_trimmed import TrimmedTICNormalizer

SIDE, N_IONS = 24, 100
MZ = np.linspace(605.0, 695.0, N_IONS)
STANDARD = 50

SCENARIOS = {
    "even": "the same composition everywhere",
    "dominant": "one ion of 5 times the ion current of all others in one region",
    "a third": "a third of the ions 4 times stronger in one region",
}


def normalizers() -> dict:
    return {
        "TIC": TICNormalizer(),
        "RMS": RMSNormalizer(),
        "median": MedianNormalizer(),
        "maximum": MaxNormalizer(),
        "trimmed TIC": TrimmedTICNormalizer(),
        "PQN": PQNNormalizer(),
        "reference ion": ReferenceNormalizer(mz=MZ[STANDARD], ppm=40),
    }


def compositions(scenario: str, rng: np.random.Generator) -> np.ndarray:
    """Abundances in the two regions, shape (2, n_ions)."""
    own = rng.lognormal(0, 1.0, N_IONS)
    own[STANDARD] = np.quantile(own, 0.9)
    both = np.stack([own, own])
    if scenario == "dominant":
        both[1, 10] = 5 * own.sum()
    elif scenario == "a third":
        changed = rng.permutation(np.delete(np.arange(N_IONS), STANDARD))[:33]
        both[1, changed] *= 4
    return both


def simulate(folder: Path, scenario: str, kind: str) -> tuple:
    rng = np.random.default_rng(0)
    y, x = np.divmod(np.arange(SIDE**2), SIDE)
    region = (x >= SIDE // 2).astype(int)
    amount = rng.lognormal(0, 0.3, region.size)
    ions = compositions(scenario, rng)[region]
    ions = ions * rng.lognormal(0, 0.1, ions.shape) * amount[:, None]
    ions[:, STANDARD] = amount * ions[:, STANDARD].mean()
    truth = make_ims(
        folder / f"{scenario}-{kind}.imzML",
        distributions=ions,
        coordinates=np.column_stack([x + 1, y + 1]),
        mz=MZ,
        mz_range=(600.0, 700.0),
        isotopes=False,
        spectrum_type=kind,
        height=200.0,
    )
    return ImzMLReader(truth.path), amount, region


def errors(factors: np.ndarray, amount: np.ndarray, region: np.ndarray) -> str:
    used = factors > 0
    error = np.log(factors[used] / amount[used])
    one, two = (error[region[used] == k] for k in (0, 1))
    within = np.sqrt(0.5 * (one.var() + two.var()))
    return f"{100 * within:10.1f}{100 * abs(one.mean() - two.mean()):10.1f}"


def main() -> None:
    for name, text in SCENARIOS.items():
        print(f"{name}: {text}")
        columns = ("profile", "sparse", "features")
        print(" " * 16 + "".join(f"{column:>20}" for column in columns))
        print(" " * 16 + "".join(f"{'within':>10}{'between':>10}" for _ in columns))
        lines = {key: f"  {key:14}" for key in normalizers()}
        with tempfile.TemporaryDirectory() as folder:
            for kind in ("profile", "sparse"):
                data = simulate(Path(folder), name, kind)
                for key, normalizer in normalizers().items():
                    lines[key] += errors(normalizer.fit(data[0]).factors_, *data[1:])
            integrator = PeakIntegrator(peaks=MZ, window="ppm", width=40)
            features = integrator.fit_transform(data[0])
            for key, normalizer in normalizers().items():
                lines[key] += errors(normalizer.fit(features).factors_, *data[1:])
        print("\n".join(lines.values()))


if __name__ == "__main__":
    main()
