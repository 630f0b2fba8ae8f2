"""The matrix of ions in the order of its tree; ions as images that hide no other."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.offsetbox import AnnotationBbox

from imsminer.plots.clusters import segment_colors
from imsminer.plots.colocalizations import colocalization, ion_embedding


@pytest.fixture
def matrix():
    """Two groups of three ions, interleaved."""
    group = np.arange(6) % 2
    values = np.where(group[:, None] == group, 0.8, -0.2)
    values += 0.02 * np.cos(np.add.outer(np.arange(6), np.arange(6)))
    np.fill_diagonal(values, 1)
    names = [f"mz_{700 + i}.1000" for i in range(6)]
    return pd.DataFrame(values, index=names, columns=names)


def test_ions_that_go_together_lie_side_by_side(matrix):
    ax = colocalization(matrix)
    (image,) = ax.get_images()
    rows = [text.get_text() for text in ax.get_yticklabels()]
    assert rows == [text.get_text() for text in ax.get_xticklabels()]
    assert sorted(rows) == [f"{700 + i}.1000" for i in range(6)]
    groups = [int(row[2]) % 2 for row in rows]
    assert groups in ([0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0])
    names = [f"mz_{row}" for row in rows]
    np.testing.assert_array_equal(image.get_array(), matrix.loc[names, names])


def test_colours_are_symmetric_around_0(matrix):
    assert colocalization(matrix).get_images()[0].get_clim() == (-1, 1)
    assert colocalization(matrix, limit=0.5).get_images()[0].get_clim() == (-0.5, 0.5)


def test_without_a_tree_the_order_is_kept(matrix):
    fig, given = plt.subplots()
    ax = colocalization(matrix.to_numpy(), cluster=False, labels="abcdef", ax=given)
    assert ax is given
    assert [text.get_text() for text in ax.get_yticklabels()] == list("abcdef")
    assert [child.get_label() for child in ax.child_axes] == ["colours"]
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), matrix)
    assert plt.get_fignums() == [fig.number]


def test_names_do_not_overlap_and_many_ions_have_none(matrix):
    ax = colocalization(matrix)
    ax.figure.draw_without_rendering()
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        boxes = [text.get_window_extent() for text in labels]
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])
    colours = ax.child_axes[-1].get_window_extent()
    assert not any(box.overlaps(colours) for box in boxes)
    many = colocalization(np.eye(200), cluster=False)
    assert many.get_yticks().size == many.get_xticks().size == 0
    assert many.get_ylabel() == "200 features"


def test_one_ion_and_bad_matrices(matrix):
    assert colocalization(np.ones((1, 1))).get_images()[0].get_array().shape == (1, 1)
    cases = [
        (np.ones((2, 3)), {}, r"must be square.*\(2, 3\)"),
        (np.array([[1, np.nan], [np.nan, 1]]), {}, "NaN"),
        (np.array([[1, 0.2], [0.5, 1]]), {}, "symmetric.*by up to 0.3"),
        (matrix, {"labels": ["a"]}, "labels has 1 names for 6 ions"),
        (matrix, {"limit": 0}, "limit must be above 0"),
    ]
    for given, keywords, message in cases:
        with pytest.raises(ValueError, match=message):
            colocalization(given, **keywords)


def boxes_of(ax):
    return [artist for artist in ax.artists if isinstance(artist, AnnotationBbox)]


def crowd(n, seed=0):
    """Images of an oblong tissue, and places in two dense clumps; two are equal."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:6, :10].reshape(2, -1)
    places = random.normal(0, 1, (n, 2)) + 8 * (np.arange(n)[:, None] % 2)
    places[1] = places[3]
    index = pd.MultiIndex.from_arrays([x, y], names=["x", "y"])
    names = [f"mz_{700 + i}.1000" for i in range(n)]
    return places, pd.DataFrame(random.random((60, n)), index=index, columns=names)


@pytest.mark.parametrize("n", [1, 12, 60])
def test_no_miniature_hides_another(n):
    places, features = crowd(max(n, 4))
    ax = ion_embedding(places[:n], features.iloc[:, :n])
    ax.figure.draw_without_rendering()
    frame = ax.get_window_extent()
    extents = [box.get_window_extent() for box in boxes_of(ax)]
    assert len(extents) == n
    for i, one in enumerate(extents):
        assert frame.x0 - 2 <= one.x0
        assert one.x1 <= frame.x1 + 2
        assert frame.y0 - 2 <= one.y0
        assert one.y1 <= frame.y1 + 2
        # Legible: a line of text high.
        assert one.height > 0.1 * ax.figure.dpi
        for other in extents[:i]:
            dx = min(one.x1, other.x1) - max(one.x0, other.x0)
            dy = min(one.y1, other.y1) - max(one.y0, other.y0)
            assert max(dx, 0) * max(dy, 0) <= 0.03 * one.width * one.height


def test_images_stay_near_their_places():
    places, features = crowd(30)
    ax = ion_embedding(places, features)
    ax.figure.draw_without_rendering()
    wanted = ax.transData.transform(places)
    found = np.array(
        [np.mean(box.get_window_extent().get_points(), axis=0) for box in boxes_of(ax)]
    )
    frame = ax.get_window_extent()
    distance = np.hypot(*(found - wanted).T) / frame.width
    assert np.median(distance) < 0.15
    # The two clumps stay apart.
    assert (found[::2, 0] < found[1::2, 0].min()).mean() > 0.9


def test_an_alone_image_stands_at_its_place():
    _, features = crowd(4)
    places = [[0.0, 0], [10, 0], [0, 10], [10, 10]]
    ax = ion_embedding(places, features, labels=[""] * 4)
    ax.figure.draw_without_rendering()
    wanted = ax.transData.transform(places)
    for box, place in zip(boxes_of(ax), wanted, strict=True):
        extent = box.get_window_extent()
        assert extent.contains(*place)
    assert not ax.collections[0].get_segments()


def test_miniatures_are_the_images(tissue):
    ax = ion_embedding([[0, 0], [1, 0], [0, 1]], tissue)
    data = [box.offsetbox.get_data() for box in boxes_of(ax)]
    # Two runs side by side with nothing in between.
    assert all(image.ndim == 3 and image.shape[2] == 4 for image in data)
    measured = (data[0][..., 3] > 0).sum()
    assert measured == len(tissue)
    low, high = tissue.iloc[:, 0].argmin(), tissue.iloc[:, 0].argmax()
    assert low != high
    brightness = data[0][data[0][..., 3] > 0][:, :3].sum(axis=1)
    assert brightness.max() > 2 * brightness.min()


def test_clusters_colour_the_frames_and_names_stand_below():
    places, features = crowd(12)
    clusters = np.arange(12) % 3
    ax = ion_embedding(places, features, clusters=clusters)
    palette = segment_colors(3)
    for box, cluster in zip(boxes_of(ax), clusters, strict=True):
        assert to_rgb(box.patch.get_edgecolor()) == to_rgb(palette[cluster])
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["0", "1", "2"]
    names = [text.get_text() for text in ax.texts]
    assert names == [f"{700 + i}.1000" for i in range(12)]
    places, features = crowd(50)
    assert not ion_embedding(places, features).texts


def test_bad_embeddings(tissue):
    with pytest.raises(ValueError, match=r"shape \(n_ions, 2\) for the 3 columns"):
        ion_embedding(np.zeros((2, 2)), tissue)
    with pytest.raises(ValueError, match="NaN or infinite"):
        ion_embedding(np.full((3, 2), np.nan), tissue)
    with pytest.raises(ValueError, match="clusters has 2 entries for 3 ions"):
        ion_embedding(np.zeros((3, 2)), tissue, clusters=[0, 1])
    with pytest.raises(ValueError, match="needs to know where the pixels are"):
        ion_embedding(np.zeros((3, 2)), tissue.to_numpy())
