"""How does a task take its few gradient steps?

Finn et al. 2017, "Model-Agnostic Meta-Learning", https://arxiv.org/abs/1703.03400, eq. 1, with a learned learning rate
per parameter and step (Antoniou et al. 2019, https://arxiv.org/abs/1810.09502, section 4, LSLR). Pure functions of one
task: torch.func.vmap runs them over the meta-batch, and the outer gradient flows through the inner ones.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from taskaware.core.config import Config

Parameters = dict[str, Tensor]


class InnerLoopConfig(Config):
    """How a task is adapted.

    steps of SGD; order 2 differentiates through the inner gradients, 1 treats them as constants (FOMAML);
    learning_rate at birth; clip bounds the norm of each inner gradient (0 = off).
    """

    steps: int = Field(default=5, ge=0)
    order: Literal[1, 2] = 2
    learning_rate: float = Field(default=0.1, gt=0.0)
    clip: float = Field(default=1.0, ge=0.0)


@final
class InnerLoop(nn.Module):
    """SGD with learned rates for the named parameters."""

    def __init__(self, config: InnerLoopConfig, names: tuple[str, ...]) -> None:
        super().__init__()
        self.config = config
        self.names = names
        self.log_rates = nn.Parameter(torch.full((config.steps, len(names)), math.log(config.learning_rate)))

    def forward(self, loss: Callable[[Parameters], Tensor], start: Mapping[str, Tensor]) -> Parameters:
        """Minimises `loss` from `start` for the configured steps; returns the last parameters, differentiably."""
        parameters = dict(start)
        for step in range(self.config.steps):
            parameters = self.step(loss, parameters, self.rates(step))
        return parameters

    def rates(self, step: int) -> Tensor:
        """The learned rates of a step, one for each name: [P]."""
        return self.log_rates[step].exp()

    def step(self, loss: Callable[[Parameters], Tensor], parameters: Parameters, rates: Tensor) -> Parameters:
        """One step down `loss` with rates [P]."""
        with torch.no_grad() if self.config.order == 1 else nullcontext():  # torch.func.grad looks past this no_grad
            gradients = torch.func.grad(loss)(parameters)
        return {
            name: parameters[name] - rates[index] * self.clipped(gradients[name])
            for index, name in enumerate(self.names)
        }

    def clipped(self, gradient: Tensor) -> Tensor:
        """One parameter's gradient with a norm of at most `clip`; a constant in the first-order mode."""
        if self.config.order == 1:
            gradient = gradient.detach()
        if not self.config.clip:
            return gradient
        norm = (gradient.square().sum() + 1e-12).sqrt()
        return gradient * (self.config.clip / norm).clamp(max=1.0)
