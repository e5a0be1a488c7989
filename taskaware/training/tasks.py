"""Which tasks does a run train on, and what does the memory hold of them while it does?

Shapes: R tasks, A width of a code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from taskaware.core.errors import ConfigError
from taskaware.core.seeds import generator
from taskaware.data import TextTask, find_card, load_tasks
from taskaware.encoders import TextEncoder
from taskaware.episodes import EncodedTask, encode_task, reliance
from taskaware.memory import TaskMemory
from taskaware.pipeline.records import record_of
from taskaware.pipeline.retrieval import Library
from taskaware.training.config import DataEntry


@dataclass(frozen=True)
class TrainingTasks:
    """Tasks in the order of the memory's rows, the probability of each, and whether its code is learned [R]."""

    tasks: tuple[EncodedTask, ...]
    weights: NDArray[np.float64]
    learned: NDArray[np.bool_]


def load_entry(entry: DataEntry, seed: int = 0) -> list[TextTask]:
    """The tasks that an entry names. Raises ConfigError for a task that the card does not hold."""
    found = load_tasks(find_card(entry.card), split=entry.split, fold=entry.fold, every_aspect=entry.every_aspect)
    if entry.per_class is not None:
        found = [_thinned(task, entry.per_class, seed) for task in found]
    if entry.tasks is None:
        return found
    by_aspect = {task.card.id.rpartition("/")[2]: task for task in found}
    if unknown := [name for name in entry.tasks if name not in by_aspect]:
        raise ConfigError(f"data: card {entry.card!r} has no task {unknown[0]!r}; known: {', '.join(by_aspect)}")
    return [by_aspect[name] for name in entry.tasks]


def _thinned(task: TextTask, per_class: int, seed: int) -> TextTask:
    """The same task with at most `per_class` rows of each class, in their order."""
    order = generator("rows", seed, task.card.id).permutation(len(task.texts))
    kept: dict[str, list[int]] = {}
    for row in order:
        kept.setdefault(task.labels[row], []).append(int(row))
    rows = sorted(row for group in kept.values() for row in group[:per_class])
    return TextTask(task.card, tuple(task.texts[row] for row in rows), tuple(task.labels[row] for row in rows))


def load_training_tasks(entries: Sequence[DataEntry], encoder: TextEncoder, seed: int) -> TrainingTasks:
    """Loads and encodes all entries. Raises ConfigError for a task that two entries name: the memory keys by id."""
    found: dict[str, tuple[EncodedTask, float, bool]] = {}
    for entry in entries:
        tasks = load_entry(entry, seed)
        for task in tasks:
            if task.card.id in found:
                raise ConfigError(f"data: task {task.card.id!r} is named twice; remove one of its entries")
            encoded = encode_task(task.card, task.texts, task.labels, encoder)
            found[encoded.id] = (encoded, entry.weight / len(tasks), entry.adapter == "learned")
    ordered = [found[name] for name in sorted(found)]
    weights = np.array([weight for _, weight, _ in ordered])
    learned = np.array([each for _, _, each in ordered])
    return TrainingTasks(tuple(task for task, _, _ in ordered), weights / weights.sum(), learned)


@final
class Codebook(nn.Module):
    """One code per training task [R, A]: its FiLM scales, 0 at birth, so training starts in the encoder's own space.

    The last number, how far the task's examples are to be relied on, is measured and not learned.
    """

    learned: Tensor
    relied: Tensor

    def __init__(self, tasks: TrainingTasks, width: int) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.zeros(len(tasks.tasks), width - 1))
        self.register_buffer("relied", torch.tensor([[reliance(task)] for task in tasks.tasks]))
        self.register_buffer("learned", torch.from_numpy(tasks.learned).float()[:, None])

    def forward(self) -> Tensor:
        """Codes [R, A]; the FiLM scales of identity tasks are 0."""
        return torch.cat([self.codes * self.learned, self.relied], 1)


@final
class TrainingLibraries:
    """The training tasks' memory once per wording.

    An episode in one wording retrieves from a memory in another: a task must be found by what it means, not by the very
    sentence that the memory holds.
    """

    def __init__(self, tasks: TrainingTasks, encoder: TextEncoder, codebook: Codebook) -> None:
        most = max(max(len(task.words.descriptions), task.words.labels.shape[1]) for task in tasks.tasks)
        self.count = max(most, 1)
        self._codebook = codebook
        self._memories = [TaskMemory.in_memory(encoder.fingerprint, encoder.dimension) for _ in range(self.count)]
        empty = np.zeros(0, dtype=np.float32)
        for wording, memory in enumerate(self._memories):
            memory.add(record_of(task, empty, wording) for task in tasks.tasks)

    def all(self) -> list[Library]:
        """One library per wording, with codes through which gradients flow; for one step."""
        codes = self._codebook()
        return [Library(memory.view(), codes) for memory in self._memories]


def finished_memory(tasks: TrainingTasks, encoder: TextEncoder, codes: Tensor) -> TaskMemory:
    """The memory that is saved: all wordings averaged, each task with its code."""
    memory = TaskMemory.in_memory(encoder.fingerprint, encoder.dimension)
    rows = codes.detach().cpu().numpy()
    memory.add(record_of(task, row) for task, row in zip(tasks.tasks, rows, strict=True))
    return memory
