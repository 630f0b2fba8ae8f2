"""What the cache of passes counts."""

import numpy as np

from imsminer.core.axis import MassAxis
from imsminer.core.cache import PassCache


def test_an_axis_counts_with_its_arrays():
    passes = PassCache()
    axis = MassAxis.even(0.01).resolve(100, 200)
    passes.put("axis", (axis, True))
    assert passes.n_bytes >= axis.edges.nbytes + axis.centers.nbytes


def test_arrays_of_a_mapping_count():
    passes = PassCache()
    passes.put("peaks", ({"mz": np.zeros(100), "height": np.zeros(100)}, 1.0))
    assert passes.n_bytes >= 1600
