"""How do drawn episodes of different sizes become tensors of one shape?

Sizes are rounded up to a few buckets and padded, with masks; so compiled code sees few shapes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskaware.core.values import Examples
from taskaware.episodes.sampler import Draw, EpisodeConfig
from taskaware.episodes.tasks import EncodedTask, Floats


@dataclass(frozen=True)
class Shape:
    """Padded sizes: N ways, S support, Q query, B background passages."""

    ways: int
    support: int
    query: int
    background: int

    @classmethod
    def of(cls, draws: Sequence[Draw], words: Sequence["Words"]) -> "Shape":
        """The smallest bucket that holds all draws and the words that they show."""
        return cls(
            ways=_bucket(max(len(draw.classes) for draw in draws)),
            support=_bucket(max(len(draw.support) for draw in draws)),
            query=_bucket(max(len(draw.query) for draw in draws)),
            background=_bucket(max(len(each.background) for each in words)),
        )

    @classmethod
    def largest(cls, tasks: Sequence[EncodedTask], config: EpisodeConfig) -> "Shape":
        """The bucket that holds every episode that could be drawn from these tasks."""
        most = max(len(task.classes) for task in tasks)
        ways = most if config.full_label_set else min(max(config.way), most)
        return cls(
            ways=_bucket(ways),
            support=_bucket(ways * max(config.shots)),
            query=_bucket(ways * config.query),
            background=_bucket(max(len(task.words.background) for task in tasks)),
        )


@dataclass(frozen=True)
class Words:
    """The words that an episode shows its learner, as vectors. description [D], background [B', D], labels [N', D].

    present = (description, background, label texts); what is not present is not read.
    """

    description: Floats
    background: Floats
    labels: Floats
    present: tuple[bool, bool, bool]

    @classmethod
    def of(cls, draw: Draw) -> "Words":
        """The words of a drawn episode in its wording; a task without a description has a zero vector."""
        words = draw.task.words
        count = len(words.descriptions)
        description = (
            words.descriptions[draw.wording % count] if count else np.zeros(words.labels.shape[-1], np.float32)
        )
        labels = words.labels[draw.classes, draw.wording % words.labels.shape[1]]
        return cls(description, words.background, labels, (count > 0, len(words.background) > 0, True))


@dataclass(frozen=True)
class Drawn:
    """A padded episode without its memory neighbours."""

    support: Examples
    query: Examples


def pad_examples(features: Floats, labels: NDArray[np.int64], size: int) -> Examples:
    """features [n, W], labels [n] -> Examples padded to [size, W]; padded rows carry zeros, label 0, mask 0."""
    count, width = features.shape
    padded = np.zeros((size, width), dtype=np.float32)
    padded[:count] = features
    numbers = np.zeros(size, dtype=np.int64)
    numbers[:count] = labels
    mask = np.zeros(size, dtype=np.float32)
    mask[:count] = 1.0
    return Examples(torch.from_numpy(padded), torch.from_numpy(numbers), torch.from_numpy(mask))


def pad_words(words: Words, shape: Shape) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(description [D], background [B, D], its mask [B], labels [N, D], class mask [N], present [3])."""
    background, background_mask = _pad(words.background if words.present[1] else words.background[:0], shape.background)
    labels, class_mask = _pad(words.labels, shape.ways)
    description = torch.from_numpy(words.description * np.float32(words.present[0]))
    if not words.present[2]:
        labels = torch.zeros_like(labels)
    return description, background, background_mask, labels, class_mask, torch.tensor(words.present).float()


def _pad(rows: Floats, size: int) -> tuple[Tensor, Tensor]:
    padded = np.zeros((size, rows.shape[1]), dtype=np.float32)
    padded[: len(rows)] = rows
    mask = np.zeros(size, dtype=np.float32)
    mask[: len(rows)] = 1.0
    return torch.from_numpy(padded), torch.from_numpy(mask)


def _bucket(size: int) -> int:
    """0 stays 0; otherwise up to the next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... (at most a third is padding)."""
    if size <= 4:
        return size
    power = 1 << (size - 1).bit_length() - 1
    return power * 3 // 2 if size <= power * 3 // 2 else power * 2
