"""How do W processes take one step together?

The model is not wrapped. Each process does its share of the global meta-batch functionally and calls `backward` on its
part of the global mean; then one flattened all-reduce sums the gradients. Up to float rounding, W processes therefore
take the step that one would.
"""

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn


def share(meta_batch: int, rank: int, processes: int) -> range:
    """The task indices of one process: every `processes`-th, so that shares differ by at most one."""
    return range(rank, meta_batch, processes)


def reduce_gradients(accelerator: Accelerator, parameters: Sequence[nn.Parameter]) -> None:
    """Sums gradients over processes in place; a parameter without a gradient counts as zeros."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat: Tensor = accelerator.reduce(torch.cat([gradient.reshape(-1) for gradient in gradients]), reduction="sum")
    for gradient, summed in zip(gradients, torch.split(flat, [each.numel() for each in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def from_main(value: dict[str, float]) -> dict[str, float]:
    """What the main process computed, on every process."""
    shared = [value]
    broadcast_object_list(shared)
    return shared[0]


def total(accelerator: Accelerator, value: Tensor) -> float:
    """A scalar summed over processes."""
    return float(accelerator.reduce(value.detach(), reduction="sum"))
