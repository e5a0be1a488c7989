"""Which parameters learn how fast?"""

import math

import torch
from torch import nn

from taskaware.training.config import TrainingConfig


def build_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW; the few scalars of attention, gate and scale learn faster and do not decay.

    Weight decay pulls maps and codes toward 0, which is the identity.
    """
    scalars = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.dim() <= 1]
    maps = [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.dim() > 1]
    groups = [
        {"params": maps, "weight_decay": config.weight_decay, "lr": config.learning_rate},
        {"params": scalars, "weight_decay": 0.0, "lr": config.learning_rate * config.scalar_rate},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]])


def set_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, step: int) -> None:
    """Linear warm-up, then cosine decay to 0; a function of the step alone."""
    warm = min(1.0, (step + 1) / max(config.warmup, 1))
    factor = warm * (0.5 + 0.5 * math.cos(math.pi * step / max(config.steps, 1)))
    for group in optimizer.param_groups:
        scalar = group["weight_decay"] == 0.0 and group["params"][0].dim() <= 1
        group["lr"] = config.learning_rate * factor * (config.scalar_rate if scalar else 1.0)
