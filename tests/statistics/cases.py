"""Published data, and tables of one pixel per unit that are made of them."""

import numpy as np
import pandas as pd

#: Student (1908), The probable error of a mean, Biometrika 6, 1: hours of sleep that
#: ten patients gained from two drugs.
SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
#: Dobson (1983), An Introduction to Statistical Modelling: dried weight of plants
#: (PlantGrowth of R, whose help pages print F and Tukey's pairs).
PLANTS = {
    "ctrl": [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14],
    "trt1": [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69],
    "trt2": [6.31, 5.12, 5.54, 5.50, 5.37, 5.29, 4.92, 6.15, 5.80, 5.26],
}
#: Wretenberg et al. (1993), in Pinheiro and Bates (2000), Mixed-Effects Models in S and
#: S-PLUS, section 1.2: effort to rise from four stools, nine subjects.
STOOLS = np.array(
    [
        [12, 15, 12, 10],
        [10, 14, 13, 12],
        [7, 14, 13, 9],
        [7, 11, 10, 9],
        [8, 11, 8, 7],
        [9, 11, 11, 10],
        [8, 12, 12, 11],
        [7, 11, 8, 7],
        [9, 13, 10, 8],
    ],
    dtype=float,
)
#: Benjamini and Hochberg (1995), section 4.1: 15 ordered p-values, of which four are
#: rejected at 0.05.
P_VALUES = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459),
    *(0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
]


def units(groups):
    """Features and pixels with one pixel per unit, from values by group."""
    rows = [
        {"group": name, "unit": f"u{k}", "value": value}
        for name, values in groups.items()
        for k, value in enumerate(values)
    ]
    table = pd.DataFrame(rows)
    return table[["value"]].to_numpy(), table[["group", "unit"]]


def random_units(n_features, sizes, seed=0, spread=1.0):
    """Values of units of groups a, b, …, as one pixel each, positive."""
    rng = np.random.default_rng(seed)
    names = [chr(97 + k) for k in range(len(sizes))]
    pixels = pd.DataFrame(
        {
            "group": np.repeat(names, sizes),
            "unit": np.concatenate([np.arange(n) for n in sizes]),
        }
    )
    shift = rng.normal(0, spread, (len(sizes), n_features))
    noise = rng.normal(0, 1, (len(pixels), n_features))
    values = 100 * np.exp(np.repeat(shift, sizes, axis=0) + noise)
    return values, pixels
