"""Every step, and spectra that are odd in one way each."""

import numpy as np

from imsminer import (
    BaselineSubtractor,
    CentroidSpectra,
    MassAligner,
    MassCalibrator,
    MaxNormalizer,
    MedianNormalizer,
    PeakIntegrator,
    PeakPicker,
    PQNNormalizer,
    ReferenceNormalizer,
    RMSNormalizer,
    Spectra,
    SpectraCache,
    SpectrumSmoother,
    TICNormalizer,
    TrimmedTICNormalizer,
)

#: 400 points at m/z 500 to 504, peaks at the landmarks.
MZ = 500 + 0.01 * np.arange(400)
LANDMARKS = MZ[np.arange(20, 400, 40)]

BASELINES = {
    f"baseline {method}": BaselineSubtractor(method=method)
    for method in (
        "snip",
        "tophat",
        "median",
        "local_minima",
        "polynomial",
        "noise",
        "pybaselines:snip",
    )
}
BASELINES["baseline ppm"] = BaselineSubtractor(half_window=500.0, unit="ppm")
BASELINES["baseline mean"] = BaselineSubtractor(reference="mean")

SMOOTHERS = {
    f"smooth {method}": SpectrumSmoother(method=method)
    for method in ("savgol", "gaussian", "moving_average", "median")
}
SMOOTHERS["smooth ppm"] = SpectrumSmoother(width=100.0, unit="ppm")

ALIGNERS = {
    "align": MassAligner(reference=LANDMARKS, min_matches=5),
    "align itself": MassAligner(min_matches=5),
    "align shift": MassAligner(reference=LANDMARKS, model="shift", min_matches=5),
    "align piecewise": MassAligner(
        reference=LANDMARKS, model="piecewise", min_matches=5
    ),
    "align grid": MassAligner(reference=LANDMARKS, method="grid", min_matches=5),
}

CALIBRATORS = {
    f"calibrate {per}": MassCalibrator(LANDMARKS, per=per) for per in ("run", "pixel")
}

PICKERS = {
    "pick": PeakPicker(),
    "pick max": PeakPicker(reference="mean+max", noise="mad"),
    "pick windowed": PeakPicker(noise="windowed_mad", min_moran=0.0),
    "pick difference": PeakPicker(noise="difference", smoothing="matched"),
    "pick quantile": PeakPicker(noise="quantile", rel_height=0.9),
    "pick residual": PeakPicker(noise="residual_sd"),
    "pick pixels": PeakPicker(mode="pixel", min_frequency=0.01),
    "pick targets": PeakPicker(targets=LANDMARKS),
}

INTEGRATORS = {
    f"integrate {method}": PeakIntegrator(
        peaks=LANDMARKS, window="ppm", width=40.0, method=method, observe=True
    )
    for method in ("auto", "area", "sum", "max", "mean")
}

NORMALIZERS = {
    "tic": TICNormalizer(),
    "rms": RMSNormalizer(),
    "median": MedianNormalizer(),
    "max": MaxNormalizer(),
    "reference": ReferenceNormalizer(mz=float(LANDMARKS[0])),
    "trimmed": TrimmedTICNormalizer(),
    "pqn": PQNNormalizer(),
}

STEPS = {
    **BASELINES,
    **SMOOTHERS,
    **ALIGNERS,
    **CALIBRATORS,
    **PICKERS,
    **INTEGRATORS,
    **NORMALIZERS,
    "centroid": CentroidSpectra(),
    "cache": SpectraCache(),
}


def good(n=6, seed=0):
    """Peaks at the landmarks above some noise, all positive."""
    random = np.random.default_rng(seed)
    distance = (MZ[:, None] - LANDMARKS) / 0.02
    shape = np.exp(-0.5 * distance**2) @ random.uniform(50, 500, LANDMARKS.size)
    X = random.uniform(0.5, 1.5, (n, 1)) * shape
    return X + np.abs(random.normal(5.0, 1.0, X.shape))


def spectra_of(X, form, mz=MZ, **options):
    """Rows on a shared axis, or as spectra with axes of their own."""
    X = np.asarray(X, float)
    if form == "shared":
        return Spectra.from_arrays(X, mz, **options)
    indptr = np.arange(X.shape[0] + 1) * X.shape[1]
    return Spectra.from_arrays(X.ravel(), np.tile(mz, len(X)), indptr=indptr, **options)


def intensities(result):
    """All numbers that a step gave."""
    if isinstance(result, Spectra):
        parts = [np.asarray(y, float) for _, y in result]
        parts += [np.asarray(mz, float) for mz, _ in result]
        return np.concatenate([np.zeros(0), *parts])
    return np.asarray(result, float).ravel()
