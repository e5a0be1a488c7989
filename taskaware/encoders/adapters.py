"""What lies in an adapter's file, and what is the mean of several?

A safetensors file with NAME.down [r, I] and NAME.up [O, r] in float16 for every linear map that changes (`lora.py`).
Shapes: I inputs and O outputs of a linear map, r rank.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from taskaware.core.files import atomic_path


def save_adapter(path: Path, tensors: Mapping[str, Tensor], strength: float = 1.0) -> None:
    """Writes the adapter for `EncoderConfig.adapter`; strength 1/2 lies half way to the frozen model."""
    scaled = {name: (strength * value if name.endswith(".up") else value).half() for name, value in tensors.items()}
    with atomic_path(path) as temporary:
        save_file(scaled, temporary)


def average_adapters(adapters: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The adapter whose change is the mean of theirs; its rank is the sum of theirs.

    Wortsman et al. 2022, "Model soups", https://arxiv.org/abs/2203.05482, the uniform soup.
    """
    names = [name.removesuffix(".up") for name in adapters[0] if name.endswith(".up")]
    down = {f"{name}.down": torch.cat([each[f"{name}.down"] for each in adapters]) for name in names}
    up = {f"{name}.up": torch.cat([each[f"{name}.up"] for each in adapters], 1) / len(adapters) for name in names}
    return down | up
