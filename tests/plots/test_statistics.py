"""Boxes, volcanoes and heat maps show the numbers, and nothing overlaps."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgba

from imsminer.plots._volcano import LESS, MORE, NEITHER
from imsminer.plots.heatmaps import heatmap, log_ratios
from imsminer.plots.statistics import box, volcano
from imsminer.statistics import aggregate, compare

ROIS = ["cortex", "medulla", "pelvis", "vessel", "tumour core", "tumour rim"]


def study(n_ions, n_rois=6, seed=0):
    """5 runs that hold each region, 6 pixels each; ions of five patterns."""
    rng = np.random.default_rng(seed)
    cells = pd.MultiIndex.from_product([ROIS[:n_rois], [1, 2, 3, 4, 5]])
    pixels = cells.to_frame(index=False, name=["roi", "replicate"])
    pixels = pixels.loc[np.repeat(pixels.index, 6)].reset_index(drop=True)
    pattern = rng.normal(0, 1, (5, n_rois))[rng.integers(0, 5, n_ions)]
    effect = pattern * rng.gamma(1, 0.6, (n_ions, 1))
    code = pd.factorize(pixels["roi"])[0]
    values = np.exp(5 + effect.T[code] + rng.normal(0, 0.5, (len(pixels), n_ions)))
    names = [f"mz_{mz:.4f}" for mz in np.linspace(500, 950, n_ions)]
    return pd.DataFrame(values, columns=names), pixels


def compared(n_ions, n_rois=6, **options):
    features, pixels = study(n_ions, n_rois)
    options = {"group": "roi", "unit": "replicate", "block": False, **options}
    return aggregate(features, pixels), compare(features, pixels, **options)


def overlapping(boxes):
    return [(a, b) for a, b in combinations(boxes, 2) if a.overlaps(b)]


def written(ax):
    """Texts in the Axes, without the empty ones that carry leader lines."""
    return [text for text in ax.texts if text.get_text()]


def brackets(ax):
    return [line for line in ax.lines if line.get_label() == "_bracket"]


def canvas(ax):
    ax.get_figure(root=True).canvas.draw()
    return ax


# Boxes


def test_every_unit_is_a_point_and_medians_are_right():
    aggregated, _ = compared(3, 3)
    name = aggregated.columns[1]
    ax = canvas(box(aggregated, name, "roi"))
    for k, roi in enumerate(["cortex", "medulla", "pelvis"]):
        values = aggregated.loc[roi, name]
        points = ax.collections[k].get_offsets()
        np.testing.assert_allclose(np.sort(points[:, 1]), np.sort(values))
        assert np.all(np.abs(points[:, 0] - k) < 0.25)
        medians = [
            line.get_ydata()[0]
            for line in ax.lines
            if np.allclose(np.mean(line.get_xdata()), k) and line.get_linewidth() == 1.4
        ]
        assert medians == pytest.approx([np.median(values)])
    assert ax.get_title() == "$m/z$ 725.0000"
    assert ax.get_ylabel() == "log$_2$ intensity (a.u.)"


def test_points_of_one_group_do_not_hide_each_other():
    units = pd.DataFrame({"a": np.zeros(8)}, index=pd.Index(["x"] * 8, name="g"))
    points = box(units, "a", "g").collections[0].get_offsets()[:, 0]
    assert np.diff(np.sort(points)).min() > 0.02


@pytest.mark.parametrize("n_rois", [2, 3, 6])
@pytest.mark.parametrize("given", [False, True])
def test_brackets_do_not_overlap(n_rois, given):
    aggregated, table = compared(4, n_rois)
    ax = plt.subplots(figsize=(6, 8))[1] if given else None
    name = aggregated.columns[2]
    ax = canvas(box(aggregated, name, "roi", table=table, q=1, ax=ax))
    found = brackets(ax)
    assert len(found) == n_rois * (n_rois - 1) / 2
    texts = [text.get_window_extent() for text in written(ax)]
    lines = [line.get_window_extent() for line in found]
    assert not overlapping(texts)
    assert not overlapping(lines)
    assert not [1 for a in texts for b in lines if a.overlaps(b)]
    frame = ax.get_window_extent()
    assert all(frame.y0 < b.y0 and b.y1 <= frame.y1 + 1 for b in texts + lines)
    # All above the data.
    top = aggregated[name].max()
    assert min(line.get_ydata().min() for line in found) > top
    assert max(ax.get_yticks()) <= top


def test_brackets_say_q_between_the_right_groups():
    aggregated, table = compared(4, 3)
    name = aggregated.columns[0]
    order = ["pelvis", "cortex", "medulla"]
    ax = canvas(box(aggregated, name, "roi", table=table, order=order))
    rows = table[table["feature"] == name].set_index(["group_a", "group_b"])
    for line, text in zip(brackets(ax), written(ax), strict=True):
        ends = np.rint(line.get_xdata()[[0, -1]]).astype(int)
        pair = tuple(sorted(order[k] for k in ends))
        q = rows.loc[pair, "q"]
        shown = text.get_text().replace("$q$ = ", "").replace("}$", "")
        number = float(shown.replace("×10$^{", "e"))
        assert number == pytest.approx(q, rel=0.5 if "×" in text.get_text() else 0.06)


def test_many_pairs_show_the_small_q_only():
    aggregated, table = compared(5)
    name = table.sort_values("q")["feature"].iloc[0]
    found = brackets(box(aggregated, name, "roi", table=table))
    small = table[(table["feature"] == name) & (table["q"] <= 0.05)]
    assert 0 < len(found) == len(small) < 15


def test_a_box_without_p_values_says_why():
    features, pixels = study(3, 2)
    one = (pixels["replicate"] == 1).to_numpy()
    with pytest.warns(UserWarning, match="fewer than 2 units"):
        table = compare(
            features[one], pixels[one], group="roi", unit="replicate", block=False
        )
    aggregated = aggregate(features[one], pixels[one])
    ax = canvas(box(aggregated, features.columns[0], "roi", table=table))
    assert not brackets(ax)
    assert "fewer than 2 units" in ax.get_title(loc="left")


def test_lines_join_the_units_of_a_run():
    aggregated, _ = compared(2, 3)
    name = aggregated.columns[0]
    ax = box(aggregated, name, "roi", connect="replicate")
    joined = [line for line in ax.lines if line.get_linewidth() == 0.7]
    assert len(joined) == 5
    expected = [aggregated.xs(k, level="replicate")[name].tolist() for k in range(1, 6)]
    assert sorted(line.get_ydata().tolist() for line in joined) == sorted(expected)


def test_cluster_means_have_boxes_too():
    features, pixels = study(3, 2)
    clusters = pd.DataFrame({"cluster 0": features.mean(axis=1)})
    aggregated = aggregate(clusters, pixels, statistic="mean")
    ax = box(aggregated, "cluster 0", "roi")
    assert ax.get_title() == "cluster 0"
    assert ax.get_ylabel() == "intensity (a.u.)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"feature": "mz_1.0000"}, "no column 'mz_1.0000'"),
        ({"group": "condition"}, "group must be a level"),
        ({"order": ["cortex", "liver"]}, "order names 'liver'"),
        ({"colors": ["red"]}, "1 colours for 3 groups"),
        ({"connect": "run"}, "connect must be a level"),
    ],
)
def test_box_errors(options, message):
    aggregated, _ = compared(2, 3)
    options = {"feature": aggregated.columns[0], "group": "roi", **options}
    with pytest.raises(ValueError, match=message):
        box(aggregated, **options)


# Volcanoes


def colours(ax):
    return {
        to_hex(part.get_facecolors()[0]): part.get_offsets()
        for part in ax.collections
        if len(part.get_offsets())
    }


def test_colours_and_lines_are_the_thresholds():
    _, table = compared(50)
    ax = canvas(volcano(table, pair=("cortex", "pelvis"), q=0.01, fold_change=2))
    part = table.query("group_a == 'cortex' and group_b == 'pelvis'")
    found = colours(ax)
    for color, rows in (
        (MORE, part.query("q <= 0.01 and log2_fold_change >= 1")),
        (LESS, part.query("q <= 0.01 and log2_fold_change <= -1")),
        (NEITHER, part.query("q > 0.01 or abs(log2_fold_change) < 1")),
    ):
        points = found.get(to_hex(to_rgba(color)), np.zeros((0, 2)))
        assert len(points) == len(rows)
        np.testing.assert_allclose(points[:, 0], rows["log2_fold_change"])
        np.testing.assert_allclose(points[:, 1], -np.log10(rows["q"]))
    lines = [line.get_xydata()[0] for line in ax.lines]
    assert lines[0][1] == pytest.approx(2)
    assert [line[0] for line in lines[1:]] == pytest.approx([-1, 1])
    assert ax.get_xlabel() == "log$_2$ fold change, pelvis over cortex"


@pytest.mark.parametrize("n_ions", [5, 50, 300])
@pytest.mark.parametrize("n_labels", [10, 40])
def test_volcano_labels_overlap_nothing(n_ions, n_labels):
    _, table = compared(n_ions)
    ax = canvas(volcano(table, pair=("cortex", "tumour core"), n_labels=n_labels))
    texts = written(ax)
    part = table.query("group_a == 'cortex' and group_b == 'tumour core'")
    clear = part.query("q <= 0.05 and abs(log2_fold_change) >= 0.58496")
    assert min(len(clear), 5) <= len(texts) <= n_labels
    boxes = [text.get_window_extent() for text in texts]
    assert not overlapping(boxes)
    frame = ax.get_window_extent()
    points = np.concatenate([c.get_offsets() for c in ax.collections])
    places = ax.transData.transform(points)
    for box_ in boxes:
        assert frame.x0 <= box_.x0
        assert box_.x1 <= frame.x1
        assert not any(box_.contains(*place) for place in places)
    labelled = {text.get_text() for text in texts}
    assert labelled <= {f"{mz:.4f}" for mz in clear["mz"]}


def test_labels_name_their_own_point():
    _, table = compared(80)
    ax = canvas(volcano(table, pair=("cortex", "pelvis"), n_labels=20))
    rows = table.query("group_a == 'cortex' and group_b == 'pelvis'")
    by_label = {
        f"{mz:.4f}": row
        for mz, row in zip(rows["mz"], rows.to_dict("records"), strict=True)
    }
    places = ax.transData.transform(
        np.concatenate([c.get_offsets() for c in ax.collections])
    )
    assert len(written(ax)) >= 8
    leaders = [text.xy for text in ax.texts if not text.get_text()]
    for text in written(ax):
        row = by_label[text.get_text()]
        point = (row["log2_fold_change"], -np.log10(row["q"]))
        np.testing.assert_allclose(text.xy, point)
        if any(np.allclose(point, xy) for xy in leaders):
            continue
        # Without a line, the nearest point is the one that is meant.
        extent = text.get_window_extent()
        near = np.clip(places, [extent.x0, extent.y0], [extent.x1, extent.y1])
        nearest = places[np.argmin(np.hypot(*(places - near).T))]
        np.testing.assert_allclose(nearest, ax.transData.transform(point))


def test_labels_of_analytes_or_none():
    _, table = compared(30, 2)
    assert not written(volcano(table, label=None))
    table["analyte"] = None
    table.loc[table["q"].idxmin(), "analyte"] = "PC(34:1)"
    ax = volcano(table, label="analyte", fold_change=1)
    assert [text.get_text() for text in written(ax)] == ["PC(34:1)"]
    with pytest.raises(ValueError, match="no column 'lipid'"):
        volcano(table, label="lipid")


def test_several_pairs_are_panels_on_one_scale():
    _, table = compared(40, 3)
    axes = volcano(table)
    assert [ax.get_xlabel() for ax in axes] == [
        "log$_2$ fold change, medulla over cortex",
        "log$_2$ fold change, pelvis over cortex",
        "log$_2$ fold change, pelvis over medulla",
    ]
    assert len({ax.get_xlim() for ax in axes}) == 1
    for ax in axes:
        canvas(ax)
        low, high = ax.get_xlim()
        points = np.concatenate([c.get_offsets() for c in ax.collections])
        assert points[:, 0].min() > low
        assert points[:, 0].max() < high
        assert points[:, 1].max() < ax.get_ylim()[1]
    assert not overlapping([t.get_window_extent() for ax in axes for t in written(ax)])
    with pytest.raises(ValueError, match="1 Axes, but the table 3 pairs"):
        volcano(table, ax=axes[0])


def test_volcano_counts_what_has_no_q_and_names_the_inference():
    _, table = compared(20, 2, replicates="technical")
    table.loc[[3, 4], "q"] = np.nan
    ax = volcano(table)
    title = ax.get_title(loc="left")
    assert "2 without $q$" in title
    assert "Welch's t, n = 5 and 5, technical replicates" in title
    table["q"] = np.nan
    table["note"] = "fewer than 2 units in a group"
    with pytest.raises(
        ValueError, match=r"no feature has a q-value.*fewer than 2 units"
    ):
        volcano(table)


def test_a_q_of_zero_stays_in_the_picture():
    _, table = compared(20, 2)
    table.loc[0, "q"] = 0.0
    ax = canvas(volcano(table))
    assert np.isfinite(np.concatenate([c.get_offsets() for c in ax.collections])).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q": 0}, "q must lie between"),
        ({"fold_change": 0.5}, "fold_change be 1 or more"),
        ({"pair": ("a", "b")}, r"no pair \('a', 'b'\); it has \('cortex', 'medulla'\)"),
    ],
)
def test_volcano_errors(options, message):
    _, table = compared(5, 2)
    with pytest.raises(ValueError, match=message):
        volcano(table, **options)


# Heat maps


def insets(ax, label):
    return [child for child in ax.child_axes if child.get_label() == label]


@pytest.mark.parametrize("n_ions", [5, 50, 300])
def test_heatmap_shows_each_ratio_at_its_labels(n_ions):
    aggregated, _ = compared(n_ions)
    ax = canvas(heatmap(aggregated, "roi"))
    ratios = log_ratios(aggregated, "roi")
    columns = [text.get_text() for text in ax.get_xticklabels()]
    assert sorted(columns) == sorted(ROIS)
    image = ax.get_images()[0].get_array()
    rows = [f"mz_{text.get_text()}" for text in ax.get_yticklabels()]
    if n_ions == 300:
        assert not rows
        assert ax.get_ylabel() == "300 features"
        shown = np.sort(image.data, axis=0)
        np.testing.assert_allclose(shown, np.sort(ratios[columns], axis=0))
    else:
        np.testing.assert_allclose(image.data, ratios.loc[rows, columns])
        assert not overlapping([t.get_window_extent() for t in ax.get_yticklabels()])
    low, high = ax.get_images()[0].get_clim()
    assert low == -high
    middle = np.array(ax.get_images()[0].cmap(0.5)[:3])
    assert middle.min() > 0.9, "no difference is white"


def test_heatmap_fits_into_its_figure():
    for n_ions in (2, 60):
        aggregated, _ = compared(n_ions)
        ax = canvas(heatmap(aggregated, "roi"))
        figure = ax.get_figure()
        tight = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        assert tight.x0 > -0.02
        assert tight.y0 > -0.02
        assert tight.x1 < width + 0.02
        assert tight.y1 < height + 0.02
        parts = [child.get_window_extent() for child in ax.child_axes]
        assert not overlapping([*parts, ax.get_window_extent()])


def test_trees_meet_their_rows():
    aggregated, _ = compared(12)
    ax = heatmap(aggregated, "roi")
    left, above = insets(ax, "tree")
    assert left.get_ylim() == ax.get_ylim()
    assert above.get_xlim() == ax.get_xlim()
    segments = left.collections[0].get_segments()
    assert len(segments) == 11
    # Leaves, at distance 0, are the rows.
    leaves = {round(float(y), 6) for s in segments for x, y in s if x == 0}
    assert leaves == set(range(12))


def test_clusters_bring_like_patterns_together():
    index = pd.Index(["a", "b", "c"], name="roi")
    patterns = {"up": [1.0, 1.0, 8.0], "down": [8.0, 1.0, 1.0]}
    columns = {f"{name}{k}": v for k in range(3) for name, v in patterns.items()}
    units = pd.DataFrame(columns, index=index)
    ax = heatmap(units, log2=False)
    first = [text.get_text()[0] for text in ax.get_yticklabels()]
    assert first in (list("uuuddd"), list("ddduuu"))
    plain = heatmap(units, log2=False, cluster=False)
    assert [t.get_text() for t in plain.get_yticklabels()] == list(units.columns)
    assert not insets(plain, "tree")


def test_log_ratios_average_replicates_then_regions():
    index = pd.MultiIndex.from_tuples(
        [("a", 1), ("a", 2), ("b", 1)], names=["roi", "replicate"]
    )
    units = pd.DataFrame({"x": [2.0, 4.0, 9.0], "n_pixels": 5}, index=index)
    linear = log_ratios(units, "roi", log2=False)
    np.testing.assert_allclose(linear.loc["x"], np.log2([3 / 6, 9 / 6]))
    logs = log_ratios(units, "roi", log2=True)
    np.testing.assert_allclose(logs.loc["x"], [-3, 3])
    assert list(linear.index) == ["x"]


def test_features_without_signal_are_grey_and_do_not_stop_the_clustering():
    index = pd.Index(["a", "b"], name="roi")
    units = pd.DataFrame(
        {"none": [0.0, 0.0], "one": [0.0, 4.0], "both": [1.0, 2.0]}, index=index
    )
    ax = canvas(heatmap(units, log2=False))
    image = ax.get_images()[0].get_array()
    rows = [text.get_text() for text in ax.get_yticklabels()]
    assert np.isnan(image.data[rows.index("none")]).all()


def test_one_feature_or_one_region_has_no_tree():
    aggregated, _ = compared(4)
    assert len(insets(heatmap(aggregated.iloc[:, :1], "roi"), "tree")) == 1
    one = aggregated.loc[["cortex"]]
    assert len(insets(canvas(heatmap(one, "roi")), "tree")) == 1


def test_heatmap_errors():
    aggregated, _ = compared(3)
    with pytest.raises(ValueError, match=r"by must be a level .*'roi', 'replicate'"):
        heatmap(aggregated, "condition")
    with pytest.raises(ValueError, match="labels has 1 names for 3 features"):
        heatmap(aggregated, "roi", labels=["x"])
    unsaid = pd.DataFrame(aggregated.to_numpy(), index=aggregated.index)
    with pytest.raises(ValueError, match="pass log2=True or log2=False"):
        heatmap(unsaid, "roi")
    with pytest.raises(ValueError, match="some means are negative"):
        heatmap(unsaid - 100, "roi", log2=False)


def test_given_axes_are_used():
    aggregated, table = compared(10, 2)
    figure, grid = plt.subplots(1, 3, figsize=(12, 4))
    assert (
        box(aggregated, aggregated.columns[0], "roi", table=table, ax=grid[0])
        is grid[0]
    )
    assert volcano(table, ax=grid[1]) is grid[1]
    assert heatmap(aggregated, "roi", ax=grid[2]) is grid[2]
    assert plt.get_fignums() == [figure.number]
    canvas(grid[0])
