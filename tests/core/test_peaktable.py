import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imsminer.core.peaktable import feature_mz, feature_names, match_peaks

mz_lists = st.lists(
    st.integers(5_000_000, 5_000_300).map(lambda value: value / 1e4), max_size=25
)


def greedy(a, b, ppm):
    """Take the closest free pair, one at a time."""
    pairs = sorted(
        (abs(x - y), i, j)
        for i, x in enumerate(a)
        for j, y in enumerate(b)
        if abs(x - y) <= ppm * x * 1e-6
    )
    used_a, used_b, chosen = set(), set(), []
    for distance, i, j in pairs:
        if i not in used_a and j not in used_b:
            used_a.add(i)
            used_b.add(j)
            chosen.append(distance)
    return chosen


@settings(max_examples=200, deadline=None)
@given(mz_lists, mz_lists)
def test_match_peaks_is_the_greedy_matching(a, b):
    i, j = match_peaks(a, b, 10)
    a, b = np.asarray(a), np.asarray(b)
    assert np.unique(i).size == i.size
    assert np.unique(j).size == j.size
    assert np.all(np.abs(a[i] - b[j]) <= 10e-6 * a[i])
    # Ties may be broken differently, so sizes can differ where distances repeat.
    expected = greedy(a, b, 10)
    if len(set(np.abs(np.subtract.outer(a, b)).ravel())) == a.size * b.size:
        np.testing.assert_allclose(np.sort(np.abs(a[i] - b[j])), np.sort(expected))


def test_closest_wins_and_each_counts_once():
    i, j = match_peaks([500.0, 500.002], [500.0019], 10)
    assert (i.tolist(), j.tolist()) == ([1], [0])
    i, j = match_peaks([500.0, 500.002], [500.0019, 500.004], 10)
    assert (i.tolist(), j.tolist()) == ([0, 1], [1, 0])


def test_order_of_the_lists_does_not_matter():
    rng = np.random.default_rng(0)
    a = rng.uniform(500, 501, 80)
    b = rng.uniform(500, 501, 90)
    i, j = match_peaks(a, b, 20)
    p, q = rng.permutation(a.size), rng.permutation(b.size)
    k, m = match_peaks(a[p], b[q], 20)
    assert {(x, y) for x, y in zip(i, j, strict=True)} == {
        (p[x], q[y]) for x, y in zip(k, m, strict=True)
    }


def test_tolerance_per_peak():
    i, j = match_peaks([500.0, 600.0], [500.004, 600.004], [10, 1])
    assert (i.tolist(), j.tolist()) == ([0], [0])


def test_nothing_to_match():
    for a, b in (([], []), ([500.0], []), ([], [500.0]), ([500.0], [501.0])):
        i, j = match_peaks(a, b, 10)
        assert i.size == j.size == 0


def test_bad_arguments():
    with pytest.raises(ValueError, match="1-D"):
        match_peaks([[500.0]], [500.0], 10)
    with pytest.raises(ValueError, match="tolerance_ppm"):
        match_peaks([500.0], [500.0], -1)


@given(st.lists(st.floats(1, 5000), max_size=30))
def test_feature_names_are_unique_and_say_the_mz(mz):
    names = feature_names(mz)
    assert len(set(names)) == len(names) == len(mz)
    for name, value in zip(names, mz, strict=True):
        assert abs(float(name.split("_")[1]) - value) <= 0.5e-4 + 1e-9


def test_mz_come_back_from_names():
    mz = np.array([100.00001, 100.00002, 200.0, 200.0, 885.5499])
    np.testing.assert_allclose(feature_mz(feature_names(mz)), mz, atol=5e-5)
    assert np.isnan(feature_mz(["mz_", "xmz_1.0", "mz_1.0_a", 5])).all()
