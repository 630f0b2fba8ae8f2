"""k-means on a GPU: assignment fused with the sums, all starts at once.

An iteration is two launches for all starts together: one reads the points from memory
once for each start, which is the floor, and adds them up while their tile is near; the
other moves the centres and decides who goes on. The host looks every few iterations.
Sums are float64, in an order that is the same in each run.
"""

from typing import Any

import numpy as np
from numba import cuda, float64, int32

from imsminer._array import array_namespace, to_numpy
from imsminer._cuda import THREADS, launch_blocks, view

# What a cluster without points needs is rare, and CuPy does it well.
from imsminer.images._kernels.kmeans_xp import moved_centers
from imsminer.images._kernels.tiles_cuda import (
    add_by_label,
    all_distances,
    nearest_center,
    slabs,
)

__all__ = ["distances", "lloyd", "lloyd_starts", "moved_centers", "nearest"]

#: Columns of the state of each start.
STATUS, N_ITER, CHANGED = 0, 1, 2
#: What a start does: goes on, has ended, or waits for the host to fill a cluster.
RUNNING, DONE, EMPTY = 0, 1, 2

#: Iterations between two looks of the host.
BATCH = 4


@cuda.jit
def _assign(points, centers, inverse, labels, squares):
    """Nearest centres, and the squared distances to them; a row of blocks per start."""
    start = cuda.blockIdx.y
    first = cuda.blockIdx.x * THREADS
    i = first + cuda.threadIdx.x
    label, square = nearest_center(points, centers[start], inverse, first)
    if i < points.shape[0]:
        labels[start, i] = label
        squares[start, i] = square


@cuda.jit
def _assign_and_add(points, centers, inverse, n_rows, labels, sums, counts, state):
    """Nearest centres, and sums of the points of each; a block per slab and start."""
    codes = cuda.shared.array(THREADS, int32)
    t = cuda.threadIdx.x
    slab = cuda.blockIdx.x
    start = cuda.blockIdx.y
    if state[start, STATUS] != RUNNING:
        return
    n_points = points.shape[0]
    begin = slab * n_rows
    changed = False
    for first in range(begin, min(begin + n_rows, n_points), THREADS):
        label, _ = nearest_center(points, centers[start], inverse, first)
        i = first + t
        codes[t] = label
        if i < n_points:
            if labels[start, i] != label:
                changed = True
            labels[start, i] = label
        cuda.syncthreads()
        fresh = first == begin
        add_by_label(
            points, codes, first, fresh, sums[start, slab], counts[start, slab]
        )
        cuda.syncthreads()
    if changed:
        state[start, CHANGED] = 1


@cuda.jit
def _move(sums, counts, max_iter, tolerance, centers, state):
    """Move the centres of a start, and say whether it goes on; a block per start."""
    parts = cuda.shared.array(THREADS, float64)
    t = cuda.threadIdx.x
    start = cuda.blockIdx.x
    if state[start, STATUS] != RUNNING:
        return
    n_slabs, n_clusters, n_features = sums.shape[1:]
    empty = 0
    for k in range(t, n_clusters, THREADS):
        count = 0
        for slab in range(n_slabs):
            count += counts[start, slab, k]
        counts[start, 0, k] = count
        if count == 0:
            empty = 1
    if cuda.syncthreads_or(empty):
        if t == 0:
            state[start, STATUS] = EMPTY
        return
    shift = 0.0
    for q in range(t, n_clusters * n_features, THREADS):
        k = q // n_features
        j = q - k * n_features
        total = 0.0
        for slab in range(n_slabs):
            total += sums[start, slab, k, j]
        before = float64(centers[start, k, j])
        centers[start, k, j] = total / counts[start, 0, k]
        # As far as the precision of the points lets it move.
        difference = float64(centers[start, k, j]) - before
        shift += difference * difference
    parts[t] = shift
    cuda.syncthreads()
    if t == 0:
        shift = 0.0
        for other in range(THREADS):
            shift += parts[other]
        state[start, N_ITER] += 1
        stable = state[start, CHANGED] == 0
        if stable or shift <= tolerance or state[start, N_ITER] >= max_iter:
            state[start, STATUS] = DONE
        state[start, CHANGED] = 0


def nearest(points: Any, centers: Any) -> Any:
    """Index of the nearest centre of each point, int32, ties to the lower index."""
    labels, _ = _nearest_of_starts(points, centers[None, :, :])
    return labels[0, :]


def distances(points: Any, centers: Any) -> Any:
    """Euclidean distance of each point to each centre, (n_points, n_centers)."""
    xp = array_namespace(points)
    out = xp.empty((points.shape[0], centers.shape[0]), dtype=points.dtype)
    unscaled = xp.empty(0, dtype=xp.float64)
    blocks = -(-points.shape[0] // THREADS)
    launch_blocks(all_distances, blocks, THREADS, points, centers, unscaled, out)
    return out


def lloyd(
    points: Any, centers: Any, max_iter: int, tolerance: float
) -> tuple[Any, Any, float, int]:
    """Lloyd's iterations from given centres, with scikit-learn's rules for stopping.

    Returns
    -------
    labels, centers, inertia, n_iter
    """
    return lloyd_starts(points, centers[None, :, :], max_iter, tolerance)[0]


def lloyd_starts(
    points: Any, starts: Any, max_iter: int, tolerance: float
) -> list[tuple[Any, Any, float, int]]:
    """What :func:`lloyd` finds from each start, (n_starts, n_clusters, n_features)."""
    xp = array_namespace(points)
    n_starts, n_clusters, n_features = starts.shape
    n_slabs, n_rows = slabs(points.shape[0], n_starts * n_clusters)
    centers = xp.asarray(starts, dtype=points.dtype, copy=True)
    labels = xp.full((n_starts, points.shape[0]), -1, dtype=xp.int32)
    sums = xp.zeros((n_starts, n_slabs, n_clusters, n_features), dtype=xp.float64)
    counts = xp.zeros((n_starts, n_slabs, n_clusters), dtype=xp.int32)
    state = xp.zeros((n_starts, 3), dtype=xp.int32)
    unscaled = xp.empty(0, dtype=xp.float64)
    # Wrapped once: iterations are short.
    seen, at, own, owned, parts, counted, states = (
        view(array)
        for array in (points, centers, unscaled, labels, sums, counts, state)
    )
    to_assign = (seen, at, own, n_rows, owned, parts, counted, states)
    to_move = (parts, counted, max_iter, tolerance, at, states)
    # Each look finds every start further by an iteration, or at its end.
    for _ in range(max_iter):
        for _ in range(BATCH):
            launch_blocks(_assign_and_add, (n_slabs, n_starts), THREADS, *to_assign)
            launch_blocks(_move, n_starts, THREADS, *to_move)
        found = to_numpy(state)
        for i in np.flatnonzero(found[:, STATUS] == EMPTY):
            before = centers[i, :, :]
            after = moved_centers(points, before, labels[i, :])
            shift = float(xp.sum((after - before) ** 2))
            n_iter, stable = found[i, N_ITER] + 1, found[i, CHANGED] == 0
            ended = stable or shift <= tolerance or n_iter >= max_iter
            found[i] = DONE if ended else RUNNING, n_iter, 0
            centers[i, :, :] = after
            state[i, :] = xp.asarray(found[i])
        if (found[:, STATUS] == DONE).all():
            break
    labels, squares = _nearest_of_starts(points, centers)
    inertia = to_numpy(xp.sum(squares, axis=1))
    n_iter = to_numpy(state)[:, N_ITER]
    return [
        (labels[i, :], centers[i, :, :], float(inertia[i]), int(n_iter[i]))
        for i in range(n_starts)
    ]


def _nearest_of_starts(points: Any, centers: Any) -> tuple[Any, Any]:
    """Nearest centres of each start, and squared distances: (n_starts, n_points)."""
    xp = array_namespace(points)
    shape = (centers.shape[0], points.shape[0])
    labels, squares = xp.zeros(shape, dtype=xp.int32), xp.zeros(shape, dtype=xp.float64)
    unscaled = xp.empty(0, dtype=xp.float64)
    blocks = (-(-shape[1] // THREADS), shape[0])
    launch_blocks(_assign, blocks, THREADS, points, centers, unscaled, labels, squares)
    return labels, squares
