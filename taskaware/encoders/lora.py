"""How does an encoder change in a few numbers?

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", https://arxiv.org/abs/2106.09685, eq. 3: each
linear map W of the transformer becomes W + up . down, of rank r, with up = 0 at birth. Merged into the weights it costs
nothing when texts are read.
This file imports torch and transformers: import it when a model loads.
Shapes: I inputs and O outputs of a linear map, r rank.
"""

import math
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from taskaware.core.errors import EncoderError


@final
class LowRank(nn.Module):
    """A frozen linear map beside a learned one of rank r. down [r, I], up [O, r]."""

    def __init__(self, linear: nn.Linear, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        start = torch.randn(rank, linear.in_features, generator=generator) / math.sqrt(linear.in_features)
        self.down = nn.Parameter(start)
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs [..., I] -> [..., O]."""
        output: Tensor = self.linear(inputs)
        reduced = functional.linear(inputs, self.down)
        return torch.addmm(output.flatten(0, -2), reduced.flatten(0, -2), self.up.mT).view(output.shape)


def add_low_rank(model: nn.Module, rank: int, seed: int) -> dict[str, LowRank]:
    """Freezes `model` and puts a LowRank in place of every linear map of its transformer; returns them by name."""
    transformer = _transformer(model)
    model.requires_grad_(False)
    generator = torch.Generator().manual_seed(seed)
    added = {name: LowRank(linear, rank, generator) for name, linear in _linears(transformer).items()}
    for name, module in added.items():
        parent, _, child = name.rpartition(".")
        setattr(transformer.get_submodule(parent), child, module)
    return added


def adapter_tensors(added: Mapping[str, LowRank]) -> dict[str, Tensor]:
    """A copy of what was learned: NAME.down [r, I] and NAME.up [O, r]."""
    parts = ((f"{name}.{part}", getattr(module, part)) for name, module in added.items() for part in ("down", "up"))
    return {name: value.detach().cpu().clone() for name, value in parts}


@torch.no_grad()
def merge_adapter(model: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Adds up . down to the weights that an adapter names. Raises EncoderError when it does not fit the model."""
    linears = _linears(_transformer(model))
    wanted = {f"{name}.{part}" for name in linears for part in ("down", "up")}
    if odd := sorted(set(tensors) ^ wanted):
        raise EncoderError(f"{origin}: belongs to another encoder: {odd[0]!r} is on one side only; train again with it")
    for name, linear in linears.items():
        change = tensors[f"{name}.up"].float() @ tensors[f"{name}.down"].float()
        if change.shape != linear.weight.shape:
            raise EncoderError(
                f"{origin}: belongs to another encoder: {name} is {list(linear.weight.shape)}, "
                f"its change {list(change.shape)}; train again with it"
            )
        linear.weight += change.to(linear.weight)


def _transformer(model: nn.Module) -> PreTrainedModel:
    found = next((module for module in model.modules() if isinstance(module, PreTrainedModel)), None)
    if found is None:
        raise EncoderError("this encoder has no transformer to tune; leave `tuning` out of the configuration")
    return found


def _linears(transformer: PreTrainedModel) -> dict[str, nn.Linear]:
    """All linear maps but the pooler's, which sentence vectors do not pass."""
    modules = transformer.named_modules()
    return {name: each for name, each in modules if isinstance(each, nn.Linear) and "pooler" not in name.split(".")}
