"""Time per spectrum of alignment, against msalign on the same rows.

Both find the line of each row and resample it: 40,000 points without negative values,
float32, 40 reference peaks.
``pip install msalign==0.2.0`` for the rival.

    python benchmarks/bench_align.py
"""

import sys
from pathlib import Path

import numpy as np

from imsminer import MassAligner

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

from _timing import interleave
from align import TOLERANCE, simulate

N_PIXELS, N_GRID, N_RIVAL = 200, 40, 2


def main() -> None:
    """Print the ratios of the medians."""
    from msalign import Aligner

    X, places, _ = simulate(10.0)
    # As instruments deliver them.
    X = np.maximum(X, 0).astype(np.float32)
    x = np.arange(X.shape[1], dtype=np.float64)
    keywords = {"reference": places, "tolerance": TOLERANCE, "guard": False}
    variants = {
        "landmarks, linear": (N_PIXELS, {}),
        "landmarks, piecewise": (N_PIXELS, {"model": "piecewise"}),
        "grid": (N_GRID, {"method": "grid"}),
    }

    def rival() -> None:
        aligner = Aligner(
            x,
            X[:N_RIVAL],
            places,
            method="linear",
            width=TOLERANCE / 2,
            shift_range=[-TOLERANCE, TOLERANCE],
        )
        aligner.run()
        aligner.apply()

    functions = {"msalign": rival}
    number = {"msalign": N_RIVAL}
    for name, (n, more) in variants.items():
        aligner = MassAligner(**keywords, **more).fit(X)
        functions[name] = lambda aligner=aligner, n=n: aligner.transform(X[:n])
        number[name] = n
    seconds = interleave(functions)
    rate = {name: seconds[name] / number[name] for name in functions}
    for name, value in rate.items():
        ratio = rate["msalign"] / value
        print(f"{name:22s} {1e3 * value:9.3f} ms per pixel {ratio:8.0f} ×")


if __name__ == "__main__":
    main()
