"""The lift of baselines on a GPU: against the reference."""

import numpy as np
import pytest

from tests.spectra.on_device import check_like_reference, sparse

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from imsminer.spectra._kernels import lift_cuda, lift_xp

SIZES = [(9, 30), (0, 0), (1, 1), (2, 2), (110, 110), (40, 300), (0, 7)]


def spectra(n, m, dtype, seed=0):
    """Return noise, equal values and peaks, and what is above their lower edge."""
    rng = np.random.default_rng(seed)
    Y = rng.normal(100, 5, (n, m)) + 1e3 * (rng.random((n, m)) < 0.05)
    Y[:, : m // 3] = np.rint(Y[:, : m // 3] / 5) * 5
    Y[0, : m // 4] -= 120
    rest = np.maximum(Y - 88, 0)
    # Too little noise for so much that is left.
    Y[:, m // 2 :] = 100 + rng.normal(0, 0.3, Y[:, m // 2 :].shape)
    return Y.astype(dtype), rest.astype(dtype)


def examples(put):
    """Yield (function, arguments) for every function and dtype."""
    indptr, position, length = sparse(np.random.default_rng(4), SIZES)
    for dtype, clip in [(np.float32, True), (np.float64, False)]:
        # 129, 7 and up to 255 values each; the last window of the second is empty.
        for m, hop in [(150, 64), (21, 5), (3, 100), (2, 64)]:
            Y, rest = spectra(2, m, dtype)
            yield lift_cuda.lift_rows, (put(Y), put(rest), hop, clip)
        values, rest = (a[0] for a in spectra(1, position.size, dtype))
        where = put(indptr), put(position), put(length)
        yield lift_cuda.lift_points, (put(values), put(rest), *where, 40, clip)
    # The last window stands so far beyond the end that it has no values.
    Y, rest = spectra(1, 1002, dtype)
    yield lift_cuda.lift_rows, (put(Y), put(rest), 1000, clip)
    empty = put(rest[0, :0])
    nothing = put(indptr[:1]), put(position[:0]), put(length[:0])
    yield lift_cuda.lift_points, (empty, empty, *nothing, 40, clip)


def test_agrees_with_the_reference(device):
    check_like_reference(examples(device.put), lift_xp)


@pytest.mark.parametrize(
    ("values", "hop"),
    [([50, 60, 70.1, 80.5], 64), ([50, 60, 70.5, 81.1, 91.9], 3)],
)
def test_bends_at_the_ends_of_windows(device, values, hop):
    """So few of them that each decides about the noise, and that about the level."""
    n = len(values)
    arrays = np.array(values), 20.0 + np.arange(n), np.array([0, n]), np.arange(n)
    arrays = (*arrays, np.array([n]))
    found = lift_cuda.lift_points(*map(device.put, arrays), hop, False)
    wanted = lift_xp.lift_points(*arrays, hop, False)
    assert 0 < np.abs(wanted - arrays[1]).max() < 3
    np.testing.assert_allclose(device.get(found), wanted, rtol=1e-12)


def test_nan_is_not_hidden(device):
    Y, rest = spectra(1, 90, np.float64)
    rest[0, 30:70] = np.nan
    lowered = lift_cuda.lift_rows(device.put(Y), device.put(rest), 64, True)
    assert np.isnan(device.get(lowered)[0, 30:70]).all()


def test_has_what_the_reference_has():
    assert lift_cuda.__all__ == lift_xp.__all__
