"""How does one sentence about a task become numbers that modulate its learner?

FiLM generator (Perez et al. 2018, https://arxiv.org/abs/1709.07871, section 2.1) fed with the frozen text encoder's
vector of the description. Its last map is 0 at birth, so that the modulation begins at the identity.

Shapes: D width of a sentence vector, C width of the code.
"""

import math
from typing import final

import torch
from torch import Tensor, nn


@final
class DescriptionConditioner(nn.Module):
    """One hidden layer from description to code."""

    def __init__(self, dimension: int, code_width: int, hidden: int) -> None:
        super().__init__()
        self.read = nn.Parameter(torch.randn(hidden, dimension) * 3.0 / math.sqrt(3.0 * dimension))
        self.write = nn.Parameter(torch.zeros(code_width, hidden))

    def forward(self, description: Tensor, present: Tensor) -> Tensor:
        """description [..., D], present [] (1 told, 0 missing) -> code [..., C], 0 when missing."""
        return present * (torch.tanh(description @ self.read.mT) @ self.write.mT)
