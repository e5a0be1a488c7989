"""Which past tasks and classes are related to these words, and what do they bring?

Shapes: K neighbour tasks, N ways, M neighbour classes, D width, A width of an adapter's code.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskaware.core.values import Neighbours
from taskaware.core.vectors import unit_rows
from taskaware.episodes import Words
from taskaware.episodes.tasks import Floats
from taskaware.memory import Exclusion, Hits, MemoryView
from taskaware.pipeline.config import RetrievalConfig


@dataclass(frozen=True)
class Library:
    """One state of a memory and the codes of its tasks [R, A], row by row as in its snapshot.

    In training the codes are parameters, so that gradients reach them through the gathered rows.
    """

    memory: MemoryView
    codes: Tensor

    @cached_property
    def class_keys(self) -> frozenset[str]:
        """Keys of all classes that the memory holds."""
        return frozenset(str(key) for key in self.memory.snapshot.class_keys)


def find_tasks(library: Library, words: Words, config: RetrievalConfig, exclude: Exclusion) -> NDArray[np.int64]:
    """Rows [K] of related tasks, nearest first, -1 = none: those of the nearest labels, then the nearest descriptions.

    An absent description searches with the mean label text; without either nothing is found.
    """
    return _tasks(library.memory, words, config, exclude, _similar_classes(library.memory, words, config, exclude))


def find_neighbours(
    library: Library, words: Words, ways: int, config: RetrievalConfig, exclude: Exclusion
) -> tuple[Neighbours, NDArray[np.int64]]:
    """Neighbour tasks and, for each label, neighbour classes [N, M], padded to `ways`; and the tasks' rows [K].

    The codes are left empty [0]: `gather_codes` fetches those of a whole meta-batch at once.
    """
    near = _similar_classes(library.memory, words, config, exclude)
    rows = _tasks(library.memory, words, config, exclude, near)
    texts, prototypes, similarity, slots = _classes(library.memory, words, ways, config.classes, near)
    neighbours = Neighbours(
        adapters=torch.zeros(0),
        task_similarity=torch.from_numpy(similarities(library.memory, words, rows)),
        task_mask=torch.from_numpy((rows >= 0).astype(np.float32)),
        class_texts=texts,
        class_prototypes=prototypes,
        class_similarity=similarity,
        class_slots=slots,
    )
    return neighbours, rows


def gather_codes(codes: Tensor, rows: NDArray[np.int64]) -> Tensor:
    """codes [R, A], rows [..., K] -> [..., K, A]; row -1 gives zeros. Gradients flow back to the rows."""
    if not len(codes):
        return codes.new_zeros(*rows.shape, codes.shape[1])
    wanted = torch.from_numpy(rows).to(codes.device)
    return codes[wanted.clamp_min(0)] * (wanted >= 0)[..., None]


def similarities(memory: MemoryView, words: Words, rows: NDArray[np.int64]) -> Floats:
    """[K, 3]: cosine of descriptions, similarity of label sets, cosine of background and description; absent = 0."""
    result = np.zeros((len(rows), 3), dtype=np.float32)
    known = rows >= 0
    if not known.any():
        return result
    embeddings = memory.snapshot.task_embeddings[np.maximum(rows, 0)] * known[:, None]
    if words.present[0]:
        result[:, 0] = embeddings @ words.description
    if words.present[2]:
        result[:, 1] = memory.label_similarity(words.labels, rows)
    if words.present[1]:
        result[:, 2] = embeddings @ words.background.mean(0)
    return result


def _similar_classes(memory: MemoryView, words: Words, config: RetrievalConfig, exclude: Exclusion) -> Hits | None:
    """For each label the classes with the nearest texts, at least 1; None without label texts or memory."""
    if not words.present[2] or not (config.classes or config.tasks) or not len(memory):
        return None
    return memory.search_classes(words.labels, max(config.classes, 1), exclude)


def _tasks(
    memory: MemoryView, words: Words, config: RetrievalConfig, exclude: Exclusion, near: Hits | None
) -> NDArray[np.int64]:
    """As `find_tasks`; near: the classes that resemble each label."""
    nearest: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    query = _query(words)
    if query is not None and config.tasks and len(memory):
        nearest = memory.search_tasks(query[None], config.tasks, exclude).rows[0]
        if near is not None:
            first = near.rows[:, 0]
            nearest = np.concatenate([memory.snapshot.class_rows[first[first >= 0]], nearest])
    unique = list(dict.fromkeys(nearest[nearest >= 0].tolist()))[: config.tasks]
    return np.array(unique + [-1] * (config.tasks - len(unique)), dtype=np.int64)


def _classes(
    memory: MemoryView, words: Words, ways: int, count: int, near: Hits | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dimension = words.labels.shape[1]
    texts = np.zeros((ways, count, dimension), dtype=np.float32)
    prototypes, similarity = np.zeros_like(texts), np.zeros((ways, count), dtype=np.float32)
    slots = np.zeros_like(similarity)
    if count and near is not None:
        snapshot, number, index = memory.snapshot, len(words.labels), np.maximum(near.rows, 0)
        real = (near.rows >= 0) & (snapshot.class_counts[index] > 0)
        texts[:number] = snapshot.class_texts[index] * real[..., None]
        prototypes[:number] = snapshot.class_prototypes[index] * real[..., None]
        similarity[:number] = near.similarity * real
        slots[:number] = real
    arrays = texts, prototypes, similarity, slots
    first, second, third, fourth = (torch.from_numpy(array) for array in arrays)
    return first, second, third, fourth


def _query(words: Words) -> Floats | None:
    if words.present[0]:
        return words.description
    if words.present[2]:
        return unit_rows(words.labels.mean(0))
    return None
