"""The numbers that normalisers divide by, against the same in NumPy.

Run ``python benchmarks/bench_normalize.py``. Ratios of medians: NumPy's time over ours
for the factors of all pixels; and our time for factors and division together, without
validation, over that of a mere copy of the array, which bounds what is possible.
"""

import numpy as np
from _timing import interleave

from imsminer.core.chunk import rows_as_chunk
from imsminer.spectra.normalize import (
    MaxNormalizer,
    MedianNormalizer,
    RMSNormalizer,
    TICNormalizer,
)
from imsminer.spectra.normalize_pqn import PQNNormalizer
from imsminer.spectra.normalize_reference import ReferenceNormalizer
from imsminer.spectra.normalize_trimmed import TrimmedTICNormalizer


def median_row_by_row(X):
    return np.array([np.median(x[x != 0]) for x in X])


def trimmed(X):
    """The sum of a boolean selection of columns; which these are is known."""
    return X[:, np.arange(X.shape[1]) % 3 > 0].sum(1, dtype=np.float64)


def quotients(X):
    """The median quotient in 1,000 columns; the reference is known."""
    return median_row_by_row(X[:, :1000] / np.arange(1.0, 1 + X[:, :1000].shape[1]))


RIVALS = {
    TICNormalizer: lambda X: X.sum(1, dtype=np.float64),
    RMSNormalizer: lambda X: np.sqrt(np.mean(X**2, axis=1, dtype=np.float64)),
    MedianNormalizer: median_row_by_row,
    MaxNormalizer: lambda X: X.max(1),
    ReferenceNormalizer: lambda X: X[:, 5],
    TrimmedTICNormalizer: trimmed,
    PQNNormalizer: quotients,
}


def main() -> None:
    rng = np.random.default_rng(0)
    for label, (n, m), filled in [
        ("profile spectra, 30 % above 0", (60, 50_000), 0.3),
        ("features", (20_000, 200), 0.9),
    ]:
        X = rng.lognormal(0, 1.5, (n, m)).astype(np.float32)
        X[rng.random((n, m)) > filled] = 0
        X[:, 5] = 1.0
        print(f"{label}: {n} × {m}, float32")
        print(f"  {'':22}{'NumPy/ours, factors':>21}{'ours/copy, all':>16}")
        chunk = rows_as_chunk(X)
        for kind, rival in RIVALS.items():
            keywords = {"column": 5} if kind is ReferenceNormalizer else {}
            kernel = kind(**keywords).fit(X)._kernel
            seconds = interleave(
                {
                    "factors": lambda kernel=kernel, c=chunk: kernel.measure(c),
                    "all": lambda kernel=kernel, c=chunk: kernel(c),
                    "numpy": lambda rival=rival, X=X: rival(X),
                    "copy": lambda X=X: X.copy(),
                },
                repeats=15,
            )
            print(
                f"  {kind.__name__:22}{seconds['numpy'] / seconds['factors']:21.1f}"
                f"{seconds['all'] / seconds['copy']:16.1f}"
            )


if __name__ == "__main__":
    main()
