"""How is memory traded for time? By forgetting a step's activations, or a chunk of tasks' graphs, before the next.

Gradient checkpointing (Chen et al. 2016, https://arxiv.org/abs/1604.06174) of inner steps: only a step's inputs and
outputs stay. torch.utils.checkpoint works through saved-tensor hooks, which torch.func refuses; these functions do not.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

Step = Callable[..., tuple[Tensor, ...]]
Part = Callable[[], Tensor]
Result = tuple[Tensor, tuple[Tensor, ...]]


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, step: Step, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.step = step
        ctx.save_for_backward(*tensors)
        return step(*tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        inputs = [each.detach().requires_grad_(each.is_floating_point()) for each in ctx.saved_tensors]
        with torch.enable_grad():
            outputs = ctx.step(*inputs)
        pairs = [
            (output, gradient) for output, gradient in zip(outputs, gradients, strict=True) if output.requires_grad
        ]
        wanted = [each for each in inputs if each.requires_grad]
        found = iter(
            torch.autograd.grad([each[0] for each in pairs], wanted, [each[1] for each in pairs], allow_unused=True)
        )
        return (None, *(next(found) if each.requires_grad else None for each in inputs))


class _Precomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parts: Sequence[Part], workers: int, *parameters: Tensor) -> Tensor:
        gradients = [torch.zeros_like(each) for each in parameters]
        total = torch.zeros((), device=parameters[0].device, dtype=parameters[0].dtype)
        for loss, found in _in_turn(parts, parameters, workers):  # in the order of the parts, whoever was first
            total += loss
            for gradient, each in zip(gradients, found, strict=True):
                gradient += each  # noqa: PLW2901 - in place
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *(gradients[0] * each for each in ctx.saved_tensors))


def _in_turn(parts: Sequence[Part], parameters: Sequence[Tensor], workers: int) -> Iterator[Result]:
    if workers == 1:
        yield from (_result(part, parameters) for part in parts)
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the workers' products would otherwise share out the same cores once more
    try:
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(lambda part: _result(part, parameters), parts)
    finally:
        torch.set_num_threads(threads)


def _result(part: Part, parameters: Sequence[Tensor]) -> Result:
    """The part's loss and gradients; its graph is gone on return."""
    with torch.enable_grad():
        loss = part()
    return loss.detach(), torch.autograd.grad(loss, parameters, materialize_grads=True)


def recomputed(step: Step, *tensors: Tensor) -> tuple[Tensor, ...]:
    """step(*tensors), a tuple of tensors, recomputed in the backward pass. Everything learned must be in `tensors`."""
    found: tuple[Tensor, ...] = _Recomputed.apply(step, *tensors)  # type: ignore[no-untyped-call]
    return found


def summed(parts: Sequence[Part], parameters: Sequence[Tensor], workers: int = 1) -> Tensor:
    """Sum of scalar losses [], one graph alive at a time: each part's gradient is taken before the next one starts.

    Differentiable once, in `parameters` alone (leaves that the parts use); without gradients it is the plain sum. With
    workers, as many parts are done at once, each on one thread: small operations gain more from that than from threads
    within each. Results are added in the order of the parts, whatever the number of workers.
    """
    learned = [each for each in parameters if each.requires_grad]
    if not learned or not torch.is_grad_enabled():
        return torch.stack([part() for part in parts]).sum()
    result: Tensor = _Precomputed.apply(parts, workers, *learned)  # type: ignore[no-untyped-call]
    return result
