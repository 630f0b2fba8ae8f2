"""Where pixels are: coordinates to images and back, and who is whose neighbour.

Images exist only while one is looked at. Everything else works on tables of pixels,
``(n_pixels, n_features)``, with coordinates beside them: a dense image per ion of a
large, sparsely filled bounding box would exhaust the memory.
"""

from functools import partial
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
from scipy import sparse

from imsminer._array import to_numpy
from imsminer.core.cache import cache

__all__ = [
    "Pixels",
    "coordinates_of",
    "from_image",
    "gaussian_weights",
    "known_coordinates",
    "neighbor_matrix",
    "to_image",
]


class Pixels(NamedTuple):
    """Positions of pixels: integer x, y, z and the run that each belongs to."""

    coordinates: np.ndarray
    """int64 array of shape (n_pixels, 3)."""
    runs: np.ndarray
    """int64 array of shape (n_pixels,): one code per run, from 0."""


def known_coordinates(
    X: Any, coordinates: Any = None, runs: Any = None
) -> Pixels | None:
    """Return where the pixels of `X` are, or None when nothing says it.

    Parameters
    ----------
    X : DataFrame or array
        Features, one row per pixel. A DataFrame whose MultiIndex has the levels
        ``x`` and ``y`` (and maybe ``run`` and ``z``) brings its own coordinates.
    coordinates : array-like of shape (n_pixels, 2) or (n_pixels, 3), default=None
        Integer x, y and maybe z; or a DataFrame with these columns (and maybe
        ``run``), such as ``Spectra.pixels``. Takes precedence over the index of `X`.
    runs : array-like of shape (n_pixels,), default=None
        The run of each pixel: names or numbers. Takes precedence over ``run`` in
        `coordinates`, and that over the index of `X`. Without any, there is one run.

    Returns
    -------
    Pixels or None
        Coordinates (n_pixels, 3) and run codes (n_pixels,), both int64.

    Raises
    ------
    ValueError
        When lengths differ from X's, or coordinates are not integers.

    Examples
    --------
    >>> import numpy as np
    >>> from imsminer.core.grid import known_coordinates
    >>> known_coordinates(np.ones((2, 5)), [[1, 1], [2, 1]]).coordinates
    array([[1, 1, 0],
           [2, 1, 0]])
    """
    index: Any = getattr(X, "index", None)
    has_index = isinstance(index, pd.MultiIndex) and {"x", "y"} <= set(index.names)
    if coordinates is None and not has_index:
        return None
    n_pixels = X.shape[0] if hasattr(X, "shape") else np.shape(X)[0]
    if coordinates is None:
        table: Any = index.to_frame(index=False)
    elif isinstance(coordinates, pd.DataFrame):
        table = coordinates
    else:
        values = to_numpy(coordinates)
        if values.ndim != 2 or values.shape[1] not in (2, 3):
            message = (
                "coordinates must have the shape (n_pixels, 2) or (n_pixels, 3), for "
                f"x, y and maybe z; found {values.shape}."
            )
            raise ValueError(message)
        table = dict(zip("xyz", values.T, strict=False))
    if runs is None and "run" in table:
        runs = table["run"]
    elif runs is None and has_index and "run" in index.names:
        runs = index.get_level_values("run")
    elif runs is None:
        runs = np.zeros(n_pixels, dtype=np.int64)
    zeros = np.zeros(n_pixels, dtype=np.int64)
    columns = [_integers(table[name], name) for name in ("x", "y")]
    columns.append(_integers(table["z"], "z") if "z" in table else zeros)
    codes = pd.factorize(to_numpy(runs))[0].astype(np.int64)
    for name, found in (("coordinates", len(columns[0])), ("runs", len(codes))):
        if found != n_pixels:
            message = f"{name} has {found} rows, but X has {n_pixels} pixels."
            raise ValueError(message)
    return Pixels(np.stack(columns, axis=1), codes)


def coordinates_of(
    X: Any, coordinates: Any = None, runs: Any = None, *, estimator: Any
) -> Pixels:
    """Return where the pixels of `X` are, for a method that cannot do without.

    Parameters
    ----------
    X, coordinates, runs
        As in :func:`known_coordinates`.
    estimator : estimator or str
        Who asks, for the error message.

    Returns
    -------
    Pixels
        Coordinates (n_pixels, 3) and run codes (n_pixels,), both int64.

    Raises
    ------
    ValueError
        When neither the index of `X` nor `coordinates` says it.
    """
    pixels = known_coordinates(X, coordinates, runs)
    if pixels is None:
        name = estimator if isinstance(estimator, str) else type(estimator).__name__
        message = (
            f"{name} needs to know where the pixels are. Pass X as a DataFrame whose "
            "index has the levels (run, x, y, z), as PeakIntegrator returns it (behind "
            'scikit-learn\'s own transformers: pipe.set_output(transform="pandas")), '
            "or pass coordinates= (n_pixels, 2 or 3) and, with several runs, runs=."
        )
        raise ValueError(message)
    return pixels


def to_image(values: Any, coordinates: Any) -> np.ndarray:
    """Arrange one value per pixel as an image.

    Parameters
    ----------
    values : array-like of shape (n_pixels,)
        One number per pixel of one run; of any array library.
    coordinates : array-like of shape (n_pixels, 2) or (n_pixels, 3)
        Integer x, y and maybe z of the pixels. Any offset; one z.

    Returns
    -------
    ndarray of shape (height, width)
        The bounding box of the pixels: row ``y - y.min()``, column ``x - x.min()``;
        NaN where there is no pixel. Floats keep their dtype, others become float64.

    Raises
    ------
    ValueError
        When a position occurs twice or there is more than one z: that is several runs
        or planes, which need an image each.

    Examples
    --------
    >>> from imsminer.core.grid import to_image
    >>> to_image([1.0, 2.0, 3.0], [[11, 7], [12, 7], [12, 8]])
    array([[ 1.,  2.],
           [nan,  3.]])
    """
    values = to_numpy(values)
    if values.ndim != 1:
        message = f"values must hold one number per pixel; found shape {values.shape}."
        raise ValueError(message)
    row, column, shape = _positions(values, coordinates)
    dtype = values.dtype if values.dtype.kind == "f" else np.float64
    image = np.full(shape, np.nan, dtype=dtype)
    image[row, column] = values
    return image


def from_image(image: Any, coordinates: Any) -> np.ndarray:
    """Read an image, made by :func:`to_image` or like it, at the pixels.

    Parameters
    ----------
    image : array-like of shape (height, width)
        Covers the bounding box of the pixels; of any array library.
    coordinates : array-like of shape (n_pixels, 2) or (n_pixels, 3)
        As in :func:`to_image`.

    Returns
    -------
    ndarray of shape (n_pixels,)
        The value at each pixel.

    Raises
    ------
    ValueError
        When the image has another shape than the bounding box.
    """
    image = to_numpy(image)
    row, column, shape = _positions(to_numpy(coordinates), coordinates)
    if image.shape != shape:
        message = f"the pixels span {shape} (height, width), the image {image.shape}."
        raise ValueError(message)
    return image[row, column]


def neighbor_matrix(pixels: Pixels, radius: int = 1) -> sparse.csr_array:
    """Tell which pixels are neighbours, within runs, planes and the mask.

    Two pixels are neighbours when at most `radius` king's moves over *measured* pixels
    of the same run and the same z lead from one to the other. In a full rectangle this
    is Chebyshev distance ≤ `radius`; a gap in the mask is never jumped over.

    Parameters
    ----------
    pixels : Pixels
        From :func:`coordinates_of`.
    radius : int, default=1
        1 gives the 8-neighbourhood.

    Returns
    -------
    csr_array of shape (n_pixels, n_pixels), int8
        1 for neighbours, read-only: it is kept for the next who asks for the same
        pixels. Symmetric; a pixel is not its own neighbour. Where a position
        occurs twice, each pixel there has the neighbours of the position, and the two
        are not neighbours of each other.

    Examples
    --------
    >>> from imsminer.core.grid import coordinates_of, neighbor_matrix
    >>> row = [[0, 0], [1, 0], [3, 0]]
    >>> pixels = coordinates_of([[0.0]] * 3, row, estimator="example")
    >>> neighbor_matrix(pixels, radius=2).toarray()
    array([[0, 1, 0],
           [1, 0, 0],
           [0, 0, 0]], dtype=int8)
    """
    key = ("neighbors", joblib.hash((pixels.coordinates, pixels.runs)), radius)
    return cache.get(key, partial(_find_neighbors, pixels, radius))


def _find_neighbors(pixels: Pixels, radius: int) -> sparse.csr_array:
    x, y, z = pixels.coordinates.T
    planes = np.unique(np.stack([pixels.runs, z]), axis=1, return_inverse=True)[1]
    # A margin of one column on each side keeps the ends of lines apart.
    width, height = int(x.max() - x.min()) + 2, int(y.max() - y.min()) + 2
    if (int(planes.max()) + 1) * width * height >= 2**62:
        message = f"coordinates span {width - 1} × {height - 1} positions: too many."
        raise ValueError(message)
    keys = (planes.ravel() * height + (y - y.min() + 1)) * width + (x - x.min() + 1)
    sites, first, site_of = np.unique(keys, return_index=True, return_inverse=True)
    n_sites, n_pixels = sites.shape[0], keys.shape[0]
    sources, targets = [], []
    for step in (1, width - 1, width, width + 1):
        found = np.minimum(np.searchsorted(sites, sites + step), n_sites - 1)
        hit = np.flatnonzero(sites[found] == sites + step)
        sources.append(hit)
        targets.append(found[hit])
    row, column = np.concatenate(sources), np.concatenate(targets)
    if n_sites == n_pixels:
        row, column = first[row], first[column]
    matrix = sparse.csr_array(
        (
            np.ones(2 * row.shape[0], dtype=np.int32),
            (np.concatenate([row, column]), np.concatenate([column, row])),
        ),
        shape=(n_sites, n_sites),
    )
    if radius > 1:
        matrix = _within(matrix, radius)
    if n_sites < n_pixels:
        ones = np.ones(n_pixels, dtype=np.int32)
        at = sparse.csr_array(
            (ones, (np.arange(n_pixels), site_of)), shape=(n_pixels, n_sites)
        )
        matrix = sparse.csr_array(at @ matrix @ at.T)
    matrix.sort_indices()
    matrix = matrix.astype(np.int8)
    # Whoever asks for the same pixels gets the same arrays.
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    return matrix


def _within(one_step: sparse.csr_array, radius: int) -> sparse.csr_array:
    """Pairs that 1 to `radius` steps connect."""
    reached = one_step
    for _ in range(radius - 1):
        reached = sparse.csr_array(reached + reached @ one_step)
        reached.data[:] = 1
    # Two steps lead back to where they began.
    pairs = reached.tocoo()
    other = pairs.row != pairs.col
    return sparse.csr_array(
        (pairs.data[other], (pairs.row[other], pairs.col[other])), shape=pairs.shape
    )


def gaussian_weights(
    pixels: Pixels, radius: int, dtype: Any = np.float64
) -> sparse.csr_array:
    """Weights of a mean over each pixel's neighbours, without the pixel itself.

    The weight falls off as exp(-d² / 2σ²) with the distance d and σ = (2·radius + 1)/4,
    and sums to 1 over the neighbours of :func:`neighbor_matrix`. A pixel without any
    neighbour stands for its own neighbourhood.

    Parameters
    ----------
    pixels : Pixels
        From :func:`coordinates_of`.
    radius : int
        Size of the neighbourhood.
    dtype : dtype, default=float64
        Of the weights.

    Returns
    -------
    csr_array of shape (n_pixels, n_pixels)
        Rows sum to 1.
    """
    weights = neighbor_matrix(pixels, radius).astype(np.float64).tocoo()
    offset = pixels.coordinates[weights.row] - pixels.coordinates[weights.col]
    sigma = (2 * radius + 1) / 4
    weights.data = np.exp(-(offset**2).sum(axis=1) / (2 * sigma**2))
    total = np.asarray(weights.sum(axis=1)).ravel()
    alone = sparse.diags_array((total == 0).astype(np.float64))
    scale = sparse.diags_array(1 / np.where(total > 0, total, 1))
    matrix = sparse.csr_array(scale @ weights.tocsr() + alone).astype(dtype)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _positions(
    values: np.ndarray, coordinates: Any
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Row and column of each pixel in its bounding box, checked to be distinct."""
    pixels = known_coordinates(values, coordinates, 0 * np.arange(len(values)))
    assert pixels is not None
    x, y, z = pixels.coordinates.T
    row, column = y - y.min(), x - x.min()
    shape = (int(row.max()) + 1, int(column.max()) + 1)
    if z.min() != z.max():
        message = "to_image draws one plane, but the coordinates have several z."
        raise ValueError(message)
    flat = np.sort(row * shape[1] + column)
    twice = flat[1:][flat[1:] == flat[:-1]]
    if twice.size:
        again = f"({twice[0] % shape[1] + x.min()}, {twice[0] // shape[1] + y.min()})"
        message = (
            f"{twice.size} positions occur more than once, the first is (x, y) = "
            f"{again}. Select the pixels of one run first."
        )
        raise ValueError(message)
    return row, column, shape


def _integers(values: Any, name: str) -> np.ndarray:
    """Coordinates as int64, or an error that says which are not whole numbers."""
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        found = np.asarray(values, dtype=np.float64)
        # NaN fails this comparison too, as it must.
        if not np.all(found == np.rint(found)) or not np.isfinite(found).all():
            message = f"coordinates must be whole numbers of pixels; {name} has others."
            raise ValueError(message)
        values = found
    return values.astype(np.int64)
