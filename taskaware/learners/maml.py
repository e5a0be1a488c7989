"""Model-agnostic meta-learning, with an initialisation that words move."""

from typing import final

import torch
from torch import Tensor, nn

from taskaware.bodies import ResidualBody
from taskaware.conditioners import Modulation, Switches
from taskaware.core.values import Examples, TaskContext
from taskaware.learners.base import LearnerConfig, learners
from taskaware.learners.gradient import GradientLearner


@learners.register("maml")
@final
class MAML(GradientLearner):
    """Finn, Abbeel & Levine 2017, "Model-Agnostic Meta-Learning", https://arxiv.org/abs/1703.03400.

    The head starts at an offset made of the label texts (zero without words, so any way works and class order does not
    matter), the FiLM code at the mixture of past tasks' codes; both are adapted. inner.order 1 is first-order MAML.
    """

    def __init__(self, config: LearnerConfig, body: ResidualBody, switches: Switches | None = None) -> None:
        super().__init__(config, body, switches)
        self.offset = nn.Parameter(torch.tensor(1.0))

    def start(self, support: Examples, context: TaskContext, modulation: Modulation) -> tuple[Tensor, Tensor]:
        """weight = offset * prior prototypes, bias = 0."""
        return self.offset * modulation.prior, torch.zeros_like(context.class_mask)
