"""Time per spectrum of alignment, against msalign on the same rows.

Both find the line of each row and resample it: 40,000 points without negative values,
float32, 40 reference peaks. Errors are distances to the true shifts, in widths of a
peak at half height; the median over the rows that msalign ran on.
``pip install --no-deps msalign==0.2.0`` for the rival.

    python benchmarks/bench_align.py
"""

import sys
from pathlib import Path

import numpy as np

from imsminer import MassAligner

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

from _timing import interleave
from align import AT, FWHM, REACH, WIDTHS, ours, simulate

N_PIXELS, N_GRID, N_RIVAL = 200, 40, 6
TOLERANCE = REACH * FWHM
#: At least as many times quicker than msalign.
TARGETS = {"landmarks, linear": 500, "landmarks, piecewise": 500, "grid": 15}


def main() -> None:
    """Print the ratios of the medians."""
    from msalign import Aligner

    X, places, true = simulate(10.0)
    # As instruments deliver them.
    X = np.maximum(X, 0).astype(np.float32)
    x = np.arange(X.shape[1], dtype=np.float64)
    inside = (places[0] <= AT) & (places[-1] >= AT)
    keywords = {"reference": places, "tolerance": TOLERANCE, "guard": False}
    variants = {
        "landmarks, linear": (N_PIXELS, {}),
        "landmarks, piecewise": (N_PIXELS, {"model": "piecewise"}),
        "grid": (N_GRID, {"method": "grid"}),
    }

    def rival() -> np.ndarray:
        aligner = Aligner(
            x,
            X[:N_RIVAL],
            places,
            method="linear",
            width=WIDTHS[0] * FWHM,
            shift_range=[-TOLERANCE, TOLERANCE],
        )
        aligner.run()
        aligner.apply()
        scale = aligner.scale_opt.reshape(-1, 1)
        return (scale - 1) * AT + aligner.shift_opt.reshape(-1, 1)

    def error(shifts: np.ndarray) -> float:
        distance = np.abs(shifts - true[:N_RIVAL])[:, inside]
        return float(np.median(distance.mean(axis=1))) / FWHM

    errors = {"msalign": error(rival())}
    functions = {"msalign": rival}
    number = {"msalign": N_RIVAL}
    for name, (n, more) in variants.items():
        aligner = MassAligner(**keywords, **more).fit(X)
        errors[name] = error(ours(X, places, **more)[:N_RIVAL])
        functions[name] = lambda aligner=aligner, n=n: aligner.transform(X[:n])
        number[name] = n
    seconds = interleave(functions)
    rate = {name: seconds[name] / number[name] for name in functions}
    for name, value in rate.items():
        ratio = rate["msalign"] / value
        target = f" (>= {TARGETS[name]})" if name in TARGETS else ""
        print(f"{name:22s}{ratio:7.0f} ×{target:9s}  error {errors[name]:.4f} FWHM")


if __name__ == "__main__":
    main()
