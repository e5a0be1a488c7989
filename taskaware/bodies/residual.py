"""How are frozen features turned toward what a task asks for?

A residual adapter whose hidden units are scaled per task (FiLM, Perez et al. 2018, https://arxiv.org/abs/1709.07871;
residual adapters of rank H as in Rebuffi et al. 2017, https://arxiv.org/abs/1705.08045):

    y = x + B (gamma * (A f)),   z = normalise(y - c)

x [D] is the sentence embedding, f [W] the features that begin with it (the rest are middle layers of the encoder,
which know tone and style better), gamma [H] comes from the conditioner. gamma = 0 is the identity: the space of the
frozen encoder. Label texts go through a map of their own, since words *about* a class and examples *of* it differ in
kind.

c is the centre of the task's own examples, and of its own label texts: what all classes share says nothing about which
is which (SimpleShot, Wang et al. 2019, https://arxiv.org/abs/1911.04623, takes the mean of the training classes).
It is shrunk toward 0 as if k more vectors lay there: a few examples share little but what their few classes are about,
while label texts share phrases. Queries have no part in it.

Shapes: ... any leading axes, D embedding width, W feature width, H hidden units.
"""

import math
from collections.abc import Callable
from typing import final

import torch
from pydantic import Field
from torch import Tensor, nn

from taskaware.core.config import Config
from taskaware.core.vectors import unit


class BodyConfig(Config):
    """hidden: H, the rank of the residual map; scale: the factor of cosines at birth; centring: whether c is not 0."""

    hidden: int = Field(default=96, ge=1)
    scale: float = Field(default=20.0, gt=0.0)
    centring: bool = True


@final
class ResidualBody(nn.Module):
    """The residual map for examples and the one for words. A code's first 2H numbers, gamma for each, modulate both."""

    centre: Tensor
    spread: Tensor

    def __init__(self, config: BodyConfig, dimension: int, width: int) -> None:
        super().__init__()
        self.config = config
        self.dimension = dimension
        self.width = width
        hidden = config.hidden
        self.reduce = nn.Parameter(torch.randn(hidden, width) / math.sqrt(2 * dimension))
        self.expand = nn.Parameter(torch.randn(dimension, hidden) * 0.02)
        self.reduce_words = nn.Parameter(torch.randn(hidden, dimension) / math.sqrt(dimension))
        self.expand_words = nn.Parameter(torch.randn(dimension, hidden) * 0.02)
        self.log_scale = nn.Parameter(torch.tensor(math.log(config.scale)))
        self.log_shrinkage = nn.Parameter(torch.tensor([40.0, 1.0]).log())  # k for examples and for label texts
        self.register_buffer("centre", torch.zeros(width - dimension))
        self.register_buffer("spread", torch.ones(()))

    @property
    def code_width(self) -> int:
        """2H: gamma for examples, then gamma for words."""
        return 2 * self.config.hidden

    def fit(self, features: Tensor) -> None:
        """Sets the centre and spread of the middle layers from training features [R, W], once, before training."""
        if self.width > self.dimension and len(features) > 1:
            layers = features[:, self.dimension :]
            self.centre.copy_(layers.mean(0))
            self.spread.copy_(layers.std(0).mean().clamp_min(1e-6) * math.sqrt(self.dimension))

    def lift(self, features: Tensor, code: Tensor) -> Tensor:
        """features [..., W], code [..., 2H or more] (broadcast) -> y [..., D], neither centred nor normalised."""
        return self.lifter(features)(code)

    def lifter(self, features: Tensor) -> Callable[[Tensor], Tensor]:
        """`lift` of features [..., W] as a function of the code; what no code changes is computed once."""
        sentence = features[..., : self.dimension]
        layers = (features[..., self.dimension :] - self.centre) / self.spread
        units = torch.cat([sentence, layers], dim=-1) @ self.reduce.mT

        def lift(code: Tensor) -> Tensor:
            modulated = units * code[..., : self.config.hidden]
            return sentence + modulated @ self.expand.mT

        return lift

    def middle(self, lifted: Tensor, mask: Tensor) -> Tensor:
        """The centre of a support set: y [..., S, D], mask [S] -> [..., D], shrunk; 0 without examples."""
        return self._shrunk(mask @ lifted, mask.sum(), 0)

    def embed(self, features: Tensor, code: Tensor, middle: Tensor) -> Tensor:
        """features [..., W], code [..., 2H], middle [..., D] (broadcast) -> unit vectors [..., D]."""
        return unit(self.lift(features, code) - middle)

    def embed_words(self, words: Tensor, code: Tensor) -> Tensor:
        """A task's label vectors [..., N, D], code [..., 2H] (broadcast) -> unit vectors, centred; zeros stay zero."""
        units = (words @ self.reduce_words.mT) * code[..., self.config.hidden : self.code_width]
        told = (words.abs().sum(-1, keepdim=True) > 0).to(words.dtype)
        lifted = (words + units @ self.expand_words.mT) * told
        middle = self._shrunk(lifted.sum(-2), told.sum((-2, -1)), 1)[..., None, :]
        return unit((lifted - middle) * told)

    def _shrunk(self, total: Tensor, count: Tensor, kind: int) -> Tensor:
        """total [..., D] / (count [...] + k)."""
        return total * float(self.config.centring) / (count + self.log_shrinkage[kind].exp())[..., None]

    def scale(self) -> Tensor:
        """The factor between cosines and logits."""
        return self.log_scale.exp()
