"""How is a described function learned from ten points?

MAML whose task parameters are the FiLM code of an MLP and the prior (mean, variances, noise) of its linear head; the
shared weights stay still (as in CAVIA, Zintgraf et al. 2019, https://arxiv.org/abs/1810.03642). The head is Bayesian
and solved in closed form (ALPaCA, Harrison et al. 2018, https://arxiv.org/abs/1807.08912), so that the inner loop
descends on the negative log evidence of the support set (as in "Deep Kernel Transfer", Patacchiola et al. 2020,
https://arxiv.org/abs/1910.05199), with learned rates. Words set where it starts, once per task and differentiably; the
evidence decides how far they are believed against remembered descriptions and against the start without words.

Shapes: S support, Q query, I inputs, D width of a sentence vector, H hidden units, P = H + 1 features, C code and head,
K remembered descriptions.
"""

import math
from dataclasses import dataclass
from typing import Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from taskaware.bodies.mlp import FilmMlp, MlpConfig
from taskaware.conditioners.description import DescriptionConditioner
from taskaware.core.config import Config
from taskaware.core.values import register_value
from taskaware.innerloop import InnerLoop, InnerLoopConfig
from taskaware.innerloop.sgd import Parameters


class RegressorConfig(Config):
    """conditioner "none" is the same learner without words; reader: hidden units between description and code."""

    conditioner: Literal["description", "none"] = "description"
    body: MlpConfig = Field(default_factory=MlpConfig)
    reader: int = Field(default=64, ge=1)
    inner: InnerLoopConfig = Field(default_factory=lambda: InnerLoopConfig(learning_rate=0.01, clip=10.0))


@dataclass(frozen=True)
class DescribedPoints:
    """What a task shows: inputs [S, I], targets [S], description [D], present [] (1 told, 0 missing)."""

    inputs: Tensor
    targets: Tensor
    description: Tensor
    present: Tensor


@dataclass(frozen=True)
class AdaptedRegression:
    """One task learned: mean = features(x; code) . weight. code [L, 2, H], weight [P].

    attention [K + 2] over the starts of its own words, of the remembered descriptions, and of no words.
    """

    code: Tensor
    weight: Tensor
    attention: Tensor


for _kind in (DescribedPoints, AdaptedRegression):
    register_value(_kind)


@final
class Regressor(nn.Module):
    """Described points -> an adapted regression; torch.func.vmap runs it over a meta-batch."""

    memory: Tensor

    def __init__(self, config: RegressorConfig, inputs: int, memory: Tensor) -> None:
        """memory [K, D]: unit vectors of descriptions to remember, for example one of each kind of task seen."""
        super().__init__()
        self.config = config
        self.body = FilmMlp(config.body, inputs)
        layers, _, hidden = self.body.code_shape
        self.head = nn.Parameter(torch.zeros(hidden + 1))
        self.spread = nn.Parameter(torch.zeros(hidden + 2))
        self.width = math.prod(self.body.code_shape) + len(self.head) + len(self.spread)
        self.inner = InnerLoop(config.inner, (*(f"code{layer}" for layer in range(layers)), "head", "spread"))
        self.register_buffer("memory", memory)
        self.conditioner: DescriptionConditioner | None = None
        if config.conditioner == "description":
            self.conditioner = DescriptionConditioner(memory.shape[1], self.width, config.reader)
            self.trust = nn.Parameter(torch.tensor(2.0))
            self.nearness = nn.Parameter(torch.tensor(2.0))
            self.evidence = nn.Parameter(torch.tensor(1.0))

    def forward(self, points: DescribedPoints, queries: Tensor, weigh: bool = True) -> Tensor:
        """Adapts, then predicts at queries [Q, I] -> [Q]; without `weigh` the task's own words are believed."""
        return self.predict(self.adapt(points, weigh), queries)

    def predict(self, adapted: AdaptedRegression, inputs: Tensor) -> Tensor:
        """inputs [Q, I] -> means [Q]."""
        return self.body.features(inputs, list(adapted.code)) @ adapted.weight

    def adapt(self, points: DescribedPoints, weigh: bool = True) -> AdaptedRegression:
        """A start that words and evidence choose, then the inner steps and the head."""
        return self.refine(*self.start(points, weigh), points)

    def refine(self, start: Parameters, attention: Tensor, points: DescribedPoints) -> AdaptedRegression:
        """The inner steps from `start`, then the posterior mean of the head."""
        parameters = self.inner(lambda each: self.surprise(each, points) / max(len(points.targets), 1), start)
        features, factor, residual = self._explain(parameters, points)
        solved = torch.cholesky_solve(residual[:, None], factor)[:, 0]
        weight = parameters["head"] + parameters["spread"][:-1].exp() * (features.mT @ solved)
        return AdaptedRegression(torch.stack(self._code(parameters)), weight, attention)

    def start(self, points: DescribedPoints, weigh: bool = True) -> tuple[Parameters, Tensor]:
        """Code and prior of the head before the first step, and the attention that chose them ([1] without words).

        Candidates are the start that the task's own words make, those of the K remembered descriptions, and the
        wordless one. Attention is a prior by words times the evidence of the support set to the power `evidence`: a
        description that the examples contradict, such as another task's or nonsense, is set aside. As in the
        conditioner of texts, evidence is observed: no gradient reaches the candidates through it.
        """
        if self.conditioner is None:
            return self._split(self.head.new_zeros(self.width)), torch.ones_like(points.present)[None]
        told = self.conditioner(points.description, points.present)[None]
        if not weigh:
            return self._split(told[0]), torch.ones_like(points.present)[None]
        remembered = self.conditioner(self.memory, torch.ones_like(points.present))
        codes = torch.cat([told, remembered, torch.zeros_like(told)])
        near = self.nearness * points.present * (self.memory @ points.description)
        own = self.trust + torch.log(points.present + 1e-9)
        prior = torch.cat([own[None], near, torch.zeros_like(own)[None]])
        with torch.no_grad():
            surprises = torch.func.vmap(lambda code: self.surprise(self._split(code), points))(codes)
        attention = (prior - self.evidence.clamp_min(0) * surprises).softmax(0)
        return self._split(attention @ codes), attention

    def surprise(self, parameters: Parameters, points: DescribedPoints) -> Tensor:
        """Negative log evidence [] of the targets, without its constant. Rasmussen & Williams 2006, eq. 2.30."""
        _, factor, residual = self._explain(parameters, points)
        whitened = torch.linalg.solve_triangular(factor, residual[:, None], upper=False)
        nats: Tensor = 0.5 * whitened.square().sum() + factor.diagonal().log().sum()
        return nats

    def _explain(self, parameters: Parameters, points: DescribedPoints) -> tuple[Tensor, Tensor, Tensor]:
        """Features [S, P], Cholesky factor [S, S] of the targets' covariance, and what the prior mean leaves [S].

        spread [P + 1]: logarithms of the head's prior variances, then of the noise.
        """
        features = self.body.features(points.inputs, self._code(parameters))
        variance, noise = parameters["spread"][:-1].exp(), parameters["spread"][-1].exp() + 1e-3
        covariance = (features * variance) @ features.mT + noise * torch.eye(len(features), dtype=features.dtype)
        return features, torch.linalg.cholesky(covariance), points.targets - features @ parameters["head"]

    def _split(self, told: Tensor) -> Parameters:
        """What the words add [C] -> the start of every adapted parameter; zeros add nothing."""
        shape = self.body.code_shape
        code, head, spread = torch.split(told, [math.prod(shape), len(self.head), len(self.spread)])
        layers = {f"code{layer}": each for layer, each in enumerate(code.view(shape))}
        return {**layers, "head": self.head + head, "spread": self.spread + spread}

    def _code(self, parameters: Parameters) -> list[Tensor]:
        return [parameters[f"code{layer}"] for layer in range(self.config.body.layers)]
