"""What does a tuned encoder forget? Nothing that its untuned vector, kept beside the tuned one, still knows.

x = [sqrt(1 - w) tuned; sqrt(w) frozen]: a cosine is then the weighted mean of the two encoders' cosines. Ensembles of
the tuned and the frozen model keep what the latter knew of other data (Wortsman et al. 2022, "Robust fine-tuning of
zero-shot models", https://arxiv.org/abs/2109.01903, section 5, which also averages the weights themselves).
Letters: n texts, D width of each encoder's sentence vector, L layers, H their width.
"""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import final

import numpy as np
from numpy.typing import NDArray

from taskaware.encoders.protocol import TextEncoder


@final
class BesideEncoder:
    """Sentence vectors of both encoders as one, of width 2D; the layers are those of the tuned one."""

    def __init__(self, tuned: TextEncoder, frozen: TextEncoder, share: float) -> None:
        """share: w, between 0 and 1."""
        self.layers = tuned.layers
        self.fingerprint = f"{tuned.fingerprint}, {share:g} of {frozen.fingerprint}"
        self._tuned, self._frozen, self._share = tuned, frozen, share

    @cached_property
    def dimension(self) -> int:
        """2D."""
        return self._tuned.dimension + self._frozen.dimension

    @property
    def untuned(self) -> slice:
        """The second half."""
        return slice(self._tuned.dimension, self.dimension)

    @cached_property
    def width(self) -> int:
        """2D + L * H."""
        return self._tuned.width + self._frozen.dimension

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> [n, 2D] float32 of unit length."""
        return self._joined(self._tuned.encode(texts), texts)

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> [n, 2D + L * H] float32."""
        features, size = self._tuned.features(texts), self._tuned.dimension
        return np.concatenate([self._joined(features[:, :size], texts), features[:, size:]], axis=1)

    def _joined(self, tuned: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
        parts = [math.sqrt(1 - self._share) * tuned, math.sqrt(self._share) * self._frozen.encode(texts)]
        return np.concatenate(parts, axis=1, dtype=np.float32)
