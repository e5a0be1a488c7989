"""Do saved folders hold all that predictions need, nothing that is pickled, and survive what goes wrong?"""

import dataclasses
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from taskaware import AdaptedTask, TaskAware, TaskCard
from taskaware.core.errors import CheckpointError, DataError, EncoderError, MemoryStoreError

Teach = Callable[..., TaskAware]
CARD = TaskCard(
    id="shop",
    dataset="shop",
    description="which shelf is it about",
    paraphrases=("what shelf",),
    background=("books are upstairs", "toys are downstairs"),
    labels={"books": "books and prints", "toys": "toys and games", "food": "things to eat"},
    label_paraphrases={"books": ("things to read",)},
)
EXAMPLES = [("a book of prints", "books"), ("a wooden toy", "toys"), ("two games please", "toys"), ("jam", "food")]
TEXTS = ["a print", "a toy train", "some jam", "another book"]


def no_pickle(*args: object, **kwargs: object) -> None:
    raise AssertionError("something was unpickled")


def forbid_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, no_pickle)


def full(*args: object, **kwargs: object) -> None:
    raise OSError("No space left on device")


@pytest.mark.parametrize("learner", ["protonet", "maml", "protomaml"])
def test_a_trained_model_predicts_and_explains_the_same_after_a_round_trip(
    teach: Teach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, learner: str
) -> None:
    model = teach(learner)
    before = model.adapt(CARD, EXAMPLES)
    model.save_pretrained(tmp_path / "run", "# card")
    forbid_pickle(monkeypatch)
    after = TaskAware.from_pretrained(tmp_path / "run").adapt(CARD, EXAMPLES)
    np.testing.assert_array_equal(after.probabilities(TEXTS), before.probabilities(TEXTS))
    assert after.explain() == before.explain()
    untrained = TaskAware.fresh(model.config).adapt(CARD, EXAMPLES)
    assert not np.allclose(untrained.probabilities(TEXTS), before.probabilities(TEXTS), atol=1e-3)


@pytest.mark.parametrize("learner", ["protonet", "maml", "protomaml"])
@pytest.mark.parametrize("examples", [EXAMPLES, []])
def test_an_adapted_task_needs_nothing_of_its_run(
    teach: Teach,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    learner: str,
    examples: list[tuple[str, str]],
) -> None:
    teach(learner).save_pretrained(tmp_path / "run", "# card")
    task = TaskAware.from_pretrained(tmp_path / "run").adapt(CARD, examples)
    task.save(tmp_path / "task")
    shutil.rmtree(tmp_path / "run")
    forbid_pickle(monkeypatch)
    loaded = AdaptedTask.load(tmp_path / "task")
    np.testing.assert_array_equal(loaded.probabilities(TEXTS), task.probabilities(TEXTS))
    assert (loaded.card, loaded.explain()) == (CARD, task.explain())


def test_no_file_of_either_folder_is_a_pickle(teach: Teach, tmp_path: Path) -> None:
    model = teach()
    model.save_pretrained(tmp_path / "run", "# card")
    model.adapt(CARD, EXAMPLES).save(tmp_path / "task")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".sqlite", ".faiss"}
    assert not [path for path in files if path.read_bytes()[:2] in (b"PK", b"\x80\x02", b"\x80\x04", b"\x80\x05")]


def test_a_task_that_was_loaded_cannot_be_remembered(teach: Teach, tmp_path: Path) -> None:
    model = teach()
    model.adapt(CARD, EXAMPLES).save(tmp_path / "task")
    with pytest.raises(DataError, match="remember it right after adapting"):
        model.remember(AdaptedTask.load(tmp_path / "task"))


def test_a_memory_that_another_encoder_made_is_refused(teach: Teach, tmp_path: Path) -> None:
    teach().save_pretrained(tmp_path / "run", "")
    teach(dimension=32).save_pretrained(tmp_path / "other", "")
    shutil.rmtree(tmp_path / "run" / "memory")
    (tmp_path / "other" / "memory").rename(tmp_path / "run" / "memory")
    with pytest.raises(MemoryStoreError, match="encoder"):
        TaskAware.from_pretrained(tmp_path / "run")


def test_an_adapted_task_is_not_read_by_another_encoder(teach: Teach, tmp_path: Path) -> None:
    teach().adapt(CARD, EXAMPLES).save(tmp_path / "task")
    config = tmp_path / "task" / "config.json"
    config.write_text(config.read_text().replace('"dimension": 64', '"dimension": 32'))
    with pytest.raises(EncoderError, match="adapt the task again"):
        AdaptedTask.load(tmp_path / "task")


def test_damaged_weights_are_named(teach: Teach, tmp_path: Path) -> None:
    teach().save_pretrained(tmp_path / "run", "")
    weights = tmp_path / "run" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read"):
        TaskAware.from_pretrained(tmp_path / "run")


@pytest.mark.parametrize("failing", ["save_file", "_write_json", "adapted_card"])
def test_a_failed_save_keeps_the_old_task_and_leaves_nothing_behind(
    teach: Teach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    model = teach()
    model.adapt(CARD, EXAMPLES).save(tmp_path / "task")
    before = AdaptedTask.load(tmp_path / "task").probabilities(TEXTS)
    monkeypatch.setattr(f"taskaware.pipeline.saving.{failing}", full)
    with pytest.raises(OSError, match="No space"):
        model.adapt(CARD).save(tmp_path / "task")
    assert [path.name for path in tmp_path.iterdir()] == ["task"]
    np.testing.assert_array_equal(AdaptedTask.load(tmp_path / "task").probabilities(TEXTS), before)


def test_a_first_save_that_fails_leaves_no_folder(
    teach: Teach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskaware.memory.memory.TaskMemory.copy_to", full)
    with pytest.raises(OSError, match="No space"):
        teach().save_pretrained(tmp_path / "run", "")
    assert not list(tmp_path.iterdir())


def test_a_rename_that_fails_puts_the_old_folder_back(
    teach: Teach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, replace = teach(), os.replace
    model.adapt(CARD, EXAMPLES).save(tmp_path / "task")

    def second_fails(source: Path, target: Path) -> None:
        if Path(source).name.endswith(".tmp") and Path(target).name == "task":
            full()
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", second_fails)
        with pytest.raises(OSError, match="No space"):
            model.adapt(CARD).save(tmp_path / "task")
    assert [path.name for path in tmp_path.iterdir()] == ["task"]


def test_what_is_remembered_is_still_there_after_reopening_the_run(teach: Teach, tmp_path: Path) -> None:
    teach(past=1).save_pretrained(tmp_path / "run", "")
    model = TaskAware.from_pretrained(tmp_path / "run")
    model.remember(model.adapt(CARD, EXAMPLES))
    model.memory.close()
    again = TaskAware.from_pretrained(tmp_path / "run")
    other = dataclasses.replace(CARD, id="other", dataset="other")
    assert "shop" in {each.id for each in again.adapt(other, EXAMPLES).explain().past_tasks}
    again.memory.close()
