"""How do words, memory and a few examples decide the modulation?

1. Attention over past tasks. Each neighbour brings the code with which its own body was modulated. Its logit grows with
   how near its description and label texts are (`TaskPrior`); the support set adds its evidence (`evidence.py`). The
   identity, the frozen encoder's own space, always competes: an unknown question stays there.
2. FiLM code = attention-weighted sum of codes (residual: 0 is the identity; Perez et al. 2018).
3. Prior prototypes = label texts, moved by background and by past classes, in the space of the code (`prior.py`).
4. Gate between prior and class mean, per class, knows the shots, whether the words agree with the examples, and what
   examples were worth in the retrieved tasks (`gate.py`; AM3, Xing et al. 2019, https://arxiv.org/abs/1902.07104, eq.
   4-5); tried on the examples themselves where classes have several (`trial.py`).

Adapters of past tasks mixed by retrieval follow AdapterFusion (Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247)
in spirit; here attention reads task descriptions instead of tokens.

Shapes: T none (one task), S support, N ways, D width, K neighbours, H hidden units of the body.
"""

from typing import final

import torch
from pydantic import Field
from torch import Tensor, nn

from taskaware.conditioners.base import Lifter, Modulation, Space, Switches
from taskaware.conditioners.evidence import (
    agreement,
    chance_likelihood,
    leave_one_out_likelihood,
    one_hot,
    words_likelihood,
)
from taskaware.conditioners.gate import ShotGate
from taskaware.conditioners.prior import TaskPrior, WordPrior
from taskaware.conditioners.trial import tried_gate
from taskaware.core.config import Config
from taskaware.core.values import Examples, TaskContext
from taskaware.core.vectors import unit

_PART = 2**18  # numbers of embedded examples at a time: beyond the cache, memory costs more than the products


class FilmConfig(Config):
    """evidence, trial: whether the support set decides on the attention over past tasks and on the gate's strength.

    learn_gate: false keeps the gate as it is at birth, for training on tasks with which the encoder was tuned: their
    words are more reliable than those of a new task will be. relied: what the gate makes at birth of how far the
    examples of past tasks could be relied on; in a run over several kinds of tasks it tells them apart.
    """

    evidence: bool = True
    trial: bool = True
    learn_gate: bool = True
    relied: float = Field(default=0.0, ge=0.0)


@final
class FilmConditioner(nn.Module):
    """Words, memory and support set -> Modulation. With nothing remembered and no words it equals the frozen space."""

    def __init__(self, config: FilmConfig, switches: Switches | None = None) -> None:
        super().__init__()
        self.config = config
        self.switches = switches or Switches()
        self.tasks = TaskPrior()
        self.words = WordPrior()
        self.gate = ShotGate(config.relied).requires_grad_(config.learn_gate)
        self.evidence_words = nn.Parameter(torch.tensor(1.0))
        self.evidence_examples = nn.Parameter(torch.tensor(0.3))

    def forward(self, support: Examples, context: TaskContext, space: Space) -> Modulation:
        """support [S, W], context of one task -> its Modulation."""
        targets = one_hot(support, len(context.class_mask))
        near = context.neighbours
        adapters = near.adapters * context.code_mask
        codes = torch.cat([adapters, torch.zeros_like(context.code_mask)[None]])
        logits, lift = self.tasks(near), space.lifter(support.features)
        if self.config.evidence and len(support.mask):
            told, shown = self._evidence(lift, support.mask, targets, context, codes, space)
            logits = logits + self.evidence_words.clamp_min(0) * told + self.evidence_examples.clamp_min(0) * shown
        attention = logits.softmax(-1)
        if not self.switches.film:
            attention = torch.cat([torch.zeros_like(attention[:-1]), torch.ones_like(attention[:1])])
        code = attention @ codes
        prior = space.embed_words(self.words(context) * context.class_mask[:, None], code)
        lifted = lift(code)
        middle = space.middle(lifted, support.mask)
        examples, scale = unit(lifted - middle), space.scale()
        agreed = agreement(examples, prior, targets, context.class_mask, scale)
        modulated = attention @ (codes[:, :-1].abs().sum(-1) > 0).to(attention.dtype)
        gate = self.gate(targets.sum(0), agreed, modulated, context.class_mask.sum(), code[-1])
        if self.config.trial and self.switches.trial and len(support.mask):
            gate = tried_gate(gate, examples, prior, targets, context.class_mask, scale)
        readable = context.present[2] * float(self.switches.prior)
        gate = torch.where(readable > 0, gate, torch.ones_like(gate))
        return Modulation(code=code, middle=middle, prior=prior * readable, gate=gate, attention=attention)

    @torch.no_grad()
    def _evidence(
        self, lift: Lifter, support_mask: Tensor, targets: Tensor, context: TaskContext, codes: Tensor, space: Space
    ) -> tuple[Tensor, Tensor]:
        """Log-likelihoods [K + 1] of the support labels in each neighbour's space and in the identity's.

        The first from label texts, the second from leave-one-out prototypes. Evidence is observed, not trained: no
        gradient reaches the spaces through it.
        """
        words, scale, mask = self.words(context) * context.class_mask[:, None], space.scale(), context.class_mask
        told, shown, spaces = [], [], codes[:, None]
        size = max(1, _PART // (len(targets) * words.shape[-1]))
        priors = torch.split(space.embed_words(words, spaces), size)
        for part, prior in zip(torch.split(spaces, size), priors, strict=True):
            lifted = lift(part)
            examples = unit(lifted - space.middle(lifted, support_mask)[:, None])
            told.append(words_likelihood(examples, prior, targets, mask, scale))
            shown.append(leave_one_out_likelihood(examples, targets, mask, scale))
        above_chance = torch.cat(told).clamp_min(chance_likelihood(targets, mask))
        return above_chance * context.present[2], torch.cat(shown)
