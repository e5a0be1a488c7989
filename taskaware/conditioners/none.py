"""What is the conditioner that reads nothing?

A real conditioner, the control of every ablation: examples only, and one code shared by all tasks (0 at birth).
"""

from typing import final

import torch
from torch import nn

from taskaware.conditioners.base import Modulation, Space, Switches
from taskaware.core.values import Examples, TaskContext


@final
class NoConditioner(nn.Module):
    """The same code for every task; prototypes come from examples alone."""

    def __init__(self, code_width: int, switches: Switches | None = None) -> None:
        super().__init__()
        self.switches = switches or Switches()
        self.code = nn.Parameter(torch.zeros(code_width))

    def forward(self, support: Examples, context: TaskContext, space: Space) -> Modulation:
        """Ignores the words. Classes without examples get a zero prototype."""
        near = context.neighbours
        code = self.code * context.code_mask
        return Modulation(
            code=code,
            middle=space.middle(space.lift(support.features, code), support.mask),
            prior=torch.zeros_like(context.label_texts),
            gate=torch.ones_like(context.class_mask),
            attention=torch.cat([torch.zeros_like(near.task_mask), near.task_mask.new_ones(1)]),
        )
