"""ProtoMAML: gradient steps that start at conditioned prototypes."""

from typing import final

import torch
from torch import Tensor

from taskaware.conditioners import Modulation
from taskaware.core.values import Examples, TaskContext
from taskaware.learners.base import learners
from taskaware.learners.gradient import GradientLearner
from taskaware.learners.prototypes import conditioned_prototypes


@learners.register("protomaml")
@final
class ProtoMAML(GradientLearner):
    """Triantafillou et al. 2020, "Meta-Dataset", https://arxiv.org/abs/1903.03096, section 3 (Proto-MAML).

    The head starts as the prototypical network's, so zero inner steps equal ProtoNet. Prototypes are unit vectors:
    their squared norms are one, and the bias starts at zero.
    """

    def start(self, support: Examples, context: TaskContext, modulation: Modulation) -> tuple[Tensor, Tensor]:
        """weight = conditioned prototypes, bias = 0."""
        return conditioned_prototypes(self.body, support, modulation), torch.zeros_like(context.class_mask)
