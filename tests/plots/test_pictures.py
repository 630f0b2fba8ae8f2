"""Each figure as a picture, against one that was looked at.

Text is taken out, since fonts differ from release to release. After a change that is
meant, draw the pictures again and look at each::

    python -m tests.plots.test_pictures
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text

from imsminer import BaselineSubtractor, Polygon, Rectangle, plots, register_landmarks
from imsminer.statistics import aggregate, compare

FOLDER = Path(__file__).parent / "pictures"
#: Root mean square of the difference, of 255; a moved colour bar makes 10 and more.
TOLERANCE = 4.0
DPI = 50
N = 18


def tissue() -> pd.DataFrame:
    """Features of two runs, with a round core and a gradient."""
    rows = [(run, x, y, 1) for run in "ab" for y in range(1, N) for x in range(1, N)]
    index = pd.MultiIndex.from_tuples(rows, names=["run", "x", "y", "z"])
    x, y = (index.get_level_values(name).to_numpy() for name in ("x", "y"))
    core = np.hypot(x - 9, y - 9) < 5
    rng = np.random.default_rng(0)
    shapes = [1 + core, 3 - 2 * core, x / N, y / N, 1 + core * x / N, np.ones(x.size)]
    values = 100 * np.column_stack(shapes) * rng.gamma(20, 0.05, (x.size, 6))
    names = [f"mz_{500 + 50.1234 * k:.4f}" for k in range(6)]
    return pd.DataFrame(values.astype(np.float32), index=index, columns=names)


FEATURES = tissue()
MZ = np.array([float(name[3:]) for name in FEATURES.columns])
ONE = FEATURES.loc[["a"]]
CORE = (ONE["mz_500.0000"] > 150).to_numpy().astype(int)
ROIS = [
    Rectangle("corner", 1, 1, 5, 4, run="a"),
    Polygon("core", [(9, 4), (14, 9), (9, 14), (4, 9)], run="b"),
]


def spectrum():
    mz = np.linspace(500, 510, 2001)
    peaks = [(502.0, 80.0), (504.5, 200.0), (508.2, 50.0)]
    y = 20 * np.exp(-(mz - 500) / 5)
    for centre, height in peaks:
        y += height * np.exp(-0.5 * ((mz - centre) / 0.05) ** 2)
    noise = np.random.default_rng(1).normal(size=mz.size)
    return mz, np.maximum(y + noise, 0), pd.DataFrame(peaks, columns=["mz", "height"])


def study():
    """Six replicates of two groups, one ion of which doubles."""
    rng = np.random.default_rng(2)
    group = np.repeat(["control", "drug"], 60)
    pixels = pd.DataFrame({"group": group, "animal": np.repeat(np.arange(12), 10)})
    effect = 1 + (group == "drug")[:, None] * np.linspace(0, 1.5, 12)
    values = 50 * effect * rng.gamma(30, 1 / 30, (120, 12))
    names = [f"mz_{600 + 20 * k:.4f}" for k in range(12)]
    features = pd.DataFrame(values, columns=names)
    table = compare(features, pixels, group="group", unit="animal")
    return aggregate(features, pixels, by=("group", "animal")), table


def shifts():
    n = len(ONE)
    return pd.DataFrame(
        {"shift_ppm": np.linspace(-3, 3, n), "accepted": np.arange(n) % 9 != 0}
    )


def residuals():
    from imsminer import MassCalibrator

    masses = np.linspace(500, 900, 12)
    error = 5 + 0.01 * (masses - 700)
    error[4] = -15
    measured = pd.DataFrame({"mz": masses * (1 + 1e-6 * error)})
    return MassCalibrator(masses).fit(measured).report_


def draw_baseline():
    mz, y, _ = spectrum()
    return plots.baseline(mz, y, BaselineSubtractor(half_window=40))


def draw_outlines():
    ax = plots.ion_image(FEATURES["mz_500.0000"])
    return plots.roi_outlines(ROIS, FEATURES, ax=ax)


def draw_overlay():
    picture = np.zeros((40, 40, 3))
    picture[8:32, 8:32] = [0.8, 0.5, 0.6]
    corners = np.array([[0, 0], [40, 0], [0, 40], [40, 40]])
    registration = register_landmarks(corners, corners / 40 * (N - 2) + 1)
    return plots.overlay(picture, ONE["mz_500.0000"], registration=registration)


def draw_profiles():
    profiles = ONE.groupby(CORE).mean()
    return plots.segment_profiles(profiles, MZ)


def draw_choice():
    k = np.arange(2, 7)
    table = {"stability": 1 / k, "inertia": 10.0 / k, "silhouette": 0.5 - 0.05 * k}
    return plots.choice_of_k(pd.DataFrame(table, index=k))


def embedded():
    return pd.DataFrame(
        np.column_stack([ONE.iloc[:, k] for k in (0, 2, 3)]), index=ONE.index
    )


FIGURES = {
    "acquisition_order": lambda: plots.acquisition_order(FEATURES["mz_600.2468"]),
    "baseline": draw_baseline,
    "box": lambda: plots.box(study()[0], "mz_820.0000", "group", table=study()[1]),
    "choice_of_k": draw_choice,
    "cluster_images": lambda: plots.cluster_images(
        FEATURES.iloc[:, :3].to_numpy(), FEATURES, np.arange(6) % 3, mz=MZ
    ),
    "colocalization": lambda: plots.colocalization(ONE.corr()),
    "embedding": lambda: plots.embedding(embedded().iloc[:, :2], CORE),
    "embedding_image": lambda: plots.embedding_image(embedded()),
    "heatmap": lambda: plots.heatmap(study()[0], "group"),
    "ion_embedding": lambda: plots.ion_embedding(
        np.column_stack([np.cos(np.arange(6)), np.sin(np.arange(6))]), ONE
    ),
    "ion_image": lambda: plots.ion_image(FEATURES["mz_500.0000"], pixel_size=50),
    "ion_image_log": lambda: plots.ion_image(ONE["mz_500.0000"], contrast="log"),
    "ion_images": lambda: plots.ion_images(ONE, pixel_size=50),
    "mass_residuals": lambda: plots.mass_residuals(residuals()),
    "mean_spectrum": lambda: plots.mean_spectrum(*spectrum(), noise=1.0, loq=10),
    "overlay": draw_overlay,
    "roi_outlines": draw_outlines,
    "segment_profiles": draw_profiles,
    "segmentation": lambda: plots.segmentation(CORE, ONE),
    "shift_image": lambda: plots.shift_image(shifts(), ONE),
    "volcano": lambda: plots.volcano(study()[1]),
}


def picture(name: str, path: Path) -> None:
    """Draw a figure without its text."""
    with mpl.rc_context(mpl.rcParamsDefault):
        mpl.use("Agg")
        axes = FIGURES[name]()
        first = axes if hasattr(axes, "get_figure") else np.ravel(axes)[0]
        figure = first.get_figure(root=True)
        # Where things are placed by the size of text is decided by now.
        figure.canvas.draw()
        figure.set_layout_engine("none")
        for text in figure.findobj(Text):
            text.set_visible(False)
        figure.savefig(path, dpi=DPI)
        plt.close("all")


@pytest.mark.parametrize("name", FIGURES)
def test_looks_as_it_did(name, tmp_path):
    drawn = tmp_path / f"{name}.png"
    picture(name, drawn)
    difference = compare_images(FOLDER / f"{name}.png", drawn, TOLERANCE)
    assert difference is None, difference


def test_a_change_is_seen(tmp_path):
    axes = plots.segmentation(1 - CORE, ONE)
    axes.get_figure(root=True).savefig(tmp_path / "other.png", dpi=DPI)
    picture("segmentation", tmp_path / "same.png")
    assert compare_images(tmp_path / "other.png", tmp_path / "same.png", TOLERANCE)


def test_every_public_figure_has_a_picture():
    drawn = set(plots.__all__) - {"save", "RoiSelector"}
    assert drawn <= set(FIGURES)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in FIGURES:
        picture(each, FOLDER / f"{each}.png")
