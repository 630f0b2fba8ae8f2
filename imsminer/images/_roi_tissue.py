"""Which pixels are tissue."""

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from imsminer._array import to_numpy
from imsminer.core.grid import (
    Pixels,
    coordinates_of,
    known_coordinates,
    neighbor_matrix,
)
from imsminer.features._tissue import otsu_tissue

__all__ = ["tissue_mask"]


def tissue_mask(
    X: Any,
    coordinates: Any = None,
    *,
    column: Any = None,
    runs: Any = None,
    method: str = "otsu",
    min_size: int = 0,
    max_hole: int = 0,
) -> np.ndarray:
    """Tell tissue from the empty slide by the brightness of pixels.

    The threshold is Otsu's [1]_, on the logarithm of the intensity, for each run on its
    own. Pixels without any signal are not tissue and do not move it.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n_pixels, n_features) or (n_pixels,)
        Intensities that are not negative, not normalised by their sum: features, of
        which the sum of each pixel is taken, or one number per pixel. Arrays of any
        library are read on the host.
    coordinates : array-like or DataFrame, default=None
        x, y and maybe z of the pixels (and run, in a DataFrame). Taken from the index
        of `X` where it has one; needed for `min_size` and `max_hole`.
    column : str or int, default=None
        Name (of a DataFrame) or position of the one feature to use, such as that of
        heme or of a lipid of the whole tissue; `None` takes the sum of all.
    runs : array-like of shape (n_pixels,), default=None
        The run of each pixel, where neither `coordinates` nor the index says it.
    method : {"otsu"}, default="otsu"
        How the threshold is found.
    min_size : int, default=0
        Pieces of tissue of fewer pixels are taken off; 0 keeps all. Pixels that touch
        by edge or corner make a piece.
    max_hole : int, default=0
        Holes of up to this many pixels become tissue. Holes are pieces of pixels off
        tissue, touching by edges, that do not reach the border of the measured area.

    Returns
    -------
    ndarray of bool, shape (n_pixels,)

    Raises
    ------
    ValueError
        When all pixels with signal of a run are equally bright, values are negative
        or NaN, or positions are needed and not known.

    References
    ----------
    .. [1] Otsu, N. (1979). A threshold selection method from gray-level histograms.
       IEEE Trans. Syst. Man Cybern. 9, 62.

    Examples
    --------
    >>> from imsminer import tissue_mask
    >>> tissue_mask([0.0, 2.0, 3.0, 90.0, 110.0])
    array([False, False, False,  True,  True])
    """
    if method != "otsu":
        message = f'tissue_mask: method must be "otsu"; got {method!r}.'
        raise ValueError(message)
    values = _brightness(X, column)
    pixels = known_coordinates(X, coordinates, runs)
    if pixels is None:
        if min_size or max_hole:
            coordinates_of(X, estimator="tissue_mask with min_size or max_hole")
        if runs is not None and len(to_numpy(runs)) != len(values):
            message = f"runs has {len(runs)} rows, but X has {len(values)} pixels."
            raise ValueError(message)
        codes = pd.factorize(to_numpy(runs))[0] if runs is not None else 0
        codes = np.broadcast_to(codes, values.shape)
    else:
        codes = pixels.runs
    try:
        tissue = otsu_tissue(values[:, None], codes)
    except ValueError:
        message = (
            "tissue_mask: all pixels with signal of a run are equally bright, so that "
            "nothing tells tissue from the slide. Pass intensities that are not "
            "normalised by their sum, or one feature of the tissue with column=."
        )
        raise ValueError(message) from None
    if pixels is not None and (min_size or max_hole):
        tissue = _cleaned(tissue, pixels, min_size, max_hole)
    return tissue


def _brightness(X: Any, column: Any) -> np.ndarray:
    """One number per pixel as float64, checked."""
    if isinstance(X, pd.DataFrame) and column is not None:
        if column not in X.columns:
            message = f"tissue_mask: X has no column {column!r}."
            raise ValueError(message)
        values = X[column].to_numpy()
    else:
        values = to_numpy(X)
        if column is not None and values.ndim == 2:
            values = values[:, column]
    if values.ndim == 2:
        values = values.sum(axis=1, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        message = (
            "tissue_mask: X must hold one or more numbers for each pixel; got the "
            f"shape {np.shape(X)}."
        )
        raise ValueError(message)
    values = values.astype(np.float64)
    if not np.isfinite(values).all() or values.min() < 0:
        message = (
            "tissue_mask: intensities must be finite and not negative; got "
            f"{int((~np.isfinite(values)).sum())} that are not finite and "
            f"{int((values < 0).sum())} below 0."
        )
        raise ValueError(message)
    return values


def _cleaned(
    tissue: np.ndarray, pixels: Pixels, min_size: int, max_hole: int
) -> np.ndarray:
    """Take small pieces off and fill small holes."""
    touching = neighbor_matrix(pixels).tocoo()
    step = np.abs(pixels.coordinates[touching.row] - pixels.coordinates[touching.col])
    edges = step.sum(axis=1) == 1
    piece, size = _pieces(tissue, touching.row, touching.col)
    tissue = tissue & (size[piece] >= min_size)
    row, column = touching.row[edges], touching.col[edges]
    piece, size = _pieces(~tissue, row, column)
    # A pixel with fewer than four neighbours lies at the border.
    open_ = np.zeros(size.size, dtype=bool)
    open_[piece[np.bincount(row, minlength=tissue.size) < 4]] = True
    return tissue | ((size[piece] <= max_hole) & ~open_[piece])


def _pieces(
    mask: np.ndarray, row: np.ndarray, column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Piece that each pixel of a mask is in, and the number of pixels of each."""
    both = mask[row] & mask[column]
    links = sparse.coo_array(
        (np.ones(int(both.sum()), np.int8), (row[both], column[both])),
        shape=(mask.size, mask.size),
    )
    piece = connected_components(links, directed=False)[1]
    return piece, np.bincount(piece)
