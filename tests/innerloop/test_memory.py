"""What the outer gradient keeps grows linearly in inner steps, not over meta-steps, and can be traded for time."""

import pytest
import torch
from reference import gradients_of, random_tasks, relative_difference
from torch import Tensor

from taskaware.bodies.mlp_stack import LinearStack, StackConfig
from taskaware.innerloop import InnerLoop, InnerLoopConfig
from taskaware.innerloop.recompute import summed
from taskaware.innerloop.speed import SpeedConfig
from taskaware.learners.vectors import fast_maml_loss, parameter_names

PATHS = ["dual", "vmap", "loop"]


def setting(steps: int) -> tuple[LinearStack, InnerLoop]:
    torch.manual_seed(0)
    body = LinearStack(StackConfig(widths=(64, 64)), 32, 5).double()
    return body, InnerLoop(InnerLoopConfig(steps=steps, clip=0.0), parameter_names(body)).double()


def kept_bytes(loss: Tensor) -> int:
    """Bytes of the distinct storages that the graph of a loss keeps for the backward pass."""
    storages: dict[int, int] = {}
    nodes, seen = [loss.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes += [each for each, _ in node.next_functions]
        saved = [getattr(node, name) for name in dir(node) if name.startswith("_saved_") and "_raw" not in name]
        for tensor in [*saved, *getattr(node, "saved_tensors", ())]:
            for each in tensor if isinstance(tensor, tuple) else (tensor,):
                if isinstance(each, Tensor):
                    storages[each.untyped_storage().data_ptr()] = each.untyped_storage().nbytes()
    return sum(storages.values())


@pytest.mark.parametrize("path", PATHS)
def test_kept_memory_grows_linearly_in_inner_steps(path: str) -> None:
    speed = SpeedConfig(path=path, compile="off", task_chunk=3)  # type: ignore[arg-type]
    batch = random_tasks(3, 5, 1, 3, (32,), torch.float64)
    kept = {}
    for steps in (2, 4, 8):  # more would change the kind of the middle layer
        body, inner = setting(steps)
        kept[steps] = kept_bytes(fast_maml_loss(body, inner, batch, speed))
    first, second = kept[4] - kept[2], kept[8] - kept[4]
    assert first > 0 and second < 2.4 * first


def test_the_dual_form_keeps_less_than_per_task_weights() -> None:
    body, inner = setting(5)
    batch = random_tasks(3, 5, 1, 3, (32,), torch.float64)
    kept = {
        path: kept_bytes(fast_maml_loss(body, inner, batch, SpeedConfig(path=path, task_chunk=3)))  # type: ignore[arg-type]
        for path in ("dual", "loop")
    }
    assert kept["dual"] < kept["loop"] / 2


def test_meta_steps_leave_nothing_behind() -> None:
    body, inner = setting(3)
    batch = random_tasks(2, 5, 1, 3, (32,), torch.float64)
    optimizer = torch.optim.SGD([*body.parameters(), *inner.parameters()], lr=1e-3)
    kept = []
    for _ in range(4):
        loss = fast_maml_loss(body, inner, batch)
        kept.append(kept_bytes(loss))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert len(set(kept)) == 1


@pytest.mark.parametrize("path", PATHS)
def test_recomputing_the_steps_keeps_less(path: str) -> None:
    batch = random_tasks(3, 5, 2, 3, (32,), torch.float64)
    body, inner = setting(6)
    kept = [
        kept_bytes(
            fast_maml_loss(
                body,
                inner,
                batch,
                SpeedConfig(path=path, checkpoint=checkpoint, task_chunk=3),  # type: ignore[arg-type]
            )
        )
        for checkpoint in (False, True)
    ]
    assert kept[1] < kept[0]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("chunk", [1, 2, 5])
def test_chunks_of_tasks_give_the_same_loss_and_gradient(path: str, chunk: int) -> None:
    batch = random_tasks(5, 5, 1, 3, (32,), torch.float64)
    body, inner = setting(2)
    losses = [
        fast_maml_loss(body, inner, batch, SpeedConfig(path=path, task_chunk=size, compile="off"))  # type: ignore[arg-type]
        for size in (chunk, 5)
    ]
    assert torch.allclose(losses[0], losses[1])
    first, second = (gradients_of(3.0 * loss, body, inner) for loss in losses)
    assert relative_difference(first, second) < 1e-12


def test_one_graph_is_alive_at_a_time() -> None:
    weight = torch.ones(1000, requires_grad=True)
    alive: list[int] = []
    graphs: list[object] = []

    class Marker:
        def __del__(self) -> None:
            alive[0] -= 1

    def part() -> Tensor:
        alive[0] += 1
        graphs.append(alive[0])
        marker = Marker()
        loss = (weight * weight).sum()
        loss.register_hook(lambda gradient, marker=marker: None)  # lives as long as the graph
        return loss

    alive.append(0)
    total = summed([part] * 4, [weight])
    assert total == 4000 and graphs == [1, 1, 1, 1]
    (gradient,) = torch.autograd.grad(total, weight)
    assert torch.equal(gradient, 8 * torch.ones(1000))


def test_without_gradients_the_chunks_are_summed_all_the_same() -> None:
    batch = random_tasks(4, 5, 1, 3, (32,), torch.float64)
    body, inner = setting(2)
    with torch.no_grad():
        losses = [fast_maml_loss(body, inner, batch, SpeedConfig(task_chunk=size)) for size in (1, 4)]
    assert torch.allclose(*losses)


@pytest.mark.parametrize("path", ["vmap", "loop"])
def test_bf16_bodies_keep_float32_updates(path: str) -> None:
    torch.manual_seed(0)
    body = LinearStack(StackConfig(widths=(64,)), 32, 5)
    inner = InnerLoop(InnerLoopConfig(steps=3, clip=0.0), parameter_names(body))
    batch = random_tasks(4, 5, 3, 5, (32,), torch.float32)
    found = {
        autocast: gradients_of(
            fast_maml_loss(body, inner, batch, SpeedConfig(path=path, autocast=autocast)),  # type: ignore[arg-type]
            body,
        )
        for autocast in (False, True)
    }
    assert all(each.dtype == torch.float32 for each in found[True])
    difference = relative_difference(found[True], found[False])
    assert 1e-5 < difference < 0.1  # bf16 has 8 bits: it took part, and the direction survived
