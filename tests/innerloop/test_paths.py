"""Choosing a path, compiling it, and what happens when compiling fails or shapes vary."""

import logging

import pytest
import torch
from reference import gradients_of, loop_loss, random_tasks, relative_difference

from taskaware.bodies.conv4 import Conv4, ConvConfig
from taskaware.bodies.mlp_stack import LinearStack, StackConfig
from taskaware.core.errors import ConfigError
from taskaware.innerloop import InnerLoop, InnerLoopConfig
from taskaware.innerloop.compiled import Compiled, compiled
from taskaware.innerloop.meta_batch import bucket, bucketed
from taskaware.innerloop.paths import Work, choose_path
from taskaware.innerloop.speed import SpeedConfig
from taskaware.learners.vectors import fast_maml_loss, fast_protonet_loss, parameter_names


def work(**changes: object) -> Work:
    values: dict[str, object] = {
        "tasks": 16,
        "steps": 5,
        "linear": True,
        "convolutional": False,
        "conv4": False,
        "kept": 10**6,
        "device": "cpu",
    }
    return Work(**{**values, **changes})  # type: ignore[arg-type]


def test_the_path_follows_from_the_work() -> None:
    auto = SpeedConfig()
    assert choose_path(work(), auto).name == "dual"
    assert choose_path(work(linear=False), auto).name == "vmap"
    assert choose_path(work(linear=False, convolutional=True), auto).name == "loop"
    assert choose_path(work(linear=False, convolutional=True, conv4=True), auto).name == "images"
    assert choose_path(work(linear=False, convolutional=True, conv4=True), SpeedConfig(autocast=True)).name == "loop"
    assert choose_path(work(linear=False, convolutional=True, conv4=True, device="cuda"), auto).name == "vmap"
    assert choose_path(work(), SpeedConfig(autocast=True)).name == "vmap"
    assert choose_path(work(), SpeedConfig(path="loop")).name == "loop"


@pytest.mark.parametrize("path", ["dual", "images"])
def test_a_path_without_bf16_refuses_it(path: str) -> None:
    with pytest.raises(ConfigError, match="has no bf16"):
        choose_path(work(), SpeedConfig(path=path, autocast=True))  # type: ignore[arg-type]


def test_compiling_is_for_gpus_unless_asked_for() -> None:
    assert not choose_path(work(), SpeedConfig()).compiled
    assert choose_path(work(device="cuda"), SpeedConfig()).compiled
    assert not choose_path(work(device="cuda"), SpeedConfig(compile="off")).compiled
    assert choose_path(work(), SpeedConfig(compile="on")).compiled


def test_tasks_are_chunked_when_their_graphs_would_not_fit() -> None:
    assert choose_path(work(), SpeedConfig()).chunk == 16
    assert choose_path(work(kept=10**8), SpeedConfig()).chunk == 2
    assert choose_path(work(kept=10**12), SpeedConfig()).chunk == 1
    assert choose_path(work(), SpeedConfig(task_chunk=7)).chunk == 7
    assert choose_path(work(linear=False, convolutional=True), SpeedConfig()).chunk == 1
    assert choose_path(work(linear=False, convolutional=True, conv4=True), SpeedConfig()).chunk == 8
    assert choose_path(work(linear=False, convolutional=True, conv4=True, kept=10**8), SpeedConfig()).chunk == 2


def test_the_dual_form_of_another_body_is_an_error() -> None:
    body = Conv4(ConvConfig(channels=4), 1, 16, 5)
    inner = InnerLoop(InnerLoopConfig(), parameter_names(body))
    with pytest.raises(ConfigError, match="needs a LinearStack, saw Conv4"):
        fast_maml_loss(body, inner, random_tasks(1, 5, 1, 1, (1, 16, 16), torch.float32), SpeedConfig(path="dual"))


def test_the_path_for_images_of_another_body_is_an_error() -> None:
    body = LinearStack(StackConfig(widths=(4,)), 8, 5)
    inner = InnerLoop(InnerLoopConfig(), parameter_names(body))
    with pytest.raises(ConfigError, match="needs a Conv4, saw LinearStack"):
        fast_maml_loss(body, inner, random_tasks(1, 5, 1, 1, (8,), torch.float32), SpeedConfig(path="images"))


@pytest.mark.parametrize("size", [1, 3, 17, 25, 129, 1000])
def test_a_bucket_holds_its_size_and_not_much_more(size: int) -> None:
    assert size <= bucket(size) <= max(2 * size, size + 63)
    assert bucket(bucket(size)) == bucket(size)


def test_varied_episodes_fall_into_few_buckets() -> None:
    shapes = {
        tuple(bucketed(random_tasks(1, ways, shots, 5, (4,), torch.float32)).support.features.shape)
        for ways in range(2, 11)
        for shots in (1, 2, 3, 5)
    }
    assert len(shapes) <= 12


def test_a_failing_compilation_is_logged_once_and_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def double(values: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return 2 * values

    function = Compiled(double)

    def broken(*_: object) -> None:
        raise RuntimeError("no C++ compiler here")

    function._compiled = broken
    with caplog.at_level(logging.WARNING):
        assert torch.equal(function(torch.ones(2)), 2 * torch.ones(2))
        assert torch.equal(function(torch.ones(3)), 2 * torch.ones(3))
    assert len(caplog.records) == 1 and "no C++ compiler here" in caplog.text and len(calls) == 2


def test_an_error_of_the_function_itself_is_raised() -> None:
    def wrong(values: torch.Tensor) -> torch.Tensor:
        raise ValueError("shots must be positive")

    function = Compiled(wrong)
    function._compiled = wrong
    with pytest.raises(ValueError, match="shots must be positive"):
        function(torch.ones(1))


def test_shapes_without_end_are_not_compiled(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[int] = []

    def spy(values: torch.Tensor) -> torch.Tensor:
        seen.append(len(values))
        return values

    function = Compiled(lambda values: values, shapes=3)
    function._compiled = spy
    with caplog.at_level(logging.WARNING):
        for size in (1, 2, 3, 4, 5, 2, 4):
            function(torch.ones(size))
    assert seen == [1, 2, 3, 2] and len(caplog.records) == 1


def test_compile_off_and_auto_on_a_cpu_leave_a_function_alone() -> None:
    assert compiled(len, "off", "cuda") is len and compiled(len, "auto", "cpu") is len
    assert isinstance(compiled(len, "on", "cpu"), Compiled) and isinstance(compiled(len, "auto", "cuda"), Compiled)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # torch.compile's own
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("path", ["dual", "vmap"])
def test_a_compiled_step_has_the_same_gradient_and_compiles_once_for_varied_shots(path: str, order: int) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    body = LinearStack(StackConfig(widths=(16, 16)), 8, 5).double()
    config = InnerLoopConfig(steps=2, order=order, clip=0.0)  # type: ignore[arg-type]
    inner = InnerLoop(config, parameter_names(body)).double()
    speed = SpeedConfig(path=path, compile="on")  # type: ignore[arg-type]
    torch._dynamo.utils.counters.clear()
    for ways, shots in ((5, 5), (3, 7), (4, 6), (3, 8), (2, 11)):  # 21 to 25 examples: one bucket
        batch = random_tasks(2, ways, shots, 4, (8,), torch.float64)
        missing = torch.zeros(2, 5 - ways, dtype=torch.float64)
        batch = type(batch)(batch.support, batch.query, torch.cat([batch.class_mask, missing], 1))
        found = gradients_of(fast_maml_loss(body, inner, batch, speed), body, inner)
        assert relative_difference(found, gradients_of(loop_loss(body, inner, batch), body, inner)) < 1e-10
    queries = {bucket(ways * 4) for ways in (5, 3, 4, 2)}
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= len(queries)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_compiled_protonet_has_the_same_gradient() -> None:
    torch._dynamo.reset()
    body = LinearStack(StackConfig(widths=(16,)), 8, 12).double()
    batch = random_tasks(3, 7, 3, 6, (8,), torch.float64)
    found, expected = (
        gradients_of(fast_protonet_loss(body, batch, SpeedConfig(compile=compile_)), body)  # type: ignore[arg-type]
        for compile_ in ("on", "off")
    )
    assert relative_difference(found, expected) < 1e-10
