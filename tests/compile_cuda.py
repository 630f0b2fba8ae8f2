"""Compile the kernels for a GPU as far as machine code; no GPU is needed for it.

    python tests/compile_cuda.py

The simulator runs kernels as Python, and takes what a GPU does not. Here the examples
of all ``test_*_cuda.py`` are called, and instead of a launch each kernel is compiled
for the types of its arguments, and its registers and shared memory are compared with
what the threads of a block may have. The compiler comes with ``pip install
"numba-cuda[cu13]"``. The exit code is 77 where it is missing, and 1 when a kernel
fails.
"""

import importlib
import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# Before numba is imported; pytest, which imports this file too, keeps its simulator.
if __name__ == "__main__":
    os.environ.pop("NUMBA_ENABLE_CUDASIM", None)

from numba import cuda, typeof

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

#: Compute capability of the oldest cards that CUDA 13 knows, and what they have for the
#: threads of a block: registers, and bytes of shared memory without asking.
CAPABILITY = (7, 5)
REGISTERS, SHARED, MOST_THREADS = 65536, 48 * 1024, 1024


class Compiler:
    """Stands in for the launches of a process, and compiles what they would run."""

    def __init__(self):
        self.seen = set()
        self.failed = []

    def launch(self, kernel, threads, arguments):
        types = tuple(map(typeof, arguments))
        function = kernel.py_func
        if (function, types, threads) in self.seen:
            return
        self.seen.add((function, types, threads))
        try:
            ptx, _ = cuda.compile_ptx(function, types, cc=CAPABILITY, device=False)
            check_resources(assemble(ptx), threads)
        except Exception as error:
            name = f"{function.__module__}.{function.__qualname__}"
            self.failed.append(f"{name}{types}\n    {error}")


def assemble(ptx):
    """Turn PTX into machine code; return what the assembler says of it."""
    from cuda.bindings import nvjitlink

    arch = "-arch=sm_{}{}".format(*CAPABILITY)
    handle = nvjitlink.create(2, [arch, "-verbose"])
    text = ptx.encode() + b"\0"
    nvjitlink.add_data(handle, nvjitlink.InputType.PTX, text, len(text), "kernel")
    nvjitlink.complete(handle)
    log = bytearray(nvjitlink.get_info_log_size(handle))
    nvjitlink.get_info_log(handle, log)
    nvjitlink.destroy(handle)
    return log.decode()


def check_resources(log, threads):
    """Raise when a block of threads asks for more than a card has."""
    registers = int(re.search(r"Used (\d+) registers", log)[1])
    shared = re.search(r"(\d+) bytes smem", log)
    shared = int(shared[1]) if shared else 0
    if registers * threads > REGISTERS or shared > SHARED or threads > MOST_THREADS:
        message = f"{registers} registers × {threads} threads, {shared} bytes shared"
        raise ValueError(message)


def modules_with_examples():
    """Names of the modules with examples of kernels."""
    paths = sorted((ROOT / "tests").rglob("test_*_cuda.py"))
    return [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in paths]


def has_compiler():
    try:
        values = (typeof(np.zeros(1)),)
        assemble(cuda.compile_ptx(lambda values: None, values, cc=CAPABILITY)[0])
    except Exception as error:
        print(f"no compiler for GPUs: {type(error).__name__}: {error}".splitlines()[0])
        return False
    return True


def compile_module(name):
    """Compile what the examples of a module launch; return its name and what came."""
    compiler = Compiler()
    dispatcher = type(cuda.jit(lambda values: None))
    # Functions that kernels call are compiled for the card that is there.
    home = sys.modules[dispatcher.__module__]
    home.get_current_device = lambda: SimpleNamespace(compute_capability=CAPABILITY)
    dispatcher.__getitem__ = lambda kernel, where: (
        lambda *arguments: compiler.launch(kernel, int(np.prod(where[1])), arguments)
    )
    for function, arguments in importlib.import_module(name).examples(np.asarray):
        try:
            function(*arguments)
        except Exception as error:
            compiler.failed.append(f"{function.__qualname__}: {error!r}")
    return name, len(compiler.seen), compiler.failed


def main():
    if not has_compiler():
        return 77
    n_kernels, failed = 0, []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for name, n, messages in pool.map(compile_module, modules_with_examples()):
            print(f"{name}: {n} kernels")
            n_kernels += n
            failed += messages
    print(f"{n_kernels} kernels, {len(failed)} failed")
    print("\n".join(failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
