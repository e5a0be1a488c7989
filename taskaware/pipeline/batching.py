"""How do draws, words and memory become one meta-batch?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskaware.core.values import Episode, TaskContext, map_tensors, stack
from taskaware.episodes import Draw, Shape, Words, pad_examples, pad_words
from taskaware.memory import Exclusion
from taskaware.memory.records import class_key
from taskaware.pipeline.config import RetrievalConfig
from taskaware.pipeline.retrieval import Library, find_neighbours, gather_codes


@dataclass(frozen=True)
class Request:
    """One episode to assemble: the draw, the words that it shows, and where and what it may not retrieve."""

    draw: Draw
    words: Words
    library: Library
    exclude: Exclusion
    code_mask: Tensor


@dataclass(frozen=True)
class LookedUp:
    """Padded episodes of T tasks without their neighbours' codes, and the neighbours' rows [T, K] in the memory."""

    episodes: tuple[Episode, ...]
    rows: NDArray[np.int64]


def episode_classes(draw: Draw) -> frozenset[str]:
    """The memory's keys of the episode's classes."""
    return frozenset(class_key(draw.task.id, draw.task.classes[index]) for index in draw.classes)


def guard(draw: Draw, library: Library) -> Exclusion:
    """What an episode must not retrieve: its own classes, and its own task when the memory learned from those classes.

    A class-disjoint split keeps what the memory holds of the same task's other classes.
    """
    classes = episode_classes(draw)
    known = classes & library.class_keys
    return Exclusion(tasks=frozenset({draw.task.id} if known else ()), classes=classes)


def assemble(requests: Sequence[Request], config: RetrievalConfig, shape: Shape | None = None) -> Episode:
    """One meta-batch [T, ...], padded to `shape` or the smallest that fits; all libraries share one table of codes."""
    return join(look_up(requests, config, shape), requests[0].library.codes)


def look_up(requests: Sequence[Request], config: RetrievalConfig, shape: Shape | None = None) -> LookedUp:
    """All of `assemble` that needs no codes: padded episodes and the rows of their neighbours."""
    shape = shape or Shape.of([request.draw for request in requests], [request.words for request in requests])
    episodes, rows = zip(*(_episode(request, shape, config) for request in requests), strict=True)
    return LookedUp(episodes, np.stack(rows))


def join(parts: LookedUp, codes: Tensor) -> Episode:
    """Stacks what was looked up into a meta-batch [T, ...] with the codes [R, A] of the moment."""
    batch: Episode = stack(parts.episodes)
    neighbours = replace(batch.context.neighbours, adapters=gather_codes(codes, parts.rows))
    return replace(batch, context=replace(batch.context, neighbours=neighbours))


def _episode(request: Request, shape: Shape, config: RetrievalConfig) -> tuple[Episode, NDArray[np.int64]]:
    draw, features = request.draw, request.draw.task.features
    context, rows = _context(request.words, shape, request.library, config, request.exclude, request.code_mask)
    support = pad_examples(features[draw.support], draw.support_labels, shape.support)
    query = pad_examples(features[draw.query], draw.query_labels, shape.query)
    return Episode(support, query, context), rows


def context_of(
    words: Words, shape: Shape, library: Library, config: RetrievalConfig, exclude: Exclusion, code_mask: Tensor
) -> TaskContext:
    """The words of one task with their memory neighbours. code_mask [A] is 1 except for dropout in training.

    K is the number of tasks found: a task by itself needs no empty slots, and each would cost as much as a full one.
    """
    context, rows = _context(words, shape, library, config, exclude, code_mask)
    near, found = context.neighbours, int((rows >= 0).sum())  # the nearest come first, so empty slots are the last
    near = replace(
        near,
        adapters=gather_codes(library.codes, rows[:found]),
        task_similarity=near.task_similarity[:found],
        task_mask=near.task_mask[:found],
    )
    return replace(context, neighbours=near)


def _context(
    words: Words, shape: Shape, library: Library, config: RetrievalConfig, exclude: Exclusion, code_mask: Tensor
) -> tuple[TaskContext, NDArray[np.int64]]:
    description, background, background_mask, labels, class_mask, present = pad_words(words, shape)
    neighbours, rows = find_neighbours(library, words, shape.ways, config, exclude)
    context = TaskContext(
        description=description,
        background=background,
        background_mask=background_mask,
        label_texts=labels,
        class_mask=class_mask,
        present=present,
        code_mask=code_mask,
        neighbours=neighbours,
    )
    return context, rows


def to_device(episode: Episode, device: torch.device) -> Episode:
    """Moves a meta-batch to the accelerator."""
    return map_tensors(lambda tensor: tensor.to(device, non_blocking=True), episode)
