"""A study to write: two runs of different size and pixel size, with gaps."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from imsminer.core.peaktable import feature_names

MZ = [500.12345, 773.52721, 773.52722, 885.54989]
TISSUE = "Nieren-Gewebe µ ✓"


def positions(seed, width, height, kept):
    """Distinct places in no order, not starting at 0."""
    rng = np.random.default_rng(seed)
    flat = rng.permutation(width * height)[:kept]
    return flat % width + 11, flat // width + 4


def make_study(*, sizes=((7, 5, 30), (4, 9, 20)), z=(1,), mz=MZ):
    """Features of two runs with everything that can go along."""
    rng = np.random.default_rng(0)
    parts = []
    for number, (width, height, kept) in enumerate(sizes):
        for level in z:
            x, y = positions(10 * number + level, width, height, kept)
            run = ["kidney A", "blæse_2"][number]
            parts.append(pd.DataFrame({"run": run, "x": x, "y": y, "z": level}))
    pixels = pd.concat(parts, ignore_index=True)
    n = len(pixels)
    pixels["tissue type"] = pd.Categorical(
        np.where(pixels["x"] % 2 == 0, TISSUE, "medulla"),
        categories=["unused", TISSUE, "medulla"],
    )
    pixels["note"] = [None if i % 3 == 0 else f'a, "b"\n{i}' for i in range(n)]
    pixels["mixed"] = [i if i % 2 else f"text {i}" for i in range(n)]
    pixels["weight"] = rng.normal(size=n)
    pixels["on"] = rng.random(n) > 0.5
    values = rng.lognormal(sigma=20, size=(n, len(mz))).astype(np.float32)
    values[0, 0], values[1, 0], values[2, 0] = np.nan, np.inf, -0.0
    peaks = pd.DataFrame(
        {
            "mz": np.array(mz, dtype=np.float64),
            "snr": np.where(np.arange(len(mz)) == 1, np.inf, 7.5),
            "bin": np.arange(len(mz)),
            "annotation": [None if i % 2 else f"PC 34:{i} α" for i in range(len(mz))],
        }
    )
    index = pd.MultiIndex.from_frame(pixels[["run", "x", "y", "z"]])
    runs = pd.DataFrame(
        {
            "path": ["/data/blæse.imzML", None, "/data/a.imzML"],
            "polarity": ["negative", "positive", "negative"],
            "pixel_size_x": [25.0, 1.0, 50.0],
            "pixel_size_y": [20.0, 1.0, 50.0],
            "instrument": [None, None, None],
            "n_pixels": [20, 3, 30],
        },
        index=pd.Index(["blæse_2", "not here", "kidney A"], name="run"),
    )
    provenance = {
        "imsminer": "2",
        "inputs": [{"run": "kidney A", "uuid": None}, {"run": "blæse_2", "size": 7}],
        "steps": [{"step": "PeakPicker", "parameters": {"loq": 10, "axis": None}}],
        "levels": [1, 2.5],
        "words": ["a", "é"],
        "none": [],
    }
    return SimpleNamespace(
        features=pd.DataFrame(values, index=index, columns=feature_names(mz)),
        values=values,
        pixels=pixels,
        extras={
            "pixels": pixels,
            "peaks": peaks,
            "runs": runs,
            "provenance": provenance,
        },
        peaks=peaks,
        runs=runs,
        provenance=provenance,
    )


def same_bits(found, expected):
    """Whether float32 arrays agree in every bit, NaN and the sign of 0 included."""
    found, expected = np.ascontiguousarray(found), np.ascontiguousarray(expected)
    assert found.dtype == expected.dtype == np.float32
    assert found.shape == expected.shape
    return np.array_equal(found.view(np.uint32), expected.view(np.uint32))


def check_saved(saved, study):
    """What was read back is what was written; text came back as categories."""
    assert same_bits(saved.features.to_numpy(), study.values)
    assert list(saved.features.columns) == list(study.features.columns)
    assert saved.features.index.names == ["run", "x", "y", "z"]
    assert saved.features.index.tolist() == study.features.index.tolist()
    assert list(saved.pixels.columns) == list(study.pixels.columns)
    for name in ("x", "y", "z", "weight", "on"):
        found, expected = saved.pixels[name], study.pixels[name]
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)
    assert saved.pixels["run"].tolist() == study.pixels["run"].tolist()
    assert saved.pixels["mixed"].tolist() == study.pixels["mixed"].map(str).tolist()
    tissue = saved.pixels["tissue type"]
    assert tissue.tolist() == study.pixels["tissue type"].tolist()
    assert TISSUE in tissue.cat.categories
    note = saved.pixels["note"]
    assert note.isna().tolist() == study.pixels["note"].isna().tolist()
    assert note.dropna().tolist() == study.pixels["note"].dropna().tolist()
    assert list(saved.peaks.columns) == list(study.peaks.columns)
    for name in ("mz", "snr", "bin"):
        assert saved.peaks[name].dtype == study.peaks[name].dtype
        assert np.array_equal(saved.peaks[name], study.peaks[name])
    annotation = saved.peaks["annotation"]
    assert annotation.isna().tolist() == study.peaks["annotation"].isna().tolist()
    assert annotation.dropna().tolist() == study.peaks["annotation"].dropna().tolist()
    assert saved.runs.index.tolist() == ["kidney A", "blæse_2"]
    assert saved.runs["pixel_size_y"].tolist() == [50.0, 20.0]
    assert saved.runs["path"].tolist() == ["/data/a.imzML", "/data/blæse.imzML"]
    assert saved.runs["instrument"].isna().all()
    assert saved.provenance == study.provenance
