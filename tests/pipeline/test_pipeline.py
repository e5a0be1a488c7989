"""Does a model survive saving, and does adapting do what it says?"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from taskaware import AdaptedTask, TaskAware, TaskCard
from taskaware.bodies import BodyConfig
from taskaware.core.errors import CheckpointError, DataError, MemoryStoreError
from taskaware.encoders import EncoderConfig
from taskaware.learners import LearnerConfig
from taskaware.pipeline import ModelConfig, RetrievalConfig

CARD = TaskCard(
    id="shop",
    dataset="shop",
    description="which shelf is it about",
    background=("books are upstairs", "toys are downstairs"),
    labels={"books": "books and prints", "toys": "toys and games", "food": "things to eat"},
)
EXAMPLES = [("a book of prints", "books"), ("a wooden toy", "toys"), ("two games please", "toys"), ("jam", "food")]
TEXTS = ["a print", "a toy train", "some jam", "another book"]


def config_of(**changes: Any) -> ModelConfig:
    encoder = EncoderConfig(name="hashing", dimension=64, layers=(1,), cache=False)
    learner = LearnerConfig(body=BodyConfig(hidden=6), **changes)
    return ModelConfig(encoder=encoder, learner=learner, retrieval=RetrievalConfig(tasks=3, classes=2))


@pytest.fixture
def model() -> TaskAware:
    torch.manual_seed(0)
    made = TaskAware.fresh(config_of())
    made.remember(
        made.adapt(TaskCard(id="past", dataset="past", labels={"a": "books", "b": "toys"}, description="shelf"))
    )
    return made


def no_pickle(*args: object, **kwargs: object) -> None:
    raise AssertionError("something was unpickled")


def test_a_saved_run_predicts_as_before_and_nothing_is_unpickled(
    model: TaskAware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = model.adapt(CARD, EXAMPLES).probabilities(TEXTS)
    model.save_pretrained(tmp_path / "run", "# card")
    for module, name in ((pickle, "load"), (pickle, "loads"), (torch, "load")):
        monkeypatch.setattr(module, name, no_pickle)
    again = TaskAware.from_pretrained(tmp_path / "run")
    np.testing.assert_allclose(again.adapt(CARD, EXAMPLES).probabilities(TEXTS), before, atol=1e-6)
    names = {path.name for path in (tmp_path / "run").rglob("*")}
    assert {"config.json", "model.safetensors", "README.md", "memory.sqlite"} <= names
    assert not [name for name in names if name.endswith((".pkl", ".pt", ".bin"))]


def test_an_adapted_task_is_self_contained(model: TaskAware, tmp_path: Path) -> None:
    task = model.adapt(CARD, EXAMPLES)
    task.save(tmp_path / "task")
    loaded = AdaptedTask.load(tmp_path / "task")
    np.testing.assert_allclose(loaded.probabilities(TEXTS), task.probabilities(TEXTS), atol=1e-6)
    assert loaded.explain() == task.explain()
    assert loaded.card == CARD


@pytest.mark.parametrize("examples", [[], EXAMPLES, EXAMPLES[:1], EXAMPLES * 9])
@pytest.mark.parametrize("learner", ["protonet", "maml", "protomaml"])
def test_any_number_of_examples_gives_probabilities_in_the_order_of_the_texts(examples: Any, learner: str) -> None:
    found = TaskAware.fresh(config_of(name=learner)).adapt(CARD, examples).predict(TEXTS)
    assert found.texts == tuple(TEXTS)
    np.testing.assert_allclose(found.probabilities.sum(1), 1.0, atol=1e-5)
    assert list(found.labels) == [found.classes[index] for index in found.probabilities.argmax(1)]


def test_predicting_nothing_gives_nothing(model: TaskAware) -> None:
    assert model.adapt(CARD).predict([]).labels == ()


def test_an_empty_description_is_allowed(model: TaskAware) -> None:
    silent = TaskCard(id="silent", dataset="silent", labels=CARD.labels)
    assert len(model.adapt(silent, EXAMPLES).predict(TEXTS).labels) == 4


def test_an_unknown_label_is_named_with_the_nearest(model: TaskAware) -> None:
    with pytest.raises(DataError, match="toy"):
        model.adapt(CARD, [("a toy", "toyz")])


def test_a_remembered_task_is_found_by_later_ones_but_never_by_itself(model: TaskAware) -> None:
    assert "shop" in {each.id for each in _remembered(model).adapt(_renamed("other"), EXAMPLES).explain().past_tasks}
    assert "shop" not in {each.id for each in model.adapt(CARD, EXAMPLES).explain().past_tasks}


def _remembered(model: TaskAware) -> TaskAware:
    assert model.remember(model.adapt(CARD, EXAMPLES)) == "shop"
    return model


def _renamed(name: str) -> TaskCard:
    return TaskCard(id=name, dataset=name, labels=CARD.labels, description=CARD.description)


def test_an_explanation_accounts_for_all_attention_gates_and_sources(model: TaskAware) -> None:
    found = model.adapt(CARD, EXAMPLES).explain()
    assert sum(each.attention for each in found.past_tasks) + found.identity == pytest.approx(1.0, abs=1e-5)
    assert set(found.gates) == set(CARD.labels)
    assert all(0 <= gate <= 1 for gate in found.gates.values())
    sources = ["description", "background", "label texts", "memory", "examples"]
    assert [each.source for each in found.effects] == sources
    assert all(0 <= each.shift <= 1 for each in found.effects)


def test_a_full_disk_keeps_the_old_run_and_leaves_nothing_behind(
    model: TaskAware, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save_pretrained(tmp_path / "run", "old")

    def full(*args: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("taskaware.pipeline.saving.save_file", full)
    with pytest.raises(OSError, match="No space"):
        model.save_pretrained(tmp_path / "run", "new")
    assert (tmp_path / "run" / "README.md").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    TaskAware.from_pretrained(tmp_path / "run")


def test_a_memory_of_another_encoder_is_refused(model: TaskAware, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "run", "")
    config = (tmp_path / "run" / "config.json").read_text().replace('"dimension": 64', '"dimension": 32')
    (tmp_path / "run" / "config.json").write_text(config)
    with pytest.raises((MemoryStoreError, CheckpointError)):
        TaskAware.from_pretrained(tmp_path / "run")


def test_folders_of_the_wrong_kind_are_told_apart(model: TaskAware, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "run", "")
    with pytest.raises(CheckpointError, match="run folder, expected an adapted task"):
        AdaptedTask.load(tmp_path / "run")
    with pytest.raises(CheckpointError, match="no such file"):
        TaskAware.from_pretrained(tmp_path / "nothing")
