"""Do the functions of described regression follow their families?"""

import numpy as np
import pytest

from taskaware.data.functions import (
    FAMILIES,
    PLANE,
    draw_parameters,
    draw_tasks,
    evaluate,
    families,
)

every_family = pytest.mark.parametrize("name", FAMILIES)


@every_family
def test_parameters_fill_their_range_and_stay_inside(name: str) -> None:
    drawn = draw_parameters(name, 2000, np.random.default_rng(0))
    for key, (low, high) in families()[name].ranges.items():
        assert drawn[key].min() >= low and drawn[key].max() <= high
        assert np.ptp(drawn[key]) > 0.98 * (high - low)


@every_family
def test_targets_are_the_function_of_the_family_plus_noise(name: str) -> None:
    tasks = draw_tasks(200, 5, 7, 0, "test")
    mine = tasks.family == FAMILIES.index(name)
    inputs = np.concatenate([tasks.support_x, tasks.query_x], axis=1)[mine]
    assert np.abs(inputs).max() <= 5
    assert (inputs[..., 1] == 1).all() == (name not in PLANE)


def test_the_same_place_draws_the_same_tasks_and_another_place_others() -> None:
    first, again, other = (draw_tasks(8, 3, 4, 0, "train", step) for step in (1, 1, 2))
    assert np.array_equal(first.support_y, again.support_y) and np.array_equal(first.query_x, again.query_x)
    assert not np.array_equal(first.support_y, other.support_y)


def test_formulas_at_points_worked_out_by_hand() -> None:
    one = {key: np.array([[value]]) for key, value in {"a": 2.0, "b": 3.0, "c": 5.0, "d": 7.0, "w": 1.0}.items()}
    at = np.array([[[2.0, 1.0]]])
    assert evaluate("line", one, at) == 7
    assert evaluate("quadratic", one, at) == 19
    assert evaluate("cubic", one, at) == 45
    assert evaluate("quadratic_surface", one, at) == 11
    np.testing.assert_allclose(evaluate("sinusoid", {**one, "p": np.array([[0.5]])}, at), 2 * np.sin(2.5))
    np.testing.assert_allclose(evaluate("ripple", one, at), np.sin(-10.0) + 3)


def test_noise_has_standard_deviation_three_tenths() -> None:
    tasks = draw_tasks(300, 200, 1, 0, "noise")
    lines = tasks.family == FAMILIES.index("line")
    residuals = [
        np.polyfit(x[:, 0], y, 1, full=True)[1][0] / (len(y) - 2)
        for x, y in zip(tasks.support_x[lines], tasks.support_y[lines], strict=True)
    ]
    np.testing.assert_allclose(np.sqrt(np.mean(residuals)), 0.3, rtol=0.05)


def test_held_out_phrasings_are_read_by_no_training_and_no_two_families_share_one() -> None:
    texts = [text for family in families().values() for text in [*family.training_texts, *family.held_out]]
    assert len(texts) == len(set(texts))
    assert all(family.held_out for family in families().values())
