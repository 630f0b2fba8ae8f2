"""Colours of places in two or three dimensions."""

import numpy as np

__all__ = ["CHANNELS", "SPACES", "embedding_colors"]

SPACES = ("lab", "rgb")
#: What each component changes, by the number of components.
CHANNELS = {
    "lab": {
        2: ("blue to yellow", "dark to light"),
        3: ("blue to yellow", "dark to light", "green to red"),
    },
    "rgb": {2: ("red", "green and blue"), 3: ("red", "green", "blue")},
}
#: Ends of L*, a* and b*: almost all of this box, without a*, is within sRGB, and it
#: keeps away from the grey of the background.
LIGHTNESS, GREEN_RED, BLUE_YELLOW = (35.0, 80.0), (-40.0, 40.0), (-45.0, 45.0)


def embedding_colors(
    values: np.ndarray, space: str, clip_quantile: float
) -> np.ndarray:
    """Return the sRGB colour of each point, by its place along each component.

    Parameters
    ----------
    values : float array of shape (n_points, 2 or 3)
        Places.
    space : {"lab", "rgb"}
        What the components are laid along.
    clip_quantile : float
        Each component spans its colours from quantile ``1 - clip_quantile`` to this
        one. A component of one value takes the middle.

    Returns
    -------
    ndarray of shape (n_points, 3)
        From 0 to 1; light grey for points that hold NaN.
    """
    known = np.isfinite(values).all(axis=1)
    colors = np.full((len(values), 3), 0.88)
    if not known.any():
        return colors
    inside = values[known]
    ends = np.quantile(inside, [1 - clip_quantile, clip_quantile], axis=0)
    span = ends[1] - ends[0]
    share = np.full_like(inside, 0.5)
    np.divide(inside - ends[0], span, out=share, where=span > 0)
    share = np.clip(share, 0, 1)
    if space == "rgb":
        colors[known] = share[:, [0, 1, -1]]
    else:
        colors[known] = _from_lab(share)
    return colors


def _from_lab(share: np.ndarray) -> np.ndarray:
    from skimage.color import lab2rgb

    lab = np.zeros((len(share), 3))
    for channel, column, (low, high) in (
        (2, 0, BLUE_YELLOW),
        (0, 1, LIGHTNESS),
        (1, 2, GREEN_RED),
    ):
        if column < share.shape[1]:
            lab[:, channel] = low + (high - low) * share[:, column]
    return np.clip(lab2rgb(lab[None])[0], 0, 1)
