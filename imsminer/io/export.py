"""Ways out: features as AnnData, SpatialData, images, and files of many programs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imsminer.io._atomic import atomic_path
from imsminer.io._export_anndata import build_anndata, read_h5ad, write_h5ad
from imsminer.io._export_images import fill_stack, image_planes
from imsminer.io._export_npz import write_npz
from imsminer.io._export_ome import write_ome_tiff
from imsminer.io._export_spatialdata import build_spatialdata, write_spatialdata
from imsminer.io._export_table import FeatureTable, SavedFeatures, feature_table
from imsminer.io._export_tabular import read_parquet, write_csv, write_parquet
from imsminer.io._export_zarr import MARK, read_zarr, write_zarr

__all__ = [
    "FORMATS",
    "SavedFeatures",
    "read_features",
    "to_anndata",
    "to_image_stack",
    "to_spatialdata",
    "write_features",
]

_WRITERS: dict[str, Callable[[FeatureTable, Path], None]] = {
    "h5ad": write_h5ad,
    # Before the ending that it ends in.
    "sdata.zarr": write_spatialdata,
    "zarr": write_zarr,
    "ome.tif": write_ome_tiff,
    "ome.tiff": write_ome_tiff,
    "parquet": write_parquet,
    "csv": write_csv,
    "npz": write_npz,
}
_READERS: dict[str, Callable[[Path], SavedFeatures]] = {
    "h5ad": read_h5ad,
    "zarr": read_zarr,
    "parquet": read_parquet,
}
#: Formats of :func:`write_features`, by the ending of the file's name.
FORMATS = tuple(_WRITERS)


def to_anndata(
    features: Any,
    *,
    pixels: Any = None,
    peaks: Any = None,
    runs: Any = None,
    provenance: dict[str, Any] | None = None,
) -> Any:
    """Return features as AnnData, the table of scanpy and squidpy.

    Parameters
    ----------
    features : DataFrame or array of shape (n_pixels, n_peaks)
        One row per pixel. A DataFrame with the index (run, x, y, z), as
        :class:`~imsminer.PeakIntegrator` returns it, says where its pixels are; else
        give `pixels`. NaN and infinity are kept, and counted in
        ``uns["n_not_finite"]``. Arrays of any library are read on the host.
    pixels : DataFrame, default=None
        One row per row of `features`, in the same order: run, x, y, z and any columns
        of yours, such as ``spectra.pixels``.
    peaks : DataFrame, default=None
        One row per column of `features`, in the same order, such as
        ``PeakPicker.peaks_``. Without it, m/z are read from names like
        ``"mz_773.5272"``.
    runs : DataFrame, default=None
        One row per run, indexed by name, such as ``spectra.runs``. Its `pixel_size_x`
        and `pixel_size_y` (µm) give positions a scale.
    provenance : dict, default=None
        What the features were made of, such as
        :func:`imsminer.core.provenance.provenance` returns.

    Returns
    -------
    AnnData
        ``X``: float32, (n_pixels, n_peaks), not copied where it is float32 already:
        what changes ``X`` in place changes `features`. ``obs``: run (categorical), x,
        y, z and your columns, under unique names such as ``"kidney_12_7_1"``.
        ``var``: the peaks, under the features' names. ``obsm["spatial"]``: float64,
        (n_pixels, 2), the centres (x, y) in ``uns["spatial_unit"]``: ``"micrometer"``
        when the pixel size of all runs is known, else ``"pixel"``. ``uns["runs"]``,
        ``uns["provenance"]`` (nested dicts and arrays, without what is None) and
        ``uns["provenance_json"]`` (all of it, as text). Text and mixed columns are
        categorical; a slash in a column's name becomes an underscore. It can be
        written with ``write_h5ad`` and ``write_zarr`` as it is.

    Raises
    ------
    ValueError
        When the parts do not fit together, or nothing says where the pixels are.
    OptionalDependencyError
        When anndata is not installed.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer.io.export import to_anndata
    >>> pixels = pd.DataFrame({"run": "a", "x": [1, 2], "y": [1, 1], "z": 1})
    >>> features = pd.DataFrame({"mz_773.5272": [1.0, 2.0]})
    >>> adata = to_anndata(features, pixels=pixels)
    >>> adata.obs_names.tolist(), adata.var["mz"].tolist()
    (['a_1_1_1', 'a_2_1_1'], [773.5272])
    """
    return build_anndata(
        feature_table(
            features, pixels=pixels, peaks=peaks, runs=runs, provenance=provenance
        )
    )


def to_spatialdata(
    features: Any,
    *,
    pixels: Any = None,
    peaks: Any = None,
    runs: Any = None,
    provenance: dict[str, Any] | None = None,
) -> Any:
    """Return features as SpatialData: images, pixels as shapes, and a table.

    Parameters
    ----------
    features, pixels, peaks, runs, provenance
        As in :func:`to_anndata`.

    Returns
    -------
    SpatialData
        For each run, and for each z where a run has several, a coordinate system of
        its own in µm (in pixels unless all pixel sizes are known;
        ``attrs["spatial_unit"]`` says which), named as the run with underscores for
        what SpatialData does not allow. In it lie ``<name>_image``, float32 (c, y, x)
        with the features' names as channels and NaN where no pixel was measured, and
        ``<name>_pixels``, a rectangle per pixel: pixels tile the plane, as circles
        would not. The table ``features`` is what :func:`to_anndata` returns, and
        annotates the rectangles by its columns `element` and `instance_id`.

    Raises
    ------
    ValueError
        As in :func:`to_anndata`; when there is no pixel or no feature; when two pixels
        of a run lie at one position.
    OptionalDependencyError
        When spatialdata is not installed.

    Notes
    -----
    All images are held in memory: 4 bytes × peaks × width × height.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer.io.export import to_spatialdata
    >>> pixels = pd.DataFrame({"run": "a", "x": [1, 2], "y": [1, 1], "z": 1})
    >>> features = pd.DataFrame({"mz_773.5272": [1.0, 2.0]})
    >>> sdata = to_spatialdata(features, pixels=pixels)  # doctest: +SKIP
    >>> sdata["a_image"].shape  # doctest: +SKIP
    (1, 1, 2)
    """
    return build_spatialdata(
        feature_table(
            features, pixels=pixels, peaks=peaks, runs=runs, provenance=provenance
        )
    )


def to_image_stack(
    features: Any,
    *,
    run: str | None = None,
    z: int | None = None,
    fill: float = np.nan,
    pixels: Any = None,
) -> np.ndarray:
    """Arrange features as images, one per peak.

    Parameters
    ----------
    features, pixels
        As in :func:`to_anndata`.
    run : str, default=None
        Which run; needed when there are several.
    z : int, default=None
        Which plane of it; needed when there are several.
    fill : float, default=nan
        Value where there is no pixel.

    Returns
    -------
    ndarray of float32, shape (n_peaks, height, width)
        The bounding box of the run's pixels, over all of its planes: row
        ``y - y.min()``, column ``x - x.min()``.

    Raises
    ------
    ValueError
        As in :func:`to_anndata`; when there are several runs or planes and none is
        chosen, or not the one that is; when two pixels lie at one position.

    Examples
    --------
    >>> import pandas as pd
    >>> from imsminer.io.export import to_image_stack
    >>> index = pd.MultiIndex.from_tuples(
    ...     [("a", 11, 7, 1), ("a", 12, 7, 1), ("a", 12, 8, 1)],
    ...     names=["run", "x", "y", "z"],
    ... )
    >>> features = pd.DataFrame({"mz_773.5272": [1.0, 2.0, 3.0]}, index=index)
    >>> to_image_stack(features)
    array([[[ 1.,  2.],
            [nan,  3.]]], dtype=float32)
    """
    table = feature_table(features, pixels=pixels)
    planes = image_planes(table, _chosen("run", run, table.run_names))
    levels = [plane.z for plane in planes]
    plane = planes[levels.index(_chosen("z", z, levels))]
    return fill_stack(table.values, plane, fill)


def write_features(
    features: Any,
    path: str | os.PathLike,
    *,
    format: str | None = None,
    pixels: Any = None,
    peaks: Any = None,
    runs: Any = None,
    provenance: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write features to a file; its ending chooses the format.

    What is written appears under its name when it is complete: an interrupted call
    leaves nothing, and what was there before.

    Parameters
    ----------
    features, pixels, peaks, runs, provenance
        As in :func:`to_anndata`.
    path : path-like
        The file to write. Its folder must exist.
    format : str, default=None
        One of the endings below; `None` takes that of `path`.

        - ``.h5ad``: what :func:`to_anndata` returns.
        - ``.sdata.zarr``: a folder, what :func:`to_spatialdata` returns.
        - ``.zarr``: a folder, a plain Zarr group of version 3: ``features`` in chunks
          of about 1 MB, bundled into shards of up to 64 MB; ``coordinates``, ``run``,
          ``mz``, ``pixels/`` and ``peaks/`` with the other columns, text as codes of
          the attribute `categories`.
        - ``.ome.tif``, ``.ome.tiff``: a series per run, a channel per feature named
          as it, float32, compressed with zlib; NaN where no pixel was measured.
          BigTIFF where the images need it.
        - ``.parquet``: run, x, y, z, your columns and the features; peaks, runs and
          provenance as JSON under the key ``imsminer`` of the schema's metadata.
        - ``.csv``: the same columns as text in UTF-8, with a comma and a header.
          Numbers read back as the same float32; NaN is an empty field. Neither
          peaks, runs nor provenance.
        - ``.npz``: ``images_0``, …, a stack as from :func:`to_image_stack` for each
          plane of each run, whose `run`, `z`, `offset` (x, y of the first column and
          row) and `pixel_size` (µm) are arrays beside it, as are `mz` and `names`.
    overwrite : bool, default=False
        Whether what is at `path` may be replaced.

    Raises
    ------
    ValueError
        When the format is not known, or as in :func:`to_anndata`. Images (OME-TIFF and
        .npz) need a pixel and a feature at least, and one pixel per position.
    FileExistsError
        When `path` exists and `overwrite` is off, or is something of another kind.
    FileNotFoundError
        When the folder does not exist.
    OptionalDependencyError
        When the library of the format is not installed.

    See Also
    --------
    read_features : Reads .h5ad, .zarr and .parquet again.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from imsminer.io.export import read_features, write_features
    >>> pixels = pd.DataFrame({"run": "a", "x": [1, 2], "y": [1, 1], "z": 1})
    >>> features = pd.DataFrame({"mz_773.5272": [1.0, 2.0]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_features(features, f"{folder}/a.parquet", pixels=pixels)
    ...     read_features(f"{folder}/a.parquet").features
               mz_773.5272
    run x y z
    a   1 1 1          1.0
        2 1 1          2.0
    """
    name = _format_of(path, format, FORMATS, "write_features")
    table = feature_table(
        features, pixels=pixels, peaks=peaks, runs=runs, provenance=provenance
    )
    mark = MARK if name.endswith("zarr") else None
    with atomic_path(path, overwrite=overwrite, mark=mark) as target:
        _WRITERS[name](table, target)


def read_features(
    path: str | os.PathLike, *, format: str | None = None
) -> SavedFeatures:
    """Read what :func:`write_features` wrote.

    Parameters
    ----------
    path : path-like
        A .parquet, .zarr or .h5ad file.
    format : str, default=None
        One of these endings; `None` takes that of `path`.

    Returns
    -------
    SavedFeatures
        Named tuple (features, pixels, peaks, runs, provenance), in the form that
        :func:`write_features` takes them. Values are the same bit for bit; text is
        categorical.

    Raises
    ------
    ValueError
        When the format cannot be read back, or the file is another program's.
    """
    name = _format_of(path, format, tuple(_READERS), "read_features")
    if not Path(path).exists():
        message = f"{path} does not exist."
        raise FileNotFoundError(message)
    return _READERS[name](Path(path))


def _format_of(
    path: str | os.PathLike, name: str | None, known: tuple[str, ...], function: str
) -> str:
    """Return the format that is asked for or that the path ends in."""
    listed = ", ".join(f".{item}" for item in known)
    if name is not None:
        chosen = name.lower().removeprefix(".")
        if chosen in known:
            return chosen
        message = f"{function}: format must be one of {listed}; got {name!r}."
        raise ValueError(message)
    lower = Path(path).name.lower()
    for item in known:
        if lower.endswith(f".{item}"):
            return item
    message = (
        f"{function}: the ending of {Path(path).name!r} is none of {listed}. Rename "
        "it, or pass format=."
    )
    raise ValueError(message)


def _chosen(what: str, asked: Any, found: list[Any]) -> Any:
    """Return the run or plane that is asked for, or the only one."""
    if asked is None and len(found) == 1:
        return found[0]
    if asked in found:
        return asked
    if not found:
        message = "to_image_stack: features have no pixels, so there is no image."
    elif asked is None:
        message = f"to_image_stack: there are several; pass {what}=, one of {found}."
    else:
        message = f"to_image_stack: {what} must be one of {found}, got {asked!r}."
    raise ValueError(message)
