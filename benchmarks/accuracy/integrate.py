"""Areas from files against the analytic ones, and against a trapezoid.

Run ``python benchmarks/accuracy/integrate.py``; it takes a minute. One simulated run of
24 × 24 pixels is written dense and thresholded (as instruments do, which leave zeros
out). Printed is the median error of single areas in percent of the true ones, by the
peak's height over the threshold; the rivals are the trapezoid and the sum times the
median spacing, both over the stored points in the same windows. Without noise, so that
what is seen is what the method does; "mass" is the error of the observed m/z in ppm,
with noise and pixels that scatter by 3 ppm, over those of the true m/z.
"""

import tempfile
from pathlib import Path

import numpy as np

from imsminer import ImzMLReader, PeakIntegrator
from imsminer.datasets import make_ims

CLASSES = [(1.5, 3), (3, 10), (10, 30), (30, 100), (100, np.inf)]
THRESHOLD = 4.0


def simulate(path: Path, kind: str, **options):
    truth = make_ims(
        path,
        shape=(24, 24),
        mz=np.linspace(505, 595, 40),
        mz_range=(500.0, 600.0),
        isotopes=False,
        spectrum_type=kind,
        threshold=THRESHOLD if kind == "sparse" else None,
        height_spread=1.5,
        **options,
    )
    order = np.argsort(truth.peaks["mz"].to_numpy())
    table = truth.peaks.iloc[order].reset_index(drop=True)
    return (
        ImzMLReader(truth.path),
        table,
        truth.areas[:, order],
        truth.heights[:, order],
    )


def rivals(reader, windows) -> dict:
    trapezoid = np.zeros((len(reader), len(windows)))
    spaced = np.zeros_like(trapezoid)
    for i, (mz, y) in enumerate(reader):
        spacing = np.median(np.diff(mz)) if mz.size > 1 else 0
        for k, (low, high) in enumerate(windows):
            part = slice(*np.searchsorted(mz, [low, high]))
            trapezoid[i, k] = np.trapezoid(y[part], mz[part])
            spaced[i, k] = y[part].sum(dtype=float) * spacing
    return {"trapezoid": trapezoid, "sum × spacing": spaced}


def main() -> None:
    names = [f"{a:g}–{b:g}" for a, b in CLASSES]
    print(f"{'':30}" + "".join(f"{name:>10}" for name in names))
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("profile", "sparse"):
            path = Path(folder) / f"{kind}.imzML"
            reader, table, areas, heights = simulate(path, kind, noise_free=True)
            integrator = PeakIntegrator(peaks=table, window="fwhm", width=3.0)
            values = {"PeakIntegrator": integrator.fit_transform(reader).to_numpy()}
            values |= rivals(reader, integrator.windows_)
            for name, found in values.items():
                line = f"  {kind:10}{name:18}"
                for low, high in CLASSES:
                    ratio = heights / THRESHOLD
                    chosen = (ratio >= low) & (ratio < high)
                    error = found[chosen] / areas[chosen] - 1
                    line += f"{100 * np.median(error):10.1f}"
                print(line)
        for kind in ("profile", "sparse", "centroid"):
            path = Path(folder) / f"{kind}-noise.imzML"
            reader, table, *_ = simulate(path, kind, mass_shift_ppm=3.0)
            integrator = PeakIntegrator(
                peaks=table, window="fwhm", width=3.0, observe=True
            )
            observed = integrator.fit(reader).observed_
            error = observed["ppm"].to_numpy()
            print(
                f"  mass of {kind:10} median |error| {np.median(np.abs(error)):.2f} ppm"
                f", largest {np.nanmax(np.abs(error)):.2f} ppm"
            )


if __name__ == "__main__":
    main()
