"""Laws of metrics: known cases, padding does not count, and intervals cover the mean as often as they say."""

import numpy as np
import pytest

from taskaware.evaluation.metrics import accuracy, expected_calibration_error, mean_interval


def test_accuracy_is_the_share_of_right_answers_per_episode() -> None:
    labels = np.array([[0, 1, 2, 0], [1, 1, 1, 1]])
    predicted = np.array([[0, 1, 0, 1], [1, 1, 1, 1]])
    np.testing.assert_array_equal(accuracy(predicted, labels), [0.5, 1.0])


def test_padded_queries_do_not_count() -> None:
    labels, predicted = np.array([[0, 1, 2, 0]]), np.array([[0, 1, 0, 1]])
    np.testing.assert_array_equal(accuracy(predicted, labels, np.array([[1.0, 1.0, 0.0, 0.0]])), [1.0])


def test_an_episode_without_queries_is_an_error() -> None:
    with pytest.raises(ValueError, match="no query"):
        accuracy(np.zeros((1, 2), dtype=np.int64), np.zeros((1, 2), dtype=np.int64), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="equal shapes"):
        accuracy(np.zeros((1, 2), dtype=np.int64), np.zeros((2, 1), dtype=np.int64))


def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not() -> None:
    certain = np.eye(3)[[0, 1, 2, 0]]
    assert expected_calibration_error(certain, np.array([0, 1, 2, 0])) == 0.0
    assert expected_calibration_error(certain, np.array([1, 2, 0, 1])) == 1.0


def test_calibration_error_equals_its_definition_bin_by_bin() -> None:
    rng = np.random.default_rng(0)
    probabilities, labels = rng.dirichlet(np.ones(4), size=500), rng.integers(0, 4, size=500)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for low, high in zip(np.linspace(0, 1, 16)[:-1], np.linspace(0, 1, 16)[1:], strict=True):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-12)


def test_labels_drawn_from_the_probabilities_are_calibrated() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(3), size=40_000)
    labels = (rng.random((40_000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=2)
    assert expected_calibration_error(probabilities, labels) < 0.01


def test_logits_instead_of_probabilities_are_an_error() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        expected_calibration_error(np.array([[2.0, -1.0]]), np.array([0]))


def test_intervals_cover_the_mean_at_the_nominal_rate() -> None:
    rng = np.random.default_rng(2)
    intervals = [mean_interval(rng.normal(0.7, 0.1, size=12)) for _ in range(2000)]
    covered = np.mean([interval.low <= 0.7 <= interval.high for interval in intervals])
    assert 0.935 <= covered <= 0.965


def test_equal_values_have_an_interval_of_width_zero_and_one_value_has_none() -> None:
    interval = mean_interval(np.full(5, 0.25))
    assert (interval.mean, interval.low, interval.high, interval.n) == (0.25, 0.25, 0.25, 5)
    with pytest.raises(ValueError, match="at least 2"):
        mean_interval(np.array([0.5]))
    with pytest.raises(ValueError, match="not finite"):
        mean_interval(np.array([0.5, np.nan]))
