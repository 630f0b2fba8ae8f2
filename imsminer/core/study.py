"""Several Spectra as one, and the index by which features know their pixels."""

from collections.abc import Sequence

import pandas as pd

from imsminer.core.source import ConcatSource
from imsminer.core.spectra import Spectra

__all__ = ["concatenate", "pixel_index"]


def concatenate(spectra: Sequence[Spectra]) -> Spectra:
    """Put several Spectra one behind the other: a study.

    Parameters
    ----------
    spectra : sequence of Spectra
        Whole sources without queued steps. Run names are made unique.

    Returns
    -------
    Spectra
        All pixels, in the order given; `n_mz` is `None` when their axes differ.

    Raises
    ------
    ValueError
        When nothing is given, one holds selected rows or queued steps, or they keep
        results of passes in different folders (see :meth:`Spectra.with_cache`).
    """
    parts = list(spectra)
    if not parts:
        message = "concatenate needs at least one Spectra, got none."
        raise ValueError(message)
    for number, part in enumerate(parts):
        if part.queue or part._rows is not None:
            message = (
                f"concatenate takes whole Spectra without queued steps, but number "
                f"{number} is {part!r}. Concatenate first, then select and transform; "
                "or persist() it."
            )
            raise ValueError(message)
    disks = {part.source.disk for part in parts} - {None}
    if len(disks) > 1:
        message = (
            f"concatenate: the parts keep results of passes in {len(disks)} different "
            f"ways: {', '.join(sorted(map(repr, disks)))}. Use with_cache(None) on the "
            "parts, and with_cache(folder) on the result."
        )
        raise ValueError(message)
    source = ConcatSource([part.source for part in parts])
    result = Spectra(source.with_disk(disks.pop() if disks else None))
    if any(part._pixels is not None for part in parts):
        extra = pd.concat([part.pixels for part in parts], ignore_index=True)
        known = result.source.pixels
        result._pixels = extra.assign(**dict(known.items()))
    return result


def pixel_index(spectra: Spectra) -> pd.MultiIndex:
    """Return the index ``(run, x, y, z)`` by which features carry their pixels."""
    return pd.MultiIndex.from_frame(spectra.pixels[["run", "x", "y", "z"]])
