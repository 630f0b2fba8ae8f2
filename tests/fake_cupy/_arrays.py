"""Arrays of the device: NumPy's inside, and CuPy's manners outside."""

import functools
import weakref
from types import SimpleNamespace

import numpy as np

from tests.fake_cupy._gpu import PinnedMemory, Stream, root_of


class Device:
    """As ``cupy.cuda.Device``; there is one."""

    def __init__(self, device=None):
        self.id = getattr(device, "id", device) or 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return hash(self.id)

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    def use(self):
        pass

    def synchronize(self):
        gpu = Stream.gpu
        for stream in [gpu.null, *gpu.blocking]:
            stream.synchronize()

    @property
    def mem_info(self):
        return Stream.gpu.memory - Stream.gpu.live, Stream.gpu.memory


def refuse_host(values):
    """Raise for NumPy's arrays, also in lists: CuPy converts nothing in silence."""
    for value in values:
        if isinstance(value, np.ndarray):
            message = f"Unsupported type {type(value)}"
            raise TypeError(message)
        if isinstance(value, list | tuple):
            refuse_host(value)


def arrays_in(values):
    for value in values:
        if isinstance(value, ndarray):
            yield value
        elif isinstance(value, list | tuple):
            yield from arrays_in(value)


def unwrap(value):
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, slice):
        return slice(*map(unwrap, (value.start, value.stop, value.step)))
    if type(value) in (list, tuple):
        return type(value)(map(unwrap, value))
    return value


def wrap(value):
    """Put NumPy's results on the device; what a view shows is there already."""
    if isinstance(value, np.ndarray | np.generic):
        return ndarray._of(np.asarray(value))
    if type(value) in (list, tuple):
        return type(value)(map(wrap, value))
    if isinstance(value, tuple):
        return type(value)(*map(wrap, value))
    return value


def compute(function, args, kwargs=None, *, written=()):
    """Run a function of NumPy on arrays of the device, on the current stream."""
    kwargs = kwargs or {}
    given = [*args, *kwargs.values()]
    refuse_host(given)
    gpu = Stream.gpu
    with gpu.lock, np.errstate(all="ignore"):
        stream = gpu.start()
        changed = [*arrays_in(written), *arrays_in([kwargs.get("out")])]
        for array in arrays_in(given):
            array._memory.use(stream, gpu, write=False)
        for array in changed:
            array._memory.use(stream, gpu, write=True)
        result = function(
            *map(unwrap, args), **{k: unwrap(v) for k, v in kwargs.items()}
        )
        if isinstance(kwargs.get("out"), ndarray):
            return kwargs["out"]
        return wrap(result)


def look(function, array, args, kwargs=None):
    """Return a view where there can be one, which is no work for any stream."""
    found = function(array._host, *map(unwrap, args), **(kwargs or {}))
    if root_of(found) is root_of(array._host):
        return wrap(found)
    return compute(function, (array, *args), kwargs)


def to_device(values):
    """Copy an array of the host, and wait for it."""
    gpu = Stream.gpu
    with gpu.lock:
        gpu.start()
        gpu.to_device += values.nbytes
        return ndarray._of(np.array(values))


def _operator(name, *, reflected=False):
    def method(self, *others):
        function = getattr(np.ndarray, name)
        return compute(function, (self, *others))

    def binary(self, other):
        # NumPy's own scalars and Python's pass, and arrays of the device.
        if not isinstance(
            other, ndarray | np.generic | int | float | complex | np.ndarray
        ):
            return NotImplemented
        return compute(getattr(np.ndarray, name), (self, other))

    unary = name in ("__neg__", "__pos__", "__abs__", "__invert__")
    return method if unary else binary


def _in_place(name):
    def method(self, other):
        refuse_host([other])
        compute(getattr(np.ndarray, name), (self, other), written=(self,))
        return self

    return method


#: Methods that return views where they can.
VIEWS = frozenset("diagonal ravel reshape squeeze swapaxes transpose view".split())


def _method(name):
    def method(self, *args, **kwargs):
        function = getattr(np.ndarray, name)
        if name in VIEWS:
            return look(function, self, args, kwargs)
        return compute(function, (self, *args), kwargs)

    return functools.update_wrapper(method, getattr(np.ndarray, name))


class ndarray:
    """An array that only the device sees."""

    __slots__ = ("__weakref__", "_host", "_memory")
    __array_priority__ = 100

    def __new__(cls, shape, dtype=float, **_):
        return empty(shape, dtype)

    @classmethod
    def _of(cls, host):
        self = object.__new__(cls)
        self._host = host
        self._memory = Stream.gpu.allocation(host)
        return self

    # Facts -------------------------------------------------------------------------

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    size = property(lambda self: self._host.size)
    ndim = property(lambda self: self._host.ndim)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    strides = property(lambda self: self._host.strides)
    device = property(lambda self: Device(0))
    T = property(lambda self: wrap(self._host.T))
    mT = property(lambda self: wrap(self._host.mT))
    real = property(lambda self: wrap(self._host.real))
    imag = property(lambda self: wrap(self._host.imag))

    @property
    def flags(self):
        flags = self._host.flags
        return SimpleNamespace(
            c_contiguous=flags.c_contiguous,
            f_contiguous=flags.f_contiguous,
            owndata=flags.owndata,
        )

    # To and from the host ----------------------------------------------------------

    def get(self, stream=None, order="C", out=None, blocking=True):
        gpu = Stream.gpu
        with gpu.lock:
            if stream is None:
                stream = gpu.start()
            stream.flush()
            self._memory.use(stream, gpu, write=False)
            gpu.to_host += self.nbytes
            stream.synchronize()
            return np.array(self._host, order=order)

    def set(self, arr, stream=None):
        """Copy from the host; with a stream some time until somebody waits for it."""
        if not isinstance(arr, np.ndarray):
            message = "Only numpy.ndarray can be set to cupy.ndarray"
            raise TypeError(message)
        if (arr.dtype, arr.shape) != (self.dtype, self.shape):
            message = f"cannot set {arr.dtype}{arr.shape} to {self.dtype}{self.shape}"
            raise ValueError(message)
        if not self._host.flags.c_contiguous:
            message = "Cannot set to non-contiguous array"
            raise RuntimeError(message)
        gpu = Stream.gpu
        with gpu.lock:
            at_once = stream is None
            stream = gpu.start() if at_once else stream
            stream.clock += 1
            gpu.to_device += arr.nbytes
            gpu.streamed += 0 if at_once else arr.nbytes
            gpu.copies[stream.ptr] += 1
            self._memory.use(stream, gpu, write=True)
            pinned = pinned_under(arr)
            if at_once or pinned is None or not arr.flags.c_contiguous:
                stream.flush()
                self._host[...] = arr
                return
            # Neither side is held by a copy that is under way.
            memory, source = (
                weakref.ref(pinned),
                place(arr, np.frombuffer(pinned, np.uint8)),
            )
            root = root_of(self._host)
            device, target = weakref.ref(root), place(self._host, root)

            def copy():
                if memory() is None:
                    gpu.races.append("pinned memory was freed before its copy")
                elif device() is not None:
                    there = device().reshape(-1).view(np.uint8)
                    there[target] = np.frombuffer(memory(), np.uint8)[source]

            stream.defer(copy)

    def _scalar(self):
        if self.size != 1:
            message = "can only convert an array of size 1 to a Python scalar"
            raise TypeError(message)
        return self.get().item()

    def item(self, *args):
        return self.get().item(*args)

    def tolist(self):
        return self.get().tolist()

    __float__ = __int__ = __complex__ = None  # Set below.

    def __bool__(self):
        return bool(self.get())

    def __index__(self):
        if self.dtype.kind not in "iu" or self.ndim:
            message = "only integer scalar arrays can be converted to a scalar index"
            raise TypeError(message)
        return self.get().item()

    def __array__(self, dtype=None, copy=None):
        message = (
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` "
            "to construct a NumPy array explicitly."
        )
        raise TypeError(message)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        refuse_host([*inputs, *kwargs.values()])
        return compute(getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function, types, args, kwargs):
        if not all(issubclass(kind, ndarray) for kind in types):
            return NotImplemented
        return compute(function, args, kwargs)

    def __reduce__(self):
        return _restore, (self.get(),)

    def __deepcopy__(self, memo):
        return self.copy()

    # Items -------------------------------------------------------------------------

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        if self.ndim == 0:
            message = "iteration over a 0-d array"
            raise TypeError(message)
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        key = _key(key)
        if not isinstance(key, tuple):
            key = (key,)
        plain = all(isinstance(k, int | np.integer) for k in key)
        if plain and len(key) == self.ndim:
            # A view without dimensions, not a scalar.
            key = (*key, Ellipsis)
        if any(isinstance(k, ndarray) for k in key):
            return compute(np.ndarray.__getitem__, (self, key))
        return look(np.ndarray.__getitem__, self, (key,))

    def __setitem__(self, key, value):
        compute(np.ndarray.__setitem__, (self, _key(key), value), written=(self,))

    def __hash__(self):
        message = "unhashable type: 'ndarray'"
        raise TypeError(message)

    def __repr__(self):
        return repr(self._host)

    __str__ = __repr__

    # Methods that are no functions of NumPy's, or differ from them -------------------

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        return compute(np.ndarray.astype, (self, dtype), {"order": order, "copy": copy})

    def fill(self, value):
        compute(np.ndarray.fill, (self, value), written=(self,))

    def sort(self, axis=-1, *, kind=None):
        compute(np.ndarray.sort, (self, axis), written=(self,))


def _convert(kind):
    return lambda self: kind(self._scalar())


ndarray.__float__, ndarray.__int__ = _convert(float), _convert(int)
ndarray.__complex__ = _convert(complex)

for (
    _name
) in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
    setattr(ndarray, f"__r{_name}__", _operator(f"__r{_name}__"))
    setattr(ndarray, f"__i{_name}__", _in_place(f"__i{_name}__"))
for _name in "lt le gt ge eq ne neg pos abs invert divmod".split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
for _name in (
    "all any argmax argmin argsort argpartition clip conj copy cumprod cumsum diagonal "
    "dot flatten max mean min nonzero prod ravel repeat reshape round searchsorted "
    "squeeze std sum swapaxes take trace transpose var view"
).split():
    setattr(ndarray, _name, _method(_name))


def _restore(host):
    return to_device(host)


def _key(key):
    """CuPy copies index arrays of the host without a word; at least they count."""
    if isinstance(key, tuple):
        return tuple(map(_key, key))
    if isinstance(key, np.ndarray | list):
        return to_device(np.asarray(key))
    return key


def pinned_under(array):
    """Return the pinned memory that an array of the host lies in, or None."""
    base = array
    while isinstance(base, np.ndarray):
        base = base.base
    base = getattr(base, "obj", base)
    return base if isinstance(base, PinnedMemory) else None


def place(array, root):
    """Return the bytes of `root` that a contiguous array lies in."""
    first, last = np.lib.array_utils.byte_bounds(array)
    start = np.lib.array_utils.byte_bounds(root)[0]
    return slice(first - start, last - start)


def empty(shape, dtype=float, order="C"):
    """New memory, full of what cannot be taken for a result."""
    n_bytes = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    Stream.gpu.require(n_bytes)
    host = np.empty(shape, dtype, order=order)
    if host.size:
        host.reshape(-1, order="A").view(np.uint8)[:] = 0xFF
    gpu = Stream.gpu
    with gpu.lock:
        gpu.start()
        return ndarray._of(host)
