"""Closed rings of points: what lies inside, what on the edge, and outlines of masks."""

from collections.abc import Sequence

import numpy as np

__all__ = ["TOLERANCE", "Ring", "inside_ring", "mask_rings", "signed_area"]

#: x and y of the corners, the last joined to the first.
Ring = tuple[tuple[float, float], ...]

#: A point this close to an edge, in pixels, lies on it: coordinates that went through
#: µm and back differ in their last digits.
TOLERANCE = 1e-9
#: Pairs of an edge and a point that are compared at once.
_PAIRS = 1_000_000


def inside_ring(
    x: np.ndarray, y: np.ndarray, ring: Sequence[Sequence[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Tell which points lie inside of a ring, and which on its edge.

    Parameters
    ----------
    x, y : ndarray of float64, shape (n_points,)
        Finite.
    ring : sequence of (float, float)
        Corners. Where the ring crosses itself, the even–odd rule decides.

    Returns
    -------
    inside, on_edge : ndarray of bool, shape (n_points,)
        `inside` is meaningless where `on_edge`.
    """
    crossings = np.zeros(x.size, dtype=np.int64)
    on_edge = np.zeros(x.size, dtype=bool)
    corners = np.asarray(ring, dtype=np.float64)
    start, end = corners, np.roll(corners, -1, axis=0)
    long = (start != end).any(axis=1)
    start, end = start[long], end[long]
    # Each edge meets only the points at its height: sorted by y, they are one slice.
    order = np.argsort(y, kind="stable")
    level = y[order]
    first = np.searchsorted(level, np.minimum(start, end)[:, 1] - TOLERANCE, "left")
    last = np.searchsorted(level, np.maximum(start, end)[:, 1] + TOLERANCE, "right")
    count = last - first
    filled = np.concatenate([[0], np.cumsum(count)])
    block = 0
    while block < len(start):
        # As many edges as fit, and at least one.
        stop = int(np.searchsorted(filled, filled[block] + _PAIRS, "right")) - 1
        stop = min(max(stop, block + 1), len(start))
        edge = np.repeat(np.arange(block, stop), count[block:stop])
        within = np.arange(edge.size) - (filled[edge] - filled[block])
        point = order[first[edge] + within]
        px, py = x[point], y[point]
        (ax, ay), (bx, by) = start[edge].T, end[edge].T
        dx, dy = bx - ax, by - ay
        length = np.hypot(dx, dy)
        cross = dx * (py - ay) - dy * (px - ax)
        along = dx * (px - ax) + dy * (py - ay)
        reach = TOLERANCE * length
        near = (np.abs(cross) <= reach) & (along >= -reach)
        near &= along <= length * length + reach
        # Half-open in y: a corner at the height of a point counts once.
        crosses = (ay <= py) != (by <= py)
        left_of_edge = np.where(dy > 0, cross > 0, cross < 0) & crosses
        crossings += np.bincount(point[left_of_edge], minlength=x.size)
        on_edge[point[near]] = True
        block = stop
    return crossings % 2 == 1, on_edge


def signed_area(ring: Sequence[Sequence[float]]) -> float:
    """Return the area in a ring, its sign by the sense of turning."""
    x, y = np.asarray(ring, dtype=np.float64).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def mask_rings(
    mask: np.ndarray, origin: tuple[float, float]
) -> list[tuple[Ring, list[Ring]]]:
    """Trace the edges of the pixels of a mask.

    Parameters
    ----------
    mask : ndarray of bool, shape (height, width)
        Its first pixel has its centre at `origin`.
    origin : (float, float)
        x and y.

    Returns
    -------
    list of (exterior, holes)
        Of each piece of pixels that share edges; corners alone do not join pixels.
        Corners are half-integer steps from `origin`.
    """
    padded = np.pad(mask, 1)
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    # Edges with the mask on the right of the walker (y downwards): exteriors turn
    # clockwise on the picture, holes the other way.
    sides = (
        ((-1, 0), (0, 0), (1, 0)),
        ((0, 1), (1, 0), (1, 1)),
        ((1, 0), (1, 1), (0, 1)),
        ((0, -1), (0, 1), (0, 0)),
    )
    height, width = mask.shape
    for (row_step, column_step), begin, finish in sides:
        beyond = padded[
            1 + row_step : 1 + row_step + height,
            1 + column_step : 1 + column_step + width,
        ]
        for row, column in np.argwhere(mask & ~beyond).tolist():
            a = (column + begin[0], row + begin[1])
            steps.setdefault(a, []).append((column + finish[0], row + finish[1]))
    outer: list[Ring] = []
    holes: list[Ring] = []
    # Where two pixels touch at a corner, two edges leave it: no place to begin.
    for start in [point for point, ends in steps.items() if len(ends) == 1]:
        if start not in steps:
            continue
        ring = _walk(steps, start)
        placed = tuple((x + origin[0] - 0.5, y + origin[1] - 0.5) for x, y in ring)
        (outer if signed_area(ring) > 0 else holes).append(placed)
    return _nest(outer, holes)


def _walk(
    steps: dict[tuple[int, int], list[tuple[int, int]]], start: tuple[int, int]
) -> list[tuple[int, int]]:
    """Follow edges until they close, and use them up; keep the corners."""
    here, ring = start, [start]
    heading = (0, 0)
    while True:
        choices = steps[here]
        if len(choices) == 1:
            chosen = choices[0]
        else:
            # Where two pixels touch at a corner, turn to stay on one's own pixel.
            turn = (-heading[1], heading[0])
            chosen = (here[0] + turn[0], here[1] + turn[1])
        choices.remove(chosen)
        if not choices:
            del steps[here]
        heading = (chosen[0] - here[0], chosen[1] - here[1])
        here = chosen
        if here == start:
            break
        ring.append(here)
    return [
        point
        for before, point, after in zip(
            [ring[-1], *ring[:-1]], ring, [*ring[1:], ring[0]], strict=True
        )
        if before[0] != after[0] and before[1] != after[1]
    ]


def _nest(outer: list[Ring], holes: list[Ring]) -> list[tuple[Ring, list[Ring]]]:
    """Give each hole to the smallest exterior around it."""
    pieces: list[tuple[Ring, list[Ring]]] = [(ring, []) for ring in outer]
    areas = [abs(signed_area(ring)) for ring in outer]
    for hole in holes:
        # The middle of the hole's first edge is inside of its exterior's closure.
        (ax, ay), (bx, by) = hole[0], hole[1]
        x, y = np.array([(ax + bx) / 2]), np.array([(ay + by) / 2])
        around = [
            i
            for i, ring in enumerate(outer)
            if inside_ring(x, y, ring)[0][0] and not inside_ring(x, y, ring)[1][0]
        ]
        pieces[min(around, key=areas.__getitem__)][1].append(hole)
    return pieces
