"""Do the settings that save time or memory leave the step as it is?"""

import logging
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._dynamo.backends.common import aot_autograd

from taskaware.core.config import build, override, read_yaml
from taskaware.core.errors import ConfigError
from taskaware.core.values import Episode
from taskaware.episodes import Shape
from taskaware.learners import LearnerConfig
from taskaware.pipeline import RetrievalConfig
from taskaware.training import RunConfig, train
from taskaware.training.chunks import TaskChunks, cpu_chunk, task_bytes
from taskaware.training.loop import Run

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def config_of(path: Path, *assignments: str) -> RunConfig:
    return build(RunConfig, override(read_yaml(path), ("validation=[]", *assignments)), str(path))


def weights(config: RunConfig) -> dict[str, Tensor]:
    return train(config).learner.state_dict()


def gradients(run: Run, indices: range) -> list[Tensor]:
    run.optimizer.zero_grad(set_to_none=True)
    run._loss(0, indices).backward()
    return [torch.zeros_like(each) if each.grad is None else each.grad.clone() for each in run.parameters]


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], atol=2e-5, rtol=2e-5, msg=name)


@given(tasks=st.integers(0, 30), size=st.integers(1, 40), fits=st.integers(1, 40))
def test_every_task_is_added_once_however_little_memory_there_is(tasks: int, size: int, fits: int) -> None:
    added: list[int] = []

    def add(part: range) -> Tensor:
        added.extend(part)  # also of a part that fails: what it left behind must be forgotten
        if len(part) > fits:
            raise FULL
        return torch.tensor(float(sum(part)))

    chunks = TaskChunks(size, may_shrink=True)
    total = sum(chunks.accumulate(range(tasks), added.clear, add), torch.zeros(()))
    assert added == list(range(tasks)) and total == sum(range(tasks))
    assert min(chunks.size, max(tasks, 1)) <= max(fits, 1)
    assert chunks.size == size or 2 * chunks.size > min(fits, size)  # no smaller than halving asks for


@pytest.mark.parametrize("error", [FULL, RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")])
def test_a_fixed_chunk_and_a_single_task_that_do_not_fit_are_errors(error: RuntimeError) -> None:
    def add(part: range) -> Tensor:
        raise error

    for chunks in (TaskChunks(4, may_shrink=False), TaskChunks(4, may_shrink=True)):
        with pytest.raises(RuntimeError, match="memory"):
            chunks.accumulate(range(8), lambda: None, add)


def test_an_error_that_is_not_about_memory_is_raised_at_once() -> None:
    calls: list[range] = []

    def add(part: range) -> Tensor:
        calls.append(part)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        TaskChunks(4, may_shrink=True).accumulate(range(8), lambda: None, add)
    assert len(calls) == 1


@pytest.mark.parametrize("learner", ["protonet", "protomaml"])
def test_a_step_that_runs_out_of_memory_starts_over_in_halves_and_equals_the_whole(
    run_file: Path, learner: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(run_file, f"learner.name={learner}")
    whole, losses = weights(config), Run._task_losses

    def scarce(self: Run, batch: Episode) -> Tensor:
        if len(batch.query.labels) > 2:
            raise FULL
        return losses(self, batch)

    monkeypatch.setattr(Run, "_task_losses", scarce)
    with caplog.at_level(logging.WARNING):
        assert_close(whole, weights(config))
    said = [record.getMessage() for record in caplog.records if "memory ran out" in record.getMessage()]
    assert said == [f"memory ran out with {a} tasks at a time; going on with {b}" for a, b in ((5, 3), (3, 2))]


def test_gradients_of_a_failed_attempt_are_forgotten(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(run_file)
    whole, add, failed = weights(config), Run._add_gradients, []

    def full_after_backward(self: Run, step: int, indices: range) -> Tensor:
        found = add(self, step, indices)
        if len(failed) <= step:
            failed.append(step)
            raise FULL
        self.chunks.size = 5  # so that every step meets the error anew, when its gradients are already there
        return found

    monkeypatch.setattr(Run, "_add_gradients", full_after_backward)
    assert_close(whole, weights(config))
    assert len(failed) == config.training.steps


@pytest.mark.parametrize("value", ["null", "0", "all"])
def test_a_chunk_is_auto_or_a_number_of_tasks(run_file: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="task_chunk"):
        config_of(run_file, f"training.task_chunk={value}")


def test_a_cpu_takes_fewer_large_tasks_than_small_ones_and_at_least_one() -> None:
    def chunk(ways: int, shots: int) -> int:
        shape = Shape(ways, ways * shots, ways * 3, 1)
        return cpu_chunk(shape, LearnerConfig(name="protomaml"), RetrievalConfig(), 384, 1152)

    assert chunk(5, 5) > 24 and chunk(77, 5) > chunk(150, 10) >= 1 and chunk(4000, 20) == 1


def test_the_estimate_of_memory_grows_with_everything_that_takes_memory() -> None:
    shape, learner, retrieval = Shape(5, 25, 15, 1), LearnerConfig(), RetrievalConfig()
    least = task_bytes(shape, learner, retrieval, 384, 384)
    assert task_bytes(Shape(5, 50, 15, 1), learner, retrieval, 384, 384) > least
    assert task_bytes(Shape(5, 25, 30, 1), learner, retrieval, 384, 384) > least
    assert task_bytes(shape, learner, RetrievalConfig(tasks=32), 384, 384) > least
    assert task_bytes(shape, learner, retrieval, 384, 1152) > least


@pytest.mark.parametrize("learner", ["protonet", "maml", "protomaml", "logistic"])
def test_padding_to_the_largest_shape_changes_no_gradient(run_file: Path, learner: str) -> None:
    run = Run(config_of(run_file, f"learner.name={learner}"))
    smallest = gradients(run, range(5))
    run.shape = Shape.largest(run.tasks.tasks, run.config.episodes)
    for one, other in zip(smallest, gradients(run, range(5)), strict=True):
        torch.testing.assert_close(one, other, atol=2e-6, rtol=1e-4)


def test_a_run_whose_compiler_fails_says_so_once_and_equals_the_eager_run(
    run_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    eager = weights(config_of(run_file, "training.compile=off"))

    def broken(function: object, dynamic: bool) -> object:
        raise RuntimeError("no C++ compiler here")

    monkeypatch.setattr(torch, "compile", broken)
    with caplog.at_level(logging.WARNING):
        assert_close(eager, weights(config_of(run_file, "training.compile=on")))
    assert [record.getMessage() for record in caplog.records if "uncompiled" in record.getMessage()] == [
        "Run._task_losses runs uncompiled: RuntimeError: no C++ compiler here"
    ]


def test_nothing_is_compiled_on_a_cpu_unless_asked_for(run_file: Path) -> None:
    run = Run(config_of(run_file))
    assert run.task_losses == run._task_losses and run.shape is None


@pytest.mark.filterwarnings("default")  # torch.compile's own
@pytest.mark.parametrize("learner", ["protonet", "protomaml"])
def test_one_compilation_serves_all_ways_and_shots(
    run_file: Path, learner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Traced and differentiated as torch.compile does, without the half minute of a C++ compiler."""
    name = f"learner.name={learner}"
    eager = weights(config_of(run_file, name))
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    assert_close(eager, weights(config_of(run_file, name, "training.compile=on")))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.filterwarnings("default")
def test_a_backward_pass_that_does_not_compile_leaves_the_run_eager(
    run_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def keep(module: torch.fx.GraphModule, inputs: object) -> torch.fx.GraphModule:
        return module

    def fail(module: torch.fx.GraphModule, inputs: object) -> torch.fx.GraphModule:
        raise RuntimeError("no backward kernels here")

    eager = weights(config_of(run_file))
    monkeypatch.setattr(
        torch, "compile", partial(torch.compile, backend=aot_autograd(fw_compiler=keep, bw_compiler=fail))
    )
    torch._dynamo.reset()
    with caplog.at_level(logging.WARNING, logger="taskaware"):
        assert_close(eager, weights(config_of(run_file, "training.compile=on")))
    assert len([each for each in caplog.records if "runs uncompiled" in each.getMessage()]) == 1
