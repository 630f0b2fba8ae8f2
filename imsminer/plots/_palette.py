"""Colours of segments, regions and other classes."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_hex

__all__ = ["PALETTE", "segment_colors"]

#: Okabe and Ito's colours, which differ for colour-blind eyes too, then ones that
#: differ from them in lightness. Their yellow is darkened to stand out from white.
PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#000000",
    "#882255",
    "#999933",
    "#332288",
    "#FFB6C1",
)


def segment_colors(n: int) -> list[str]:
    """Return a colour for each of `n` segments.

    Up to 12 the colours are fixed, so that segment k looks the same in every picture;
    more are spread over a colour map and told apart by their neighbours at best.
    """
    if n <= len(PALETTE):
        return list(PALETTE[:n])
    return [to_hex(color) for color in plt.get_cmap("turbo")(np.linspace(0, 1, n))]
