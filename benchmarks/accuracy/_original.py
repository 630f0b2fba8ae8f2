"""Runs parts of iMSminer 1.1.1; for an environment that has it, and not imsminer.

    python _original.py TASK ARGUMENTS.npz RESULTS.npz

Called by `_rivals.original`. The package asks for its settings by `input`, which is
answered here, and names CuPy in an annotation without importing it. None of this
touches what it computes.
"""

import builtins
import contextlib
import io
import logging
import os
import sys
import tempfile
import types
import warnings

import numpy as np


def prepare():
    """Set up what the package needs to be imported without a screen and a GPU."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    builtins.cp = types.SimpleNamespace(ndarray=np.ndarray)
    warnings.filterwarnings("ignore")
    logging.disable(logging.INFO)


def answer(rules):
    """Answer the questions that hold a key of `rules` with its value."""

    def reply(question=""):
        for key, value in rules:
            if key in question:
                return str(value)
        message = f"no answer to: {question}"
        raise RuntimeError(message)

    builtins.input = reply


def preprocess(path, method, loq, dist, power, at_mz, factor, baseline, degree):
    """Pick peaks as its tutorial does."""
    from iMSminer import data_preprocessing

    source, target = tempfile.mkdtemp(), tempfile.mkdtemp()
    stem = os.path.basename(path)[:-6]
    for ending in (".imzML", ".ibd"):
        os.symlink(path[:-6] + ending, os.path.join(source, stem + ending))
    answer(
        [
            ("directory of imzML", source),
            ("saving preprocessed", target),
            ("minimum number of data points", dist),
            ("coefficient k such that", loq),
            ("z_score", 3),
            ("resolving power (FWHM)", power),
            ("m/z at which resolving power", at_mz),
            ("Scale number of m/z bins", factor),
            ("Select binning method", "binning_even"),
            ("Satisfied with", "yes"),
            ("degree of regression", degree),
            ("coefficient k for baseline", 3),
        ]
    )
    tool = data_preprocessing.Preprocess()
    tool.peak_pick(
        percent_RAM=5,
        pp_method=method,
        peak_alignment=False,
        baseline_subtract=bool(baseline),
        baseline_method=baseline or "noise",
    )
    return tool


def pick(path, method, loq, dist, power, at_mz, factor, integrate):
    """Return peaks at each `loq`, and the features of the first."""
    from scipy.signal import find_peaks

    results = {}
    for k, value in enumerate(np.atleast_1d(loq)):
        if k == 0:
            tool = preprocess(
                path, method, value, int(dist), power, at_mz, factor, "", 2
            )
            found = tool.p2
        else:
            # The call that it makes, at another height.
            found, _ = find_peaks(
                tool.avg_spectrum, height=value * tool.noise, distance=tool.dist
            )
        results[f"mz{k}"] = tool.mzs[found]
    if integrate:
        tool.run(percent_RAM=5, peak_alignment=False, integrate_method=integrate)
        results["features"] = tool.peaks_df.to_numpy().T
    return results


def baseline(path, method, degree):
    """Return the curve that it subtracts from each spectrum."""
    tool = preprocess(path, "automatic", 10, 6, 10_000, 500, 2, method, int(degree))
    curve = np.broadcast_to(tool.baseline_pred, tool.mzs.shape)
    return {"mz": tool.mzs, "baseline": curve}


def align(x, X, peaks, width, reach):
    """Return the shift and the scale that msalign finds for each row."""
    from msalign import Aligner

    aligner = Aligner(
        x,
        X,
        peaks,
        method="linear",
        width=float(width),
        shift_range=[-float(reach), float(reach)],
        only_shift=False,
        align_by_index=False,
    )
    aligner.run()
    return {"shift": aligner.shift_opt, "scale": aligner.scale_opt}


def _analysis():
    from iMSminer.data_analysis import DataAnalysis

    tool = object.__new__(DataAnalysis)
    tool.data_dir, tool.fig_ratio = tempfile.mkdtemp(), 4
    return tool


def calibrate(mz, reference, degree):
    """Return picked m/z after calibration."""
    import pandas as pd

    tool = _analysis()
    tool.mz = pd.Series(mz)
    masses = " ".join(repr(float(value)) for value in reference)
    answer(
        [
            ("Enter the degree", int(degree)),
            ("reference m/z's", masses),
            ("Accept changes", "yes"),
        ]
    )
    tool.calibrate_mz()
    return {"mz": tool.mz.to_numpy()}


def normalize(features, method):
    """Return normalised features."""
    import pandas as pd

    tool = _analysis()
    tool.df_pixel_all = pd.DataFrame(features)
    tool.df_pixel_all["x"] = 0
    tool.normalize_pixel(method=method)
    return {"features": tool.df_pixel_all.iloc[:, :-1].to_numpy(dtype=float)}


TASKS = {
    "pick": pick,
    "baseline": baseline,
    "align": align,
    "calibrate": calibrate,
    "normalize": normalize,
}


def main():
    prepare()
    task, arguments, results = sys.argv[1:]
    with np.load(arguments) as stored:
        keywords = {
            key: value.item() if value.ndim == 0 else value
            for key, value in stored.items()
        }
    with contextlib.redirect_stdout(io.StringIO()):
        found = TASKS[task](**keywords)
    np.savez(results, **found)


if __name__ == "__main__":
    main()
