"""Does one arm beat another on the same episodes?

Every comparison is paired: the two arms saw the same episodes, so the episodes' own difficulty cancels.
Letters: E episodes, P tests.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped, unused-ignore]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """Mean of a - b with its bootstrap 95% interval, Cohen's d_z and the p-value of a signed-rank test.

    The effect size is infinite where every episode differs by the same amount.
    """

    difference: float
    low: float
    high: float
    effect_size: float
    p_value: float


def paired_difference(a: Floats, b: Floats, rng: np.random.Generator, resamples: int = 2000) -> Paired:
    """Compares a [E] with b [E], two arms on identical episodes. Raises ValueError for other shapes or NaN.

    Interval: percentiles 2.5 and 97.5 of the bootstrapped mean difference (Efron & Tibshirani 1993, "An Introduction
    to the Bootstrap", chapter 13). Effect size: d_z = mean / standard deviation of the differences (Cohen 1988,
    "Statistical Power Analysis for the Behavioral Sciences", section 2.3). p-value: Wilcoxon 1945, "Individual
    Comparisons by Ranking Methods", https://doi.org/10.2307/3001968; two-sided, ties at 0 dropped.
    """
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"expected two arms on the same episodes [E], E >= 2; saw {a.shape} and {b.shape}")
    # Equal accuracies computed in another order differ in the last bit; ranks must see them as ties.
    differences = np.round(a - b, 12)
    if not np.all(np.isfinite(differences)):
        raise ValueError("an accuracy is not finite; check the predictions of that episode")
    means = _bootstrap_means(differences, rng, resamples)
    low, high = np.percentile(means, (2.5, 97.5))
    return Paired(
        difference=float(differences.mean()),
        low=float(low),
        high=float(high),
        effect_size=_effect_size(differences),
        p_value=_signed_rank(differences),
    )


def holm(p_values: Floats) -> Floats:
    """Adjusted p-values [P] -> [P] that keep the family-wise error rate: reject where adjusted <= level.

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure", https://www.jstor.org/stable/4615733.
    """
    if p_values.ndim != 1 or not np.all((p_values >= 0) & (p_values <= 1)):
        raise ValueError(f"expected p-values [P] in 0..1, saw {p_values}")
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def _bootstrap_means(differences: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Means of `resamples` resamples [resamples].

    Draws how often each distinct value falls, the same law as drawing episodes one by one: accuracies over few queries
    take few values, so memory does not grow with E.
    """
    values, counts = np.unique(differences, return_counts=True)
    draws = rng.multinomial(len(differences), counts / len(differences), size=resamples)
    means: Floats = draws @ values / len(differences)
    return means


def _effect_size(differences: Floats) -> float:
    mean, spread = float(differences.mean()), float(np.ptp(differences))
    if spread == 0.0:
        return 0.0 if mean == 0.0 else float(np.copysign(np.inf, mean))
    return mean / float(differences.std(ddof=1))


def _signed_rank(differences: Floats) -> float:
    moved = differences[differences != 0.0]
    return float(stats.wilcoxon(moved).pvalue) if len(moved) else 1.0
