"""How well normalisers find the known amounts of simulated pixels.

    python benchmarks/accuracy/normalize.py [--rst]

It takes a minute. Runs of `make_ims` with 24 × 24 pixels in two regions: each pixel has
the composition of its region times an amount (a factor of known size, log-normal with
sd 0.3), and noise. Printed is the error of the factors, in percent: within a region (sd
of the logarithm of factor over amount), and between the two regions (difference of its
means). Both are nothing when the normaliser finds the amounts. "Features" are areas of
the sparse file's true ions. Rivals normalise these features; their factors are the
ratios of sums before and after.
"""

import tempfile
from pathlib import Path

import numpy as np
from _rivals import Missing, openms_normalized, original
from _tables import Table, show

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
FIGURES = ("within", "between")

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


def openms(features: np.ndarray, method: str) -> np.ndarray:
    return openms_normalized(np.arange(1.0, features.shape[1] + 1), features, method)


def imsminer_1(features: np.ndarray, method: str) -> np.ndarray:
    return original("normalize", features=features, method=method)["features"]


RIVALS = {
    "iMSminer 1.1.1, TIC": lambda X: imsminer_1(X, "TIC"),
    "iMSminer 1.1.1, RMS": lambda X: imsminer_1(X, "RMS"),
    "iMSminer 1.1.1, max": lambda X: imsminer_1(X, "max"),
    "OpenMS Normalizer, to_TIC": lambda X: openms(X, "to_TIC"),
    "OpenMS Normalizer, to_one": lambda X: openms(X, "to_one"),
}


def errors(factors: np.ndarray, amount: np.ndarray, region: np.ndarray) -> list[str]:
    used = factors > 0
    error = np.log(factors[used] / amount[used])
    one, two = (error[region[used] == k] for k in (0, 1))
    within = np.sqrt(0.5 * (one.var() + two.var()))
    between = abs(one.mean() - two.mean())
    return [f"{100 * within:.1f}", f"{100 * between:.1f}"]


def table(name: str, text: str) -> Table:
    """Score all normalisers in one scenario."""
    kinds = {"profile": "dense", "sparse": "sparse", "features": "features"}
    columns = [f"{kind} {what}" for kind in kinds.values() for what in FIGURES]
    result = Table(f"Errors of factors in percent: {text}", ["normaliser", *columns])
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            kind: simulate(Path(folder), name, kind) for kind in ("profile", "sparse")
        }
        reader, *truth = runs["sparse"]
        integrator = PeakIntegrator(peaks=MZ, window="ppm", width=40)
        features = integrator.fit_transform(reader)
        runs["features"] = (features, *truth)
        for key in normalizers():
            cells = []
            for X, *known in runs.values():
                factors = normalizers()[key].fit(X).factors_
                cells += errors(factors, *known)
            result.add(f"imsminer {key}", *cells)
    values = features.to_numpy().astype(float)
    for key, rival in RIVALS.items():
        try:
            factors = values.sum(axis=1) / rival(values).sum(axis=1)
        except Missing as reason:
            result.skip(key, reason)
        else:
            result.add(key, *[""] * 4, *errors(factors, *truth))
    return result


def main() -> None:
    """Print the tables."""
    show(table(name, text) for name, text in SCENARIOS.items())


if __name__ == "__main__":
    main()
