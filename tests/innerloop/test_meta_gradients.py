"""Every way of computing a meta-gradient gives that of a plain float64 loop."""

import pytest
import torch
from reference import gradients_of, loop_loss, protonet_loop_loss, random_tasks, relative_difference

from taskaware.bodies.conv4 import Conv4, ConvConfig
from taskaware.bodies.mlp_stack import LinearStack, StackConfig
from taskaware.core.errors import ConfigError
from taskaware.core.values import Examples
from taskaware.innerloop import InnerLoop, InnerLoopConfig
from taskaware.innerloop.dual import _born
from taskaware.innerloop.meta_batch import MetaBatch, bucketed
from taskaware.innerloop.speed import SpeedConfig
from taskaware.learners.vectors import fast_maml_loss, fast_protonet_loss, parameter_names

DOUBLE = torch.float64


def stack_of(
    order: int, clip: float = 0.0, steps: int = 3, widths: tuple[int, ...] = (40, 40)
) -> tuple[LinearStack, InnerLoop]:
    torch.manual_seed(0)
    body = LinearStack(StackConfig(widths=widths), 24, 5)
    config = InnerLoopConfig(steps=steps, order=order, clip=clip)  # type: ignore[arg-type]
    inner = InnerLoop(config, parameter_names(body))
    with torch.no_grad():  # rates that differ by parameter and step
        inner.log_rates += 0.3 * torch.randn(inner.log_rates.shape)
    return body, inner


def differences(body: LinearStack, inner: InnerLoop, batch: MetaBatch, speed: SpeedConfig) -> tuple[float, float]:
    """(float32, float64) relative differences of the meta-gradient from the float64 loop."""
    single = Examples(batch.support.features.float(), batch.support.labels, batch.support.mask.float())
    query = Examples(batch.query.features.float(), batch.query.labels, batch.query.mask.float())
    found = gradients_of(
        fast_maml_loss(body, inner, MetaBatch(single, query, batch.class_mask.float()), speed), body, inner
    )
    body.double(), inner.double()
    expected = gradients_of(loop_loss(body, inner, batch), body, inner)
    exact = gradients_of(fast_maml_loss(body, inner, batch, speed), body, inner)
    return relative_difference(found, expected), relative_difference(exact, expected)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("clip", [0.0, 0.2])
@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize(("path", "shots"), [("dual", 1), ("dual", 4), ("dual", 12), ("vmap", 2), ("loop", 2)])
def test_every_path_gives_the_meta_gradient_of_a_plain_loop(
    path: str, shots: int, checkpoint: bool, clip: float, order: int
) -> None:
    body, inner = stack_of(order, clip)
    speed = SpeedConfig(path=path, checkpoint=checkpoint, compile="off")  # type: ignore[arg-type]
    single, double = differences(body, inner, random_tasks(3, 5, shots, 4, (24,), DOUBLE), speed)
    assert single < 1e-4 and double < 1e-10


@pytest.mark.parametrize("widths", [(), (8,), (40, 30, 20)])
def test_the_dual_form_takes_stacks_of_any_depth(widths: tuple[int, ...]) -> None:
    body, inner = stack_of(2, 0.5, widths=widths)
    speed = SpeedConfig(path="dual", compile="off")
    single, double = differences(body, inner, random_tasks(2, 5, 2, 3, (24,), DOUBLE), speed)
    assert single < 1e-4 and double < 1e-10


def test_layers_that_are_small_beside_their_change_get_weights_of_their_own() -> None:
    layers = stack_of(2, widths=(64, 64))[0].pairs()

    def kinds(support: int, steps: int) -> list[str]:
        return [type(each).__name__ for each in _born(layers, torch.zeros(2, support, 24), steps)]

    assert kinds(5, 3) == ["FirstLayer", "DualLayer", "ExplicitLayer"]  # the last layer has 5 outputs
    assert kinds(20, 3) == ["FirstLayer", "ExplicitLayer", "ExplicitLayer"]
    assert kinds(60, 3) == ["ExplicitLayer"] * 3


def test_without_steps_nothing_is_adapted() -> None:
    body, inner = stack_of(2, steps=0)
    batch = random_tasks(2, 5, 1, 3, (24,), torch.float32)
    losses = [
        fast_maml_loss(body, inner, batch, SpeedConfig(path=path, compile="off"))  # type: ignore[arg-type]
        for path in ("dual", "vmap", "loop")
    ]
    assert torch.stack(losses).allclose(loop_loss(body, inner, batch))


@pytest.mark.parametrize("path", ["dual", "vmap", "loop"])
def test_padding_changes_nothing(path: str) -> None:
    body, inner = stack_of(2, 0.2)
    body.double(), inner.double()
    batch = random_tasks(2, 4, 3, 7, (24,), DOUBLE)  # 4 of the head's 5 ways; 12 and 28 examples
    wide = MetaBatch(batch.support, batch.query, torch.nn.functional.pad(batch.class_mask, (0, 1)))
    padded = bucketed(wide, pad_ways=False)
    assert padded.support.labels.shape[1] == 16 and padded.query.labels.shape[1] == 32
    speed = SpeedConfig(path=path, compile="off")  # type: ignore[arg-type]
    expected = gradients_of(loop_loss(body, inner, wide), body, inner)
    for each in (wide, padded):
        seen = gradients_of(fast_maml_loss(body, inner, each, speed), body, inner)
        assert relative_difference(seen, expected) < 1e-10


def test_many_queries_taken_a_few_at_a_time_give_the_same_meta_gradient() -> None:
    body, inner = stack_of(2, 0.2)
    speed = SpeedConfig(path="loop", compile="off")
    single, double = differences(body, inner, random_tasks(2, 5, 1, 13, (24,), DOUBLE), speed)  # 65 queries
    assert single < 1e-4 and double < 1e-10


def test_tasks_in_threads_give_the_same_meta_gradient() -> None:
    torch.manual_seed(0)
    body = Conv4(ConvConfig(channels=8), 1, 16, 3)
    inner = InnerLoop(InnerLoopConfig(steps=2, clip=0.0), parameter_names(body))
    batch = random_tasks(6, 3, 1, 2, (1, 16, 16), torch.float32)
    found = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        loss = fast_maml_loss(body, inner, batch, SpeedConfig(path="loop"))
        found.append(gradients_of(loss, body, inner))
        assert torch.get_num_threads() == threads
    torch.set_num_threads(1)
    assert relative_difference(found[1], found[0]) < 1e-6


def image_setting(
    order: int = 2, clip: float = 0.0, size: int = 28, inputs: int = 1, groups: int = 4
) -> tuple[Conv4, InnerLoop]:
    """A Conv4 with scales of either sign, and rates that differ by parameter and step."""
    torch.manual_seed(0)
    body = Conv4(ConvConfig(channels=8, groups=groups), inputs, size, 3).double()
    config = InnerLoopConfig(steps=2, order=order, clip=clip)  # type: ignore[arg-type]
    inner = InnerLoop(config, parameter_names(body)).double()
    with torch.no_grad():
        for name, each in body.named_parameters():
            if each.dim() == 1 and not name.startswith("head"):
                each.normal_()
        inner.log_rates += 0.3 * torch.randn(inner.log_rates.shape)
    return body, inner


def image_difference(body: Conv4, inner: InnerLoop, batch: MetaBatch, speed: SpeedConfig) -> float:
    expected = gradients_of(loop_loss(body, inner, batch), body, inner)
    return relative_difference(gradients_of(fast_maml_loss(body, inner, batch, speed), body, inner), expected)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("clip", [0.0, 0.2])
@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("path", ["images", "vmap", "loop"])
def test_a_convolutional_body_has_the_meta_gradient_of_a_plain_loop(
    path: str, checkpoint: bool, clip: float, order: int
) -> None:
    body, inner = image_setting(order, clip)
    speed = SpeedConfig(path=path, checkpoint=checkpoint, compile="off")  # type: ignore[arg-type]
    assert image_difference(body, inner, random_tasks(2, 3, 1, 2, (1, 28, 28), DOUBLE), speed) < 1e-8


@pytest.mark.parametrize("size", [16, 21, 30])
@pytest.mark.parametrize(("inputs", "groups"), [(1, 0), (3, 2), (6, 0), (6, 8)])
def test_images_of_any_size_and_depth_have_the_meta_gradient_of_a_plain_loop(
    size: int, inputs: int, groups: int
) -> None:
    body, inner = image_setting(size=size, inputs=inputs, groups=groups)
    batch = random_tasks(2, 3, 1, 2, (inputs, size, size), DOUBLE)
    assert image_difference(body, inner, batch, SpeedConfig(path="images")) < 1e-8


def test_a_blank_background_has_the_meta_gradient_of_a_plain_loop() -> None:
    body, inner = image_setting()
    batch = random_tasks(2, 3, 1, 2, (1, 28, 28), DOUBLE)
    for each in (batch.support, batch.query):  # all pixels of a square are equal there: the first one counts
        each.features[..., 5:, :] = 0.0
    assert image_difference(body, inner, batch, SpeedConfig(path="images")) < 1e-8


def test_padded_images_and_many_queries_change_nothing() -> None:
    body, inner = image_setting(size=16)
    batch = bucketed(random_tasks(2, 3, 3, 71, (1, 16, 16), DOUBLE), pad_ways=False)
    assert batch.support.mask.sum() < batch.support.mask.numel() and batch.query.labels.shape[1] > 200
    assert image_difference(body, inner, batch, SpeedConfig(path="images")) < 1e-8


@pytest.mark.parametrize("path", ["images", "loop"])
def test_without_examples_images_are_scored_as_the_body_does(path: str) -> None:
    body, inner = image_setting()
    batch = random_tasks(2, 3, 1, 2, (1, 28, 28), DOUBLE)
    empty = Examples(batch.support.features[:, :0], batch.support.labels[:, :0], batch.support.mask[:, :0])
    pairs = zip(batch.query.features, batch.query.labels, strict=True)
    expected = torch.stack([torch.nn.functional.cross_entropy(body(images), labels) for images, labels in pairs])
    found = fast_maml_loss(body, inner, MetaBatch(empty, batch.query, batch.class_mask), SpeedConfig(path=path))  # type: ignore[arg-type]
    assert torch.allclose(found, expected.mean())


def test_an_inner_loop_of_other_parameters_is_an_error() -> None:
    body, inner = stack_of(2)
    other = InnerLoop(inner.config, inner.names[::-1])
    with pytest.raises(ConfigError, match="expected the body's"):
        fast_maml_loss(body, other, random_tasks(1, 5, 1, 1, (24,), torch.float32))


def test_images_are_scored_without_gradients() -> None:
    body, inner = image_setting()
    batch = random_tasks(2, 3, 1, 2, (1, 28, 28), DOUBLE)
    expected = loop_loss(body, inner, batch)
    with torch.no_grad():
        assert torch.allclose(fast_maml_loss(body, inner, batch, SpeedConfig(path="images")), expected)


def test_protonet_has_the_gradient_of_a_plain_loop_whatever_the_padding() -> None:
    torch.manual_seed(0)
    body = LinearStack(StackConfig(widths=(16,)), 24, 12).double()
    batch = random_tasks(3, 7, 3, 6, (24,), DOUBLE)
    expected = gradients_of(protonet_loop_loss(body, batch), body)
    for each in (batch, bucketed(batch)):
        assert relative_difference(gradients_of(fast_protonet_loss(body, each), body), expected) < 1e-10
