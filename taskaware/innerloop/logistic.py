"""How is a linear classifier fitted to a support set, differentiably and in a few matrix products?

Multinomial logistic regression as the inner problem (Lee et al. 2019, "Meta-Learning with Differentiable Convex
Optimization", https://arxiv.org/abs/1904.03758, section 3; Bertinetto et al. 2019, https://arxiv.org/abs/1805.08136).
The gradient is written out, so the outer gradient flows through the steps without gradients of gradients.
Shapes: S support, N ways, D width. Pure functions of one task, for torch.func.vmap.
"""

import torch
from torch import Tensor
from torch.nn import functional


def fit_logistic(
    weight: Tensor,
    examples: Tensor,
    targets: Tensor,
    words: Tensor,
    class_mask: Tensor,
    *,
    scale: Tensor,
    words_weight: Tensor,
    rate: Tensor,
    steps: int,
    momentum: float = 0.8,
) -> tuple[Tensor, Tensor]:
    """Descent with Nesterov's momentum on the cross-entropy of examples and words -> weight [N, D], bias [N].

    From `weight` [N, D] and no bias; logits are scale * (x . weight + bias). The bias keeps a class whose prototype
    lies near every text, of whatever class, from taking them all. All points pull at it together, so it has a rate of
    its own, rate / (1 + rate scale), that stays stable where the weights' is long.

    examples [S, D] with targets [S, N] one-hot (padded rows all zero); words [N, D], each an example of its own class
    that weighs words_weight [N] or [] (zero rows count nothing); class_mask [N]. Classes weigh alike, however many
    examples they have. rate 1 moves a prototype by at most one example's length a step.
    """
    per_class = targets.sum(0).clamp_min(1.0)
    share = (targets / per_class).sum(-1, keepdim=True)
    told = (words_weight * (words.square().sum(-1) > 0).to(words.dtype) * class_mask)[:, None]
    points = torch.cat([examples, words])
    wanted = torch.cat([targets, torch.eye(len(class_mask), dtype=words.dtype, device=words.device)])
    importance = torch.cat([share, told]) / (1 + told.max())
    constant = (1 + rate * scale).rsqrt()  # a constant feature, whose weight is the bias: its square scales the rate
    points = torch.cat([points, constant.expand(len(points), 1)], dim=1)
    weight = functional.pad(weight, (0, 1))
    velocity = torch.zeros_like(weight)
    for _ in range(steps):
        ahead = weight + momentum * velocity
        logits = (scale * points @ ahead.mT).masked_fill(class_mask == 0, -1e4)
        residual = importance * (logits.softmax(-1) - wanted)
        velocity = momentum * velocity - rate * residual.mT @ points
        weight = weight + velocity
    return weight[:, :-1], constant * weight[:, -1]
