"""k-means in any array namespace: nearest centres, distances, Lloyd's iterations."""

from typing import Any

from imsminer._array import array_namespace, device_of

__all__ = ["distances", "lloyd", "lloyd_starts", "moved_centers", "nearest"]


def nearest(points: Any, centers: Any) -> Any:
    """Index of the nearest centre of each point, int32, ties to the lower index.

    |x|² is the same for all centres and stays out of the comparison.
    """
    xp = array_namespace(points)
    score = xp.sum(centers * centers, axis=1)[None, :] - 2 * (points @ centers.T)
    return xp.astype(xp.argmin(score, axis=1), xp.int32)


def distances(points: Any, centers: Any) -> Any:
    """Euclidean distance of each point to each centre, (n_points, n_centers).

    The differences are formed before they are squared: |x|² - 2x·c + |c|² would lose
    most of float32's digits where a point lies close to its centre.
    """
    xp = array_namespace(points)
    columns = []
    for k in range(centers.shape[0]):
        difference = points - centers[k : k + 1, :]
        columns.append(xp.sqrt(xp.sum(difference * difference, axis=1)))
    return xp.stack(columns, axis=1)


def lloyd(
    points: Any, centers: Any, max_iter: int, tolerance: float
) -> tuple[Any, Any, float, int]:
    """Lloyd's iterations from given centres, with scikit-learn's rules for stopping.

    Stops when no label changes, or when the squared shifts of the centres sum to
    `tolerance` or less. A cluster without points moves to the point that lies
    farthest from its centre.

    Returns
    -------
    labels, centers, inertia, n_iter
    """
    xp = array_namespace(points)
    labels = None
    n_iter, stop = 0, False
    while not stop and n_iter < max_iter:
        n_iter += 1
        found = nearest(points, centers)
        moved = moved_centers(points, centers, found)
        shift = float(xp.sum((moved - centers) ** 2))
        centers = moved
        stable = labels is not None and bool(xp.all(found == labels))
        labels = found
        stop = stable or shift <= tolerance
    labels = nearest(points, centers)
    residual = points - xp.take(centers, labels, axis=0)
    return labels, centers, float(xp.sum(residual * residual)), n_iter


def lloyd_starts(
    points: Any, starts: Any, max_iter: int, tolerance: float
) -> list[tuple[Any, Any, float, int]]:
    """What :func:`lloyd` finds from each start, (n_starts, n_clusters, n_features)."""
    return [
        lloyd(points, starts[i, :, :], max_iter, tolerance)
        for i in range(starts.shape[0])
    ]


def moved_centers(points: Any, centers: Any, labels: Any) -> Any:
    """Mean of the points of each cluster; one without points takes the farthest."""
    xp = array_namespace(points)
    n_clusters = centers.shape[0]
    codes = xp.arange(n_clusters, dtype=xp.int32, device=device_of(points))
    member = xp.astype(labels[:, None] == codes[None, :], points.dtype)
    counts = xp.sum(member, axis=0)
    sums = member.T @ points
    empty = [k for k in range(n_clusters) if float(counts[k]) == 0]
    if empty:
        counts, sums = _relocate(points, centers, labels, counts, sums, empty)
    # A cluster can lose its only point to an empty one; its centre then stays.
    safe = xp.where(counts > 0, counts, xp.ones_like(counts))
    return xp.where((counts > 0)[:, None], sums / safe[:, None], centers)


def _relocate(
    points: Any, centers: Any, labels: Any, counts: Any, sums: Any, empty: list[int]
) -> tuple[Any, Any]:
    """Give each empty cluster the farthest point that is left."""
    xp = array_namespace(points)
    residual = points - xp.take(centers, labels, axis=0)
    order = xp.argsort(xp.sum(residual * residual, axis=1), descending=True)
    device = device_of(points)
    codes = xp.arange(centers.shape[0], dtype=xp.int32, device=device)
    for rank, k in enumerate(empty):
        far = int(order[rank])
        point = points[far : far + 1, :]
        to = xp.astype(codes == k, points.dtype)
        change = to - xp.astype(codes == labels[far], points.dtype)
        counts = counts + change
        sums = sums + change[:, None] * point
    return counts, sums
