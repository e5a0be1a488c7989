"""How do numbers become features that a task modulates?

An MLP whose hidden layers are FiLM-modulated before the nonlinearity, residually (Perez et al. 2018,
https://arxiv.org/abs/1709.07871; residual as in TADAM, Oreshkin et al. 2018, https://arxiv.org/abs/1805.10123):

    h' = tanh((1 + gamma) (W h + b) + beta)

gamma = beta = 0 is the plain MLP. No batch statistics.

Shapes: S points, I inputs, L layers, H hidden units.
"""

import itertools
import math
from typing import final

import torch
from pydantic import Field
from torch import Tensor, nn

from taskaware.core.config import Config


class MlpConfig(Config):
    """hidden: H; layers: L; bound: the largest size of an input, which is divided by it."""

    hidden: int = Field(default=40, ge=1)
    layers: int = Field(default=2, ge=1)
    bound: float = Field(default=5.0, gt=0.0)


@final
class FilmMlp(nn.Module):
    """Features of points under a code per layer."""

    def __init__(self, config: MlpConfig, inputs: int) -> None:
        super().__init__()
        self.config = config
        widths = [inputs] + [config.hidden] * config.layers
        # Wider than Glorot on the first layer: bends must fall inside the range of the inputs.
        self.weights = nn.ParameterList(
            torch.randn(after, before) * (1.5 if layer == 0 else 1.0) / math.sqrt(before)
            for layer, (before, after) in enumerate(itertools.pairwise(widths))
        )
        self.biases = nn.ParameterList(torch.zeros(config.hidden) for _ in range(config.layers))

    @property
    def code_shape(self) -> tuple[int, int, int]:
        """[L, 2, H]: gamma and beta of each layer."""
        return self.config.layers, 2, self.config.hidden

    def features(self, inputs: Tensor, code: list[Tensor]) -> Tensor:
        """inputs [S, I], code L times [2, H] -> [S, H + 1]; the last feature is 1, for the bias."""
        hidden = inputs / self.config.bound
        for weight, bias, (gamma, beta) in zip(self.weights, self.biases, code, strict=True):
            hidden = torch.tanh((1 + gamma) * (hidden @ weight.mT + bias) + beta)
        return torch.cat([hidden, torch.ones_like(hidden[:, :1])], dim=-1)
