"""The modules ``cupy`` and ``cupyx``: NumPy's functions for arrays of the device."""

import functools
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np

from tests.fake_cupy import _arrays
from tests.fake_cupy._arrays import Device, compute, ndarray, refuse_host, wrap
from tests.fake_cupy._gpu import Event, OutOfMemoryError, PinnedMemory, Stream

#: Names that CuPy does not have, and array-api-compat adds.
STANDARD_ONLY = frozenset(
    "acos acosh asin asinh atan atan2 atanh astype bitwise_invert bitwise_left_shift "
    "bitwise_right_shift bool concat cumulative_prod cumulative_sum isdtype "
    "matrix_transpose matvec permute_dims pow unique_all unique_counts unique_inverse "
    "unique_values unstack vecdot vecmat".split()
)
#: What reads and writes files, prints, or makes other kinds of arrays.
NOT_THERE = frozenset(
    "asmatrix block bmat chararray char core ctypeslib emath errstate f2py fromfile "
    "fromregex fromstring frompyfunc genfromtxt geterr lib linalg fft ma matrix memmap "
    "ndarray nditer nested_iters polynomial random rec recarray save savetxt savez "
    "savez_compressed seterr strings test testing typing vectorize".split()
)


class Ufunc:
    """As ``cupy.ufunc``: callable, and with some of the methods."""

    def __init__(self, function):
        self._function = function
        functools.update_wrapper(self, function)
        self.__name__ = function.__name__
        self.nin, self.nout = function.nin, function.nout

    def __call__(self, *args, **kwargs):
        return compute(self._function, args, kwargs)

    def at(self, array, indices, values=None):
        rest = () if values is None else (values,)
        compute(self._function.at, (array, indices, *rest), written=(array,))

    def reduce(self, *args, **kwargs):
        return compute(self._function.reduce, args, kwargs)

    def accumulate(self, *args, **kwargs):
        return compute(self._function.accumulate, args, kwargs)


def wrapped(function):
    """A function of NumPy's that takes arrays of the device only."""

    def call(*args, **kwargs):
        return compute(function, args, kwargs)

    try:
        return functools.update_wrapper(call, function)
    except (AttributeError, TypeError):
        return call


def array(
    obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False
):
    if isinstance(obj, ndarray):
        if copy or (dtype is not None and obj.dtype != dtype):
            return compute(np.array, (obj,), {"dtype": dtype, "ndmin": ndmin})
        return obj
    if any(True for _ in _arrays.arrays_in([obj])):
        refuse_host([obj])
        return compute(np.array, (obj,), {"dtype": dtype, "ndmin": ndmin})
    return _arrays.to_device(np.array(obj, dtype, order=order, ndmin=ndmin))


def asarray(a, dtype=None, order=None, *, blocking=False):
    return array(a, dtype, copy=False, order=order or "K")


def ascontiguousarray(a, dtype=None):
    a = asarray(a, dtype)
    return compute(np.ascontiguousarray, (a,))


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    dtype = prototype.dtype if dtype is None else dtype
    return _arrays.empty(prototype.shape if shape is None else shape, dtype)


def copyto(dst, src, casting="same_kind", where=None):
    given = {} if where is None else {"where": where}
    compute(np.copyto, (dst, src), {"casting": casting, **given}, written=(dst,))


def repeat(a, repeats, axis=None):
    if isinstance(repeats, ndarray):
        message = "`repeats` should be int or sequence: an array of the device is not"
        raise ValueError(message)
    return compute(np.repeat, (a, repeats), {"axis": axis})


def searchsorted(a, v, side="left", sorter=None):
    if not isinstance(v, ndarray):
        message = "Only int or ndarray are supported for v"
        raise NotImplementedError(message)
    return compute(np.searchsorted, (a, v), {"side": side, "sorter": sorter})


def lexsort(keys):
    if not isinstance(keys, ndarray):
        message = "lexsort takes one array of the device"
        raise TypeError(message)
    return compute(np.lexsort, (keys,))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    return a.get(stream) if isinstance(a, ndarray) else np.asarray(a)


def get_array_module(*args):
    import cupy

    return cupy if any(isinstance(a, ndarray) for a in args) else np


def submodule(name, **contents):
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None, is_package=True)
    module.__path__ = []
    module.__dict__.update(contents)
    return module


def functions_of(home, without=()):
    """Wrap what a module of NumPy's holds."""
    found = {}
    for name in dir(home):
        value = getattr(home, name)
        if name.startswith("_") or name in without or isinstance(value, ModuleType):
            continue
        if isinstance(value, np.ufunc):
            value = Ufunc(value)
        elif callable(value) and not isinstance(value, type):
            value = wrapped(value)
        found[name] = value
    return found


class MemoryPool:
    """As CuPy's: memory is back as soon as nobody holds it."""

    def used_bytes(self):
        return Stream.gpu.live

    total_bytes = used_bytes

    def free_bytes(self):
        return 0

    def get_limit(self):
        return Stream.gpu.limit

    def set_limit(self, size=None, fraction=None):
        Stream.gpu.limit = size or 0

    def free_all_blocks(self, stream=None):
        pass


class PinnedMemoryPool:
    """As CuPy's."""

    def n_free_blocks(self):
        return 0

    def free_all_blocks(self):
        pass


def pinned(size):
    return Stream.gpu.pin(size)


def empty_pinned(shape, dtype=float, order="C"):
    count = int(np.prod(shape))
    memory = pinned(count * np.dtype(dtype).itemsize)
    return np.frombuffer(memory, dtype, count).reshape(shape)


def memory_info():
    return Stream.gpu.memory - Stream.gpu.live, Stream.gpu.memory


def make_modules():
    """Return the modules by their names."""
    pool, pinned_pool = MemoryPool(), PinnedMemoryPool()
    memory = submodule(
        "cupy.cuda.memory", OutOfMemoryError=OutOfMemoryError, MemoryPool=MemoryPool
    )
    runtime = submodule(
        "cupy.cuda.runtime",
        getDeviceCount=lambda: 1,
        getDevice=lambda: 0,
        memGetInfo=memory_info,
        deviceSynchronize=Device().synchronize,
        CUDARuntimeError=RuntimeError,
        is_hip=False,
    )
    device = submodule("cupy.cuda.device", Device=Device)
    stream = type(
        "Stream", (Stream,), {"null": Stream.gpu.null, "__module__": "cupy.cuda"}
    )
    cuda = submodule(
        "cupy.cuda",
        Device=Device,
        Event=Event,
        Stream=stream,
        OutOfMemoryError=OutOfMemoryError,
        PinnedMemoryPointer=PinnedMemory,
        alloc_pinned_memory=pinned,
        get_current_stream=lambda device_id=None: Stream.gpu.stream,
        is_available=lambda: True,
        device=device,
        memory=memory,
        runtime=runtime,
    )
    linalg = submodule("cupy.linalg", **functions_of(np.linalg))
    fft = submodule("cupy.fft", **functions_of(np.fft))
    own = {
        "array": array,
        "asanyarray": asarray,
        "asarray": asarray,
        "ascontiguousarray": ascontiguousarray,
        "asnumpy": asnumpy,
        "copyto": copyto,
        "empty": _arrays.empty,
        "empty_like": empty_like,
        "get_array_module": get_array_module,
        "get_default_memory_pool": lambda: pool,
        "get_default_pinned_memory_pool": lambda: pinned_pool,
        "lexsort": lexsort,
        "ndarray": ndarray,
        "repeat": repeat,
        "searchsorted": searchsorted,
        "ufunc": Ufunc,
    }
    cupy = submodule("cupy", **functions_of(np, STANDARD_ONLY | NOT_THERE))
    cupy.__dict__.update(own, cuda=cuda, linalg=linalg, fft=fft, __version__="14.0.0")
    cupyx = submodule("cupyx", empty_pinned=empty_pinned)
    return {
        module.__name__: module
        for module in (cupy, cuda, device, runtime, memory, linalg, fft, cupyx)
    }


__all__ = ["make_modules", "wrap"]
