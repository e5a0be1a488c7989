"""What do gradient-based learners share? The inner loop over head and code.

The modulation is computed once per task, outside the inner loop and not detached; only the task's own parameters are
adapted (Vuorio et al. 2019, "Multimodal MAML", https://arxiv.org/abs/1910.13616).
"""

from abc import abstractmethod

from torch import Tensor

from taskaware.bodies import ResidualBody
from taskaware.conditioners import Modulation, Switches
from taskaware.core.values import Examples, TaskContext
from taskaware.core.vectors import unit
from taskaware.innerloop import InnerLoop
from taskaware.innerloop.sgd import Parameters
from taskaware.learners.base import Adapted, Learner, LearnerConfig, cross_entropy, linear_logits

_NAMES = ("weight", "bias", "code")


class GradientLearner(Learner):
    """A conditioned start for head and FiLM code, then inner steps on the support set."""

    def __init__(self, config: LearnerConfig, body: ResidualBody, switches: Switches | None = None) -> None:
        super().__init__(config, body, switches)
        self.inner = InnerLoop(config.inner, _NAMES)

    @abstractmethod
    def start(self, support: Examples, context: TaskContext, modulation: Modulation) -> tuple[Tensor, Tensor]:
        """The head before the first inner step: weight [N, D], bias [N]."""

    def adapt(self, support: Examples, context: TaskContext) -> Adapted:
        """Start, then the configured inner steps; without examples the start is the result."""
        modulation = self.conditioner(support, context, self.body)
        weight, bias = self.start(support, context, modulation)
        parameters: Parameters = {"weight": weight, "bias": bias, "code": modulation.code}
        if len(support.mask):
            lift, scale = self.body.lifter(support.features), self.body.scale()

            def loss(each: Parameters) -> Tensor:
                embedded = unit(lift(each["code"]) - modulation.middle)
                logits = linear_logits(embedded, each["weight"], each["bias"], context.class_mask, scale)
                return cross_entropy(logits, support)

            parameters = self.inner(loss, parameters)
        return Adapted(parameters["weight"], parameters["bias"], parameters["code"], context.class_mask, modulation)
