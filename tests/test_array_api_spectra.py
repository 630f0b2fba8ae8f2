"""Steps on Spectra whose chunks another library holds, and whole pipelines of them."""

import os

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import imsminer
from imsminer import (
    BaselineSubtractor,
    HotspotClipper,
    ImageClusterer,
    InSituSegmenter,
    MassAligner,
    PeakIntegrator,
    PeakPicker,
    Spectra,
    SpectrumSmoother,
    TICNormalizer,
)
from imsminer._array import to_numpy
from tests.other_arrays import (
    MZ,
    N_PIXELS,
    PEAKS,
    PLACES,
    PROFILES,
    TABLE,
    WINDOWS,
    agree,
    attributes,
    close,
)

pytestmark = pytest.mark.skipif(
    os.environ.get("SCIPY_ARRAY_API") != "1",
    reason="array_api_dispatch needs SCIPY_ARRAY_API=1 from the start",
)

#: Settings of steps on Spectra where they are not those on arrays.
ON_SPECTRA = {
    "MassAligner": [
        {"tolerance": 50, "min_matches": 3} | more
        for more in (
            {"model": "piecewise"},
            {"model": "shift", "reference": MZ[WINDOWS.astype(int)]},
            {"method": "grid"},
        )
    ],
    "MassCalibrator": [
        {"reference_mz": MZ[WINDOWS.astype(int)], "tolerance": 60.0, "per": per}
        for per in ("run", "pixel")
    ],
    "PQNNormalizer": [{}],
    "PeakIntegrator": [
        {"peaks": PEAKS.map(lambda x: MZ[int(x)]), "method": name, "observe": True}
        for name in ("area", "sum", "max", "mean")
    ],
    "PeakPicker": [
        {"noise": 1.0, "min_points": 3, "mode": mode} for mode in ("reference", "pixel")
    ],
    "ReferenceNormalizer": [{"mz": MZ[52], "ppm": 60}],
    "TrimmedTICNormalizer": [{"trim": 0.3, "exclude": [MZ[32]], "ppm": 60}],
}
STEPS = [
    pytest.param(name, settings, id=f"{name}-{i}")
    for name in TABLE
    if "spectra" in getattr(imsminer, name).__module__ or name == "PeakIntegrator"
    for i, settings in enumerate(ON_SPECTRA.get(name, TABLE[name][1]))
    if "pybaselines" not in settings.get("method", "")
]


def delivered(answer):
    """The arrays that Spectra deliver, or the features."""
    if not isinstance(answer, Spectra):
        return [to_numpy(answer)]
    chunks = list(answer.iter_chunks())
    parts = [[to_numpy(chunk.intensity) for chunk in chunks]]
    if chunks[0].indptr is not None:
        parts.append([to_numpy(chunk.mz) for chunk in chunks])
        parts.append([np.diff(to_numpy(chunk.indptr)) for chunk in chunks])
    return [np.concatenate(part) for part in parts]


@pytest.mark.filterwarnings("ignore:MassCalibrator. run .* left as it is:UserWarning")
@pytest.mark.parametrize("kind", ["shared", "ragged"])
@pytest.mark.parametrize(("name", "settings"), STEPS)
def test_steps_on_spectra_stay_on_the_device(name, settings, kind, library):
    X = spectra(kind)[:4]
    moved = X.to(library.xp, device=library.device)
    own = getattr(imsminer, name)(**settings)
    other = clone(own)
    expected, found = own.fit_transform(X), other.fit_transform(moved)
    assert isinstance(found, Spectra) == isinstance(expected, Spectra)
    if isinstance(found, Spectra):
        assert library.owns(next(found.iter_chunks()).intensity)
    else:
        assert library.owns(found)
    for one, theirs in zip(delivered(expected), delivered(found), strict=True):
        close(theirs, one, 1e-5, name)
    for key, value in attributes(own).items():
        if isinstance(value, pd.DataFrame):
            agree(getattr(other, key), value, library, 1e-5, key)


def whole_pipeline(last, tolerance):
    return make_pipeline(
        SpectrumSmoother(width=5),
        BaselineSubtractor(half_window=15),
        MassAligner(tolerance=tolerance, min_matches=4),
        TICNormalizer(),
        PeakPicker(noise=1.0, min_points=3),
        PeakIntegrator(),
        HotspotClipper(),
        last,
    )


LAST = {
    "segmenter": InSituSegmenter(n_clusters=3, n_init=2, random_state=0),
    "spatial": InSituSegmenter(
        n_clusters=3, n_init=2, spatial_radius=1, random_state=0
    ),
    "clusterer": ImageClusterer(n_clusters=3, n_init=2, random_state=0),
}


def spectra(kind):
    """Profiles as an array, on a shared axis, or without their zeros."""
    if kind == "array":
        return PROFILES
    if kind == "shared":
        return Spectra.from_arrays(PROFILES, MZ, PLACES)
    # Few of them, for which the kernels of reference take their time.
    X = PROFILES[::4]
    stored = X > 6
    return Spectra.from_arrays(
        X[stored],
        np.broadcast_to(MZ, stored.shape)[stored],
        PLACES[::4],
        indptr=np.append(0, np.cumsum(stored.sum(axis=1))),
        profile=True,
    )


@pytest.mark.parametrize("kind", ["array", "shared", "ragged"])
def test_a_whole_pipeline_finds_what_numpy_does(kind, library):
    X = spectra(kind)
    moved = (
        library.put(X) if kind == "array" else X.to(library.xp, device=library.device)
    )
    places = PLACES[:: N_PIXELS // len(X)]
    for last in LAST:
        pipe = whole_pipeline(LAST[last], tolerance=3 if kind == "array" else 50)
        where = {} if last == "segmenter" else {"coordinates": places}
        given = {f"{pipe.steps[-1][0]}__{name}": where[name] for name in where}
        expected, found = clone(pipe).fit(X, **given), clone(pipe)
        with config_context(array_api_dispatch=True):
            found.fit(moved, **given)
            features = found[:-1].transform(moved)
            where = {} if last == "clusterer" else where
            answer = found[-1].transform(features, **where)
        peaks = found["peakpicker"].peaks_, expected["peakpicker"].peaks_
        assert len(peaks[0]) == len(peaks[1]) >= 5
        here = expected[:-1].transform(X)
        agree(features, np.asarray(here), library, 1e-5, "features")
        agree(found[-1].labels_, expected[-1].labels_, library, 0, "labels")
        there = expected[-1].transform(here, **where)
        agree(answer, there, library, 1e-4, "answer")
        assert len(np.unique(expected[-1].labels_)) == 3
