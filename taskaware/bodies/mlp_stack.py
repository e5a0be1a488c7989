"""What is the plain body for vectors? A stack of linear layers with ReLU between them; no batch statistics.

Shapes: ... leading axes, D input width, N outputs.
"""

from itertools import pairwise
from typing import Annotated, Any, final

from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F

from taskaware.core.config import Config


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class StackConfig(Config):
    """widths of the hidden layers."""

    widths: Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(_tuple)] = (256, 256)


@final
class LinearStack(nn.Module):
    """Linear layers with ReLU between them and none at the end."""

    def __init__(self, config: StackConfig, dimension: int, outputs: int) -> None:
        super().__init__()
        sizes = (dimension, *config.widths, outputs)
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """(weight [O, I], bias [O]) of every layer, in the order of named_parameters."""
        parameters = list(self.parameters())
        return list(zip(parameters[::2], parameters[1::2], strict=True))

    def forward(self, features: Tensor) -> Tensor:
        """features [..., D] -> [..., N]."""
        *hidden, last = self.pairs()
        for layer in hidden:
            features = F.linear(features, *layer).relu()
        return F.linear(features, *last)
