"""A grid search over a picker: 24 candidates against 1, each on 4 spatial folds.

The rival is the same search with one candidate, on a simulated file that is made on the
spot (``--gigabytes``, 0.35 by default) and removed. Printed are ratios of CPU times and
the bytes that were read, in sizes of the file: without integration (the candidates are
scored by the peaks that are found again), with it (scored by a step behind the
integrator), and in two processes that share a folder.

What a candidate costs does not grow with the file. From the slope over candidates
follows the size of the file from which on the ratio is 1.5.
"""

import argparse
import resource
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from imsminer import ImzMLReader, PeakIntegrator, PeakPicker
from imsminer.core.cache import cache
from imsminer.datasets.synthetic import make_ims
from imsminer.model_selection import SpatialBlockSplit, peak_reproducibility_score

MANY = {
    "peakpicker__loq": [3, 5, 10, 20],
    "peakpicker__min_points": [4, 6, 8],
    "peakpicker__z_threshold": [2.5, 3.0],
}
ONE = {"peakpicker__loq": [10]}
RATIO = 1.5


def mean_feature(model, X, y=None) -> float:
    """Score by what needs the integrated features of the test pixels."""
    return float(np.mean(model.transform(X)))


def cpu_seconds() -> float:
    """Return the CPU time of this process and of those that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def search(path, grid, *, integrate=False, folder=None, n_jobs=None):
    """Run a search on a fresh reader; return CPU seconds and files read."""
    cache.clear()
    reader = ImzMLReader(path)
    if folder is not None:
        reader = reader.with_cache(folder)
    steps = [PeakPicker(), PeakIntegrator()] if integrate else [PeakPicker()]
    model = GridSearchCV(
        make_pipeline(*steps),
        grid,
        cv=SpatialBlockSplit(4),
        scoring=mean_feature if integrate else peak_reproducibility_score,
        refit=False,
        error_score="raise",
        n_jobs=n_jobs,
    )
    start = cpu_seconds()
    model.fit(reader)
    seconds = cpu_seconds() - start
    if n_jobs not in (None, 1):
        from joblib.externals.loky import get_reusable_executor

        # Worker processes are counted when they have ended.
        get_reusable_executor().shutdown(wait=True)
        seconds = cpu_seconds() - start
    return seconds, reader.source.n_bytes_read / reader.source.row_bytes.sum()


def report(name, path, repeats, **options):
    """Print what 24 candidates cost against 1; return both."""
    seconds: dict[str, list[float]] = {"one": [], "many": []}
    read = {}
    for _ in range(repeats):
        for which, grid in (("one", ONE), ("many", MANY)):
            with tempfile.TemporaryDirectory() as folder:
                place = folder if options.get("n_jobs") else None
                spent, read[which] = search(path, grid, folder=place, **options)
            seconds[which].append(spent)
    one, many = (statistics.median(seconds[which]) for which in ("one", "many"))
    line = f"{many / one:6.2f} ×  {name}: 24 candidates against 1"
    if not options.get("n_jobs"):
        line += f"; {read['many']:.2f} against {read['one']:.2f} files read"
    print(line)
    return one, many


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=0.35)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--mode", default="continuous")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.imzML"
        per_pixel = 4.2e5 if arguments.mode == "continuous" else 1.27e6
        edge = max(12, round((arguments.gigabytes * 1e9 / per_pixel) ** 0.5))
        make_ims(path, shape=(edge, edge), mode=arguments.mode)
        size = path.with_suffix(".ibd").stat().st_size / 1e9
        reader = ImzMLReader(path)
        print(f"{size:.2f} GB, {len(reader):,} pixels, {arguments.mode}; CPU times")
        # Compile everything.
        search(path, ONE)
        search(path, ONE, integrate=True)
        one, many = report("without integration", path, arguments.repeats)
        each = (many - one) / 23
        reading = (one - each) / size
        least = (24 - RATIO) * each / (RATIO - 1) / reading
        print(f"        reading costs {reading:.2f} s per GB, a candidate on 4 folds")
        print(f"        {1000 * each:.0f} ms: at most {RATIO} × from {least:.1f} GB on")
        report("with integration", path, arguments.repeats, integrate=True)
        report("two processes and a folder", path, arguments.repeats, n_jobs=2)


if __name__ == "__main__":
    main()
