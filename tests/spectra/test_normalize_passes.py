"""How often normalisers read the data, and that shortcuts change nothing."""

import numpy as np
import pytest
from sklearn import config_context

from imsminer import (
    MaxNormalizer,
    MedianNormalizer,
    PQNNormalizer,
    RMSNormalizer,
    Spectra,
    TICNormalizer,
    TrimmedTICNormalizer,
)
from imsminer.core.cache import cache
from imsminer.core.chunk import SpectrumChunk
from imsminer.spectra._kernels import normalize_numba, normalize_xp
from imsminer.spectra._normalizing_windows import window_sums, window_totals


def profiles(n=300, m=80, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.lognormal(0, 1, (n, 1)) * rng.lognormal(0, 0.3, (n, m))
    return Spectra.from_arrays(X, np.linspace(500, 508, m))


@pytest.mark.parametrize(
    ("normalizer", "passes"),
    [
        (TICNormalizer(), 1),
        (RMSNormalizer(), 1),
        (MaxNormalizer(), 1),
        (MedianNormalizer(), 1),
        (TrimmedTICNormalizer(), 2),
        (PQNNormalizer(), 3),
    ],
)
def test_passes_of_a_fit(normalizer, passes):
    cache.clear()
    spectra = profiles()
    normalizer.fit(spectra)
    read = spectra.source.n_bytes_read / spectra.source.row_bytes.sum()
    assert read == passes
    # What a fit says of its pixels is what another pass finds.
    np.testing.assert_array_equal(normalizer.factors_, normalizer.factors(spectra))


def test_quotients_in_parts_are_the_same():
    spectra = profiles()
    whole = PQNNormalizer().fit(spectra)
    with config_context(working_memory=0.25):
        cache.clear()
        parts = PQNNormalizer().fit(spectra)
    np.testing.assert_array_equal(parts.reference_, whole.reference_)
    np.testing.assert_array_equal(parts.factors_, whole.factors_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_maxima_of_odd_spectra(dtype):
    rows = [
        [],
        [-3.0, -1.0, -2.0],
        [-0.0, -1.0],
        [0.0],
        [-5.0, 2.0, 1e-40, -7.0],
        [np.inf, 1.0],
        [-1e-40, -np.inf],
    ]
    indptr = np.cumsum([0, *map(len, rows)])
    flat = np.concatenate(rows).astype(dtype)
    found = np.empty(len(rows))
    normalize_numba.maxima(flat, indptr, found)
    np.testing.assert_array_equal(found, normalize_xp.maxima(flat, indptr))
    assert found[1] == -1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_totals_of_windows_are_the_sum_of_their_sums(dtype):
    rng = np.random.default_rng(0)
    chunk = SpectrumChunk(
        rows=np.arange(5),
        coordinates=np.zeros((5, 3), np.int64),
        intensity=rng.lognormal(size=(5, 60)).astype(dtype),
        mz=np.arange(60.0),
    )
    # One that lies between two columns, one beyond the ends, ends on columns.
    low = np.array([-np.inf, 7.2, 10.0, 30.5, 59.0])
    high = np.array([3.0, 7.8, 12.0, 50.0, np.inf])
    expected = window_sums(chunk, low, high).sum(axis=1)
    np.testing.assert_allclose(window_totals(chunk, low, high), expected, rtol=1e-12)
    none = np.empty(0)
    np.testing.assert_array_equal(window_totals(chunk, none, none), np.zeros(5))
