"""Laws of paired comparisons: identical arms do not differ, swapping arms flips the sign, Holm never lowers a p."""

import numpy as np
import pytest
from scipy import stats  # type: ignore[import-untyped, unused-ignore]

from taskaware.evaluation.statistics import holm, paired_difference


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_identical_arms_do_not_differ() -> None:
    arm = rng().random(50)
    paired = paired_difference(arm, arm.copy(), rng())
    assert (paired.difference, paired.low, paired.high, paired.effect_size, paired.p_value) == (0, 0, 0, 0, 1)


def test_rounding_in_the_last_bit_is_no_difference() -> None:
    paired = paired_difference(np.full(20, 0.1 + 0.2), np.full(20, 0.3), rng())
    assert (paired.difference, paired.p_value) == (0, 1)


def test_a_constant_gain_has_an_infinite_effect_and_an_interval_of_width_zero() -> None:
    base = np.linspace(0.1, 0.6, 30)
    paired = paired_difference(base + 0.25, base, rng())
    assert paired.low == pytest.approx(0.25) == paired.high
    assert paired.effect_size == np.inf and paired.p_value < 1e-4
    assert paired_difference(base, base + 0.25, rng()).effect_size == -np.inf


def test_swapping_the_arms_flips_the_sign() -> None:
    first, second = rng(1).random(80), rng(2).random(80)
    one, other = paired_difference(first, second, rng()), paired_difference(second, first, rng())
    assert one.difference == pytest.approx(-other.difference)
    assert one.effect_size == pytest.approx(-other.effect_size)
    assert one.p_value == pytest.approx(other.p_value)
    assert one.low == pytest.approx(-other.high, abs=0.02)


def test_the_same_generator_gives_the_same_interval() -> None:
    first, second = rng(1).random(80), rng(2).random(80)
    assert paired_difference(first, second, rng(3)) == paired_difference(first, second, rng(3))


@pytest.mark.parametrize("steps", [5, 10_000])
def test_the_bootstrap_agrees_with_scipy_with_and_without_ties(steps: int) -> None:
    first = np.round(rng(1).random(60) * steps) / steps
    second = np.round(rng(2).random(60) * steps) / steps
    ours = paired_difference(first, second, rng(3), resamples=20_000)
    theirs = stats.bootstrap(
        (first - second,), np.mean, n_resamples=20_000, method="percentile", rng=rng(4)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_bootstrap_intervals_cover_the_true_difference_at_about_the_nominal_rate() -> None:
    draws, covered = rng(5), 0
    for _ in range(600):
        gain = draws.normal(0.02, 0.1, size=60)
        paired = paired_difference(0.5 + gain, np.full(60, 0.5), draws, resamples=500)
        covered += paired.low <= 0.02 <= paired.high
    assert 0.91 <= covered / 600 <= 0.97


def test_p_values_without_an_effect_are_small_as_rarely_as_they_say() -> None:
    draws = rng(6)
    small = [
        paired_difference(draws.normal(size=30), draws.normal(size=30), draws, resamples=2).p_value < 0.05
        for _ in range(1500)
    ]
    assert 0.035 <= np.mean(small) <= 0.065


@pytest.mark.parametrize("episodes", [2, 3, 8, 13, 14, 60])
def test_few_episodes_and_many_ties_raise_no_warning(episodes: int) -> None:
    first, second = rng(1).integers(0, 3, episodes) / 2, rng(2).integers(0, 3, episodes) / 2
    assert 0 < paired_difference(first, second, rng()).p_value <= 1


def test_arms_of_other_lengths_and_missing_values_are_errors() -> None:
    with pytest.raises(ValueError, match="same episodes"):
        paired_difference(np.zeros(3), np.zeros(4), rng())
    with pytest.raises(ValueError, match="not finite"):
        paired_difference(np.array([0.1, np.nan]), np.zeros(2), rng())


def test_holm_equals_the_worked_example_in_any_order() -> None:
    raw, expected = np.array([0.01, 0.04, 0.03, 0.005]), np.array([0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm(raw), expected)
    order = rng().permutation(4)
    np.testing.assert_allclose(holm(raw[order]), expected[order])


@pytest.mark.parametrize("seed", range(20))
def test_holm_keeps_the_order_never_lowers_a_p_and_stays_below_bonferroni(seed: int) -> None:
    raw = rng(seed).random(seed) ** 3
    adjusted = holm(raw)
    assert np.all(adjusted >= raw) and np.all(adjusted <= np.minimum(raw * len(raw), 1))
    assert np.all(np.diff(adjusted[np.argsort(raw)]) >= 0)


def test_holm_of_one_p_value_is_that_value() -> None:
    np.testing.assert_array_equal(holm(np.array([0.02])), [0.02])
    with pytest.raises(ValueError, match=r"in 0\.\.1"):
        holm(np.array([1.2]))
