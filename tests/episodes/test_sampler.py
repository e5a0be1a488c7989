"""What does a drawn episode guarantee?"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskaware.core.errors import EpisodeError
from taskaware.core.seeds import generator
from taskaware.episodes import EncodedTask, Shape, Words, check_disjoint, draw_episode, pad_examples


@settings(max_examples=30, deadline=None)
@given(way=st.integers(2, 4), shots=st.integers(0, 6), seed=st.integers(0, 1000))
def test_support_and_query_share_no_row_and_every_class_has_exactly_k_shots(
    toy: EncodedTask, way: int, shots: int, seed: int
) -> None:
    draw = draw_episode(toy, way=way, shots=shots, query=3, rng=generator(seed))
    assert not set(draw.support) & set(draw.query)
    assert len(set(draw.classes)) == way
    assert np.bincount(draw.support_labels, minlength=way).tolist() == [shots] * way
    for rows, labels in ((draw.support, draw.support_labels), (draw.query, draw.query_labels)):
        assert (toy.labels[rows] == draw.classes[labels]).all()


def test_a_draw_depends_on_its_place_alone(toy: EncodedTask) -> None:
    first = [draw_episode(toy, way=3, shots=1, query=2, rng=generator("a", 0, step)) for step in range(4)]
    again = [draw_episode(toy, way=3, shots=1, query=2, rng=generator("a", 0, step)) for step in reversed(range(4))]
    for one, other in zip(first, reversed(again), strict=True):
        assert one.query.tolist() == other.query.tolist()
    assert len({tuple(each.query) for each in first}) == 4


def test_too_few_examples_are_an_error_that_says_what_to_do(toy: EncodedTask) -> None:
    with pytest.raises(EpisodeError, match=r"0 classes have more than 50 examples.*lower the shots"):
        draw_episode(toy, way=2, shots=50, query=1, rng=generator(0))


@given(size=st.integers(0, 500))
def test_padding_keeps_every_row_and_masks_the_rest(size: int) -> None:
    features = np.ones((size, 2), dtype=np.float32)
    padded = pad_examples(features, np.ones(size, dtype=np.int64), size + 3)
    assert padded.mask.sum() == size
    assert (padded.features.sum(1) > 0).tolist() == [True] * size + [False] * 3


def test_a_bucket_holds_every_draw(toy: EncodedTask) -> None:
    draws = [draw_episode(toy, way=way, shots=way, query=2, rng=generator(way)) for way in (2, 3, 4)]
    shape = Shape.of(draws, [Words.of(draw) for draw in draws])
    assert shape.ways >= 4 and shape.support >= 16 and shape.query >= 8


def test_the_wording_picks_the_description_and_absent_words_are_marked(toy: EncodedTask) -> None:
    one, two = (Words.of(draw_episode(toy, way=2, shots=0, query=1, rng=generator(0), wording=w)) for w in (0, 1))
    assert not np.allclose(one.description, two.description)
    assert one.present == (True, True, True)


def test_a_held_out_row_of_a_training_class_is_refused(toy: EncodedTask) -> None:
    with pytest.raises(EpisodeError, match="also in training"):
        check_disjoint([toy], [toy], "validation")
