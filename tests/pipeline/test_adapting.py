"""Which laws hold for adapting, predicting, remembering and explaining, whatever the words and the examples?"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from taskaware import TaskAware, TaskCard
from taskaware.core.errors import CardError, CheckpointError
from taskaware.episodes import encode_task, reliance
from taskaware.pipeline.records import record_of

Teach = Callable[..., TaskAware]
LABELS = {"books": "books and prints", "toys": "toys and games", "food": "things to eat"}
WORDS = {"books": ("book", "print", "novel"), "toys": ("toy", "game", "train"), "food": ("jam", "tea", "cake")}
CARD = TaskCard(
    id="shop", dataset="shop", description="which shelf is it about", background=("books are upstairs",), labels=LABELS
)
EXAMPLES = [("a book", "books"), ("a toy", "toys"), ("two games", "toys"), ("jam", "food")]
TEXTS = ["a print", "a toy train", "some jam", "another book", ""]


def examples_of(counts: tuple[int, ...]) -> list[tuple[str, str]]:
    pairs = zip(WORDS.items(), counts, strict=True)
    return [(f"{words[n % 3]} {n}", label) for (label, words), count in pairs for n in range(count)]


@given(counts=st.tuples(*[st.integers(0, 14)] * 3), learner=st.sampled_from(["protonet", "maml", "protomaml"]))
@settings(max_examples=30, deadline=None)
def test_any_number_of_examples_of_each_class_gives_probabilities(
    teach: Teach, counts: tuple[int, ...], learner: str
) -> None:
    found = teach(learner, past=2).adapt(CARD, examples_of(counts)).predict(TEXTS)
    assert np.isfinite(found.probabilities).all() and (found.probabilities >= 0).all()
    np.testing.assert_allclose(found.probabilities.sum(1), 1.0, atol=1e-5)


def test_a_task_without_labels_is_an_error_that_says_so(teach: Teach) -> None:
    with pytest.raises(CardError, match="shop: labels: none, expected"):
        teach().adapt(dataclasses.replace(CARD, labels={}))


def test_predictions_follow_the_order_of_the_texts(teach: Teach) -> None:
    task, order = teach().adapt(CARD, EXAMPLES), [3, 0, 4, 2, 1]
    turned = task.predict([TEXTS[index] for index in order])
    whole = task.predict(TEXTS)
    np.testing.assert_allclose(turned.probabilities, whole.probabilities[order], atol=1e-6)
    assert turned.labels == tuple(whole.labels[index] for index in order)
    one_by_one = np.concatenate([task.probabilities([text]) for text in TEXTS])
    np.testing.assert_allclose(one_by_one, whole.probabilities, atol=1e-6)


@pytest.mark.parametrize("learner", ["protonet", "maml", "protomaml"])
def test_neither_the_order_of_the_labels_nor_of_the_examples_matters(teach: Teach, learner: str) -> None:
    model = teach(learner)
    before = model.adapt(CARD, EXAMPLES).predict(TEXTS)
    turned = dataclasses.replace(CARD, labels={name: LABELS[name] for name in ("food", "books", "toys")})
    after = model.adapt(turned, EXAMPLES[::-1]).predict(TEXTS)
    assert after.classes == ("food", "books", "toys")
    np.testing.assert_allclose(after.probabilities[:, [1, 2, 0]], before.probabilities, atol=1e-5)


def test_adapting_leaves_no_trace_in_the_model(teach: Teach) -> None:
    model = teach()
    before = model.adapt(CARD, EXAMPLES).probabilities(TEXTS)
    model.adapt(dataclasses.replace(CARD, id="other", description="something else"), EXAMPLES * 5).explain()
    np.testing.assert_array_equal(model.adapt(CARD, EXAMPLES).probabilities(TEXTS), before)


def test_remembering_a_task_does_not_change_how_it_is_adapted_again(teach: Teach) -> None:
    model = teach()
    before = model.adapt(CARD, EXAMPLES)
    expected = before.explain()
    assert model.remember(before) == "shop" and "shop" in model.memory.ids()
    again = model.adapt(CARD, EXAMPLES)
    np.testing.assert_allclose(again.probabilities(TEXTS), before.probabilities(TEXTS), atol=1e-6)
    assert [each.id for each in again.explain().past_tasks] == [each.id for each in expected.past_tasks]


def test_a_remembered_task_changes_a_later_one_with_the_same_words(teach: Teach) -> None:
    model, other = teach(past=0), dataclasses.replace(CARD, id="other")
    assert not model.adapt(other, EXAMPLES).explain().past_tasks
    model.remember(model.adapt(CARD, EXAMPLES))
    (found,) = model.adapt(other, EXAMPLES).explain().past_tasks
    assert found.id == "shop" and found.description == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("early", ["aaa", "zzz"])
def test_an_explanation_does_not_depend_on_what_is_remembered_after_adapting(teach: Teach, early: str) -> None:
    model = teach()
    expected, task = model.adapt(CARD, EXAMPLES).explain(), model.adapt(CARD, EXAMPLES)
    model.remember(model.adapt(dataclasses.replace(CARD, id=early), EXAMPLES))
    assert task.explain() == expected


def test_an_explained_task_lets_the_memory_go_and_can_still_be_remembered(teach: Teach) -> None:
    model = teach()
    task = model.adapt(CARD, EXAMPLES)
    explanation = task.explain()
    assert task.situation is None and task.explain() is explanation
    assert model.remember(task) == "shop" and "shop" in model.memory.ids()


@pytest.mark.parametrize("learner", ["protonet", "maml", "protomaml"])
@pytest.mark.parametrize("past", [0, 2])
@pytest.mark.parametrize("examples", [[], EXAMPLES[:1], EXAMPLES])
@pytest.mark.parametrize("hidden", [{}, {"description": ""}, {"background": ()}, {"description": "", "background": ()}])
def test_an_explanation_has_one_effect_for_each_source_that_was_used(
    teach: Teach, learner: str, past: int, examples: list[tuple[str, str]], hidden: dict[str, Any]
) -> None:
    found = teach(learner, past=past).adapt(dataclasses.replace(CARD, **hidden), examples).explain()
    used = {
        "description": "description" not in hidden,
        "background": "background" not in hidden,
        "label texts": True,
        "memory": past > 0,
        "examples": len(examples) > 0,
    }
    assert [each.source for each in found.effects] == [source for source, present in used.items() if present]
    assert sum(each.attention for each in found.past_tasks) + found.identity == pytest.approx(1.0, abs=1e-5)
    assert len(found.past_tasks) == past and all(0 <= each.attention <= 1 for each in found.past_tasks)
    assert list(found.gates) == list(LABELS) and all(0 <= gate <= 1 for gate in found.gates.values())
    assert all(0 <= each.shift <= 1 + 1e-6 for each in found.effects)
    known = len(examples) > 1
    assert all((each.accuracy is not None) == (known and each.source != "examples") for each in found.effects)


@pytest.mark.parametrize("learner", ["protonet", "logistic", "protomaml"])
@pytest.mark.parametrize("past", [0, 2])
def test_slots_of_the_memory_that_stay_empty_are_not_adapted_to_and_change_nothing(
    teach: Teach, learner: str, past: int
) -> None:
    model = teach(learner, past=past)  # which looks up three tasks
    task = model.adapt(CARD, EXAMPLES)
    assert task.situation is not None
    context = task.situation.context
    near = context.neighbours
    assert len(near.adapters) == past and near.task_mask.all()

    def empty(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values, values.new_zeros(3 - past, *values.shape[1:])])

    padded = dataclasses.replace(
        near,
        adapters=empty(near.adapters),
        task_similarity=empty(near.task_similarity),
        task_mask=empty(near.task_mask),
    )
    with torch.no_grad():
        found = model.learner.adapt(task.situation.support, dataclasses.replace(context, neighbours=padded))
    torch.testing.assert_close(found.weight, task.adapted.weight)
    torch.testing.assert_close(found.code, task.adapted.code)


@pytest.mark.parametrize("width", [0, 7])
def test_past_tasks_without_codes_are_in_the_encoders_own_space_and_codes_of_another_width_are_refused(
    teach: Teach, width: int
) -> None:
    model = teach(past=0)
    card = TaskCard(id="past", dataset="past", labels={"a": "books", "b": "toys"}, description="which shelf")
    task = encode_task(card, ["a novel", "a train"], ["a", "b"], model.encoder)
    model.memory.add([record_of(task, np.ones(width, dtype=np.float32))])
    if width:
        with pytest.raises(CheckpointError, match=f"codes of width {width}, expected {model.learner.code_width}"):
            model.adapt(CARD, EXAMPLES)
    else:
        assert not model.adapt(CARD, EXAMPLES).adapted.code.any()


@pytest.mark.parametrize("several", [True, False])
def test_a_remembered_task_knows_what_its_examples_were_worth_where_they_can_tell(teach: Teach, several: bool) -> None:
    model = teach()
    task = model.adapt(CARD, examples_of((3, 3, 3) if several else (3, 1, 3)))
    predicted = float(task.adapted.code[-1])
    name = model.remember(task)
    snapshot = model.memory.snapshot()
    code = snapshot.task_adapters[snapshot.task_rows[name]]
    assert task.encoded is not None
    assert code[-1] == pytest.approx(reliance(task.encoded) if several else predicted)
    np.testing.assert_array_equal(code[:-1], task.adapted.code[:-1].numpy())
    assert float(task.adapted.code[-1]) == predicted  # what was adapted stays as it was
