"""What the pixels of a run say of its mass error.

Numbers, not estimators: :class:`imsminer.MassAligner` decides what is fitted on what.
"""

from dataclasses import dataclass

import numpy as np

from imsminer.spectra._massmodel import (
    FIXED,
    PARTS,
    MassModel,
    Matches,
    common_errors,
    relative_weights,
    weighted_median,
)

__all__ = ["RunFit", "heldout_errors", "learn_run", "reference_errors"]


@dataclass(frozen=True)
class RunFit:
    """What the pixels of one run say: see :class:`MassModel`."""

    prior: np.ndarray
    precision: np.ndarray
    half_prior: np.ndarray
    before: float
    after: float
    n_good: int
    n_matched: int

    @property
    def gain(self) -> float:
        """Part by which held-out errors fall; NaN where nothing matches."""
        if not self.before > 0:
            return np.nan
        return 1 - self.after / self.before


def learn_run(model: MassModel, found: Matches) -> RunFit:
    """Learn mean and variance of the lines of a run, and judge them.

    The variance over pixels is the covariance of lines from even and odd reference
    peaks: noise is independent in the two and drops out. Where pixels differ by noise
    only it is about 0, and every pixel gets the line of the run. Twice the
    standard error that noise gives it is taken off, so that few pixels do not differ by
    chance. Lines found on a grid stay as they are.
    """
    errors, heights, lines = found
    weights = relative_weights(heights)
    if lines is None:
        priors = [_common_line(model, errors, weights, part) for part in PARTS]
    else:
        priors = [_median_line(lines[:, number]) for number in range(3)]
    prior, half_prior = priors[0], np.array(priors[1:])
    fits = [model.fit_lines(found, prior, model.flat, number) for number in (1, 2)]
    good = fits[0][1] & fits[1][1]
    variance = np.zeros(prior.size)
    if good.sum() > 1:
        one, other = (theta[good] - prior for theta, _, _ in fits)
        noise = 0.5 * np.mean((one - other) ** 2, axis=0)
        chance = 2 * noise / np.sqrt(good.sum())
        variance = np.maximum(np.mean(one * other, axis=0) - chance, 0.0)
    precision = 1 / np.maximum(variance, 1 / FIXED)
    before, after = heldout_errors(model, found, half_prior[:, None], precision[None])
    return RunFit(
        prior,
        precision,
        half_prior,
        float(weighted_median(np.abs(before).ravel(), weights.ravel())),
        float(weighted_median(np.abs(after).ravel(), weights.ravel())),
        int(good.sum()),
        int(np.sum(np.count_nonzero(heights > 0, axis=1) >= model.min_matches)),
    )


def heldout_errors(
    model: MassModel,
    found: Matches,
    half_prior: np.ndarray,
    precision: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return errors before, and after a fit to the other half of the reference peaks.

    Parameters
    ----------
    model : MassModel
        The model.
    found : Matches
        What matching returned.
    half_prior : ndarray of float64, shape (2, n or 1, 2 + q)
        Mean of the lines, by each half.
    precision : ndarray of float64, shape (n or 1, 2 + q)
        Inverse variance of the lines.

    Returns
    -------
    before, after : ndarray of float64, shape (n, k)
        0 where nothing matched.
    """
    before = np.where(found.heights > 0, found.errors, 0.0)
    after = before.copy()
    for number in (1, 2):
        other = PARTS[3 - number]
        prior = half_prior[number - 1]
        theta, _, _ = model.fit_lines(found, prior, precision, number)
        predicted = theta @ model.design(model.u[other]).T
        after[:, other] = np.where(
            found.heights[:, other] > 0, before[:, other] - predicted, 0.0
        )
    return before, after


def reference_errors(model: MassModel, found: Matches) -> np.ndarray:
    """Return the error (k,) of each reference peak that pixels have in common.

    It is what the lines of pixels leave, and one line for all: the median over pixels
    that differ has the noise of the one in the middle.
    """
    weights, part = relative_weights(found.heights), PARTS[0]
    rest, weight = _rest(model, found.errors, weights, part)
    median, _ = common_errors(found.errors, weights)
    line = model.design(model.u) @ _straight_line(model, found.errors, weights, part)
    return np.where(weight > 0, line + rest, median)


def _median_line(lines: np.ndarray) -> np.ndarray:
    """Return the median of the lines that were found; no error where none was."""
    known = lines[np.isfinite(lines).all(axis=1)]
    return np.median(known, axis=0) if len(known) else np.zeros(2)


def _common_line(
    model: MassModel, errors: np.ndarray, weights: np.ndarray, part: slice
) -> np.ndarray:
    """Return the line through the median errors; no error where it is not good.

    Its bends are those of what straight lines of single pixels leave: the medians of
    lines that differ are no line.
    """
    theta = _straight_line(model, errors, weights, part)
    if theta.size > 2:
        none = np.zeros(theta.size)
        median, weight = _rest(model, errors, weights, part)
        bent, _, _ = model.fit_pixels(
            median[None], weight[None], none, model.flat, part
        )
        theta = theta + bent[0]
    return theta


def _straight_line(
    model: MassModel, errors: np.ndarray, weights: np.ndarray, part: slice
) -> np.ndarray:
    """Return the line through the median errors, without bends."""
    median, weight = common_errors(errors, weights)
    none, straight = _straight(model)
    theta, _, _ = model.fit_pixels(median[None], weight[None], none, straight, part)
    return theta[0]


def _rest(
    model: MassModel, errors: np.ndarray, weights: np.ndarray, part: slice
) -> tuple[np.ndarray, np.ndarray]:
    """Return median and weight of the errors that straight lines of pixels leave.

    Pixels without a good line do not count.
    """
    lines, good, _ = model.fit_pixels(errors, weights, *_straight(model), part)
    rest = errors - lines @ model.design(model.u).T
    return common_errors(rest, weights * good[:, None])


def _straight(model: MassModel) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and inverse variances of lines that may not bend."""
    precision = model.flat
    precision[2:] = FIXED
    return np.zeros(precision.size), precision
