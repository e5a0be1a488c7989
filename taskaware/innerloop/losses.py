"""How are masked logits scored? Cross entropy, its gradient, and the mask over classes, with or without a task axis.

Shapes: ... tasks (or nothing), S examples, N ways.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from taskaware.core.values import Examples

_ABSENT = -1e4  # the logit of a padded class: its probability underflows to 0 in float32 and float64


def mask_classes(logits: Tensor, class_mask: Tensor) -> Tensor:
    """logits [..., S, N], class_mask [..., N] (1 real, 0 padding) -> [..., S, N]."""
    return logits.masked_fill(class_mask[..., None, :] == 0, _ABSENT)


def cross_entropies(logits: Tensor, examples: Examples) -> Tensor:
    """Mean over the real examples of each task: logits [..., S, N] -> [...]; 0 without examples."""
    picked = logits.log_softmax(-1).gather(-1, examples.labels[..., None])[..., 0]
    return -(picked * examples.mask).sum(-1) / examples.mask.sum(-1).clamp_min(1.0)


def targets(examples: Examples, ways: int) -> Tensor:
    """One-hot labels [..., S, N], zero for padding."""
    return F.one_hot(examples.labels, ways).to(examples.mask.dtype) * examples.mask[..., None]


def logit_gradient(logits: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """d cross_entropies / d logits [..., S, N]; wanted [..., S, N] from `targets`, mask [..., S]."""
    share = mask / mask.sum(-1, keepdim=True).clamp_min(1.0)
    return torch.addcmul(-wanted * share[..., None], logits.softmax(-1), share[..., None])
