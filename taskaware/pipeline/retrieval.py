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
from taskaware.episodes import Words
from taskaware.episodes.tasks import Floats
from taskaware.memory import Exclusion, TaskMemory
from taskaware.pipeline.config import RetrievalConfig


@dataclass(frozen=True)
class Library:
    """A memory and the codes of its tasks [R, A], row by row as in its snapshot.

    In training the codes are parameters, so that gradients reach them through the gathered rows.
    """

    memory: TaskMemory
    codes: Tensor

    @cached_property
    def class_keys(self) -> frozenset[str]:
        """Keys of all classes that the memory holds."""
        return frozenset(str(key) for key in self.memory.snapshot().class_keys)


def find_tasks(library: Library, words: Words, config: RetrievalConfig, exclude: Exclusion) -> NDArray[np.int64]:
    """Rows [K] of related tasks, nearest first, -1 = none: those of the nearest labels, then the nearest descriptions.

    An absent description searches with the mean label text; without either nothing is found.
    """
    found: list[int] = []
    query = _query(words)
    if query is not None and config.tasks and len(library.memory):
        if words.present[2]:
            hits = library.memory.search_classes(words.labels, 1, exclude).rows[:, 0]
            found += [int(library.memory.snapshot().class_rows[row]) for row in hits if row >= 0]
        found += [
            int(row) for row in library.memory.search_tasks(query[None], config.tasks, exclude).rows[0] if row >= 0
        ]
    unique = list(dict.fromkeys(found))[: config.tasks]
    return np.array(unique + [-1] * (config.tasks - len(unique)), dtype=np.int64)


def find_neighbours(
    library: Library, words: Words, ways: int, config: RetrievalConfig, exclude: Exclusion
) -> tuple[Neighbours, NDArray[np.int64]]:
    """Neighbour tasks and, for each label, neighbour classes [N, M], padded to `ways`; and the tasks' rows [K].

    The codes are left empty [0]: `gather_codes` fetches those of a whole meta-batch at once.
    """
    rows = find_tasks(library, words, config, exclude)
    texts, prototypes, similarity, slots = _classes(library.memory, words, ways, config.classes, exclude)
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
    padded = torch.cat([codes, codes.new_zeros(1, codes.shape[1])])
    return padded[torch.from_numpy(rows).to(codes.device)]


def similarities(memory: TaskMemory, words: Words, rows: NDArray[np.int64]) -> Floats:
    """[K, 3]: cosine of descriptions, similarity of label sets, cosine of background and description; absent = 0."""
    result = np.zeros((len(rows), 3), dtype=np.float32)
    known = rows >= 0
    if not known.any():
        return result
    embeddings = memory.snapshot().task_embeddings[np.maximum(rows, 0)] * known[:, None]
    if words.present[0]:
        result[:, 0] = embeddings @ words.description
    if words.present[2]:
        result[:, 1] = memory.label_similarity(words.labels, rows)
    if words.present[1]:
        result[:, 2] = embeddings @ words.background.mean(0)
    return result


def _classes(
    memory: TaskMemory, words: Words, ways: int, count: int, exclude: Exclusion
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    dimension = words.labels.shape[1]
    texts = np.zeros((ways, count, dimension), dtype=np.float32)
    prototypes, similarity = np.zeros_like(texts), np.zeros((ways, count), dtype=np.float32)
    slots = np.zeros_like(similarity)
    if count and words.present[2] and len(memory):
        snapshot = memory.snapshot()
        hits = memory.search_classes(words.labels, count, exclude)
        real = (hits.rows >= 0) & (snapshot.class_counts[np.maximum(hits.rows, 0)] > 0)
        number, index = len(words.labels), np.maximum(hits.rows, 0)
        texts[:number] = snapshot.class_texts[index] * real[..., None]
        prototypes[:number] = snapshot.class_prototypes[index] * real[..., None]
        similarity[:number] = hits.similarity * real
        slots[:number] = real
    arrays = texts, prototypes, similarity, slots
    first, second, third, fourth = (torch.from_numpy(array) for array in arrays)
    return first, second, third, fourth


def _query(words: Words) -> Floats | None:
    if words.present[0]:
        return words.description
    if words.present[2]:
        mean = words.labels.mean(0)
        query: Floats = mean / max(float(np.linalg.norm(mean)), 1e-9)
        return query
    return None
