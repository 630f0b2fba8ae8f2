"""Time rivals against each other in one process."""

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["interleave"]


def interleave(
    functions: Mapping[str, Callable[[], object]], repeats: int = 5
) -> dict[str, float]:
    """Return each function's median seconds over interleaved runs, after a warm-up.

    Interleaving spreads a slow spell of the machine over all rivals.
    """
    for function in functions.values():
        function()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}
