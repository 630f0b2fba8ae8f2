"""What cutting off at 0 does to ions that are fainter than the noise of one pixel.

    python benchmarks/accuracy/baseline_level.py [--rst]

It takes a minute. Runs of `make_ims`: 800 pixels in two regions, a time-of-flight
analyser (R = 10,000, dense), a baseline that falls from 100 counts, and 10 ions for
each S/N: noise-free apex in a pixel of the first region, over the noise of a sample
there. In the second region each ion is twice as high.

Spectra of a region are averaged after their baselines were subtracted. "Height" is the
error of the apex of the mean, over its level between the peaks, in the first region;
"difference" that of the second region's apex minus the first's; "area" that of the area
(± 1.5 FWHM) as an integrator finds it; "log2 ratio" is that of the two regions' areas,
1 in truth. "False" is the level between the peaks, in standard deviations of a sample's
noise. All are medians over the ions.
"""

import tempfile
from pathlib import Path

import numpy as np
from _tables import Table, show

from imsminer import BaselineSubtractor, ImzMLReader
from imsminer.datasets import make_ims

RATIOS = (0.3, 0.5, 1.0, 2.0, 5.0)
IONS, PIXELS = 10, 400
LOW, HIGH, BASE = 500.0, 600.0, 100.0
NOISES = {"counting noise": (1.0, 0.0), "normal noise, sd 5": (0.0, 5.0)}
SETTINGS = {
    "middle": {},
    "lower": {"level": "lower"},
    "clip=False": {"clip": False},
    "middle, reference='mean'": {"reference": "mean"},
}


def simulate(path: Path, gain: float, sd: float):
    """Return truth, m/z, S/N of each ion, and the noise of samples there."""
    ratio = np.tile(RATIOS, IONS)
    mz = np.linspace(LOW + 2, HIGH - 2, ratio.size)
    base = BASE * np.exp((LOW - mz) / (0.5 * (HIGH - LOW)))
    noise = np.sqrt(sd**2 + gain * base)
    heights = ratio * noise
    region = np.repeat([1.0, 2.0], PIXELS)
    distributions = region[:, np.newaxis] * heights
    truth = make_ims(
        path,
        distributions=distributions,
        coordinates=np.column_stack(np.divmod(np.arange(region.size), 40)) + 1,
        mz=mz,
        isotopes=False,
        height=float(np.median(distributions.mean(axis=0))),
        mz_range=(LOW, HIGH),
        resolving_power=10_000.0,
        baseline=BASE,
        chemical_noise=0.0,
        shot_noise=gain,
        noise=sd,
        mode="continuous",
    )
    return truth, mz, ratio, noise


def measure(truth, mz, noise, **parameters) -> dict[str, np.ndarray]:
    """Return figures of each ion."""
    reader = ImzMLReader(truth.path)
    clean = BaselineSubtractor(**parameters).fit_transform(reader)
    sums = np.zeros((2, truth.axis.size))
    for row, (_, y) in enumerate(clean):
        sums[row // PIXELS] += y
    means = sums / PIXELS
    fwhm = truth.analyser.fwhm(mz)
    figures: dict[str, list] = {name: [] for name in FIGURES}
    for k, place in enumerate(mz):
        away = np.abs(truth.axis - place) / fwhm[k]
        near, beside = away < 0.35, (away > 2.5) & (away < 12)
        level = means[:, beside].mean(axis=1)
        true = truth.heights[[0, -1], k]
        # The peak's shape, fitted: one sample would be noisy.
        shape = np.exp(-4 * np.log(2) * away[near] ** 2)
        apex = (means[:, near] - level[:, np.newaxis]) @ shape / (shape @ shape)
        window = away < 1.5
        area = np.trapezoid(means[:, window], truth.axis[window], axis=1)
        figures["height"].append(apex[0] / true[0] - 1)
        figures["difference"].append((apex[1] - apex[0]) / (true[1] - true[0]) - 1)
        figures["area"].append(area[0] / truth.areas[0, k] - 1)
        figures["log2 ratio"].append(np.log2(area[1] / area[0]))
        figures["false"].append(level[0] / noise[k])
    return {name: np.array(values) for name, values in figures.items()}


FIGURES = {
    "height": "{:+.0%}",
    "difference": "{:+.0%}",
    "area": "{:+.0%}",
    "log2 ratio": "{:.2f}",
    "false": "{:.2f}",
}


def table(folder: Path, label: str) -> Table:
    """Score the settings under one kind of noise."""
    result = Table(
        f"Faint ions in means over pixels, {label}", ["baseline", "S/N", *FIGURES]
    )
    truth, mz, ratio, noise = simulate(folder / f"{label}.imzML", *NOISES[label])
    for name, parameters in SETTINGS.items():
        figures = measure(truth, mz, noise, **parameters)
        for level in RATIOS:
            chosen = ratio == level
            cells = [
                text.format(np.median(figures[figure][chosen]))
                for figure, text in FIGURES.items()
            ]
            result.add(name, f"{level:g}", *cells)
    return result


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        show(table(Path(name), label) for label in NOISES)


if __name__ == "__main__":
    main()
