"""How well does each candidate space explain the support set?

Every neighbour task in the memory brings a code, that is, a space; the identity is one more. Words say which of them to
expect, and the support set corrects the words: a space earns the log-likelihood that it gives to the support labels,
once from label texts (needs no second example) and once from leave-one-out prototypes (needs two examples of a class).
Label texts that do worse than chance say nothing about a space: otherwise wrong words would choose the space in which
they contradict the examples least.
Mixing by prior and likelihood is Bayesian model averaging (Hoeting et al. 1999, Statistical Science 14(4)).

Shapes: K candidate codes, S support, N ways, D width.
"""

import torch
from torch import Tensor
from torch.nn import functional

from taskaware.core.values import Examples

_TINY = 1e-8  # as in `unit`


def one_hot(support: Examples, ways: int) -> Tensor:
    """labels [S] -> [S, N], padded rows all zero."""
    return functional.one_hot(support.labels, ways).to(support.features.dtype) * support.mask[:, None]


def masked(logits: Tensor, class_mask: Tensor) -> Tensor:
    """Makes padded classes impossible. logits [..., N], class_mask [N]."""
    return logits.masked_fill(class_mask == 0, -1e4)


def words_likelihood(examples: Tensor, prior: Tensor, targets: Tensor, class_mask: Tensor, scale: Tensor) -> Tensor:
    """examples [K, S, D], prior [K, N, D], targets [S, N] one-hot -> [K]: summed over shots, averaged over classes."""
    logits = masked(scale * (examples @ prior.mT), class_mask)
    return (logits.log_softmax(-1) * targets).sum((-1, -2)) / class_mask.sum()


def chance_likelihood(targets: Tensor, class_mask: Tensor) -> Tensor:
    """What `words_likelihood` is for words that say nothing, []."""
    ways = class_mask.sum()
    return -targets.sum() * ways.clamp_min(2.0).log() / ways


def leave_one_out_likelihood(examples: Tensor, targets: Tensor, class_mask: Tensor, scale: Tensor) -> Tensor:
    """examples [K, S, D], targets [S, N] -> [K]. An example that is alone in its class counts nothing.

    Its own class is the sum c of the others: (e . c) / |c| with c = s - e follows from e . s, |s| and |e|, so that no
    second [K, S, D] is made. Rounding can take the squared length of what is left of a single example below 0.
    """
    sums, counts = targets.mT @ examples, targets.sum(0)
    products, squares = examples @ sums.mT, examples.square().sum(-1)
    lengths = sums.square().sum(-1)
    of_own = (products * targets).sum(-1)
    left = (lengths @ targets.mT - 2 * of_own + squares).clamp_min(0)
    own = (of_own - squares) * (left + _TINY).rsqrt()
    cosines = torch.where(targets > 0, own[..., None], products * (lengths + _TINY).rsqrt()[..., None, :])
    logits = masked(scale * cosines, class_mask * (counts > 0))
    usable = targets * (counts > 1)
    return (logits.log_softmax(-1) * usable).sum((-1, -2)) / class_mask.sum()


def agreement(examples: Tensor, prior: Tensor, targets: Tensor, class_mask: Tensor, scale: Tensor) -> Tensor:
    """How much better than chance the words predict the support labels, [] in about [-1, 1]; 0 without examples.

    Nonsense words show here.
    """
    likelihood = words_likelihood(examples[None], prior[None], targets, class_mask, scale)[0]
    return _above_chance(likelihood, targets.sum(), class_mask).clamp_min(-1.0) * (targets.sum() > 0)


def separation(examples: Tensor, targets: Tensor, class_mask: Tensor, scale: Tensor) -> Tensor:
    """How much better than chance the examples predict each other, [] in [0, 1]; 0 where no class has two.

    examples [S, D], targets [S, N].
    """
    usable = (targets * (targets.sum(0) > 1)).sum()
    likelihood = leave_one_out_likelihood(examples[None], targets, class_mask, scale)[0]
    return _above_chance(likelihood, usable, class_mask).clamp_min(0.0) * (usable > 0)


def _above_chance(likelihood: Tensor, count: Tensor, class_mask: Tensor) -> Tensor:
    """Mean log-likelihood of `count` labels over log N, plus 1; likelihood is their sum over N. All []."""
    ways = class_mask.sum()
    return likelihood * ways / count.clamp_min(1.0) / ways.clamp_min(2.0).log() + 1
