"""Raw file to features: imsminer against the original iMSminer 1.1.1.

The original needs an environment of its own (Python 3.11, old pinned packages) and a
driver script that answers its prompts and prints JSON per stage:

    python benchmarks/bench_end_to_end.py --original PYTHON --driver SCRIPT

Without `--original` only imsminer is measured. Both read the same simulated processed
file: 34,840 pixels (260 × 134) of about 1,500 points with 152 true peaks. Each runs in
a process of its own, so that peak memory can be compared; CPU seconds are compared,
since the original uses several threads. imsminer runs twice in its process: compiled
kernels are cached on disk, and the second run is the warm one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

#: Stages of the original that make features.
STAGES = ("peak_pick", "run (read+integrate+csv)")

OURS = """
import json, resource, sys, threading, time
peak, done = [0], threading.Event()

def watch():
    # Anonymous memory: mapped pages of the file are the system's to take back.
    while not done.is_set():
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("RssAnon"):
                    peak[0] = max(peak[0], int(line.split()[1]) / 1e3)
        time.sleep(0.02)

threading.Thread(target=watch, daemon=True).start()
started = time.perf_counter(), time.process_time()
from sklearn.pipeline import make_pipeline
from imsminer import ImzMLReader, PeakIntegrator, PeakPicker
from imsminer.core.cache import cache
imported = time.perf_counter(), time.process_time()
runs = []
for _ in range(2):
    cache.clear()
    wall, cpu = time.perf_counter(), time.process_time()
    pipe = make_pipeline(PeakPicker(), PeakIntegrator())
    features = pipe.fit_transform(ImzMLReader(sys.argv[1]))
    runs.append((time.perf_counter() - wall, time.process_time() - cpu))
done.set()
print(json.dumps({
    "anonymous_mb": peak[0],
    "import_s": imported[0] - started[0],
    "first": runs[0], "warm": runs[1], "shape": features.shape,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
}))
"""


def make_data(folder: Path) -> Path:
    """Write the simulated file once."""
    from imsminer.datasets import make_ims

    path = folder / "study.imzML"
    if not path.exists():
        make_ims(
            path,
            shape=(134, 260),
            n_peaks=152,
            spectrum_type="sparse",
            isotopes=False,
            random_state=0,
        )
    return path


def run_ours(path: Path) -> dict:
    """Time imsminer in a process of its own."""
    out = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OURS, str(path)],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(out.stdout)


def run_original(path: Path, python: str, driver: str) -> dict:
    """Time peak picking and integration of the original."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        subprocess.run(
            [
                python,
                driver,
                str(path),
                "--skip",
                "align,segment,images,stats",
                "--json",
                str(report),
                "--out",
                folder,
            ],
            check=True,
        )
        return json.loads(report.read_text())["stages"]


def main() -> None:
    """Print times, memory and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--original", help="Python of the original's environment")
    parser.add_argument("--driver", help="script that runs the original")
    arguments = parser.parse_args()
    path = make_data(arguments.folder)
    size = path.with_suffix(".ibd").stat().st_size / 1e6
    ours = run_ours(path)
    print(f"file: {size:,.0f} MB; features {ours['shape']}")
    print(
        f"imsminer: warm {ours['warm'][1]:.2f} CPU s ({ours['warm'][0]:.2f} s), first "
        f"{ours['first'][1]:.2f} CPU s, peak {ours['anonymous_mb']:,.0f} MB anonymous, "
        f"{ours['peak_mb']:,.0f} MB with the mapped file"
    )
    if arguments.original:
        stages = run_original(path, arguments.original, arguments.driver)
        used = {name: stages[name] for name in STAGES}
        cpu = sum(stage["cpu_s"] for stage in used.values())
        peak = max(stage["peak_mb"] for stage in used.values())
        print(f"original: {cpu:.2f} CPU s, peak {peak:,.0f} MB; {', '.join(used)}")
        print(
            f"ratio: {cpu / ours['warm'][1]:.1f} × in CPU time, memory "
            f"{ours['anonymous_mb'] / peak:.2f} of the original's (with the mapped "
            f"file {ours['peak_mb'] / peak:.2f})"
        )


if __name__ == "__main__":
    main()
