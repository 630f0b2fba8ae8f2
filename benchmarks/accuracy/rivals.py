"""Peaks that other tools find in the same simulated files.

    python benchmarks/accuracy/rivals.py [--rst]

It takes ten minutes. Files, true lists and matching are those of `peaks.py`, with
dense profiles on one axis. Every tool is run at the threshold in its name and, since
tools define noise differently, at all of `THRESHOLDS`: "best" is the highest F1 = 2 ·
recall · precision / (recall + precision) among them, with the threshold that gave it.
It takes the truth to find it.

All but imsminer and iMSminer 1.1.1 read the mean spectrum on the instrument's own grid
(6 points per FWHM), which they could not know for sparse files; centroids are put into
its cells. It is smoothed by a Gaussian of one point, the best compromise of 0, 1, 1.5
and 2.5, and the baseline of dense profiles is taken out by the tool's own method.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from _rivals import (
    Missing,
    bin_peaks,
    maldiquant_maxima,
    openms_picked,
    openms_tophat,
    original,
    scipy_picked,
    snip,
)
from _tables import Table, show
from scipy.ndimage import gaussian_filter1d

from imsminer import ImzMLReader, PeakPicker
from imsminer.datasets import Truth, make_ims

ANALYSERS = {
    "tof": (10_000.0, (400.0, 1000.0)),
    "orbitrap": (60_000.0, (500.0, 700.0)),
    "fticr": (200_000.0, (500.0, 560.0)),
}
KINDS = {"profile": "dense", "sparse": "sparse", "centroid": "centroids"}
FIGURES = ("recall", "precision", "best")
SNR = 10.0
THRESHOLDS = (
    0.02,
    0.05,
    0.1,
    0.2,
    0.3,
    0.5,
    1.0,
    1.5,
    2.0,
    3.0,
    4.0,
    5.0,
    7.0,
    10.0,
    15.0,
    20.0,
    30.0,
)
# Below, the noise of single pixels makes groups by the million.
PIXEL_THRESHOLDS = (5.0, 7.0, 10.0, 15.0, 20.0)
# Points of the native grid; the usual width of a peak is 6.
WINDOW, HALF_WINDOW = 40, 6


class Run:
    """One simulated file, its truth, and its mean on the native grid."""

    def __init__(self, folder: Path, analyser: str, kind: str) -> None:
        power, mz_range = ANALYSERS[analyser]
        self.analyser, self.kind, self.power = analyser, kind, power
        self.truth: Truth = make_ims(
            folder / f"{analyser}-{kind}.imzML",
            shape=(20, 20),
            n_peaks=100,
            analyser=analyser,
            resolving_power=power,
            mz_range=mz_range,
            snr=(SNR, 100 * SNR),
            spectrum_type=kind,
            mode="continuous" if kind == "profile" else "processed",
        )
        self.reader = ImzMLReader(self.truth.path)
        self.mz = self.truth.axis
        edges = 0.5 * (self.mz[1:] + self.mz[:-1])
        self.mean = np.zeros(self.mz.size)
        for mz, y in self.reader:
            np.add.at(self.mean, np.searchsorted(edges, mz), y.astype(np.float64))
        self.mean = gaussian_filter1d(self.mean / len(self.reader), 1.0)


# Each tool returns a list of m/z for each threshold.


def ours(run: Run, thresholds: tuple) -> list:
    picker = PeakPicker(loq=thresholds[0]).fit(run.reader)
    more = (picker.pick(run.reader, loq=loq)["mz"] for loq in thresholds[1:])
    return [picker.peaks_["mz"], *more]


def imsminer_1(run: Run, thresholds: tuple) -> list:
    dense = run.kind == "profile"
    found = original(
        "pick",
        path=str(run.truth.path),
        method="automatic" if dense else "binning_even",
        loq=np.array(thresholds),
        dist=6 if dense else 3,
        power=run.power,
        at_mz=float(np.mean(ANALYSERS[run.analyser][1])),
        factor=3,
        integrate="",
    )
    return [found[f"mz{k}"] for k in range(len(thresholds))]


def scipy_maxima(run: Run, thresholds: tuple) -> list:
    return [run.mz[scipy_picked(run.mean, loq, HALF_WINDOW)] for loq in thresholds]


def openms(run: Run, thresholds: tuple) -> list:
    width = WINDOW * float(np.median(np.diff(run.mz)))
    flat = openms_tophat(run.mz, run.mean, width) if run.kind == "profile" else run.mean
    return [openms_picked(run.mz, flat, snr) for snr in thresholds]


def maldiquant_mean(run: Run, thresholds: tuple) -> list:
    flat = run.mean
    if run.kind == "profile":
        flat = snip(flat, WINDOW, decreasing=True)
    return [run.mz[maldiquant_maxima(flat, snr, HALF_WINDOW)] for snr in thresholds]


def maldiquant_pixels(run: Run, thresholds: tuple) -> list:
    """Search each pixel, group, and keep what 1 % of the pixels hold."""
    if run.kind != "profile" or run.analyser != "tof":
        message = "takes too long"
        raise Missing(message)
    places, pixels = ([[] for _ in thresholds] for _ in range(2))
    for row, (_, y) in enumerate(run.reader):
        flat = snip(y.astype(np.float64), WINDOW, decreasing=True)
        for k, snr in enumerate(thresholds):
            at = maldiquant_maxima(flat, snr, HALF_WINDOW)
            places[k].append(run.mz[at])
            pixels[k].append(np.full(at.size, row))
    lists = []
    for place, pixel in zip(places, pixels, strict=True):
        tolerance = 0.5 / run.power
        mz, n = bin_peaks(np.concatenate(place), np.concatenate(pixel), tolerance)
        lists.append(mz[n >= 0.01 * len(run.reader)])
    return lists


TOOLS: dict[str, tuple[Callable, float, tuple]] = {
    "imsminer, loq 5": (ours, 5.0, THRESHOLDS),
    "iMSminer 1.1.1, loq 5": (imsminer_1, 5.0, THRESHOLDS),
    "scipy find_peaks, 5 MAD": (scipy_maxima, 5.0, THRESHOLDS),
    "OpenMS PeakPickerHiRes, S/N 1": (openms, 1.0, THRESHOLDS),
    "MALDIquant-like, mean, SNR 5": (maldiquant_mean, 5.0, THRESHOLDS),
    "MALDIquant-like, pixels, SNR 5": (maldiquant_pixels, 5.0, PIXEL_THRESHOLDS),
}


def scores(truth: Truth, lists: list) -> list[tuple[float, float, float]]:
    """Return recall, precision and F1 of each list."""
    rows = []
    for mz in lists:
        score = truth.score(mz, min_snr=SNR)
        recall, precision = score["recall"], np.nan_to_num(score["precision"])
        both = max(recall + precision, 1e-9)
        rows.append((recall, precision, 2 * recall * precision / both))
    return rows


def cells(run: Run, name: str) -> list[str] | Missing:
    """Return recall and precision of a tool, and its best F1; or why it is missing."""
    print(f"{run.analyser}, {run.kind}: {name}", file=sys.stderr, flush=True)
    tool, nominal, thresholds = TOOLS[name]
    try:
        with warnings.catch_warnings():
            # That a threshold finds nothing.
            warnings.simplefilter("ignore", UserWarning)
            found = scores(run.truth, tool(run, thresholds))
    except Missing as reason:
        return reason
    recall, precision, _ = found[thresholds.index(nominal)]
    best = int(np.argmax([f1 for *_, f1 in found]))
    f1 = f"{found[best][2]:.3f} ({thresholds[best]:g})"
    return [f"{recall:.3f}", f"{precision:.3f}", f1]


def table(folder: Path, analyser: str) -> Table:
    """Compare all tools on the files of one analyser."""
    label = {"tof": "TOF", "orbitrap": "Orbitrap", "fticr": "FT-ICR"}[analyser]
    result = Table(
        f"{label}: recall, precision and best F1 (threshold) for S/N from {SNR:g} on",
        ["tool"] + [f"{kind} {what}" for kind in KINDS.values() for what in FIGURES],
    )
    runs = [Run(folder, analyser, kind) for kind in KINDS]
    for name in TOOLS:
        parts = [cells(run, name) for run in runs]
        missing = [part for part in parts if isinstance(part, Missing)]
        if len(missing) == len(parts):
            result.skip(name, missing[0])
            continue
        row = [[""] * 3 if isinstance(part, Missing) else part for part in parts]
        result.add(name, *(cell for part in row for cell in part))
    return result


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as name:
        show(map(partial(table, Path(name)), ANALYSERS))


if __name__ == "__main__":
    main()
