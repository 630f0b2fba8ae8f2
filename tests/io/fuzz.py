"""Mutated imzML pairs: whatever they hold, reading them is right or refused, and cheap.

    python -m tests.io.fuzz [--minutes 10] [--seed 0] [--failures FOLDER]

Mutants are read in a process of their own. One that crashes it, hangs, or breaks an
invariant is kept in the folder of failures under its seed; the same seed makes the same
mutant again (``--seed N --count 1``). Exits with 1 when there were failures.
"""

import argparse
import random
import selectors
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np

from imsminer import ImzMLReader
from imsminer.exceptions import ImzMLError, ImzMLWarning
from imsminer.io import _vocabulary as vocabulary
from imsminer.io._scan import scan_imzml
from tests.io.mutants import base, mutant

__all__ = ["examine", "save", "warm_up"]

# A mutant may take this much more memory than the file is large.
MEMORY = 64 << 20
MEMORY_PER_BYTE = 20
# Seconds after which a mutant counts as one that hangs, and a worker as one that
# does not start.
SILENCE, START = 60.0, 600.0


def _scanned(path, fast):
    try:
        scan = scan_imzml(path, fast=fast)
    except (ImzMLError, OSError) as error:
        return type(error).__name__, None
    mobility = None if scan.mobility is None else scan.mobility.tobytes()
    return (
        scan.spectra.tobytes(),
        mobility,
        repr(scan.facts),
        sorted(scan.problems.items()),
        sorted(scan.oddities.items()),
    ), scan


def _opened(path, **options):
    try:
        return ImzMLReader(path, **options)
    except (ImzMLError, OSError):
        return None


def _spectrum(reader, row):
    try:
        mz, intensity = reader[row]
    except (ImzMLError, OSError):
        return None
    assert mz.size == intensity.size, "as many m/z as intensities"
    assert np.isfinite(mz).all(), "m/z are finite"
    assert (np.diff(mz) >= 0).all(), "m/z ascend"
    return mz.tobytes(), intensity.tobytes(), intensity.dtype.str


def _check_against_bytes(reader, scan, ibd):
    """Compare what was delivered with the bytes at the place that the scan found."""
    numbers = np.delete(
        np.arange(scan.spectra.size), reader.skipped["spectrum"].to_numpy()
    )
    assert numbers.size == len(reader), "as many rows as spectra that are not skipped"
    for row, number in enumerate(numbers.tolist()):
        record = scan.spectra[number]
        assert reader.coordinates[row].tolist() == [int(record[k]) for k in "xyz"]
        delivered = _spectrum(reader, row)
        n = int(record["intensity_length"])
        if delivered is None or record["intensity_zlib"] or n == 0:
            continue
        if scan.mobility is not None:
            # Points may have been sorted, and added up.
            continue
        dtype = vocabulary.TYPES[record["intensity_type"]]
        offset = int(record["intensity_offset"])
        assert 0 <= offset, "the array lies in the file"
        assert offset + n * dtype.itemsize <= len(ibd), "the array lies in the file"
        stored = np.frombuffer(ibd, dtype, n, offset)
        expected = stored.astype(delivered[2]).tobytes()
        assert delivered[1] == expected, "intensities are the bytes of the file"


def examine(path):
    """Read a pair in all ways; return "read" or "refused".

    Raises
    ------
    AssertionError
        When an invariant is broken. Anything else that is raised is a failure, too.
    """
    path = Path(path)
    ibd = path.with_suffix(".ibd").read_bytes()
    size = path.stat().st_size + len(ibd)
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ImzMLWarning)
        fast, scan = _scanned(path, True)
        tolerant, _ = _scanned(path, False)
        assert fast == tolerant, "both scans agree"
        strict = _opened(path)
        assert scan is not None or strict is None, "what cannot be scanned is not read"
        for mapped in (True, False):
            lenient = _opened(path, on_error="skip", mmap=mapped)
            assert strict is None or lenient is not None, "skipping reads no less"
            if lenient is None:
                continue
            _check_against_bytes(lenient, scan, ibd)
            if strict is not None:
                assert len(lenient) == len(strict), "nothing to skip"
                for row in range(len(strict)):
                    assert _spectrum(lenient, row) == _spectrum(strict, row)
    used = tracemalloc.get_traced_memory()[1] - before
    bound = MEMORY + MEMORY_PER_BYTE * size
    assert used <= bound, f"{used} bytes of memory for {size} bytes of files"
    return "refused" if strict is None else "read"


def save(folder, name, xml, ibd):
    path = Path(folder) / f"{name}.imzML"
    path.write_bytes(xml)
    path.with_suffix(".ibd").write_bytes(ibd)
    return path


def warm_up(folder):
    """Compile what reading needs, then trace memory: the mutants' own is counted."""
    for seed in range(60):
        examine(base(random.Random(seed)).save(folder, f"warm-{seed}"))
    tracemalloc.start()


# -- the script ------------------------------------------------------------------------
def work(seed, count):
    """Examine mutants one after the other, and say so line by line."""
    with tempfile.TemporaryDirectory() as folder:
        warm_up(folder)
        print("ready", flush=True)
        for number in range(seed, seed + count):
            print("start", number, flush=True)
            path = save(folder, f"mutant-{number}", *mutant(number))
            try:
                outcome = examine(path)
            except BaseException as error:
                outcome = f"FAILED {type(error).__name__}: {error}"
            print("end", number, " ".join(outcome.split())[:300], flush=True)
            path.unlink()
            path.with_suffix(".ibd").unlink()


def _watch(seed, count, until, failures):
    """Run a worker until it ends, dies or is silent; return next seed and counts."""
    command = [sys.executable, "-m", "tests.io.fuzz", "--work", "--seed", str(seed)]
    worker = subprocess.Popen(
        [*command, "--count", str(count)], stdout=subprocess.PIPE, text=True
    )
    selector = selectors.DefaultSelector()
    selector.register(worker.stdout, selectors.EVENT_READ)
    current, counts = None, {"read": 0, "refused": 0, "failed": 0}
    verdict = None
    while (left := until - time.monotonic()) > 0:
        patience = START if current is None else SILENCE
        if not selector.select(timeout=min(patience, left)):
            if left > patience:
                verdict = f"silent for {patience:.0f} s"
            break
        line = worker.stdout.readline()
        if not line:
            break
        what, *rest = line.split(maxsplit=2)
        if what == "start":
            current = int(rest[0])
        elif what == "end":
            text = rest[1].strip()
            counts[text if text in counts else "failed"] += 1
            if text not in counts:
                _keep(failures, int(rest[0]), text)
            seed, current = int(rest[0]) + 1, None
    running = worker.poll() is None
    worker.kill()
    code = worker.wait()
    if verdict is None and current is not None and not running and code != 0:
        verdict = f"the process died with {code}"
    if verdict is not None and current is not None:
        _keep(failures, current, verdict)
        counts["failed"] += 1
        seed = current + 1
    return seed, counts


def _keep(failures, seed, text):
    print(f"seed {seed}: {text}", flush=True)
    failures.mkdir(parents=True, exist_ok=True)
    save(failures, f"seed-{seed}", *mutant(seed))
    (failures / f"seed-{seed}.txt").write_text(text + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1 << 30)
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.seed, arguments.count)
        return 0
    until = time.monotonic() + 60 * arguments.minutes
    seed, last = arguments.seed, arguments.seed + arguments.count
    totals = {"read": 0, "refused": 0, "failed": 0}
    while time.monotonic() < until and seed < last:
        # A fresh process now and then, so that a leak shows as what it is.
        seed, counts = _watch(seed, min(last - seed, 5000), until, arguments.failures)
        totals = {key: totals[key] + counts[key] for key in totals}
        print(f"{seed - arguments.seed} mutants: {totals}", flush=True)
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
