"""What does every text encoder offer?

Letters: n texts, D width of a sentence vector, W width of the features.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class TextEncoder(Protocol):
    """Texts to unit vectors, and to wider features that also know tone and style.

    Two encoders with one fingerprint give the same sentence vectors, so theirs may be compared.
    """

    @property
    def fingerprint(self) -> str:
        """Name and hash of all that decides the sentence vectors; a memory refuses vectors of another fingerprint."""
        ...

    @property
    def dimension(self) -> int:
        """D, the width of the sentence vectors."""
        ...

    @property
    def untuned(self) -> slice:
        """The columns of a sentence vector that no tuning changed; all of them where there are none such."""
        ...

    @property
    def layers(self) -> tuple[int, ...]:
        """The hidden layers that `features` holds after the sentence vector, in this order."""
        ...

    @property
    def width(self) -> int:
        """W = D * (1 + number of layers), unless a last module makes D differ from the width of the layers."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> [n, D] float32 of unit length; an empty list gives [0, D]. Raises EncoderError."""
        ...

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> [n, W] float32; an empty list gives [0, W]. Raises EncoderError.

        The first D columns are what `encode` gives, up to rounding; then the mean over the tokens of each hidden
        layer's vectors, not normalised. Layer 0 is the embeddings; negative numbers count from the last.
        """
        ...
