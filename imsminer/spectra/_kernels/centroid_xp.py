"""Picking the centroids of one profile in any array namespace: the reference.

The compiled kernels explain the quantities.
"""

from typing import Any

from imsminer._array import array_namespace, device_of
from imsminer.spectra._kernels.centroid_numba import (
    APART,
    AREA,
    ENOUGH,
    HEIGHT,
    LOW,
)

__all__ = ["facts", "pick"]


def facts(y: Any, mz: Any, step: Any, ends: tuple | None) -> tuple[float, ...]:
    """Return the share of filled samples, their low quantile, median and MAD.

    `ends` of the grid, where samples of 0 are not stored, or `None`.
    """
    xp = array_namespace(y)
    y = xp.astype(y, xp.float64)
    if y.shape[0] and not bool(xp.isfinite(xp.sum(y))):
        return float("nan"), 0.0, 0.0, 0.0
    filled = y[y != 0]
    n = filled.shape[0]
    if n == 0:
        return 0.0, 0.0, 0.0, 0.0
    filled = xp.sort(filled[:: -(-n // ENOUGH)])
    n_grid = y.shape[0]
    if ends is not None:
        gaps = xp.round((mz[1:] - mz[:-1]) / step[1:])
        n_grid = 1 + int(xp.sum(xp.maximum(gaps, xp.ones_like(gaps))))
        n_grid += max(0, round(float((mz[0] - ends[0]) / step[0])))
        n_grid += max(0, round(float((ends[1] - mz[-1]) / step[-1])))
    if 2 * n > n_grid:
        median = _median(filled)
        spread = xp.sort(xp.abs(filled - median))
        return n / n_grid, 0.0, float(median), float(_median(spread))
    return n / n_grid, float(filled[int(LOW * (filled.shape[0] - 1))]), 0.0, 0.0


def _median(ordered: Any) -> Any:
    n = ordered.shape[0]
    return 0.5 * (ordered[(n - 1) // 2] + ordered[n // 2])


def pick(
    y: Any,
    mz: Any,
    step: Any,
    level: float,
    noise: float,
    loq: float,
    width: int,
    what: int,
    sparse: bool,
) -> tuple[Any, Any]:
    """Return m/z and intensity of the centroids of one spectrum, both float64."""
    xp = array_namespace(y)
    y = xp.astype(y, xp.float64)
    n = y.shape[0]
    like = {"dtype": xp.float64, "device": device_of(y)}
    if n == 0:
        return xp.zeros(0, **like), xp.zeros(0, **like)
    index = xp.arange(n, device=device_of(y))
    height = y - level
    apex = (height > 0) & (height >= loq * noise)
    if not sparse:
        apex = apex & (index > 0) & (index < n - 1)
    for shift in range(1, min(width, n - 1) + 1):
        # Whatever lies `shift` samples before or behind each sample.
        far = mz[shift:] - mz[:-shift]
        no = xp.zeros(shift, dtype=xp.bool, device=device_of(y))
        near = far <= (width + 0.5) * step[shift:] if sparse else far == far
        lower = near & (y[:-shift] >= y[shift:])
        apex = apex & ~xp.concat([no, lower])
        near = far <= (width + 0.5) * step[:-shift] if sparse else far == far
        higher = near & (y[shift:] > y[:-shift])
        apex = apex & ~xp.concat([higher, no])
    places = [int(k) for k in index[apex]]
    gap = mz[1:] - mz[:-1] >= APART * step[1:] if sparse else mz[1:] != mz[1:]
    found_mz, found = [], []
    low = 0
    for number, k in enumerate(places):
        high = n - 1
        if number + 1 < len(places):
            high = k + int(xp.argmin(y[k : places[number + 1]]))
        centre, amount = _measure(y, mz, step, gap, k, low, high, level, noise, what)
        found_mz.append(centre)
        found.append(amount)
        low = high + 1
    return xp.asarray(found_mz, **like), xp.asarray(found, **like)


def _ends(y: Any, gap: Any, k: int, low: int, high: int, floor: float) -> tuple:
    """Return the first and last sample around `k` that are joined and above."""
    left = right = k
    while left > low and bool(y[left - 1] > floor) and not bool(gap[left - 1]):
        left -= 1
    while right < high and bool(y[right + 1] > floor) and not bool(gap[right]):
        right += 1
    return left, right


def _measure(
    y: Any,
    mz: Any,
    step: Any,
    gap: Any,
    k: int,
    low: int,
    high: int,
    level: float,
    noise: float,
    what: int,
) -> tuple[float, float]:
    xp = array_namespace(y)
    n, top = y.shape[0], float(y[k])
    left, right = _ends(y, gap, k, low, high, level + 0.5 * (top - level))
    first, last = max(min(left, k - 1), 0), min(max(right, k + 1), n - 1)
    if k == 0 or bool(gap[k - 1]):
        first = k
    if last > k and bool(gap[k]):
        last = k
    net = y[first : last + 1] - level
    net = xp.where(net > 0, net, xp.zeros_like(net))
    place = k + _vertex(net, k - first)
    if first <= place <= last:
        j = min(int(place), n - 2)
        centre = float(mz[j] + (place - j) * (mz[j + 1] - mz[j]))
    else:
        weight = y[left : right + 1] - level
        moment = xp.sum(weight * (mz[left : right + 1] - mz[k]))
        centre = float(mz[k] + moment / xp.sum(weight))
    if what == HEIGHT:
        return centre, top
    floor = level + min(noise, 0.5 * (top - level))
    left, right = _ends(y, gap, k, low, high, floor)
    part = y[left : right + 1]
    if what == AREA:
        part = part * step[left : right + 1]
    return centre, float(xp.sum(part))


def _vertex(net: Any, apex: int) -> float:
    """Return the vertex of the parabola through logarithms, from the apex; or NaN."""
    xp = array_namespace(net)
    part = net / net[apex]
    x = xp.arange(net.shape[0], dtype=xp.float64, device=device_of(net)) - apex
    positive = part > 0
    y = xp.where(positive, xp.log(xp.where(positive, part, xp.ones_like(part))), 0.0)
    weight = part**2
    s0, s1, s2, s3, s4 = (float(xp.sum(weight * x**k)) for k in range(5))
    t0, t1, t2 = (float(xp.sum(weight * y * x**k)) for k in range(3))
    c0, c1, c2 = s2 * s4 - s3 * s3, s1 * s4 - s2 * s3, s1 * s3 - s2 * s2
    whole = s0 * c0 - s1 * c1 + s2 * c2
    if whole <= 1e-9 * s0 * s2 * s4:
        return float("nan")
    slope = (s0 * (t1 * s4 - s3 * t2) - t0 * c1 + s2 * (s1 * t2 - t1 * s2)) / whole
    bend = (s0 * (s2 * t2 - t1 * s3) - s1 * (s1 * t2 - t1 * s2) + t0 * c2) / whole
    return -0.5 * slope / bend if bend < 0 else float("nan")
