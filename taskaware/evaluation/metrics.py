"""How good are predictions, and how sure is a mean over episodes?

Letters: E episodes, Q queries, n predictions, N ways.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped, unused-ignore]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """A mean of n values with its 95% interval."""

    mean: float
    low: float
    high: float
    n: int


def accuracy(predicted: Integers, labels: Integers, mask: Floats | None = None) -> Floats:
    """Share of right answers. predicted [E, Q], labels [E, Q], mask [E, Q] (1 real, 0 padding) -> [E] in 0..1.

    Raises ValueError for shapes that differ and for an episode without a query.
    """
    weights = np.ones(labels.shape) if mask is None else np.asarray(mask, dtype=np.float64)
    if labels.ndim != 2 or predicted.shape != labels.shape or weights.shape != labels.shape:
        raise ValueError(f"expected three equal shapes [E, Q], saw {predicted.shape}, {labels.shape}, {weights.shape}")
    queries = weights.sum(axis=1)
    if labels.shape[1] == 0 or np.any(queries <= 0):
        raise ValueError("an episode has no query, at least 1 expected")
    right: Floats = (weights * (predicted == labels)).sum(axis=1) / queries
    return right


def expected_calibration_error(probabilities: Floats, labels: Integers, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal-width bins, weighted by size; 0 is calibrated, 1 the worst.

    probabilities [n, N] (rows sum to 1), labels [n] in 0..N-1. Raises ValueError for other shapes or row sums.
    Guo et al. 2017, "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599, eq. 3.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or len(labels) == 0:
        raise ValueError(f"expected probabilities [n, N], labels [n], n > 0; saw {probabilities.shape}, {labels.shape}")
    sums = probabilities.sum(axis=1)
    if probabilities.min() < 0 or not np.allclose(sums, 1.0, atol=1e-3):  # NaN fails too
        seen = f"values from {probabilities.min():.4g}, sums {sums.min():.4g} to {sums.max():.4g}"
        raise ValueError(f"expected rows of probabilities that sum to 1, saw {seen}; apply softmax to logits")
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return calibration_error(probabilities.max(axis=1), right, bins)


def calibration_error(confidence: Floats, right: Floats, bins: int = 15) -> float:
    """The same from the confidence [n] of each prediction and whether it was right [n] (1 or 0)."""
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)  # bins are (low, high], as in Guo
    # |B|/n * |accuracy(B) - confidence(B)| = |sum over B of (right - confidence)| / n
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


def mean_interval(values: Floats) -> Interval:
    """Mean of values [E] with Student's 95% interval. Raises ValueError below 2 values or for one that is not finite.

    Student 1908, "The Probable Error of a Mean", https://doi.org/10.1093/biomet/6.1.1.
    """
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"expected at least 2 values [E], saw shape {values.shape}")
    if not np.all(np.isfinite(values)):
        raise ValueError("a value is not finite; check the predictions of that episode")
    count = len(values)
    mean = float(values.mean())
    half = float(stats.t.ppf(0.975, count - 1)) * float(values.std(ddof=1)) / count**0.5
    return Interval(mean, mean - half, mean + half, count)
