"""Opening an imzML file of a million spectra: seconds, memory, and pyimzML beside it.

    python benchmarks/bench_opening.py [--folder FOLDER] [--spectra N] [--rival N]

Writes 2.4 GB of XML unless told otherwise and removes it afterwards. Memory is the
largest resident size of a process that does nothing else, mapped pages included; the
rival reads a file of fewer spectra, since it takes half a minute for those.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _many_spectra import write_many
from _timing import interleave
from bench_reading import opening

SCRIPT = """
import resource, sys, time, warnings
from imsminer import ImzMLReader
warnings.simplefilter("ignore")
started = time.perf_counter()
reader = ImzMLReader(sys.argv[1])
seconds = time.perf_counter() - started
assert len(reader) == int(sys.argv[2])
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
"""


def in_a_process(path: Path, n_spectra: int) -> tuple[float, float]:
    """Open a file in a new process; return seconds and the largest memory in GB."""
    command = [sys.executable, "-c", SCRIPT, str(path), str(n_spectra)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, memory = map(float, output.split())
    return seconds, memory


def main() -> None:
    """Write the files, open them, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--spectra", type=int, default=1_000_000)
    parser.add_argument("--rival", type=int, default=200_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        many = Path(name) / "many.imzML"
        started = time.perf_counter()
        write_many(many, arguments.spectra)
        size = many.stat().st_size / 1e9
        print(f"wrote {size:.1f} GB of XML in {time.perf_counter() - started:.0f} s")
        in_a_process(many, arguments.spectra)  # compiles, where that was not yet done
        runs = sorted(in_a_process(many, arguments.spectra) for _ in range(3))
        seconds, memory = runs[1]
        print(
            f"open {arguments.spectra:,} spectra: {seconds:.1f} s (target < 10), "
            f"{memory:.2f} GB resident (target < 1)",
            flush=True,
        )
        many.unlink()
        fewer = Path(name) / "fewer.imzML"
        write_many(fewer, arguments.rival)
        medians = interleave(opening(fewer), repeats=3)
        times = ", ".join(f"{key} {value:.2f} s" for key, value in medians.items())
        ratio = medians["pyimzML"] / medians["imsminer"]
        print(f"open {arguments.rival:,} spectra: {times}: {ratio:.0f} ×")


if __name__ == "__main__":
    main()
