"""How is a vector brought to unit length where gradients of gradients flow?"""

from torch import Tensor


def unit(vectors: Tensor) -> Tensor:
    """[..., D] -> unit vectors [..., D]; zero stays zero.

    x / sqrt(|x|^2 + 1e-8) is smooth at 0, where the derivatives of a norm are not: padded rows are zero, and an inner
    loop differentiates twice.
    """
    return vectors * (vectors.square().sum(-1, keepdim=True) + 1e-8).rsqrt()
