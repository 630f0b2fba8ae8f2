import array_api_strict
import numpy as np
import pytest

from imsminer.core.grid import coordinates_of, gaussian_weights
from imsminer.images import _spatial_weights
from imsminer.images._spatial_weights import spatial_weights


@pytest.fixture
def holed():
    """Pixels of two runs with gaps, in random order, and their features."""
    random = np.random.default_rng(5)
    cells = np.stack(np.meshgrid(range(9), range(8), (0, 1)), -1).reshape(-1, 3)
    cells = cells[random.random(len(cells)) < 0.6]
    random.shuffle(cells)
    values = random.normal(size=(len(cells), 4))
    pixels = coordinates_of(values, cells[:, :2], cells[:, 2], estimator="test")
    return values, pixels


def plain(values, pixels, radius, adaptive):
    """Loops over pixels; a walk over measured pixels finds those around."""
    place = {
        (run, *xyz): i
        for i, (xyz, run) in enumerate(
            zip(pixels.coordinates.tolist(), pixels.runs.tolist(), strict=True)
        )
    }
    result = np.zeros((len(values), len(values)))
    for (run, x, y, z), i in place.items():
        around, edge = {(x, y)}, {(x, y)}
        for _ in range(radius):
            edge = {
                (a + dx, b + dy)
                for a, b in edge
                for dx in (-1, 0, 1)
                for dy in (-1, 0, 1)
                if (run, a + dx, b + dy, z) in place
            }
            around |= edge
        near = [place[run, a, b, z] for a, b in around]
        far = [np.linalg.norm(values[i] - values[j]) for j in near]
        for j, delta in zip(near, far, strict=True):
            d2 = ((pixels.coordinates[i] - pixels.coordinates[j]) ** 2).sum()
            result[i, j] = np.exp(-d2 / 2 / ((2 * radius + 1) / 4) ** 2)
            if adaptive and max(far) > 0:
                result[i, j] *= np.exp(-(delta**2) / 2 / (max(far) / 2) ** 2)
    return result


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_against_plain_loops(holed, radius, adaptive):
    values, pixels = holed
    found = spatial_weights(pixels, radius, values if adaptive else None)
    assert found.has_sorted_indices
    expected = plain(values, pixels, radius, adaptive)
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-12, atol=0)
    other_run = pixels.runs[:, None] != pixels.runs
    assert not found.toarray()[other_run].any()


def test_the_farthest_neighbor_counts_least(holed):
    values, pixels = holed
    plain_weights = spatial_weights(pixels, 1).toarray()
    share = spatial_weights(pixels, 1, values).toarray()
    share = share / np.where(plain_weights > 0, plain_weights, 1)
    least = np.where(plain_weights > 0, share, 1).min(axis=1)
    alone = (plain_weights > 0).sum(axis=1) == 1
    # The largest distance is 2 s.
    np.testing.assert_allclose(least[~alone], np.exp(-2), rtol=1e-12)
    np.testing.assert_array_equal(np.diag(share), 1)


def test_agrees_with_the_weights_of_means(holed):
    _, pixels = holed
    ours = spatial_weights(pixels, 2).toarray()
    alone = (ours > 0).sum(axis=1) == 1
    around = ours - np.diag(np.where(alone, 0, 1))
    around /= around.sum(axis=1, keepdims=True)
    expected = gaussian_weights(pixels, 2).toarray()
    np.testing.assert_allclose(around, expected, rtol=1e-12)


def test_order_blocks_and_namespace_do_not_matter(holed, monkeypatch):
    values, pixels = holed
    whole = spatial_weights(pixels, 2, values).toarray()
    monkeypatch.setattr(_spatial_weights, "BLOCK", 12)
    np.testing.assert_array_equal(spatial_weights(pixels, 2, values).toarray(), whole)
    strict = array_api_strict.asarray(values)
    np.testing.assert_allclose(
        spatial_weights(pixels, 2, strict).toarray(), whole, rtol=1e-12
    )
    order = np.random.default_rng(0).permutation(len(values))
    shuffled = type(pixels)(pixels.coordinates[order], pixels.runs[order])
    again = spatial_weights(shuffled, 2, values[order]).toarray()
    np.testing.assert_allclose(again, whole[np.ix_(order, order)], rtol=1e-12)
    np.testing.assert_allclose(
        spatial_weights(pixels, 2, 1e-12 * values).toarray(), whole, rtol=1e-9
    )


@pytest.mark.parametrize("values", [np.full((4, 3), 7.0), np.empty((4, 0))])
def test_equal_spectra_are_told_apart_by_distance(values):
    xy = [[0, 0], [1, 0], [0, 1], [9, 9]]
    pixels = coordinates_of(np.ones((4, 1)), xy, estimator="test")
    adaptive = spatial_weights(pixels, 1, values).toarray()
    np.testing.assert_array_equal(adaptive, spatial_weights(pixels, 1).toarray())
    np.testing.assert_array_equal(adaptive[3], [0, 0, 0, 1])


def test_bad_input(holed):
    values, pixels = holed
    for radius in (0, -1, 1.5):
        with pytest.raises(ValueError, match=r"radius must be an integer of 1 or more"):
            spatial_weights(pixels, radius)
    with pytest.raises(ValueError, match=f"values has 3 rows.*{len(values)} pixels"):
        spatial_weights(pixels, 1, values[:3])
    for wrong in (np.nan, np.inf):
        broken = values.copy()
        broken[1, 2] = wrong
        with pytest.raises(ValueError, match="values has entries that are NaN"):
            spatial_weights(pixels, 1, broken)


@pytest.mark.shared
@pytest.mark.parametrize("weights", ["gaussian", "adaptive"])
def test_parity_with_cardinal(shared_data, weights):
    path = shared_data.parent / "reference" / "cardinal.npz"
    if not path.is_file():
        pytest.skip("cardinal.npz is not beside this checkout")
    with np.load(path) as reference:
        values = reference["peaks_P"].T
        xy = reference["input_coord"].astype(int)
        i, j, w = reference[f"spatialWeights_{weights}_r1"].T
    expected = np.zeros((len(values), len(values)))
    expected[i.astype(int) - 1, j.astype(int) - 1] = w
    pixels = coordinates_of(values, xy, estimator="test")
    softening = np.sqrt(np.finfo(float).eps)
    adaptive = values if weights == "adaptive" else None
    found = spatial_weights(pixels, 1, adaptive, softening=softening).toarray()
    np.testing.assert_array_equal(found > 0, expected > 0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
    # Without what they add to s, the difference is below 1e-9.
    free = spatial_weights(pixels, 1, adaptive).toarray()
    np.testing.assert_allclose(free, expected, rtol=0, atol=1e-9)
