"""Compile the kernels for a GPU to PTX; no GPU is needed for it, only NVVM.

    python tests/compile_cuda.py

The simulator runs kernels as Python, and takes what a GPU does not. Here the examples
of all ``test_*_cuda.py`` are called, and instead of a launch each kernel is compiled
for the types of its arguments. NVVM comes with ``pip install "numba-cuda[cu13]"``. The
exit code is 77 where it is missing, and 1 when a kernel does not compile.
"""

import importlib
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# Before numba is imported.
os.environ.pop("NUMBA_ENABLE_CUDASIM", None)

from numba import cuda, typeof

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

#: Compute capability of the oldest cards that CUDA 13 knows.
CAPABILITY = (7, 5)


class Compiler:
    """Stands in for the launches of a process, and compiles what they would run."""

    def __init__(self):
        self.seen = set()
        self.failed = []

    def launch(self, kernel, arguments):
        types = tuple(map(typeof, arguments))
        key = (kernel.py_func, types)
        if key in self.seen:
            return
        self.seen.add(key)
        function = kernel.py_func
        try:
            cuda.compile_ptx(function, types, cc=CAPABILITY, device=False)
        except Exception as error:
            name = f"{function.__module__}.{function.__qualname__}"
            self.failed.append(f"{name}{types}\n    {error}")


def test_modules():
    """Names of the modules with examples of kernels."""
    paths = sorted((ROOT / "tests").rglob("test_*_cuda.py"))
    return [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in paths]


def has_nvvm():
    try:
        cuda.compile_ptx(lambda values: None, (typeof(np.zeros(1)),), cc=CAPABILITY)
    except Exception as error:
        print(f"NVVM is missing: {type(error).__name__}: {error}".splitlines()[0])
        return False
    return True


def main():
    if not has_nvvm():
        return 77
    compiler = Compiler()
    dispatcher = type(cuda.jit(lambda values: None))
    # Functions that kernels call are compiled for the card that is there.
    home = sys.modules[dispatcher.__module__]
    home.get_current_device = lambda: SimpleNamespace(compute_capability=CAPABILITY)
    dispatcher.__getitem__ = lambda kernel, where: (
        lambda *arguments: compiler.launch(kernel, arguments)
    )
    for name in test_modules():
        start, n = time.perf_counter(), len(compiler.seen)
        module = importlib.import_module(name)
        for function, arguments in module.examples(np.asarray):
            try:
                function(*arguments)
            except Exception as error:
                compiler.failed.append(f"{function.__qualname__}: {error!r}")
        seconds = time.perf_counter() - start
        print(f"{name}: {len(compiler.seen) - n} kernels in {seconds:.0f} s")
    print(f"{len(compiler.seen)} kernels, {len(compiler.failed)} failed")
    print("\n".join(compiler.failed))
    return int(bool(compiler.failed))


if __name__ == "__main__":
    sys.exit(main())
