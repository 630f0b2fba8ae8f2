"""How numba-cuda kernels are started. The only module that knows streams of both.

``_cuda`` kernel modules mirror the functions of the ``_xp`` module of the same noun,
one by one, and are imported only once a CuPy array arrives (:func:`device_kernels` of
``imsminer._array``).
"""

from typing import Any

from numba import config, cuda

from imsminer._array import current_stream

__all__ = ["THREADS", "launch", "launch_blocks", "view"]

#: Whether CUDA's simulator stands in for a GPU, and NumPy's arrays for CuPy's.
SIMULATED = bool(config.ENABLE_CUDASIM)  # type: ignore[attr-defined]

#: Threads of a block. The simulator starts each of them as a thread of Python.
THREADS = 8 if SIMULATED else 256

# Small grids are what small data need; a warning for each would be noise.
config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # type: ignore[attr-defined]


def launch(kernel: Any, n: int, *arguments: Any) -> None:
    """Start at least `n` threads of a kernel; it returns before they have run.

    Parameters
    ----------
    kernel : CUDA kernel
        A function under ``cuda.jit`` that compares ``cuda.grid(1)`` with its bound.
    n : int
        Number of items, one for each thread. None are started for 0.
    *arguments
        CuPy arrays, and numbers.
    """
    if n > 0:
        launch_blocks(kernel, -(-n // THREADS), THREADS, *arguments)


def launch_blocks(kernel: Any, blocks: Any, threads: int, *arguments: Any) -> None:
    """Start a kernel whose blocks work together, on CuPy's current stream.

    Parameters
    ----------
    kernel : CUDA kernel
    blocks : int or tuple of int
        The grid.
    threads : int
        Threads of each block; `THREADS` unless there is a reason.
    *arguments
        As of :func:`launch`.
    """
    pointer = current_stream()
    stream = cuda.external_stream(pointer) if pointer else 0
    kernel[blocks, threads, stream](*map(view, arguments))


def view(argument: Any) -> Any:
    """Wrap a CuPy array without waiting for the stream that it names.

    Numba would wait for it at every launch; but its kernels are on the same stream.
    Arrays that many launches share can be wrapped before, once.
    """
    if SIMULATED or not cuda.is_cuda_array(argument):
        return argument
    # What Numba has wrapped says so by this name.
    if getattr(argument, "__cuda_ndarray__", False):
        return argument
    return cuda.as_cuda_array(argument, sync=False)
