"""What do all learners share?

A learner turns a support set and the words of one task into an `Adapted` task, and an adapted task turns features into
logits. Both are pure functions of one task; `forward` does an episode, and torch.func.vmap does a meta-batch of them.

Shapes: S support, Q query, N ways, D width, W feature width, H hidden units of the body.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from taskaware.bodies import BodyConfig, ResidualBody
from taskaware.conditioners import FilmConditioner, FilmConfig, Modulation, NoConditioner, Switches
from taskaware.core.config import Config
from taskaware.core.registry import Registry
from taskaware.core.values import Episode, Examples, TaskContext, register_value
from taskaware.innerloop import InnerLoopConfig


class LearnerConfig(Config):
    """Which method, what conditions it, and its parts. `inner` applies to methods with an inner loop."""

    name: str = "protonet"
    conditioner: Literal["film", "none"] = "film"
    body: BodyConfig = Field(default_factory=BodyConfig)
    film: FilmConfig = Field(default_factory=FilmConfig)
    inner: InnerLoopConfig = Field(default_factory=InnerLoopConfig)


@dataclass(frozen=True)
class Adapted:
    """One task learned: logits = scale * z(x; code) . weight + bias. weight [N, D], bias [N], code [2H], mask [N]."""

    weight: Tensor
    bias: Tensor
    code: Tensor
    class_mask: Tensor
    modulation: Modulation


register_value(Adapted)


class Learner(nn.Module, ABC):
    """Body + conditioner + a rule (`adapt`) that turns support and modulation into an adapted task."""

    def __init__(self, config: LearnerConfig, body: ResidualBody, switches: Switches | None = None) -> None:
        super().__init__()
        self.config = config
        self.body = body
        self.conditioner: FilmConditioner | NoConditioner
        if config.conditioner == "film":
            self.conditioner = FilmConditioner(config.film, switches)
        else:
            self.conditioner = NoConditioner(self.code_width, switches)

    @property
    def code_width(self) -> int:
        """A: what the body reads of a code, and how far examples are to be relied on."""
        return self.body.code_width + 1

    @abstractmethod
    def adapt(self, support: Examples, context: TaskContext) -> Adapted:
        """Learns one task from support [S, W] (S = 0 allowed) and its context."""

    def logits(self, adapted: Adapted, features: Tensor) -> Tensor:
        """features [Q, W] -> [Q, N]; padded classes get -1e4."""
        embedded = self.body.embed(features, adapted.code, adapted.modulation.middle)
        return linear_logits(embedded, adapted.weight, adapted.bias, adapted.class_mask, self.body.scale())

    def forward(self, episode: Episode) -> Tensor:
        """Adapts on the support set and scores the queries: [Q, N]."""
        return self.logits(self.adapt(episode.support, episode.context), episode.query.features)


learners: Registry[type[Learner]] = Registry("learner")


def linear_logits(embedded: Tensor, weight: Tensor, bias: Tensor, class_mask: Tensor, scale: Tensor) -> Tensor:
    """A linear classifier in the body's space: embedded [..., D], weight [N, D], bias [N], scale [] -> [..., N]."""
    logits = scale * (embedded @ weight.mT) + bias
    return logits.masked_fill(class_mask == 0, -1e4)


def cross_entropy(logits: Tensor, examples: Examples) -> Tensor:
    """Mean over real examples; logits [S, N] -> []. 0 without examples."""
    picked = logits.log_softmax(-1).gather(-1, examples.labels[:, None])[:, 0]
    return -(picked * examples.mask).sum() / examples.mask.sum().clamp_min(1.0)


def class_means(embedded: Tensor, support: Examples, ways: int) -> Tensor:
    """Class means. embedded [S, D], labels [S] -> [N, D]; zero without examples. Snell et al. 2017, eq. 1."""
    targets = torch.nn.functional.one_hot(support.labels, ways).to(embedded.dtype) * support.mask[:, None]
    return (targets.mT @ embedded) / targets.sum(0).clamp_min(1.0)[:, None]
