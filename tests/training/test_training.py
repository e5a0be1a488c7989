"""Does training keep its promises: W processes equal one, resuming changes nothing, nothing leaks, nothing is lost?"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from taskaware.core.config import build, override, read_yaml
from taskaware.core.errors import ConfigError, EpisodeError, TrainingError
from taskaware.episodes import reliance
from taskaware.pipeline import TaskAware
from taskaware.pipeline.batching import assemble, episode_classes
from taskaware.training import RunConfig, train
from taskaware.training.distributed import share
from taskaware.training.episodes import training_request
from taskaware.training.loop import Run


def config_of(path: Path, *assignments: str) -> RunConfig:
    return build(RunConfig, override(read_yaml(path), assignments), str(path))


def weights(model: TaskAware) -> dict[str, torch.Tensor]:
    codes = torch.from_numpy(model.memory.snapshot().task_adapters.copy())
    return {**{name: value.clone() for name, value in model.learner.state_dict().items()}, "codes": codes}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 0.0) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=tolerance, rtol=tolerance, msg=name)


@given(tasks=st.integers(0, 60), processes=st.integers(1, 8))
def test_the_shares_of_all_processes_partition_the_meta_batch(tasks: int, processes: int) -> None:
    shares = [share(tasks, rank, processes) for rank in range(processes)]
    assert sorted(index for each in shares for index in each) == list(range(tasks))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_same_seed_gives_the_same_weights_and_another_seed_gives_others(run_file: Path) -> None:
    free = "validation=[]"
    one, two = (train(config_of(run_file, free)) for _ in range(2))
    other = train(config_of(run_file, free, "seed=4"))
    assert_equal(weights(one), weights(two))
    assert not torch.equal(weights(one)["codes"], weights(other)["codes"])


def test_a_resumed_run_equals_an_uninterrupted_one(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(run_file, "validation=[]")
    whole = weights(train(config))
    step = Run._step

    def interrupted(self: Run, number: int) -> float:
        if number == 4:
            raise KeyboardInterrupt
        return step(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    assert_equal(whole, weights(train(config, resume=True)))


def test_a_checkpoint_of_another_configuration_is_refused(run_file: Path) -> None:
    from taskaware.core.errors import CheckpointError

    train(config_of(run_file))
    with pytest.raises(CheckpointError, match="another configuration"):
        train(config_of(run_file, "episodes.query=3"), resume=True)


def test_a_loss_that_is_not_finite_stops_with_its_step_and_keeps_the_checkpoint(
    run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = Run._loss

    def poisoned(self: Run, step: int, indices: range) -> torch.Tensor:
        return loss(self, step, indices) * (float("nan") if step == 4 else 1.0)

    config = config_of(run_file)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "_loss", poisoned)
        with pytest.raises(TrainingError, match=r"nan at step 5; the last good checkpoint"):
            train(config)
    state = load_file(Path(config.output) / "tiny.checkpoint" / "state.safetensors")
    assert all(torch.isfinite(value).all() for value in state.values())
    train(config, resume=True)


def test_the_kept_weights_are_never_worse_on_validation_than_those_at_birth(run_file: Path) -> None:
    run = Run(config_of(run_file, "training.learning_rate=5.0"))
    run.go(resume=False, report=lambda progress: None)
    assert run.best_score == max(entry["score"] for entry in run.history) >= run.history[0]["score"]


def test_identity_tasks_learn_no_modulation_and_all_know_what_their_examples_were_worth(run_file: Path) -> None:
    run = Run(config_of(run_file, "validation=[]"))
    snapshot = run.go(resume=False, report=lambda progress: None).memory.snapshot()
    codes = {name: snapshot.task_adapters[row] for name, row in snapshot.task_rows.items()}
    assert codes["things"][:-1].any() and not codes["moods"][:-1].any()
    for task in run.tasks.tasks:
        assert codes[task.id][-1] == pytest.approx(reliance(task))


def test_an_episode_retrieves_neither_its_classes_nor_its_task_when_hidden_nor_its_own_wording(run_file: Path) -> None:
    run = Run(config_of(run_file))
    libraries = run.libraries.all()
    hidden = 0
    for index in range(60):
        drop = run.config.training.drop
        request = training_request(run.tasks, libraries, run.config.episodes, drop, (0, 0, index))
        assert request.exclude.classes >= episode_classes(request.draw) or len(request.exclude.tasks) == 2
        hidden += request.draw.task.id in request.exclude.tasks
        count = len(request.draw.task.words.descriptions)
        assert libraries.index(request.library) % count != request.draw.wording % count
    assert 0 < hidden < 60


def test_no_class_prototype_of_the_episode_reaches_its_context(run_file: Path) -> None:
    run = Run(config_of(run_file, "data=[{card: " + str(run_file.parent / "things.md") + "}]", "episodes.way=[4]"))
    libraries, drop = run.libraries.all(), run.config.training.drop
    requests = [training_request(run.tasks, libraries, run.config.episodes, drop, (0, 0, i)) for i in range(5)]
    assert not assemble(requests, run.config.retrieval).context.neighbours.class_slots.any()


def test_validating_on_training_rows_is_refused(run_file: Path) -> None:
    things = str(run_file.parent / "things.md")
    with pytest.raises(EpisodeError, match="also in training"):
        Run(config_of(run_file, "validation=[{card: " + things + ", split: train}]"))


def test_an_unknown_task_of_a_card_is_named(run_file: Path) -> None:
    with pytest.raises(ConfigError, match="no task 'emotions'"):
        Run(config_of(run_file, "data=[{card: messages, tasks: [emotions]}]"))


LAUNCHED = """\
from accelerate import PartialState
from taskaware.cli.main import main

try:
    main()
finally:
    state = PartialState()
    print(f"process {state.process_index} of {state.num_processes}", flush=True)
    state.destroy_process_group()
"""


@pytest.mark.parametrize("learner", ["protonet", "protomaml"])
@pytest.mark.parametrize("validation", ["validation=[]", "training.validation_episodes=4"])
def test_two_processes_give_the_parameters_of_one(run_file: Path, learner: str, validation: str) -> None:
    """torchrun, since `accelerate launch --cpu --num_processes 2` starts one process only (accelerate 1.x)."""
    (run_file.parent / "launched.py").write_text(LAUNCHED, encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(run_file.parent / "launched.py"), "train", str(run_file), "--set", f"learner.name={learner}"]
    command += ["--set", validation]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "process 0 of 2" in done.stdout and "process 1 of 2" in done.stdout
    two = TaskAware.from_pretrained(run_file.parent / "runs" / "tiny")
    assert_equal(weights(train(config_of(run_file, f"learner.name={learner}", validation))), weights(two), 2e-5)
    two.memory.close()
