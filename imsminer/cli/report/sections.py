"""What the report of ``imsminer run`` says, section by section."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imsminer.cli.report.document import Document
from imsminer.cli.report.quality import ion_current
from imsminer.plots import acquisition_order

__all__ = ["write_report"]

OVERVIEW = {
    "segmentation": "Segments on the tissue.",
    "segment_profiles": "Mean peak intensities of each segment.",
    "ion_images": "Ion images with the most spatial structure (Moran's I).",
    "cluster_images": "Mean image of each group of similar ion images.",
}
COMPARISON = {
    "volcano": "Fold changes and q-values; coloured ions pass both thresholds.",
    "boxes": "The ions with the smallest p-values; each point is a sample.",
    "heatmap": "log2 of the mean of each group over the mean of all, of the ions with "
    "the smallest p-values.",
}
PEAK_COLUMNS = ["mz", "height", "snr", "fwhm", "resolving_power", "frequency"]


def write_report(
    results: Any, pictures: dict[str, bytes], record: dict[str, Any], path: Path
) -> None:
    """Write the report of a run.

    It reads no spectra: the passes of the pipeline gave all that it shows.

    Parameters
    ----------
    results : Results
        What was computed.
    pictures : dict
        The PNG files by name, as they stand beside the report.
    record : dict
        The provenance.
    path : Path
        The file to write.
    """
    page = Document(_title(results), _subtitle(results, record))
    _overview(page, pictures)
    _peaks(page, results)
    _comparison(page, results, pictures)
    _annotation(page, results)
    _quality(page, results)
    _parameters(page, record)
    page.write(path)


def _title(results: Any) -> str:
    runs = results.reader.runs
    names = [str(name) for name in runs.index]
    if len(names) == 1:
        return names[0]
    return f"{len(names)} runs: {', '.join(names[:3])}{', …' if len(names) > 3 else ''}"


def _subtitle(results: Any, record: dict[str, Any]) -> str:
    segments = np.unique(results.steps["segment"].labels_).size
    clusters = results.peaks["cluster"].nunique()
    day = record["created"].replace("T", " ").replace("+00:00", " UTC")
    return (
        f"{len(results.features):,} pixels, {len(results.peaks):,} peaks, "
        f"{segments} segments, {clusters} groups of ions. imsminer "
        f"{record['imsminer']}, {day}"
    )


def _overview(page: Document, pictures: dict[str, bytes]) -> None:
    page.section("Overview")
    _images(page, pictures, OVERVIEW)


def _images(
    page: Document, pictures: dict[str, bytes], captions: dict[str, str]
) -> None:
    for name, caption in captions.items():
        if name in pictures:
            page.image(pictures[name], caption)


def _comparison(page: Document, results: Any, pictures: dict[str, bytes]) -> None:
    table = results.comparison
    if table is None:
        return
    page.section("Comparison")
    settings = table.attrs
    units = settings["unit"]
    left_out = {k: v for k, v in settings["left_out"].items() if v}
    page.facts(
        {
            "groups": settings["group"],
            "samples": units if isinstance(units, str) else list(units),
            "test": settings["test"],
            "inference": f"{settings['inference']} replicates",
            "pixels": settings["n_pixels"],
            "left out, without a value in": left_out or "none",
        }
    )
    notes = sorted(set(table["note"].dropna()) - {""})
    for note in notes:
        page.text_block(note)
    _images(page, pictures, COMPARISON)
    page.table(
        table.sort_values("p", na_position="last"), "All ions", file="comparison.csv"
    )


def _annotation(page: Document, results: Any) -> None:
    hits = results.hits
    if hits is None:
        return
    page.section("Annotation")
    n_peaks = hits["feature"].nunique()
    page.text_block(
        f"{len(hits):,} hits of {n_peaks:,} of {len(results.peaks):,} peaks. A mass "
        "alone does not identify a molecule: isomers and other adducts have the same."
    )
    if "accepted" in hits:
        found, level = hits.attrs["n_accepted"], hits.attrs["fdr"]
        page.text_block(
            f"{found:,} of them are accepted at a false discovery rate of {level:.3g}, "
            "by the images of their isotopologues."
        )
        hits = hits.sort_values(["fdr", "msm"], ascending=[True, False])
    page.table(hits, "Molecules with the mass of a peak", file="annotations.csv")


def _peaks(page: Document, results: Any) -> None:
    picker = results.steps["pick"]
    page.section("Mean spectrum and peaks")
    shown = [name for name in PEAK_COLUMNS if name in results.peaks]
    page.spectrum(
        picker.axis_.centers,
        np.asarray(picker.reference_spectrum_),
        results.peaks[[*shown, "moran", "cluster"]],
        f"Mean spectrum of {len(results.features):,} pixels; triangles mark the "
        "picked peaks.",
    )
    page.table(results.peaks, "Picked peaks", file="peaks.csv")


def _quality(page: Document, results: Any) -> None:
    page.section("Quality")
    reader = results.reader
    current, kind = ion_current(results.steps, results.features)
    runs = reader.pixels["run"].to_numpy()
    error, used = results.mass_error, results.n_tracers
    positive = current[current > 0]
    facts = {
        "pixels": len(reader),
        "pixels that could not be read": len(getattr(reader, "skipped", ())),
        "pixels without signal": int((current <= 0).sum()),
        f"{kind}, median": float(np.median(current)),
        "its coefficient of variation": float(positive.std() / positive.mean())
        if positive.size
        else np.nan,
        "peaks that mass errors are taken from": used,
        "mass error against the mean spectrum, median absolute (ppm)": float(
            np.nanmedian(np.abs(error))
        )
        if np.isfinite(error).any()
        else np.nan,
    }
    page.facts(facts)
    page.picture(
        acquisition_order(current, runs, label=kind),
        f"{kind.capitalize()} of each spectrum in the order of acquisition. A trend is "
        "a change of sensitivity; steps are interruptions.",
    )
    if used:
        page.picture(
            acquisition_order(error, runs, label="mass error (ppm)", zero=True),
            f"Median deviation of {used} frequent peaks of each pixel from their m/z "
            "in the mean spectrum. A trend is a drift of the mass scale, which "
            "alignment corrects.",
        )
    by_run = pd.DataFrame({"run": runs, "tic": current, "error": error})
    if by_run["run"].nunique() > 1:
        table = by_run.groupby("run", sort=False).agg(
            pixels=("tic", "size"),
            median_tic=("tic", "median"),
            median_ppm=("error", "median"),
        )
        page.table(table.reset_index(), "Runs")


def _parameters(page: Document, record: dict[str, Any]) -> None:
    page.section("Parameters and provenance")
    for entry in record["inputs"]:
        page.text_block(entry["run"], kind="h3")
        page.facts({name: value for name, value in entry.items() if name != "run"})
    for step in record["steps"]:
        page.text_block(step["step"], kind="h3")
        page.facts(step["parameters"])
    page.text_block("Software", kind="h3")
    page.facts(
        {
            "imsminer": record["imsminer"],
            "python": record["python"],
            **record["packages"],
            "spectra": record["spectra_fingerprint"],
        }
    )
