"""Which weight of the examples would have predicted each of them best from the others?

The gate knows shots and agreement, but not how much the examples of this task say about their class. Where a class has
several, they tell: each is predicted from prototypes made without it, once for every strength of the gate, and the
strengths are averaged by how likely they made the labels (leave-one-out likelihoods as weights: Yao et al. 2018, "Using
stacking to average Bayesian predictive distributions", https://arxiv.org/abs/1704.02030, section 3.4, pseudo-BMA).
Observed, not trained: no gradient passes the weights.

Shapes: G strengths, S support, N ways, D width.
"""

import torch
from torch import Tensor

from taskaware.conditioners.evidence import masked

# Strengths as offsets of the gate's logit, the deviation of the Gaussian that expects them near 0, and how much the
# likelihood counts against it. Chosen on development data: likelihoods of few examples are averaged over classes.
_OFFSETS, _DEVIATION, _EVIDENCE = (-2.0, -1.0, 0.0, 1.0, 2.0), 2.0, 3.0
_TINY = 1e-8


def tried_gate(
    gate: Tensor, examples: Tensor, prior: Tensor, targets: Tensor, class_mask: Tensor, scale: Tensor
) -> Tensor:
    """gate [N], moved for classes with two examples or more; others keep theirs.

    examples [S, D] and prior [N, D] of unit length in the task's space, targets [S, N] one-hot (padded rows all zero).
    """
    counts = targets.sum(0)
    offsets = torch.tensor(_OFFSETS, dtype=gate.dtype, device=gate.device)
    strengths = (torch.logit(gate, eps=1e-4) + offsets[:, None]).sigmoid()
    with torch.no_grad():
        likelihood = _likelihood(strengths, examples, prior, targets, class_mask, scale)
        weights = (_EVIDENCE * likelihood - offsets.square() / (2 * _DEVIATION**2)).softmax(0)
    return torch.where((counts > 1) & (gate > 0), weights @ strengths, gate)


def _likelihood(
    strengths: Tensor, examples: Tensor, prior: Tensor, targets: Tensor, class_mask: Tensor, scale: Tensor
) -> Tensor:
    """strengths [G, N] -> [G]: leave-one-out log-likelihood, summed over shots and averaged over classes.

    For prototypes p = g m + (1 - g) l, (e . p) / |p| follows from products of e, of class sums and of label texts, so
    that no [G, S, N, D] is made. A class without the example itself has c - 1 others; without others, its label text.
    """
    counts, sums = targets.sum(0), targets.mT @ examples
    squares = examples.square().sum(-1, keepdim=True)
    with_sums, with_prior = examples @ sums.mT, examples @ prior.mT
    others = counts - targets
    by_mean = 1 / others.clamp_min(1.0)
    mean = (with_sums - targets * squares) * by_mean
    mean_length = (sums.square().sum(-1) - targets * (2 * with_sums - squares)) * by_mean.square()
    mean_prior = ((sums * prior).sum(-1) - targets * with_prior) * by_mean
    told = (others > 0).to(strengths.dtype)
    shown = strengths[:, None] * told
    length = shown.square() * mean_length + (1 - shown).square() * prior.square().sum(-1)
    length = (length + 2 * shown * (1 - shown) * mean_prior).clamp_min(_TINY)
    logits = masked(scale * (shown * mean + (1 - shown) * with_prior) * length.rsqrt(), class_mask)
    usable = targets * (counts > 1)
    return (logits.log_softmax(-1) * usable).sum((-1, -2)) / class_mask.sum()
