"""How does a task in words and rows become arrays?

Letters: R rows, C classes, V wordings, B passages, D width of the sentence embedding, W width of the features.
The encoder reads every text once; episodes are then drawn by indexing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from taskaware.core.errors import EpisodeError
from taskaware.core.values import TaskCard

Floats = NDArray[np.float32]


class Reader(Protocol):
    """What episodes need of a text encoder: sentence vectors [n, D] and features [n, W] that begin with them."""

    @property
    def dimension(self) -> int: ...
    @property
    def untuned(self) -> slice: ...
    def encode(self, texts: Sequence[str]) -> Floats: ...
    def features(self, texts: Sequence[str]) -> Floats: ...


@dataclass(frozen=True)
class Wordings:
    """A task's words as vectors. descriptions [V, D] (V = 0: none), background [B, D], labels [C, V', D].

    Labels with fewer wordings than others repeat theirs.
    """

    descriptions: Floats
    background: Floats
    labels: Floats


@dataclass(frozen=True)
class EncodedTask:
    """A task ready for episodes: features [R, W], labels [R] in 0..C-1, and `rows`, the row numbers of each class.

    untuned: the columns of sentence vectors that no tuning changed, where the encoder has such.
    """

    card: TaskCard
    classes: tuple[str, ...]
    features: Floats
    labels: NDArray[np.int64]
    rows: tuple[NDArray[np.int64], ...]
    words: Wordings
    untuned: slice = field(default_factory=lambda: slice(None))

    @property
    def id(self) -> str:
        """The task's name in memories and reports."""
        return self.card.id


def encode_words(card: TaskCard, encoder: Reader) -> Wordings:
    """Embeds the description and its paraphrases, the background, and each label's text and its paraphrases."""
    descriptions = [text for text in (card.description, *card.paraphrases) if text.strip()]
    groups = [(text, *(card.label_paraphrases or {}).get(name, ())) for name, text in card.labels.items()]
    most = max(map(len, groups), default=1)
    flat = [group[index % len(group)] for group in groups for index in range(most)]
    return Wordings(
        descriptions=encoder.encode(descriptions),
        background=encoder.encode([text for text in card.background if text.strip()]),
        labels=encoder.encode(flat).reshape(len(groups), most, encoder.dimension),
    )


def encode_task(card: TaskCard, texts: Sequence[str], labels: Sequence[str], encoder: Reader) -> EncodedTask:
    """Reads a labelled task. Raises EpisodeError when a label is not in the card."""
    classes = tuple(card.labels)
    position = {name: index for index, name in enumerate(classes)}
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        raise EpisodeError(f"{card.id}: label {unknown[0]!r} is not in the card; known: {', '.join(classes)}")
    numbers = np.array([position[label] for label in labels], dtype=np.int64)
    rows = tuple(np.flatnonzero(numbers == index) for index in range(len(classes)))
    words = encode_words(card, encoder)
    return EncodedTask(card, classes, encoder.features(texts), numbers, rows, words, encoder.untuned)
