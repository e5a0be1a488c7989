"""A convex head: logistic regression that starts at conditioned prototypes and takes words as examples."""

from typing import final

import torch
from torch import Tensor, nn

from taskaware.bodies import ResidualBody
from taskaware.conditioners import Modulation, Switches
from taskaware.conditioners.evidence import one_hot, separation
from taskaware.core.values import Examples, TaskContext
from taskaware.innerloop.logistic import fit_logistic
from taskaware.learners.base import Adapted, Learner, LearnerConfig, learners
from taskaware.learners.prototypes import mixed_prototypes

# Separation from which on examples count as clear (questions of manner rarely get there), and how fast from there on
# steps grow longer, words lighter and margins wider. Chosen by accuracy on development data, not learned.
_CLEAR, _LONGER, _LIGHTER, _WIDER = 0.4, 3.0, 3.0, 2.0


@learners.register("logistic")
@final
class LogisticHead(Learner):
    """Lee et al. 2019, "Meta-Learning with Differentiable Convex Optimization", https://arxiv.org/abs/1904.03758.

    The head starts as the prototypical network's, without bias, and takes `inner.steps` gradient steps on the
    cross-entropy of the support set, with each label text as one more example of its class. Zero steps, or no examples,
    equal ProtoNet. inner.learning_rate and the weight of the words are learned.

    Examples that predict each other (leave-one-out) are followed further: they make steps longer, words lighter and
    margins wider. Single examples of each class say nothing about each other and change nothing. Where the examples of
    past tasks like this one could be relied on (`episodes/reliance.py`), steps are longer from the start: the logarithm
    of the rate grows by that log-odds.
    """

    def __init__(self, config: LearnerConfig, body: ResidualBody, switches: Switches | None = None) -> None:
        super().__init__(config, body, switches)
        self.log_rate = nn.Parameter(torch.tensor(config.inner.learning_rate).log())
        self.log_words = nn.Parameter(torch.tensor(0.0))

    def adapt(self, support: Examples, context: TaskContext) -> Adapted:
        """Prototypes, then the fit of the head; the FiLM code stays as the conditioner made it."""
        modulation = self.conditioner(support, context, self.body)
        embedded = self.body.embed(support.features, modulation.code, modulation.middle)
        weight = mixed_prototypes(embedded, support, modulation)
        bias = torch.zeros_like(context.class_mask)
        if len(support.mask):
            weight, bias = self._fit(weight, embedded, one_hot(support, len(bias)), context, modulation)
        return Adapted(weight, bias, modulation.code, context.class_mask, modulation)

    def _fit(
        self, weight: Tensor, embedded: Tensor, targets: Tensor, context: TaskContext, modulation: Modulation
    ) -> tuple[Tensor, Tensor]:
        gate, scale, class_mask = modulation.gate, self.body.scale(), context.class_mask
        clear = (separation(embedded, targets, class_mask, scale).detach() - _CLEAR).clamp_min(0)
        clear = clear * float(self.conditioner.switches.clear)
        fitted, bias = fit_logistic(
            weight,
            embedded,
            targets,
            modulation.prior,
            class_mask,
            scale=scale * (-_WIDER * clear).exp(),
            words_weight=(self.log_words - _LIGHTER * clear).exp() * (1 - gate) / gate.clamp_min(0.25),
            rate=(self.log_rate + modulation.relied + _LONGER * clear).exp(),
            steps=self.config.inner.steps,
        )
        shown = (targets.sum() > 0).to(weight.dtype)
        return shown * fitted + (1 - shown) * weight, shown * scale * bias
