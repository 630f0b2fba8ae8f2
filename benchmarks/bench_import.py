"""Time of ``import imsminer`` against ``import numpy``, in fresh processes."""

import statistics
import subprocess
import sys
import time

STATEMENTS = ("pass", "import numpy", "import imsminer")
REPEATS = 15


def seconds(statement: str) -> float:
    """Return the wall time of one process that runs `statement`."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print medians of interleaved runs, less the start of Python itself."""
    times: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for _ in range(REPEATS):
        for statement in STATEMENTS:
            times[statement].append(seconds(statement))
    median = {statement: statistics.median(t) for statement, t in times.items()}
    start = median.pop("pass")
    for statement, value in median.items():
        print(f"{statement:16s} {1e3 * (value - start):7.1f} ms")
    numpy, ours = (value - start for value in median.values())
    print(f"ratio {ours / numpy:.2f} (at most 1.5)")


if __name__ == "__main__":
    main()
