"""A stand-in for CuPy where there is no GPU.

``with installed() as gpu:`` puts a module ``cupy`` in the place of the real one. Its
arrays hide NumPy's and refuse what CuPy's refuse; `gpu` counts what crosses the bus and
how much memory is in use, and notes streams that do not wait for each other. Kernels of
numba-cuda's simulator take its arrays.
"""

import contextlib
import os
import sys
import threading
from importlib.util import find_spec

from tests.fake_cupy._gpu import Gpu, Stream

__all__ = ["installed"]


@contextlib.contextmanager
def installed(memory=2**30):
    """Put the stand-in into ``sys.modules``, and remove it without a trace.

    Parameters
    ----------
    memory : int
        Bytes of the device.

    Yields
    ------
    Gpu
        Its counters.
    """
    before = {name: sys.modules.pop(name) for name in _names()}
    gpu = Stream.gpu = Gpu(memory)
    from tests.fake_cupy._module import make_modules

    sys.modules.update(make_modules())
    _forget_types()
    with contextlib.ExitStack() as undo:
        _teach_simulator(undo)
        try:
            yield gpu
        finally:
            for name in _names():
                module = sys.modules.pop(name)
                parent, _, child = name.rpartition(".")
                if getattr(sys.modules.get(parent), child, None) is module:
                    delattr(sys.modules[parent], child)
            sys.modules.update(before)
            _forget_types()


def _names():
    """Modules that are CuPy's, or wrap it."""
    return [
        name
        for name in list(sys.modules)
        if name.split(".")[0] in ("cupy", "cupyx")
        or ".array_api_compat.cupy" in f".{name}"
    ]


def _forget_types():
    """array-api-compat keeps what it knows of types; so do the copies of it."""
    for name, module in list(sys.modules.items()):
        if name.endswith("array_api_compat.common._helpers"):
            for cached in vars(module).values():
                if hasattr(cached, "cache_clear"):
                    cached.cache_clear()


def _teach_simulator(undo):
    """Let simulated kernels take arrays of the device, and those of the host not."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM") != "1" or not find_spec("numba_cuda"):
        return
    import numpy as np
    from numba import cuda
    from numba.cuda.simulator import kernel

    from tests.fake_cupy._arrays import ndarray

    call, lock = kernel.FakeCUDAKernel.__call__, threading.RLock()

    def launch(self, *args):
        if self._device or isinstance(threading.current_thread(), kernel.BlockThread):
            return call(self, *args)
        if any(isinstance(arg, np.ndarray) for arg in args):
            message = f"{self.fn.__name__}: an array of the host was given to a kernel"
            raise TypeError(message)
        gpu = Stream.gpu
        # One kernel at a time is all that the simulator can do.
        with lock, gpu.lock:
            stream = gpu.start()
            for arg in args:
                if isinstance(arg, ndarray):
                    arg._memory.use(stream, gpu, write=True)
            values = [a._host if isinstance(a, ndarray) else a for a in args]
            return call(self, *values)

    kernel.FakeCUDAKernel.__call__ = launch
    undo.callback(setattr, kernel.FakeCUDAKernel, "__call__", call)
    # The simulator has no streams of others, and no use for them.
    undo.callback(setattr, cuda, "external_stream", cuda.external_stream)
    cuda.external_stream = lambda pointer: 0
