"""Where sources put what they read: new memory, unless somebody offers a place."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["new_array", "offered"]

_offer = threading.local()


def new_array(size: int, dtype: Any) -> np.ndarray:
    """Return an array, shape (size,), of any content, in the place that is offered."""
    place = getattr(_offer, "place", None)
    return np.empty(size, dtype) if place is None else place(size, dtype)


@contextmanager
def offered(place: Callable[[int, Any], np.ndarray]) -> Iterator[None]:
    """Offer a place for what this thread reads: `place(size, dtype)` returns an array.

    Readers may use it for what they drop, too.
    """
    before = getattr(_offer, "place", None)
    _offer.place = place
    try:
        yield
    finally:
        _offer.place = before
