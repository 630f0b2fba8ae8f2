"""Chunks of one spectrum, and steps that fail."""

from dataclasses import dataclass

import numpy as np
import pytest

from imsminer import Spectra
from imsminer.core.chunk import ChunkKernel, SpectrumChunk


@dataclass(frozen=True)
class Picky(ChunkKernel):
    """Fails where an intensity is the one that it dislikes."""

    disliked: float

    def __call__(self, chunk: SpectrumChunk) -> SpectrumChunk:
        if (np.asarray(chunk.intensity) == self.disliked).any():
            message = "bad value"
            raise ValueError(message)
        return chunk


def dense():
    intensity = np.arange(12.0).reshape(4, 3)
    return Spectra.from_arrays(intensity, coordinates=[[i, 7] for i in range(4)])


def ragged(**options):
    return Spectra.from_arrays(
        np.arange(6.0),
        np.array([1.0, 2.0, 1.0, 2.0, 3.0, 4.0]),
        [[i, 7] for i in range(4)],
        indptr=[0, 2, 2, 5, 6],
        run="tissue",
        **options,
    )


@pytest.mark.parametrize(
    ("spectra", "disliked", "where"),
    [
        (dense(), 7.0, "run 'run', pixel x=2, y=7"),
        (ragged(), 3.0, "run 'tissue', pixel x=2, y=7"),
        (ragged(mobility=np.ones(6)), 5.0, "run 'tissue', pixel x=3, y=7"),
    ],
)
def test_an_error_says_where_it_happened(spectra, disliked, where):
    lazy = spectra.map(Picky(-1.0)).map(Picky(disliked))
    with pytest.raises(ValueError, match="bad value") as caught:
        list(lazy.iter_chunks())
    (note,) = caught.value.__notes__
    assert note.startswith(f"In the queued step Picky: {where}")


@pytest.mark.parametrize("make", [dense, ragged, lambda: ragged(mobility=np.arange(6))])
def test_one_spectrum_of_a_chunk(make):
    (chunk,) = make().iter_chunks()
    for i in range(4):
        one = chunk.one(i)
        assert one.rows.tolist() == [i]
        assert one.coordinates.tolist() == chunk.coordinates[i : i + 1].tolist()
        for found, expected in zip(one.spectrum(0), chunk.spectrum(i), strict=True):
            np.testing.assert_array_equal(found, expected)
        if chunk.mobility is not None:
            start, stop = chunk.indptr[i : i + 2]
            np.testing.assert_array_equal(one.mobility, chunk.mobility[start:stop])
