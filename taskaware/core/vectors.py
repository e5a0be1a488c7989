"""How is a vector brought to unit length, with and without gradients?"""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def unit(vectors: Tensor) -> Tensor:
    """[..., D] -> unit vectors [..., D]; zero stays zero.

    x / sqrt(|x|^2 + 1e-8) is smooth at 0, where the derivatives of a norm are not: padded rows are zero, and an inner
    loop differentiates twice.
    """
    return vectors * (vectors.square().sum(-1, keepdim=True) + 1e-8).rsqrt()


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """[..., D] -> unit vectors [..., D] of an array; zero stays zero."""
    result: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)
    return result.astype(np.float32, copy=False)
