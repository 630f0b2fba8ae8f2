"""cuML, for CuPy arrays and where it is installed; nothing else imports it."""

import importlib
import importlib.util
from types import ModuleType
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from imsminer._array import array_namespace, is_cupy_array
from imsminer.exceptions import OptionalDependencyError

__all__ = ["package_for", "seed_from", "tsne"]

#: Neighbours that cuML's t-SNE takes at most.
MAX_NEIGHBORS = 1023


def package_for(array: Any, *, needed_by: str = "") -> ModuleType | None:
    """Return cuML when it can compute on an array, else `None`.

    Parameters
    ----------
    array : array
        cuML works on CuPy's; for others it is not even looked for.
    needed_by : str, default=""
        Who cannot do without it, as the subject of the error message.

    Returns
    -------
    module or None
        `None` where cuML is not installed. One that is installed but does not work
        raises, as its import does.

    Raises
    ------
    ValueError
        When the array is not CuPy's, but cuML is needed.
    OptionalDependencyError
        When cuML is not installed, but needed.
    """
    if not is_cupy_array(array):
        if needed_by:
            message = (
                f"{needed_by} works on CuPy arrays, with array_api_dispatch on; got "
                f"{type(array).__module__}.{type(array).__name__}. Pass X as a CuPy "
                "array, or take another engine."
            )
            raise ValueError(message)
        return None
    if importlib.util.find_spec("cuml") is None:
        if needed_by:
            message = (
                f"{needed_by} needs the package 'cuml', which is not installed. "
                "Install it with: pip install cuml-cu12, or cuml-cu13, as the CUDA is."
            )
            raise OptionalDependencyError(message)
        return None
    return importlib.import_module("cuml")


def seed_from(random_state: Any) -> int:
    """Draw the integer that cuML takes as a seed.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        An int gives the same seed each time.
    """
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def tsne(
    X: Any, n_pca: int | None, perplexity: float, max_iter: int, random_state: Any
) -> tuple[Any, float]:
    """Embed in two dimensions by cuML's FFT, on principal components of cuML's.

    Parameters
    ----------
    X : CuPy array of shape (n_pixels, n_features)
    n_pca : int or None
        Components at most; `None` takes all.
    perplexity : float
    max_iter : int
    random_state : RandomState instance

    Returns
    -------
    embedding : float32 CuPy array of shape (n_pixels, 2)
    divergence : float
    """
    package, xp = package_for(X, needed_by="t-SNE by cuML"), array_namespace(X)
    assert package is not None
    n_pixels = X.shape[0]
    n_components = min(X.shape) if n_pca is None else min(n_pca, *X.shape)
    scores = xp.zeros((n_pixels, n_components), dtype=X.dtype)
    # Pixels that are all equal have no components, and start anywhere.
    init = "pca" if bool(xp.any(X != X[:1, :])) else "random"
    if init == "pca":
        pca = package.PCA(n_components=n_components, output_type="cupy")
        scores = xp.asarray(pca.fit_transform(X))
        scores = scores / xp.std(scores[:, 0])
    model = package.TSNE(
        n_components=2,
        perplexity=perplexity,
        max_iter=max_iter,
        method="fft",
        init=init,
        # By itself it would take fewer neighbours than the perplexity asks for.
        n_neighbors=min(n_pixels - 1, MAX_NEIGHBORS, max(1, int(3 * perplexity))),
        learning_rate_method="none",
        learning_rate=max(n_pixels / 3, 200.0),
        random_state=seed_from(random_state),
        output_type="cupy",
    )
    embedding = xp.asarray(model.fit_transform(scores))
    return embedding, float(model.kl_divergence_)
