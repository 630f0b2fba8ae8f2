"""Class means, spread within classes and distances to classes, on a GPU.

Points of float32 are read as they are, each once, which is the floor; sums are float64,
by slabs of points in an order that is the same in each run.
"""

from typing import Any

from numba import cuda, int32

from imsminer._array import array_namespace
from imsminer._cuda import THREADS, launch_blocks
from imsminer.images._kernels.tiles_cuda import add_by_label, all_distances, slabs

__all__ = ["class_distances", "class_sums", "squares_within"]


@cuda.jit
def _class_sums(points, labels, n_rows, sums, counts):
    """Sums of the points of each class; a block for each slab."""
    codes = cuda.shared.array(THREADS, int32)
    t = cuda.threadIdx.x
    slab = cuda.blockIdx.x
    n_points = points.shape[0]
    begin = slab * n_rows
    for first in range(begin, min(begin + n_rows, n_points), THREADS):
        if first + t < n_points:
            codes[t] = labels[first + t]
        cuda.syncthreads()
        add_by_label(points, codes, first, first == begin, sums[slab], counts[slab])
        cuda.syncthreads()


@cuda.jit
def _squares_within(points, labels, means, n_rows, out):
    """Squares of each feature; a row of blocks for each slab, a thread a feature."""
    slab = cuda.blockIdx.y
    j = cuda.grid(1)
    if j < points.shape[1]:
        begin = slab * n_rows
        total = 0.0
        for i in range(begin, min(begin + n_rows, points.shape[0])):
            difference = points[i, j] - means[labels[i], j]
            total += difference * difference
        out[slab, j] = total


def class_sums(points: Any, labels: Any, n_classes: int) -> Any:
    """Sum of the points of each class, (n_classes, n_features)."""
    xp = array_namespace(points)
    n_slabs, n_rows = slabs(points.shape[0], n_classes)
    sums = xp.zeros((n_slabs, n_classes, points.shape[1]), dtype=xp.float64)
    counts = xp.zeros((n_slabs, n_classes), dtype=xp.int32)
    launch_blocks(_class_sums, n_slabs, THREADS, points, labels, n_rows, sums, counts)
    return xp.sum(sums, axis=0)


def squares_within(points: Any, labels: Any, means: Any) -> Any:
    """Sum of squared differences to the means of the points' classes, per feature."""
    xp = array_namespace(points)
    n_slabs, n_rows = slabs(points.shape[0], 1)
    n_features = points.shape[1]
    squares = xp.zeros((n_slabs, n_features), dtype=xp.float64)
    blocks = (-(-n_features // THREADS), n_slabs)
    launch_blocks(
        _squares_within, blocks, THREADS, points, labels, means, n_rows, squares
    )
    return xp.sum(squares, axis=0)


def class_distances(points: Any, centers: Any, scale: Any) -> Any:
    """Euclidean distance of each point to each centre, in units of `scale`."""
    xp = array_namespace(points)
    out = xp.zeros((points.shape[0], centers.shape[0]), dtype=xp.float64)
    blocks = -(-points.shape[0] // THREADS)
    launch_blocks(all_distances, blocks, THREADS, points, centers, 1 / scale, out)
    return out
