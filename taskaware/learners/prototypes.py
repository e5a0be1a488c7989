"""Where do conditioned prototypes come from?

p_n = gate_n * mean_n + (1 - gate_n) * prior_n, normalised: AM3 (Xing et al. 2019, https://arxiv.org/abs/1902.07104,
eq. 5) in the space of the task's FiLM code, centred. At birth, and without centring, this is close to the training-free
mix, with somewhat more weight on the words.
"""

from torch import Tensor

from taskaware.bodies import ResidualBody
from taskaware.conditioners import Modulation
from taskaware.core.values import Examples
from taskaware.core.vectors import unit
from taskaware.learners.base import class_means


def conditioned_prototypes(body: ResidualBody, support: Examples, modulation: Modulation) -> Tensor:
    """support [S, W] -> unit prototypes [N, D]; a class with neither words nor examples gets zeros."""
    embedded = body.embed(support.features, modulation.code, modulation.middle)
    return mixed_prototypes(embedded, support, modulation)


def mixed_prototypes(embedded: Tensor, support: Examples, modulation: Modulation) -> Tensor:
    """The same from a support set that is embedded already: [S, D] -> [N, D]."""
    means = class_means(embedded, support, len(modulation.gate))
    gate = modulation.gate[:, None]
    return unit(gate * means + (1 - gate) * modulation.prior)
