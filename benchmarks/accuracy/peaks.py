"""How many true peaks are found, and how many of those found are true.

    python benchmarks/accuracy/peaks.py

True peaks, S/N and matching are those of `imsminer.datasets.Truth`: maxima of the
noise-free mean profile, merged below one FWHM, matched one to one within half of it.
Recall counts the true peaks from the S/N of the row on; precision accepts all of them.
"""

import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from imsminer import ImzMLReader, ImzMLWarning, PeakPicker
from imsminer.core.peaktable import match_peaks
from imsminer.datasets import make_ims
from imsminer.spectra.centroid import CentroidSpectra

ANALYSERS = {
    "tof": (10_000.0, (400.0, 1000.0)),
    "orbitrap": (60_000.0, (500.0, 700.0)),
    "fticr": (200_000.0, (500.0, 560.0)),
}
KINDS = ("profile", "sparse", "centroid")
SEEDS = (0, 1)


def simulated(folder: Path, analyser: str, kind: str, snr: float, seed: int):
    """Return truth and reader of a run whose weakest ion has an S/N."""
    power, mz_range = ANALYSERS[analyser]
    truth = make_ims(
        folder / f"{len(list(folder.iterdir()))}.imzML",
        shape=(20, 20),
        n_peaks=100,
        analyser=analyser,
        resolving_power=power,
        mz_range=mz_range,
        snr=(snr, 100 * snr),
        spectrum_type=kind,
        random_state=seed,
    )
    return truth, ImzMLReader(truth.path)


def row(name: str, scores: list[dict]) -> None:
    """Print the pooled counts of some runs."""
    recall = np.average(
        [s["recall"] for s in scores], weights=[s["n_true"] for s in scores]
    )
    found = sum(s["n_found"] for s in scores)
    precision = sum(s["n_matched"] for s in scores) / max(found, 1)
    doubled = sum(s["n_doubled"] for s in scores)
    true = sum(s["n_true"] for s in scores)
    print(
        f"{name:48s} {recall:7.3f} {precision:9.3f} {doubled:7d} {true:6d}", flush=True
    )


def analysers(folder: Path) -> None:
    """Recall and precision at two ratios of signal to noise."""
    for snr, loq, smoothing in ((10.0, 5.0, None), (5.0, 3.5, "matched")):
        for analyser in ANALYSERS:
            for kind in KINDS:
                scores, picked = [], []
                for seed in SEEDS:
                    truth, reader = simulated(folder, analyser, kind, snr, seed)
                    peaks = PeakPicker(loq=loq, smoothing=smoothing).fit(reader).peaks_
                    scores.append(truth.score(peaks["mz"], min_snr=snr))
                    if kind != "centroid":
                        centroids = CentroidSpectra().fit_transform(reader)
                        peaks = PeakPicker(loq=loq).fit(centroids).peaks_
                        picked.append(truth.score(peaks["mz"], min_snr=snr))
                smooth = f", {smoothing}" if smoothing else ""
                name = f"{analyser} {kind}, S/N {snr:g}, loq {loq:g}{smooth}"
                row(name, scores)
                if picked:
                    row(f"{name}, centroided", picked)


def small_region(folder: Path, share: float) -> None:
    """Ten peaks of half a percent of the pixels, a share as high there as others."""
    rng = np.random.default_rng(0)
    n, mz = 2000, np.linspace(505.0, 995.0, 60)
    abundance = rng.uniform(0.5, 1.5, (n, 60))
    own = np.arange(60) % 6 == 3
    spot = np.arange(n) < 0.005 * n
    abundance[:, own] *= spot[:, None]
    abundance[:, own] *= share
    truth = make_ims(
        folder / f"spot{share}.imzML",
        distributions=abundance,
        coordinates=np.column_stack([np.arange(n) % 50, np.arange(n) // 50]) + 1,
        mz=mz,
        isotopes=False,
        height=100.0,
        mz_range=(500.0, 1000.0),
        analyser="tof",
        resolving_power=10_000.0,
    )
    reader = ImzMLReader(truth.path)
    for reference in ("mean", "mean+max"):
        peaks = PeakPicker(reference=reference).fit(reader).peaks_
        hit, _ = match_peaks(mz[own], peaks["mz"], 40)
        print(
            f"small region, {100 * share:g} counts, reference={reference!r}: "
            f"{hit.size} of {own.sum()} peaks"
        )


def cardinal(folder: Path) -> None:
    """Runs like those of Cardinal's `simulateImage`, with 60 peaks.

    The same are its defaults for number (60), place (log-normal: 7, 0.3), height
    (log-normal: 1, 0.9), resolving power (1,000), samples (2.5 per FWHM), noise (0.1
    of the unit of height, the median height being e), shifts of pixels (10 ppm) and
    the lack of a baseline. Not the same: samples are even in √m, not in log m; noise
    is normal and cut off at 0, not log-normal; images are the tissue of `make_ims`
    with 4 regions and 36 x 36 pixels instead of shapes on 72 x 72; heights vary with
    it, not by a log-normal factor. Peaks that overlap within a FWHM count as one, as
    everywhere here.
    """
    scores = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        mz = np.sort(rng.lognormal(7.0, 0.3, 60))
        truth = make_ims(
            folder / f"cardinal{seed}.imzML",
            shape=(36, 36),
            mz=mz,
            mz_range=(0.9 * mz[0], 1.1 * mz[-1]),
            analyser="tof",
            resolving_power=1000.0,
            points_per_fwhm=2.5,
            isotopes=False,
            height=np.e / 0.1,
            height_spread=0.9,
            baseline=0.0,
            chemical_noise=0.0,
            shot_noise=0.0,
            noise=1.0,
            mass_shift_ppm=10.0,
            mode="continuous",
            random_state=seed,
        )
        # Samples are so far apart that the usual 6 would be more than two FWHM.
        picker = PeakPicker(min_points=2).fit(ImzMLReader(truth.path))
        scores.append(truth.score(picker.peaks_["mz"]))
    row("Cardinal's simulation, 60 peaks, loq 10", scores)


def kidney(path: Path) -> None:
    """Peaks of one half of the pixels that the other half has, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImzMLWarning)
        reader = ImzMLReader(path)
    even = reader.coordinates[:, :2].sum(axis=1) % 2 == 0
    for one, other in ((even, ~even), (~even, even)):
        picker = PeakPicker().fit(reader[one])
        peaks, again = picker.peaks_, picker.pick(reader[other], loq=picker.loq / 2)
        same, _ = match_peaks(peaks["mz"], again["mz"], 10)
        beside, _ = match_peaks(peaks["mz"] + 0.3, again["mz"], 10)
        print(
            f"kidney: {len(peaks)} peaks, {same.size / len(peaks):.3f} in the other "
            f"half, {beside.size / len(peaks):.3f} of their places + 0.3"
        )


def main() -> None:
    """Print the table."""
    title = ("recall", "precision", "doubled", "true")
    print(f"{'':48s} {title[0]:>7s} {title[1]:>9s} {title[2]:>7s} {title[3]:>6s}")
    with tempfile.TemporaryDirectory() as name:
        analysers(Path(name))
        cardinal(Path(name))
        for share in (0.2, 0.3, 0.5, 0.7):
            small_region(Path(name), share)
    if len(sys.argv) > 1:
        kidney(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
