"""Annotation of 500 peaks against a million molecules × 6 adducts, and of scores.

Run ``python benchmarks/bench_annotate.py``; it takes a minute. The rival of the search
is what is usually written: for each adduct a column of theoretical m/z, and for each
peak a mask of the rows within the tolerance. The rival of the measure of chaos labels
each of 30 thresholded images with SciPy. Ratios are of medians of interleaved runs.
"""

import numpy as np
import pandas as pd
from _timing import interleave
from scipy import ndimage

from imsminer.core.grid import Pixels
from imsminer.features._adducts import parse_adduct
from imsminer.features._isotope_images import image_scores, neighbor_tables
from imsminer.features.annotate import annotate

ADDUCTS = ["[M+H]+", "[M+Na]+", "[M+K]+", "[M+NH4]+", "[2M+H]+", "[M+2H]2+"]
N_ROWS, N_PEAKS, PPM = 1_000_000, 500, 5.0


def masked(mz: np.ndarray, mass: np.ndarray) -> list:
    """Search by a mask over all rows per peak."""
    found = []
    for name in ADDUCTS:
        exact = parse_adduct(name).mz(mass)
        reach = exact * PPM * 1e-6
        found += [np.flatnonzero(np.abs(exact - value) <= reach) for value in mz]
    return found


def formulas(rng: np.random.Generator) -> pd.DataFrame:
    """Make molecules of carbon, hydrogen, nitrogen and oxygen, by formula only."""
    c, h, n, o = (rng.integers(1, most, N_ROWS) for most in (60, 120, 6, 20))
    rows = zip(c, h, n, o, strict=True)
    return pd.DataFrame({"formula": [f"C{c}H{h}N{n}O{o}" for c, h, n, o in rows]})


def labelled(image: np.ndarray) -> float:
    """Return the measure of chaos by labels of each thresholded image."""
    total = 0
    for level in np.arange(30) / 30:
        wide = ndimage.binary_dilation(image > level * image.max())
        total += ndimage.label(ndimage.binary_erosion(wide, np.ones((3, 3))))[1]
    return 1 - total / 30 / (image > 0).sum()


def main() -> None:
    rng = np.random.default_rng(0)
    mass = rng.uniform(100, 1000, N_ROWS)
    table = pd.DataFrame({"name": [f"m{i}" for i in range(N_ROWS)], "mass": mass})
    mz = np.sort(rng.uniform(150, 1000, N_PEAKS))
    written = formulas(rng)
    few = mz[:: N_PEAKS // 10]
    seconds = interleave(
        {
            "annotate": lambda: annotate(mz, table, adducts=ADDUCTS, ppm=PPM),
            "formulas": lambda: annotate(mz, written, adducts=ADDUCTS, ppm=PPM),
            "masks, 10 peaks": lambda: masked(few, mass),
        },
        repeats=3,
    )
    rival = seconds["masks, 10 peaks"] * N_PEAKS / len(few)
    print(
        f"{N_PEAKS} peaks, {N_ROWS:,} rows, {len(ADDUCTS)} adducts: "
        f"{seconds['annotate']:.2f} s; a mask per peak takes "
        f"{rival / seconds['annotate']:.0f} times as long"
    )
    distinct = written["formula"].nunique()
    print(f"the same with {distinct:,} formulas: {seconds['formulas']:.2f} s")

    y, x = np.mgrid[:134, :260].reshape(2, -1)
    places = np.stack([x, y, np.ones_like(x)], axis=1)
    cross, around = neighbor_tables(Pixels(places, np.zeros(x.size, np.int64)))
    image = ndimage.gaussian_filter(rng.random((134, 260)), 2)
    image = np.maximum(image - np.median(image), 0)
    images = np.float32(image.ravel()[None, None] * np.array([[[1.0], [0.5], [0.2]]]))
    abundance = np.array([[1.0, 0.5, 0.2]])
    seconds = interleave(
        {
            "scores": lambda: image_scores(images, abundance, cross, around),
            "labels": lambda: labelled(image),
        }
    )
    ratio = seconds["labels"] / seconds["scores"]
    print(
        f"an ion of {x.size:,} pixels: "
        f"{1e3 * seconds['scores']:.1f} ms for all scores; "
        f"chaos by labels takes {ratio:.1f} times as long"
    )


if __name__ == "__main__":
    main()
