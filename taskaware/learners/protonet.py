"""Prototypical networks, conditioned on words."""

from typing import final

import torch

from taskaware.core.values import Examples, TaskContext
from taskaware.learners.base import Adapted, Learner, learners
from taskaware.learners.prototypes import conditioned_prototypes


@learners.register("protonet")
@final
class ProtoNet(Learner):
    """Snell, Swersky & Zemel 2017, "Prototypical Networks for Few-shot Learning", https://arxiv.org/abs/1703.05175.

    Cosine distance on unit prototypes; words enter through the space (FiLM) and through each prototype (prior, gate).
    """

    def adapt(self, support: Examples, context: TaskContext) -> Adapted:
        """Closed form: no inner steps."""
        modulation = self.conditioner(support, context, self.body)
        prototypes = conditioned_prototypes(self.body, support, modulation)
        bias = torch.zeros_like(context.class_mask)
        return Adapted(prototypes, bias, modulation.code, context.class_mask, modulation)
