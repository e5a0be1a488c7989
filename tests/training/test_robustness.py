"""Does a run survive what goes wrong, and does it split and retrieve as it says?"""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from taskaware.core.config import build, override, read_yaml
from taskaware.core.errors import ConfigError, TrainingError
from taskaware.core.values import TaskCard
from taskaware.encoders.hashing import HashingEncoder
from taskaware.episodes import EncodedTask, EpisodeConfig, encode_task
from taskaware.pipeline import TaskAware
from taskaware.pipeline.batching import episode_classes
from taskaware.pipeline.retrieval import find_tasks
from taskaware.training import RunConfig, checkpoint, train
from taskaware.training import loop as training_loop
from taskaware.training.config import DropConfig
from taskaware.training.distributed import share
from taskaware.training.episodes import training_request
from taskaware.training.loop import Progress, Run
from taskaware.training.session import train_and_save
from taskaware.training.tasks import Codebook, TrainingLibraries, TrainingTasks


def silent(progress: Progress) -> None:
    """Reports nothing."""


def config_of(path: Path, *assignments: str) -> RunConfig:
    return build(RunConfig, override(read_yaml(path), assignments), str(path))


def state_of(config: RunConfig) -> dict[str, torch.Tensor]:
    return load_file(Path(config.output) / f"{config.name}.checkpoint" / "state.safetensors")


def gradients(run: Run, shares: list[range]) -> list[torch.Tensor]:
    run.optimizer.zero_grad(set_to_none=True)
    for indices in shares:
        run._loss(0, indices).backward()
    return [torch.zeros_like(each) if each.grad is None else each.grad.clone() for each in run.parameters]


@pytest.mark.parametrize("learner", ["protonet", "maml", "protomaml"])
def test_the_gradients_of_all_shares_sum_to_those_of_the_whole(run_file: Path, learner: str) -> None:
    run = Run(config_of(run_file, f"learner.name={learner}", "validation=[]"))
    whole = gradients(run, [range(5)])
    assert any(each.abs().max() > 0 for each in whole)
    for processes in (2, 3, 5):
        parts = gradients(run, [share(5, rank, processes) for rank in range(processes)])
        for one, other in zip(whole, parts, strict=True):
            torch.testing.assert_close(one, other, atol=2e-6, rtol=1e-4)


def test_chunks_of_a_meta_batch_take_the_step_of_the_whole(run_file: Path) -> None:
    models = [
        train(config_of(run_file, "validation=[]", f"training.task_chunk={chunk}")) for chunk in ("auto", "2", "1")
    ]
    for model in models[1:]:
        for name, value in models[0].learner.state_dict().items():
            torch.testing.assert_close(model.learner.state_dict()[name], value, atol=1e-5, rtol=1e-5)


def test_a_process_without_a_task_of_the_meta_batch_waits_with_gradients_of_zero(
    run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(config_of(run_file, "validation=[]"))
    monkeypatch.setattr(training_loop, "share", lambda *args: range(0))
    assert run._step(0) == 0.0
    assert all(each.grad is not None and not each.grad.any() for each in run.parameters)


def test_resuming_keeps_the_best_weights_and_the_log_so_far(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(run_file)
    whole = Run(config)
    whole.go(resume=False, report=silent)
    step = Run._step

    def interrupted(self: Run, number: int) -> float:
        if number == 4:
            raise KeyboardInterrupt
        return step(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    resumed = Run(config)
    resumed.go(resume=True, report=silent)
    assert (resumed.history, resumed.best_score, resumed.best_step) == (
        whole.history,
        whole.best_score,
        whole.best_step,
    )
    for name, value in whole.best.items():
        assert torch.equal(resumed.best[name], value), name


def test_resuming_a_finished_run_changes_nothing(run_file: Path) -> None:
    config = config_of(run_file)
    one, two = train(config), train(config, resume=True)
    for name, value in one.learner.state_dict().items():
        assert torch.equal(two.learner.state_dict()[name], value), name


def test_a_learning_rate_that_explodes_stops_the_run_with_its_step(run_file: Path) -> None:
    config = config_of(run_file, "training.learning_rate=1.0e+30", "training.warmup=0")
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d+; the last good checkpoint is kept in"):
        train(config)
    assert all(torch.isfinite(value).all() for value in state_of(config).values())


def test_a_poisoned_feature_stops_the_run_and_the_checkpoint_at_birth_loads(run_file: Path) -> None:
    config = config_of(run_file, "validation=[]")
    run = Run(config)
    features = run.tasks.tasks[0].features, run.tasks.tasks[1].features
    kept = [each.copy() for each in features]
    for each in features:
        each[:] = np.nan
    with pytest.raises(TrainingError, match="nan at step 1"):
        run.go(resume=False, report=silent)
    for each, clean in zip(features, kept, strict=True):
        each[:] = clean
    assert math.isfinite(run._loss(0, range(5)).item())
    train(config, resume=True)


def test_a_gradient_that_is_not_finite_never_reaches_a_checkpoint(
    run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce = training_loop.reduce_gradients
    steps: list[int] = []

    def poisoned(accelerator: object, parameters: list[torch.nn.Parameter]) -> None:
        reduce(accelerator, parameters)  # type: ignore[arg-type]
        steps.append(len(steps) + 1)
        if steps[-1] == 3:
            parameters[0].grad.fill_(float("nan"))  # type: ignore[union-attr]

    monkeypatch.setattr(training_loop, "reduce_gradients", poisoned)
    config = config_of(run_file)
    with pytest.raises(TrainingError):
        train(config)
    assert all(torch.isfinite(value).all() for value in state_of(config).values())


def test_the_advice_after_a_loss_that_is_not_finite_can_be_followed(
    run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(training_loop, "total", lambda accelerator, value: math.nan)
        with pytest.raises(TrainingError, match=r"lower training.learning_rate .* with --resume auto"):
            train(config_of(run_file))
    train(config_of(run_file, "training.learning_rate=1.0e-4"), resume=True)


def test_a_failed_checkpoint_keeps_the_last_one(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(run_file, "training.validate_every=2")
    keep, saved = checkpoint.save_file, []

    def full(tensors: dict[str, torch.Tensor], path: Path) -> None:
        saved.append(path)
        if len(saved) == 3:
            raise OSError("No space left on device")
        keep(tensors, path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        with pytest.raises(OSError, match="No space"):
            train(config)
    assert [path.name for path in Path(config.output).iterdir()] == ["tiny.checkpoint"]
    resumed = train(config, resume=True)
    shutil.rmtree(config.output)
    whole = train(config)
    for name, value in whole.learner.state_dict().items():
        assert torch.equal(resumed.learner.state_dict()[name], value), name


def test_a_saved_run_holds_the_weights_that_were_kept(run_file: Path) -> None:
    finished = train_and_save(config_of(run_file), resume=False, report=silent)
    stored, again = TaskAware.from_pretrained(finished.folder), train(config_of(run_file))
    for name, value in again.learner.state_dict().items():
        assert torch.equal(stored.learner.state_dict()[name], value), name
    assert sorted(stored.memory.ids()) == ["moods", "things"]
    stored.memory.close()


def test_a_training_episode_finds_neither_its_classes_nor_a_task_that_is_hidden(run_file: Path) -> None:
    run = Run(config_of(run_file))
    libraries, drop = run.libraries.all(), run.config.training.drop
    seen = {"own task": 0, "hidden": 0}
    for index in range(80):
        request = training_request(run.tasks, libraries, run.config.episodes, drop, (0, 1, index))
        memory, own = request.library.memory, request.draw.task.id
        snapshot = memory.snapshot
        classes = memory.search_classes(request.words.labels, 8, request.exclude).rows
        found = {str(snapshot.class_keys[row]) for row in classes.ravel() if row >= 0}
        assert not found & episode_classes(request.draw)
        rows = find_tasks(request.library, request.words, run.config.retrieval, request.exclude)
        tasks = {str(snapshot.task_ids[row]) for row in rows if row >= 0}
        assert not tasks & request.exclude.tasks
        seen["own task"] += own in tasks
        seen["hidden"] += own in request.exclude.tasks
    assert min(seen.values()) > 0


def worded(descriptions: int, labels: int) -> EncodedTask:
    card = TaskCard(
        id="worded",
        dataset="worded",
        description="wording 0",
        paraphrases=tuple(f"wording {number}" for number in range(1, descriptions)),
        labels={"a": "a 0", "b": "b 0"},
        label_paraphrases={name: tuple(f"{name} {number}" for number in range(1, labels)) for name in "ab"},
    )
    return encode_task(card, ["one", "two", "three", "four"], ["a", "a", "b", "b"], HashingEncoder(32, layers=()))


def clashes(descriptions: int, labels: int) -> int:
    """How many of 60 episodes meet the wording of their own description or labels in the memory."""
    task = worded(descriptions, labels)
    tasks = TrainingTasks((task,), np.ones(1), np.ones(1, dtype=bool))
    libraries = TrainingLibraries(tasks, HashingEncoder(32, layers=()), Codebook(tasks, 4)).all()
    drop, episodes, count = DropConfig(nonsense=0.0), EpisodeConfig(way=2, shots=1, query=1), 0
    for index in range(60):
        request = training_request(tasks, libraries, episodes, drop, (0, 0, index))
        snapshot = request.library.memory.snapshot
        same_description = np.allclose(snapshot.task_embeddings[0], request.words.description, atol=1e-6)
        same_labels = np.allclose(snapshot.class_texts, request.words.labels, atol=1e-6)
        count += (descriptions > 1 and same_description) or (labels > 1 and same_labels)
    return count


@given(wordings=st.tuples(st.integers(1, 4), st.integers(1, 4)))
@example(wordings=(2, 3))
@example(wordings=(3, 2))
@settings(max_examples=10, deadline=None)
def test_training_words_never_retrieve_from_a_library_in_their_own_wording(wordings: tuple[int, int]) -> None:
    assert clashes(*wordings) == 0


def test_a_card_that_is_given_twice_is_refused(run_file: Path) -> None:
    things = str(run_file.parent / "things.md")
    with pytest.raises(ConfigError, match="things"):
        Run(config_of(run_file, "data=[{card: " + things + "}, {card: " + things + ", adapter: identity}]"))
