"""Kernels of a GPU against their references."""

import numpy as np

from imsminer._array import to_numpy

#: Differences allowed, relative to the largest value of the reference.
TOLERANCE = {np.float32: 3e-6, np.float64: 1e-12}


def on_the_host(argument):
    return to_numpy(argument) if hasattr(argument, "shape") else argument


def check_like_reference(examples, reference, single=TOLERANCE[np.float32]):
    """Compare functions of a ``_cuda`` module with those of the same names.

    `single` is the tolerance for float32.
    """
    tolerances = {**TOLERANCE, np.float32: single}
    for function, arguments in examples:
        found = function(*arguments)
        wanted = getattr(reference, function.__name__)(*map(on_the_host, arguments))
        if not isinstance(wanted, tuple):
            found, wanted = (found,), (wanted,)
        for one, other in zip(found, wanted, strict=True):
            one = to_numpy(one)
            assert one.dtype == other.dtype
            assert one.shape == other.shape
            assert np.isfinite(one).all()
            if one.dtype.kind != "f":
                np.testing.assert_array_equal(one, other)
                continue
            tolerance = tolerances[one.dtype.type]
            atol = tolerance * np.abs(other).max(initial=0)
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=atol)


def sparse(rng, sizes):
    """Return indptr, positions and lengths of ragged spectra on their grids.

    `sizes` are the numbers of stored points and of grid points of each.
    """
    parts = [np.sort(rng.choice(n, size, replace=False)) for size, n in sizes]
    # One that is stored but for both ends.
    sizes, parts = [*sizes, (13, 15)], [*parts, np.arange(1, 14)]
    indptr = np.cumsum([0, *(size for size, _ in sizes)]).astype(np.int64)
    length = np.array([n for _, n in sizes], np.int64)
    return indptr, np.concatenate(parts).astype(np.int64), length
