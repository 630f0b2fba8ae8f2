"""Areas from files against the true ones, beside other ways to integrate.

    python benchmarks/accuracy/integrate.py [--rst]

It takes two minutes. One simulated run of 24 × 24 pixels is written dense and
thresholded (sparse: samples below 4 counts are left out, as instruments do).

*Windows*: without noise, at the true m/z, so that what is seen is what the method does.
The median error of single areas by the peak's height over the threshold; the rivals are
the trapezoid and the sum times the median spacing, both over the stored points in the
same windows.

*Chains*: with noise, each tool with its own peaks and windows. "Ions" are those of the
40 whose m/z it has within half a FWHM. "Bias" is the median error of their areas where
the apex is 10 counts or more; "scatter" the median distance of these areas from
proportional ones (each ion scaled by the median of its ratios); "r" the median over
ions of the correlation with the truth over all pixels. Heights are no areas and have no
bias.

*Masses*: errors of the m/z that are observed, in ppm, with noise and pixels that
scatter by 3 ppm.
"""

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _rivals import Missing, openms_areas, original
from _tables import Table, show
from sklearn.pipeline import make_pipeline

from imsminer import BaselineSubtractor, ImzMLReader, PeakIntegrator, PeakPicker
from imsminer.core.peaktable import match_peaks
from imsminer.datasets import make_ims

CLASSES = [(1.5, 3), (3, 10), (10, 30), (30, 100), (100, np.inf)]
THRESHOLD = 4.0
POWER, LOW, HIGH = 20_000.0, 500.0, 600.0


class Run:
    """A simulated run, with its ions in the order of their m/z."""

    def __init__(self, path: Path, kind: str, **options) -> None:
        self.truth = make_ims(
            path,
            shape=(24, 24),
            mz=np.linspace(505, 595, 40),
            mz_range=(LOW, HIGH),
            resolving_power=POWER,
            isotopes=False,
            spectrum_type=kind,
            threshold=THRESHOLD if kind == "sparse" else None,
            height_spread=1.5,
            mode="continuous" if kind == "profile" else "processed",
            **options,
        )
        order = np.argsort(self.truth.peaks["mz"].to_numpy())
        self.kind, self.reader = kind, ImzMLReader(self.truth.path)
        self.table = self.truth.peaks.iloc[order].reset_index(drop=True)
        self.areas = self.truth.areas[:, order]
        self.heights = self.truth.heights[:, order]


# Windows ---------------------------------------------------------------------------


def sums(reader, windows) -> dict[str, np.ndarray]:
    trapezoid = np.zeros((len(reader), len(windows)))
    spaced = np.zeros_like(trapezoid)
    for i, (mz, y) in enumerate(reader):
        spacing = np.median(np.diff(mz)) if mz.size > 1 else 0
        for k, (low, high) in enumerate(windows):
            part = slice(*np.searchsorted(mz, [low, high]))
            trapezoid[i, k] = np.trapezoid(y[part], mz[part])
            spaced[i, k] = y[part].sum(dtype=float) * spacing
    return {"trapezoid": trapezoid, "sum × spacing": spaced}


def windows(folder: Path) -> Table:
    names = [f"{a:g}–{b:g}" if b < np.inf else f"{a:g} and more" for a, b in CLASSES]
    result = Table(
        "Median error of noise-free areas, by height over the threshold",
        ["profiles", "method", *names],
    )
    for kind in ("profile", "sparse"):
        run = Run(folder / f"{kind}.imzML", kind, noise_free=True)
        integrator = PeakIntegrator(peaks=run.table, window="fwhm", width=3.0)
        values = {"imsminer": integrator.fit_transform(run.reader).to_numpy()}
        for name, found in (values | sums(run.reader, integrator.windows_)).items():
            cells = []
            for low, high in CLASSES:
                ratio = run.heights / THRESHOLD
                chosen = (ratio >= low) & (ratio < high)
                error = found[chosen] / run.areas[chosen] - 1
                cells.append(f"{np.median(error):+.1%}")
            result.add("dense" if kind == "profile" else kind, name, *cells)
    return result


# Chains; each returns m/z and features ------------------------------------------------


def ours(run: Run) -> tuple[np.ndarray, np.ndarray]:
    steps = [PeakPicker(loq=5), PeakIntegrator()]
    if run.kind == "profile":
        steps.insert(0, BaselineSubtractor())
    features = make_pipeline(*steps).fit_transform(run.reader)
    return steps[-2].peaks_["mz"].to_numpy(), features.to_numpy()


def imsminer_1(run: Run, integrate: str) -> tuple[np.ndarray, np.ndarray]:
    dense = run.kind == "profile"
    found = original(
        "pick",
        path=str(run.truth.path),
        method="automatic" if dense else "binning_even",
        loq=np.array([3.0]),
        dist=6 if dense else 3,
        power=POWER,
        at_mz=0.5 * (LOW + HIGH),
        factor=3,
        integrate=integrate,
    )
    return found["mz0"], found["features"]


def openms(run: Run) -> tuple[np.ndarray, np.ndarray]:
    mz, fwhm = (run.table[column].to_numpy() for column in ("mz", "fwhm"))
    ends = np.column_stack([mz - 1.5 * fwhm, mz + 1.5 * fwhm])
    return mz, np.array([openms_areas(m, y, ends) for m, y in run.reader])


CHAINS: dict[str, tuple[Callable, bool]] = {
    "imsminer": (ours, True),
    "iMSminer 1.1.1, peak_width": (lambda run: imsminer_1(run, "peak_width"), True),
    "iMSminer 1.1.1, peak_max": (lambda run: imsminer_1(run, "peak_max"), False),
    "OpenMS PeakIntegrator, true m/z ± 1.5 FWHM": (openms, True),
}


def chains(folder: Path) -> Table:
    result = Table(
        "Areas of each tool's own peaks", ["tool", "profiles", "ions", "bias",
        "scatter", "r"],
    )  # fmt: skip
    for kind in ("profile", "sparse"):
        run = Run(folder / f"{kind}-chain.imzML", kind)
        for name, (tool, area) in CHAINS.items():
            # Files with an axis per pixel are binned, and the apex bin is taken.
            if kind == "sparse" and "1.1.1" in name:
                if area:
                    continue
                name, area = "iMSminer 1.1.1, binned", False
            label = "dense" if kind == "profile" else kind
            try:
                mz, features = tool(run)
            except Missing as reason:
                result.skip(name, reason)
                continue
            reach = 0.5e6 * run.table["fwhm"] / run.table["mz"]
            ion, column = match_peaks(run.table["mz"], mz, reach)
            true, found = run.areas[:, ion], features[:, column]
            strong = run.heights[:, ion] >= 10
            ratio = np.where(strong, found / np.where(strong, true, 1), np.nan)
            with warnings.catch_warnings():
                # An ion without a strong pixel.
                warnings.simplefilter("ignore", RuntimeWarning)
                usual = np.nanmedian(ratio, axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):
                scatter = np.nanmedian(np.abs(ratio / usual - 1))
                r = [np.corrcoef(a, b)[0, 1]
                     for a, b in zip(true.T, found.T, strict=True)]  # fmt: skip
            result.add(
                name,
                label,
                ion.size,
                f"{np.nanmedian(ratio) - 1:+.1%}" if area else "",
                f"{scatter:.1%}",
                f"{np.nanmedian(r):.3f}",
            )
    return result


def masses(folder: Path) -> Table:
    result = Table(
        "Absolute error of the observed m/z in ppm", ["spectra", "median", "largest"]
    )
    for kind in ("profile", "sparse", "centroid"):
        run = Run(folder / f"{kind}-mass.imzML", kind, mass_shift_ppm=3.0)
        integrator = PeakIntegrator(
            peaks=run.table, window="fwhm", width=3.0, observe=True
        )
        error = np.abs(integrator.fit(run.reader).observed_["ppm"].to_numpy())
        label = {"profile": "dense", "sparse": kind, "centroid": "centroids"}[kind]
        result.add(label, f"{np.nanmedian(error):.2f}", f"{np.nanmax(error):.2f}")
    return result


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        show(make(Path(name)) for make in (windows, chains, masses))


if __name__ == "__main__":
    main()
