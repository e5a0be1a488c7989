"""What is the plain body for small images? Four blocks of convolution, group norm, ReLU and 2 x 2 max pooling.

Vinyals et al. 2016, "Matching Networks", https://arxiv.org/abs/1606.04080, section 4.1.1, with group norm (Wu & He
2018, https://arxiv.org/abs/1803.08494) in place of batch norm: no statistics cross examples, so that a query's answer
does not depend on the other queries.

Shapes: B images, C channels, H and W pixels, N outputs.
"""

from itertools import pairwise
from typing import final

from pydantic import Field
from torch import Tensor, nn

from taskaware.core.config import Config


class ConvConfig(Config):
    """channels of every block; groups of the norm (0 = no norm)."""

    channels: int = Field(default=64, ge=1)
    groups: int = Field(default=4, ge=0)


@final
class Conv4(nn.Module):
    """Four convolutional blocks and a linear layer; the last block leaves 1/16 of the size, rounded down."""

    def __init__(self, config: ConvConfig, inputs: int, size: int, outputs: int) -> None:
        super().__init__()
        self.config = config
        widths = (inputs, *[config.channels] * 4)
        blocks = [_block(*pair, config.groups) for pair in pairwise(widths)]
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(config.channels * (size // 16) ** 2, outputs)

    def forward(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] -> [B, N]."""
        logits: Tensor = self.head(self.blocks(images).flatten(1))
        return logits


def _block(inputs: int, outputs: int, groups: int) -> nn.Sequential:
    norm = [nn.GroupNorm(groups, outputs)] if groups else []
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2))
