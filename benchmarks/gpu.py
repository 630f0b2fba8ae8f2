"""Check all CUDA kernels on a GPU, and measure the steps against two threads.

    python benchmarks/gpu.py [--quick] [--rst] [--dry-run]

Takes some minutes and 8 GB of the card's memory; needs CuPy, numba-cuda, pytest, and no
network. First every kernel is compared with its definition in NumPy, on the random data
of its tests. Then steps on larger data: time of two threads, time on the card (CUDA
events, medians of warm runs), time of the input over the bus from pinned memory, and
the least traffic of memory as a share of what a copy on the card reaches. Last, spectra
in the host's memory are added up and integrated on the card, against the bus.

``--quick`` takes smaller data. ``--dry-run`` runs all of it on tiny data in CUDA's
simulator, with a stand-in for CuPy, and needs no card.
"""

import argparse
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

if __name__ == "__main__":
    # Before numba and SciPy are imported.
    os.environ.setdefault("SCIPY_ARRAY_API", "1")
    if "--dry-run" in sys.argv:
        os.environ["NUMBA_ENABLE_CUDASIM"] = "1"

import sklearn
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parent / "accuracy"))

from _gpu_checks import check_module, largest_error, test_modules
from _gpu_data import FULL, QUICK, TINY, Size
from _gpu_end_to_end import end_to_end
from _gpu_machine import Card, machine
from _gpu_steps import STEPS
from _tables import Table

#: Largest difference, in units of the largest value.
TOLERANCE = 1e-5
#: Processes that compile kernels.
WORKERS = 8


def checks(only: str, *, simulated: bool) -> tuple[Table, bool]:
    """Compare each kernel with its definition; a row for each module."""
    table = Table(
        "Kernels against their definition on the host",
        ("module", "functions", "examples", "largest error"),
    )
    names = [name for name in test_modules() if only in name]
    good = True
    if simulated:
        results = map(check_module, names)
    else:
        # Compilation takes most of the time, one kernel at a time in a process.
        pool = ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"))
        results = pool.map(check_module, names)
    for name, (n_functions, n_examples, error, worst) in zip(
        names, results, strict=True
    ):
        fine = error <= TOLERANCE
        good = good and fine
        cell = f"{error:.1e}" if fine else f"{error:.1e} in {worst}: TOO LARGE"
        table.add(name.removeprefix("tests."), n_functions, n_examples, cell)
    return table, good


def steps(only: str, size: Size, at: Card) -> tuple[Table, bool]:
    """Time each step on both sides."""
    table = Table(
        "Steps: two threads of the host against the card",
        ("step", "CPU ms", "GPU ms", "×", "bus ms", "of copy", "error", "wanted"),
    )
    copy, good = at.copy_rate(), True
    for name, make in STEPS.items():
        if only not in name:
            continue
        step = make(size, at)
        expected, found = [None], [None]

        def cpu(step=step, expected=expected) -> None:
            expected[0] = step.cpu()

        def gpu(step=step, found=found) -> None:
            found[0] = step.gpu()

        if size.repeats > 1:
            cpu()
        on_cpu = statistics.median(_timed(cpu) for _ in range(size.repeats))
        on_gpu = at.seconds(gpu)
        error = largest_error(at, found[0], expected[0])
        good = good and error <= TOLERANCE
        share = f"{step.n_bytes / on_gpu / copy:.0%}" if step.n_bytes else ""
        table.add(
            name,
            f"{1e3 * on_cpu:.1f}",
            f"{1e3 * on_gpu:.2f}",
            f"{on_cpu / on_gpu:.1f}",
            f"{1e3 * at.transfer(step.inputs):.1f}",
            share,
            f"{error:.0e}" + ("" if error <= TOLERANCE else " TOO LARGE"),
            step.wanted,
        )
        del step, expected, found, cpu, gpu
        at.forget()
    return table, good


def _timed(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def figures(at: Card) -> Table:
    """The card, the versions, and the two rates that others are compared with."""
    table = Table("Measured on", ("what", "which"))
    for name, value in at.versions().items():
        table.add(name, value)
    table.add("copy on the card", f"{at.copy_rate() / 1e9:,.1f} GB/s, read and written")
    table.add("copy from pinned memory", f"{at.bus_rate() / 1e9:,.1f} GB/s")
    return table


def markdown(table: Table) -> str:
    """Return a table of Markdown under its title."""
    rows = [[cell.replace("|", r"\|") for cell in row] for row in table.rows]
    rows.insert(1, ["---", *["---:"] * (len(rows[0]) - 1)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"**{table.title}**", "", *lines])


def main(arguments: list[str] | None = None) -> int:
    """Print all tables; return 1 when something differs from the host's results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller data")
    parser.add_argument("--rst", action="store_true", help="reStructuredText")
    parser.add_argument("--dry-run", action="store_true", help="in the simulator")
    parser.add_argument("--kernels", default="", help="part of a test module's name")
    parser.add_argument("--steps", default="", help="part of a step's name")
    given = parser.parse_args(arguments)
    simulated = given.dry_run or os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
    size = TINY if simulated else QUICK if given.quick else FULL

    def show(table: Table) -> None:
        print(table.rst() if given.rst else markdown(table), end="\n\n", flush=True)

    with machine(simulated=simulated) as at:
        show(figures(at))
    table, checked = checks(given.kernels, simulated=simulated)
    show(table)
    with (
        machine(simulated=simulated) as at,
        sklearn.config_context(array_api_dispatch=True),
        threadpool_limits(limits=2),
    ):
        table, timed = steps(given.steps, size, at)
        show(table)
        table, streamed = end_to_end(given.steps, size, at, TOLERANCE)
        show(table)
    good = checked and timed and streamed
    print("All results agree." if good else "SOME RESULTS DIFFER: see above.")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
