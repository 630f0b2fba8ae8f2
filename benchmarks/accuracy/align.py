"""Errors of alignment against true shifts, beside msalign on the same rows.

Rows of peaks of one width (FWHM 8 points) are shifted by a normal number of points with
a standard deviation of a quarter FWHM, and stretched by as much at the ends. The error
is the mean distance to the true shift over the range, in FWHM; medians over pixels.
``pip install msalign==0.2.0`` for the rival.

    python benchmarks/accuracy/align.py
"""

import numpy as np

from imsminer import MassAligner

FWHM, N_POINTS, N_PEAKS = 8.0, 40_000, 40
N_PIXELS, N_RIVAL = 200, 24
AT = np.linspace(1000, 39_000, 39)
TOLERANCE = 16.0


def simulate(snr: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, places of peaks, and the true shift (n, 39) at `AT`.

    Noise has a standard deviation of 1, and apexes are at least `snr`.
    """
    rng = np.random.default_rng(seed)
    places = np.sort(rng.choice(np.arange(600, 39_400, 60), N_PEAKS, replace=False))
    places = places + rng.uniform(-0.5, 0.5, N_PEAKS)
    shift, stretch = rng.normal(0, FWHM / 4, (2, N_PIXELS, 1))
    height = snr * np.exp(rng.exponential(0.7, N_PEAKS))
    X = rng.normal(0, 1, (N_PIXELS, N_POINTS))
    sd = FWHM / 2.3548
    for row, a, b in zip(X, shift, stretch, strict=True):
        for place, top in zip(places, height, strict=True):
            moved = place + a[0] + b[0] * (place / 20_000 - 1)
            near = np.arange(int(moved - 30), int(moved + 30))
            row[near] += top * np.exp(-0.5 * ((near - moved) / sd) ** 2)
    return X, places, shift + stretch * (AT / 20_000 - 1)


def ours(X: np.ndarray, places: np.ndarray, **keywords) -> np.ndarray:
    """Return the shift of each row at `AT`."""
    aligner = MassAligner(
        reference=places, tolerance=TOLERANCE, guard=False, **keywords
    )
    aligner.fit(X)
    report, model = aligner.report_, aligner._kernel.model
    u = np.clip((AT - model.centre) / model.half, -1, 1)
    line = report[["shift_points", "stretch_points"]].to_numpy()
    if model.knots.size == 2:
        return line @ np.stack([np.ones_like(u), u])
    from imsminer.spectra._align_learning import match_values

    found = match_values(X, model, None)
    theta, _, _ = model.fit_lines(found, model.prior[0], model.precision[0])
    return theta @ model.design(u).T


def msalign(X: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Do the same by msalign, with its grid of 20 × 20 and five zooms."""
    from msalign import Aligner

    x = np.arange(X.shape[1], dtype=np.float64)
    aligner = Aligner(
        x,
        X,
        places,
        method="linear",
        width=TOLERANCE / 2,
        shift_range=[-TOLERANCE, TOLERANCE],
        only_shift=False,
        align_by_index=False,
    )
    aligner.run()
    scale = aligner.scale_opt.astype(np.float64)
    return (scale - 1) * AT + aligner.shift_opt


def main() -> None:
    """Print the table."""
    methods = {
        "landmarks, linear": lambda X, p: ours(X, p),
        "landmarks, piecewise": lambda X, p: ours(X, p, model="piecewise"),
        "grid": lambda X, p: ours(X, p, method="grid"),
        "msalign": msalign,
    }
    print(f"error in FWHM: median (90 %); {N_PIXELS} pixels, msalign {N_RIVAL}")
    print(f"{'S/N of the weakest peak':26s}", *(f"{name:>22s}" for name in methods))
    for snr in (3, 10, 30, 100):
        X, places, true = simulate(snr)
        cells = []
        for name, method in methods.items():
            n = N_RIVAL if name == "msalign" else N_PIXELS
            try:
                found = method(X[:n], places)
            except ImportError:
                cells.append(f"{'not installed':>22s}")
                continue
            error = np.abs(found - true[:n]).mean(axis=1) / FWHM
            same = np.median(error[:N_RIVAL])
            cells.append(f"{np.median(error):.4f} ({np.quantile(error, 0.9):.4f})")
            cells[-1] = f"{cells[-1]:>15s} {same:.4f}"
        print(f"{snr:<26g}", *(f"{cell:>22s}" for cell in cells))
    print(f"behind the brackets: the median of the first {N_RIVAL} pixels")


if __name__ == "__main__":
    main()
