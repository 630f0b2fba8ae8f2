"""Quantiles of ion images, and filters that keep edges, in any array namespace."""

from typing import Any

from imsminer._array import array_namespace, device_of

__all__ = ["bilateral", "nonzero_quantile", "total_variation"]


def nonzero_quantile(values: Any, quantile: float) -> Any:
    """Quantile of the numbers in each column that are neither 0 nor NaN.

    Parameters
    ----------
    values : array of shape (n_pixels, n_features)
        No infinity.
    quantile : float
        From 0 to 1; between two numbers it is interpolated.

    Returns
    -------
    array of shape (n_features,)
        Infinite for a column without such numbers.
    """
    xp = array_namespace(values)
    counted = (values != 0) & ~xp.isnan(values)
    nothing = xp.full_like(values, float("inf"))
    ordered = xp.sort(xp.where(counted, values, nothing), axis=0)
    last = xp.sum(xp.astype(counted, xp.int64), axis=0, keepdims=True) - 1
    last = xp.where(last > 0, last, xp.zeros_like(last))
    place = xp.astype(last, xp.float64) * quantile
    below = xp.astype(xp.floor(place), xp.int64)
    above = xp.where(below < last, below + 1, below)
    low = xp.take_along_axis(ordered, below, axis=0)[0, :]
    high = xp.take_along_axis(ordered, above, axis=0)[0, :]
    share = xp.astype(place - xp.astype(below, xp.float64), values.dtype)[0, :]
    same = low == high
    zero = xp.zeros_like(low)
    # A sum of shares stays finite where the difference of extreme numbers would not.
    between = xp.where(same, zero, low) * (1 - share)
    between = between + xp.where(same, zero, high) * share
    return xp.where(same, low, between)


def bilateral(values: Any, index: Any, weights: Any, bandwidth: float) -> Any:
    """Mean over neighbours that counts those of other values less.

    Parameters
    ----------
    values : array of shape (n_pixels, n_features)
    index : integer array of shape (n_pixels, n_slots)
        Row numbers of the pixels of each neighbourhood, the pixel itself included.
    weights : array of shape (n_pixels, n_slots)
        Weights by distance in space; 0 in slots that are not used.
    bandwidth : float
        Standard deviation of the Gaussian of the difference of two values.

    Returns
    -------
    array like `values`
    """
    xp = array_namespace(values)
    change = xp.zeros_like(values)
    total = xp.zeros_like(values)
    for slot in range(index.shape[1]):
        difference = xp.take(values, index[:, slot], axis=0) - values
        relative = difference / bandwidth
        weight = weights[:, slot][:, None] * xp.exp(-(relative * relative) / 2)
        change = change + weight * difference
        total = total + weight
    return values + change / total


def total_variation(
    image: Any, right: Any, down: Any, weight: float, tolerance: float, max_iter: int
) -> Any:
    """Minimise half the squared change plus `weight` times the total variation.

    Chambolle's projections, with gradients along the edges of neighbouring pixels only.

    Parameters
    ----------
    image : array of shape (n_pixels,)
    right, down : integer arrays of shape (n_pixels,)
        Row number of the neighbour on this side; -1 where there is none.
    weight : float
        Above 0.
    tolerance : float
        Stop when the objective changes by less than this share of its first value.
    max_iter : int
        Most iterations.

    Returns
    -------
    array like `image`
    """
    xp, device = array_namespace(image), device_of(image)
    n = image.shape[0]
    itself = xp.arange(n, dtype=right.dtype, device=device)
    ahead, behind, has_behind = [], [], []
    for side in (right, down):
        ahead.append(xp.where(side >= 0, side, itself))
        # Of the pixels that have a neighbour on this side, who is whose.
        order = xp.argsort(side, stable=True)
        place = xp.searchsorted(xp.take(side, order), itself)
        place = xp.where(place < n, place, xp.zeros_like(place))
        other = xp.take(order, place)
        found = xp.take(side, other) == itself
        behind.append(xp.where(found, other, itself))
        has_behind.append(xp.astype(found, image.dtype))
    dual = [xp.zeros_like(image), xp.zeros_like(image)]
    tau = 0.25
    first = previous = 0.0
    out = image
    for iteration in range(max_iter):
        change = -(dual[0] + dual[1])
        for p, back, exists in zip(dual, behind, has_behind, strict=True):
            change = change + xp.take(p, back) * exists
        out = image + change
        gradient = [xp.take(out, side) - out for side in ahead]
        norm = xp.sqrt(gradient[0] * gradient[0] + gradient[1] * gradient[1])
        energy = float(xp.sum(change * change) + weight * xp.sum(norm)) / n
        divisor = 1 + tau / weight * norm
        dual = [(p - tau * g) / divisor for p, g in zip(dual, gradient, strict=True)]
        if iteration == 0:
            first = energy
        elif abs(previous - energy) < tolerance * first:
            break
        previous = energy
    return out
