"""Tiles of points in shared memory: distances to centres, and sums by label.

Device functions for the ``_cuda`` kernels that compare points with centres. A block
takes as many points as it has threads, and each thread owns one of them. Features pass
through shared memory a few at a time, so that neighbouring threads read neighbouring
numbers and each number is read once for all centres of a group. Arithmetic is float64,
and nothing is added up by atomics: results are the same in each run.
"""

import math

from numba import cuda, float64

from imsminer._cuda import THREADS

__all__ = ["add_by_label", "all_distances", "nearest_center", "slabs"]

#: Centres that are compared at a time, held in registers.
GROUP = 8
#: Features of a tile, and the length of its rows: odd, so that banks do not collide.
WIDTH = 16
STRIDE = WIDTH + 1

#: Blocks that keep a large GPU busy: two or more on each of its multiprocessors.
BLOCKS = 528


def slabs(n_points: int, n_sums: int) -> tuple[int, int]:
    """Divide points into slabs, whose sums are then added.

    Parameters
    ----------
    n_points : int
        1 or more.
    n_sums : int
        Rows of sums that each slab has.

    Returns
    -------
    n_slabs, n_rows : int
        `n_rows` is a multiple of `THREADS`, and no slab is empty. All sums together
        are no larger than half of the points are in float32.
    """
    tiles = -(-n_points // THREADS)
    most = max(1, min(BLOCKS, tiles, n_points // (4 * n_sums)))
    rows = -(-tiles // most) * THREADS
    return -(-n_points // rows), rows


@cuda.jit(device=True)
def _group_distances(points, centers, inverse, first, group, near):
    """Squared distances of the thread's point to a group of centres, into `near`.

    Where `inverse` is not empty, differences are multiplied by it. The whole block
    calls this, and the threads behind the last point as well.
    """
    tile = cuda.shared.array((THREADS, STRIDE), float64)
    some = cuda.shared.array((GROUP, WIDTH), float64)
    factor = cuda.shared.array(WIDTH, float64)
    t = cuda.threadIdx.x
    n_points, n_features = points.shape
    n_centers = centers.shape[0]
    scaled = inverse.shape[0] > 0
    for c in range(GROUP):
        near[c] = 0.0
    for start in range(0, n_features, WIDTH):
        cuda.syncthreads()
        for q in range(t, THREADS * WIDTH, THREADS):
            i, j = q // WIDTH, q % WIDTH
            value = 0.0
            if first + i < n_points and start + j < n_features:
                value = points[first + i, start + j]
            tile[i, j] = value
        for q in range(t, GROUP * WIDTH, THREADS):
            c, j = q // WIDTH, q % WIDTH
            value = 0.0
            if group + c < n_centers and start + j < n_features:
                value = centers[group + c, start + j]
            some[c, j] = value
        for j in range(t, WIDTH, THREADS):
            value = 1.0
            if scaled and start + j < n_features:
                value = inverse[start + j]
            factor[j] = value
        cuda.syncthreads()
        # No constant: unrolled, the loop would take all registers.
        for j in range(min(WIDTH, n_features - start)):
            value = tile[t, j]
            by = factor[j]
            for c in range(GROUP):
                difference = value - some[c, j]
                if scaled:
                    difference = difference * by
                near[c] += difference * difference


@cuda.jit(device=True)
def nearest_center(points, centers, inverse, first):
    """Nearest centre of point `first` + thread, and its squared distance.

    Of equally near centres the first. The whole block calls this.
    """
    near = cuda.local.array(GROUP, float64)
    best = math.inf
    label = 0
    for group in range(0, centers.shape[0], GROUP):
        _group_distances(points, centers, inverse, first, group, near)
        for c in range(GROUP):
            if group + c < centers.shape[0] and near[c] < best:
                best = near[c]
                label = group + c
    return label, best


@cuda.jit(device=True)
def add_by_label(points, codes, first, fresh, sums, counts):
    """Add the points of a tile to the sums of their labels.

    Each thread owns features, and adds up a group of labels in registers. `codes` are
    labels in shared memory, `sums` (n_labels, n_features) and `counts` (n_labels,) are
    the block's own, which a `fresh` tile overwrites. The whole block calls this, after
    a barrier.
    """
    totals = cuda.local.array(GROUP, float64)
    t = cuda.threadIdx.x
    n_labels = sums.shape[0]
    n = min(THREADS, points.shape[0] - first)
    for group in range(0, n_labels, GROUP):
        for j in range(t, points.shape[1], THREADS):
            for c in range(GROUP):
                totals[c] = 0.0
            for i in range(n):
                value = points[first + i, j]
                code = codes[i] - group
                for c in range(GROUP):
                    # Not a jump to the one: that would move the sums to memory.
                    totals[c] += value if code == c else 0.0
            for c in range(GROUP):
                if group + c < n_labels:
                    if fresh:
                        sums[group + c, j] = totals[c]
                    else:
                        sums[group + c, j] += totals[c]
    for c in range(t, n_labels, THREADS):
        count = 0
        for i in range(n):
            if codes[i] == c:
                count += 1
        if fresh:
            counts[c] = count
        else:
            counts[c] += count


@cuda.jit
def all_distances(points, centers, inverse, out):
    """Distances of all points to all centres; a block for each tile of points."""
    near = cuda.local.array(GROUP, float64)
    first = cuda.blockIdx.x * THREADS
    i = first + cuda.threadIdx.x
    for group in range(0, centers.shape[0], GROUP):
        _group_distances(points, centers, inverse, first, group, near)
        if i < points.shape[0]:
            for c in range(GROUP):
                if group + c < centers.shape[0]:
                    out[i, group + c] = math.sqrt(near[c])
