"""What does a conditioner hand to a learner?

Shapes: S support, N ways, D embedding width, W feature width, H hidden units of the body, K neighbour tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from taskaware.core.values import Examples, TaskContext, register_value


@dataclass(frozen=True)
class Modulation:
    """How the words of one task change its learner.

    code [2H + 1]: FiLM scales of the body, 0 = identity, then how far the examples of such tasks are to be relied on
    (`episodes/reliance.py`; 0 = as usual). middle [D]: the support set's centre in the space of the code.
    prior [N, D]: unit prototypes made of words, centred (zero = none). gate [N] in [0, 1]: weight of the class mean of
    the examples against the prior. attention [K + 1]: weight of each neighbour task, the identity last.
    """

    code: Tensor
    middle: Tensor
    prior: Tensor
    gate: Tensor
    attention: Tensor

    @property
    def relied(self) -> Tensor:
        """The code's last number, []."""
        return self.code[-1]


register_value(Modulation)


@dataclass(frozen=True, kw_only=True)
class Switches:
    """What an ablation turns off.

    film: what the codes of past tasks do (modulation of the body, and what gate and steps take from them). prior: the
    words' share in prototypes. trial: the gate tried on the examples. clear: following clear examples.
    """

    film: bool = True
    prior: bool = True
    trial: bool = True
    clear: bool = True


Lifter = Callable[[Tensor], Tensor]  # code [..., 2H] -> the same features in the space of that code [..., D]


class Space(Protocol):
    """What a conditioner needs of a body."""

    def lift(self, features: Tensor, code: Tensor) -> Tensor: ...
    def lifter(self, features: Tensor) -> Lifter: ...
    def middle(self, lifted: Tensor, mask: Tensor) -> Tensor: ...
    def embed_words(self, words: Tensor, code: Tensor) -> Tensor: ...
    def scale(self) -> Tensor: ...


class Conditioner(Protocol):
    """One task in, its modulation out; pure, so that torch.func maps it over a meta-batch."""

    switches: Switches

    def __call__(self, support: Examples, context: TaskContext, space: Space) -> Modulation:
        """Reads the support set [S, W] and the context; never sees queries."""
        ...
