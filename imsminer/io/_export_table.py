"""What every way out starts from: checked features, pixels, peaks, runs."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imsminer._array import to_numpy
from imsminer.core.peaktable import feature_mz, feature_names

__all__ = [
    "FeatureTable",
    "SavedFeatures",
    "feature_table",
]

POSITION = ("run", "x", "y", "z")
#: Names and peaks of one feature differ by no more than a calibration would move.
_SAME_PPM = 100.0
#: Cells looked at or converted at once.
_BLOCK = 1 << 22


@dataclass(frozen=True)
class FeatureTable:
    """Features with all that belongs to them, checked to fit together.

    Attributes
    ----------
    values : ndarray of float32, shape (n_pixels, n_features)
        May be the memory of the caller's DataFrame: never written to.
    names : list of str
        A unique name per feature.
    mz : ndarray of float64, shape (n_features,)
        NaN where neither peaks nor name say it.
    pixels : DataFrame
        run (categorical), x, y, z (int64), then the user's columns.
    peaks : DataFrame
        One row per feature, with `mz` first.
    runs : DataFrame
        One row per run that has pixels, indexed by name.
    provenance : dict or None
        What the features were made of.
    """

    values: np.ndarray
    names: list[str]
    mz: np.ndarray
    pixels: pd.DataFrame
    peaks: pd.DataFrame
    runs: pd.DataFrame
    provenance: dict[str, Any] | None

    @property
    def user_columns(self) -> list[str]:
        """Names of the pixels' columns that the user added."""
        return [name for name in self.pixels.columns if name not in POSITION]

    @property
    def run_names(self) -> list[str]:
        """Names of the runs that have pixels, in order of first appearance."""
        return [str(name) for name in self.pixels["run"].cat.categories]

    @cached_property
    def n_not_finite(self) -> int:
        """How many values are NaN or infinite."""
        return sum(
            int(np.count_nonzero(~np.isfinite(self.values[rows])))
            for rows in self.row_blocks(max(1, _BLOCK // max(1, len(self.names))))
        )

    @property
    def provenance_json(self) -> str:
        """The provenance as JSON; ``"null"`` without any."""
        return json.dumps(self.provenance, default=_jsonable)

    def row_blocks(self, size: int) -> Iterator[slice]:
        """Slices of at most `size` rows that cover all pixels."""
        for start in range(0, len(self.pixels), size):
            yield slice(start, min(start + size, len(self.pixels)))

    def pixel_size(self, run: str) -> tuple[float, float] | None:
        """Width and height of a pixel of `run` in µm, or None when not known."""
        columns = ["pixel_size_x", "pixel_size_y"]
        if run not in self.runs.index or not set(columns) <= set(self.runs.columns):
            return None
        x, y = (float(self.runs.at[run, column]) for column in columns)
        known = np.isfinite(x) and np.isfinite(y) and x > 0 and y > 0
        return (x, y) if known else None


class SavedFeatures(NamedTuple):
    """What :func:`imsminer.io.export.read_features` returns."""

    features: pd.DataFrame
    """float32, (n_pixels, n_peaks), indexed by (run, x, y, z)."""
    pixels: pd.DataFrame
    """One row per pixel: run, x, y, z and the columns that were added."""
    peaks: pd.DataFrame
    """One row per feature, with its `mz`."""
    runs: pd.DataFrame
    """One row per run."""
    provenance: dict[str, Any] | None
    """What the features were made of."""


def feature_table(
    features: Any,
    *,
    pixels: Any = None,
    peaks: Any = None,
    runs: Any = None,
    provenance: Any = None,
) -> FeatureTable:
    """Check that the parts fit together, and bring them into one form.

    Raises
    ------
    ValueError
        When lengths or the order of rows do not fit, nothing says where pixels are,
        names are not unique, or values are no numbers that float32 can hold.
    """
    if provenance is not None and not isinstance(provenance, dict):
        message = f"provenance must be a dict or None, got {type(provenance).__name__}."
        raise ValueError(message)
    frame = isinstance(features, pd.DataFrame)
    given = features if frame else to_numpy(features)
    if given.ndim != 2:
        message = (
            "features must be a table (n_pixels, n_features), got an array of shape "
            f"{given.shape}."
        )
        raise ValueError(message)
    names, mz = _names(given, peaks)
    table = _pixels(given, pixels)
    return FeatureTable(
        values=_values(given),
        names=names,
        mz=mz,
        pixels=table,
        peaks=_peaks(peaks, mz),
        runs=_runs(runs, list(table["run"].cat.categories)),
        provenance=provenance,
    )


def _values(given: Any) -> np.ndarray:
    if isinstance(given, pd.DataFrame):
        wrong = [
            str(name)
            for name, dtype in zip(given.columns, given.dtypes, strict=True)
            if not (pd.api.types.is_numeric_dtype(dtype) and dtype.kind in "buif")
        ]
        if wrong:
            message = (
                f"features must hold real numbers; the columns {wrong[:5]} do not. "
                "Columns that describe pixels belong into pixels=."
            )
            raise ValueError(message)
        values = _numbers(given)
    else:
        values = given
    if values.dtype == np.float32:
        return values
    if values.dtype.kind not in "buif":
        message = f"features must hold real numbers, got an array of {values.dtype}."
        raise ValueError(message)
    with np.errstate(over="ignore"):
        stored = values.astype(np.float32)
    if values.dtype.kind == "f" and np.any(np.isinf(stored) & ~np.isinf(values)):
        message = (
            "features hold values beyond 3.4e38, the largest that float32 can store. "
            "Scale them first."
        )
        raise ValueError(message)
    return stored


def _numbers(frame: pd.DataFrame) -> np.ndarray:
    """Return the cells of numeric columns; a view where all are of one type."""
    plain = [dtype for dtype in frame.dtypes if isinstance(dtype, np.dtype)]
    if len(plain) < frame.shape[1]:
        # pandas' own numbers, which may be missing.
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    return frame.to_numpy(dtype=np.result_type(np.bool_, *set(plain)))


def _names(given: Any, peaks: Any) -> tuple[list[str], np.ndarray]:
    """Return the name and m/z of each feature."""
    n_features = given.shape[1]
    if peaks is not None and not isinstance(peaks, pd.DataFrame):
        message = f"peaks must be a DataFrame or None, got {type(peaks).__name__}."
        raise ValueError(message)
    if peaks is not None and len(peaks) != n_features:
        message = (
            f"peaks has {len(peaks)} rows, but features has {n_features} columns: pass "
            "the rows of peaks that belong to these features, in their order."
        )
        raise ValueError(message)
    listed = None if peaks is None else peaks.get("mz")
    if isinstance(given, pd.DataFrame):
        names = [str(name) for name in given.columns]
    elif listed is not None:
        names = feature_names(listed)
    else:
        names = [f"x{i}" for i in range(n_features)]
    _check_unique(names, "features has columns")
    named = feature_mz(names)
    if listed is None:
        return names, named
    mz = listed.to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore"):
        far = np.abs(named - mz) > _SAME_PPM * 1e-6 * np.abs(named)
        # Two within that distance must still rise together, up to the names' rounding.
        order = np.argsort(named, kind="stable")
        far[order[1:]] |= np.diff(mz[order]) < -1e-4
    if far.any():
        i = int(np.argmax(far))
        message = (
            f"features and peaks are not in the same order: column {i} of features is "
            f"{names[i]!r}, row {i} of peaks has the m/z {mz[i]:.4f}."
        )
        raise ValueError(message)
    return names, mz


def _pixels(given: Any, pixels: Any) -> pd.DataFrame:
    """Return run, x, y, z and the user's columns, in the order of the features."""
    index: Any = given.index if isinstance(given, pd.DataFrame) else None
    has_index = isinstance(index, pd.MultiIndex) and {"x", "y"} <= set(index.names)
    if pixels is None and not has_index:
        message = (
            "Nothing says where the pixels are. Pass features as a DataFrame whose "
            "index has the levels (run, x, y, z), as PeakIntegrator returns it (behind "
            'scikit-learn\'s own transformers: pipe.set_output(transform="pandas")), '
            "or pass pixels=, such as spectra.pixels."
        )
        raise ValueError(message)
    if pixels is not None and not isinstance(pixels, pd.DataFrame):
        message = f"pixels must be a DataFrame or None, got {type(pixels).__name__}."
        raise ValueError(message)
    if pixels is not None and len(pixels) != len(given):
        message = (
            f"pixels has {len(pixels)} rows, but features has {len(given)}: pass one "
            "row per row of features, in the same order."
        )
        raise ValueError(message)
    levels = index.to_frame(index=False) if has_index else pd.DataFrame()
    rows = levels if pixels is None else pixels.reset_index(drop=True)
    columns: dict[str, Any] = {}
    for name in POSITION:
        source = rows if name in rows.columns else levels
        if name in source.columns:
            columns[name] = source[name].to_numpy()
        elif name in "xy":
            message = f"pixels has no column {name!r}, nor does the index of features."
            raise ValueError(message)
        else:
            columns[name] = np.full(len(given), {"run": "run", "z": 1}[name])
        if has_index and name in levels.columns and source is not levels:
            _check_same(name, columns[name], levels[name].to_numpy())
    run = pd.Series(columns["run"]).astype(str)
    columns["run"] = pd.Categorical(run, categories=list(pd.unique(run)))
    for name in "xyz":
        columns[name] = _whole(columns[name], name)
    user = [name for name in rows.columns if name not in POSITION]
    _check_unique([str(name) for name in rows.columns], "pixels has columns")
    return pd.DataFrame(columns | {str(name): rows[name].array for name in user})


def _check_same(name: str, ours: np.ndarray, index: np.ndarray) -> None:
    differ = ours.astype(str) != index.astype(str) if name == "run" else ours != index
    if np.any(differ):
        i = int(np.argmax(differ))
        message = (
            f"pixels and features are not in the same order: {name} of row {i} is "
            f"{ours[i]} in pixels and {index[i]} in the index of features."
        )
        raise ValueError(message)


def _whole(values: np.ndarray, name: str) -> np.ndarray:
    found = np.asarray(values)
    if found.dtype.kind not in "iu":
        found = found.astype(np.float64)
        if not np.all(np.isfinite(found)) or np.any(found != np.rint(found)):
            message = f"pixels: {name} must be whole numbers; some are not."
            raise ValueError(message)
    return found.astype(np.int64)


def _peaks(peaks: Any, mz: np.ndarray) -> pd.DataFrame:
    if peaks is None:
        return pd.DataFrame({"mz": mz})
    columns = {str(name): peaks[name].array for name in peaks.columns}
    _check_unique([str(name) for name in peaks.columns], "peaks has columns")
    return pd.DataFrame({"mz": mz} | {k: v for k, v in columns.items() if k != "mz"})


def _runs(runs: Any, present: list[str]) -> pd.DataFrame:
    if runs is None:
        return pd.DataFrame(index=pd.Index(present, name="run", dtype=object))
    if not isinstance(runs, pd.DataFrame):
        message = f"runs must be a DataFrame or None, got {type(runs).__name__}."
        raise ValueError(message)
    table = runs.set_axis(runs.index.astype(str), axis=0)
    table.columns = [str(name) for name in table.columns]
    _check_unique(list(table.index), "runs has rows")
    missing = [name for name in present if name not in table.index]
    if missing:
        message = (
            f"runs has no row for {missing[:5]}, whose pixels are in features; it has "
            f"{list(table.index)[:5]}."
        )
        raise ValueError(message)
    return table.loc[present].rename_axis("run")


def _jsonable(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)


def _check_unique(names: Iterable[str], whose: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            message = f"{whose} of the same name, {name!r}. Rename them."
            raise ValueError(message)
        seen.add(name)
