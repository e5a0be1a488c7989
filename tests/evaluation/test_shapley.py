"""Laws of Shapley values: efficiency, symmetry, null player, additivity, and errors that name what is missing."""

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from taskaware.core.errors import ConfigError
from taskaware.evaluation.shapley import coalitions, shapley

SOURCES = ("description", "background", "label texts", "memory")
Game = dict[frozenset[str], NDArray[np.float64]]


def game(seed: int, sources: tuple[str, ...] = SOURCES) -> Game:
    rng = np.random.default_rng(seed)
    return {coalition: rng.random(7) for coalition in coalitions(sources)}


@pytest.mark.parametrize("sources", [SOURCES[:count] for count in range(1, 5)])
def test_the_values_sum_to_the_gain_of_all_over_none(sources: tuple[str, ...]) -> None:
    values = game(0, sources)
    total = sum(shapley(values, sources).values())
    np.testing.assert_allclose(total, values[frozenset(sources)] - values[frozenset()], rtol=0, atol=1e-15)


def test_the_values_are_the_mean_marginal_gain_over_all_orders() -> None:
    values, orders = game(1), list(permutations(SOURCES))
    for source, value in shapley(values, SOURCES).items():
        before = [frozenset(order[: order.index(source)]) for order in orders]
        mean = np.mean([values[coalition | {source}] - values[coalition] for coalition in before], axis=0)
        np.testing.assert_allclose(value, mean, atol=1e-14)


def test_sources_that_gain_the_same_everywhere_share_alike() -> None:
    values = {coalition: np.array([len(coalition) ** 2.0]) for coalition in coalitions(SOURCES)}
    assert {source: value.item() for source, value in shapley(values, SOURCES).items()} == dict.fromkeys(SOURCES, 4.0)


def test_a_source_that_never_changes_anything_has_value_zero() -> None:
    values = game(2)
    values |= {coalition: values[coalition - {"memory"}] for coalition in coalitions(SOURCES)}
    np.testing.assert_array_equal(shapley(values, SOURCES)["memory"], np.zeros(7))


def test_the_value_of_a_sum_of_games_is_the_sum_of_values() -> None:
    first, second = game(3), game(4)
    both = shapley({coalition: first[coalition] + second[coalition] for coalition in first}, SOURCES)
    for source in SOURCES:
        apart = shapley(first, SOURCES)[source] + shapley(second, SOURCES)[source]
        np.testing.assert_allclose(both[source], apart, atol=1e-14)


def test_a_missing_coalition_is_named() -> None:
    values = game(5)
    del values[frozenset({"memory", "description"})], values[frozenset()]
    with pytest.raises(ConfigError, match=r"not measured: none; description\+memory"):
        shapley(values, SOURCES)
    with pytest.raises(ConfigError, match="once"):
        shapley(game(5), ("memory", "memory"))
