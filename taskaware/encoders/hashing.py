"""How are texts encoded without any model? Feature hashing, for tests and for trying things out.

Weinberger et al. 2009, "Feature Hashing for Large Scale Multitask Learning", https://arxiv.org/abs/0902.2206, eq. 1.
Words and character trigrams each add a signed entry; texts that share words or stems get similar vectors. In place of
hidden layers, word shapes, punctuation and character bigrams: how a text is written, whatever it says.
Letters: n texts, D width of the sentence vector, W = D * (1 + number of layers).
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import final

import numpy as np
from numpy.typing import NDArray

_WORD_WEIGHT = 1.0
_TRIGRAM_WEIGHT = 0.35


@final
class HashingEncoder:
    """Signed feature hashing into D dimensions per block; the same on every machine."""

    def __init__(self, dimension: int = 256, layers: tuple[int, ...] = ()) -> None:
        self.dimension = dimension
        self.layers = layers
        self.width = dimension * (1 + len(layers))
        self.fingerprint = f"hashing-v1:{dimension}"
        self.untuned = slice(0, dimension)

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> [n, W] float32: the sentence vector, then a block for each of layers, hashed with its number."""
        return np.concatenate([self.encode(texts), *(self._block(texts, layer) for layer in self.layers)], axis=1)

    def _block(self, texts: Sequence[str], layer: int) -> NDArray[np.float32]:
        """[n, D]: the mean over a text's traits, as a hidden layer's is over its tokens."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float64)
        for vector, text in zip(vectors, texts, strict=True):
            traits = _traits(text)
            for trait in traits:
                place, sign = _hash(f"layer {layer}:{trait}")
                vector[place % self.dimension] += sign / len(traits)
        return vectors.astype(np.float32)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """n texts -> [n, D] float32 of unit length, from words and character trigrams."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float64)
        for vector, text in zip(vectors, texts, strict=True):
            for feature, weight in _words(text):
                place, sign = _hash(feature)
                vector[place % self.dimension] += sign * weight
            if not vector.any():  # no word at all, or features that cancel: still a unit vector
                vector[_hash(f"text:{text}")[0] % self.dimension] = 1.0
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.astype(np.float32)


def _words(text: str) -> Iterator[tuple[str, float]]:
    for word in re.findall(r"\w+", text.casefold()):
        yield f"word:{word}", _WORD_WEIGHT
        padded = f" {word} "
        for start in range(len(padded) - 2):
            yield f"trigram:{padded[start : start + 3]}", _TRIGRAM_WEIGHT


def _traits(text: str) -> list[str]:
    """At least one: the ends of the text count as characters."""
    shapes = [f"shape:{_shape(word)}" for word in text.split()]
    marks = [f"mark:{mark}" for mark in re.findall(r"[^\w\s]", text)]
    ends = f"^{text}$"
    return [*shapes, *marks, *(f"bigram:{ends[start : start + 2]}" for start in range(len(ends) - 1))]


def _shape(word: str) -> str:
    """McDonald's -> Xx'x: capitals, small letters and digits each as one sign, runs as one."""
    signs = "".join("9" if c.isdigit() else "X" if c.isupper() else "x" if c.isalpha() else c for c in word)
    return re.sub(r"(.)\1+", r"\1", signs)


@lru_cache(maxsize=65_536)
def _hash(feature: str) -> tuple[int, float]:
    """A place and a sign. blake2b, because hash() differs between processes."""
    number = int.from_bytes(hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return number >> 1, 1.0 if number & 1 else -1.0
