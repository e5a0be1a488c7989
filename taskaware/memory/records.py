"""What does the memory keep of a past task?

Letters for shapes: D embedding width, A adapter width, R tasks (rows), C classes of all tasks together.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Strings = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class ClassRecord:
    """One class of a past task: its words, and the mean of its examples.

    text_embedding [D], prototype [D], count: how many examples the prototype averages.
    """

    name: str
    text: str
    text_embedding: Floats
    prototype: Floats
    count: int


def _no_adapter() -> Floats:
    return np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class TaskRecord:
    """One past task.

    embedding [D] of its description; card: extra words (anything JSON holds); created: ISO time; adapter [A]: the
    small vector with which the task modulated the body, or empty. All adapters of a memory are of one width.
    """

    id: str
    dataset: str
    description: str
    embedding: Floats
    classes: tuple[ClassRecord, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)
    created: str = ""
    adapter: Floats = field(default_factory=_no_adapter)


@dataclass(frozen=True)
class Exclusion:
    """Rows that a search must not return: tasks by id, data sets by name, classes by key (`class_key`).

    An excluded task or data set takes its classes along. Names that the memory does not know are ignored.
    """

    tasks: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()

    def any(self) -> bool:
        """Whether anything at all is excluded."""
        return bool(self.tasks or self.datasets or self.classes)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The whole memory as read-only arrays, tasks ordered by id, each task's classes in the order they were added.

    task_ids [R], task_rows (the row of each id), task_datasets [R], task_embeddings [R, D], task_adapters [R, A]
    (zeros for a task without one; A = 0 until a task has one); class_keys [C], class_texts [C, D] (label text
    embeddings), class_prototypes [C, D], class_counts [C], class_rows [C] (the row of each class's task),
    class_start [R + 1] (row r owns classes class_start[r] to class_start[r + 1]). checksum: which contents these are.
    """

    checksum: str
    task_ids: Strings
    task_rows: dict[str, int]
    task_datasets: Strings
    task_embeddings: Floats
    task_adapters: Floats
    class_keys: Strings
    class_texts: Floats
    class_prototypes: Floats
    class_counts: Integers
    class_rows: Integers
    class_start: Integers


def class_key(task_id: str, name: str) -> str:
    """The key under which a class can be excluded."""
    return f"{task_id}/{name}"


def dump_card(card: dict[str, Any]) -> str:
    """A card as canonical JSON. Raises TypeError or ValueError for what JSON cannot hold."""
    return json.dumps(card, sort_keys=True, ensure_ascii=False, allow_nan=False)


def digest(record: TaskRecord) -> int:
    """A 256-bit number that differs when anything in the record does."""
    words = [record.id, record.dataset, record.description, dump_card(record.card), record.created]
    classes = [[each.name, each.text, each.count] for each in record.classes]
    state = hashlib.sha256(json.dumps([words, classes]).encode())
    state.update(_bytes(record.embedding))
    state.update(_bytes(record.adapter))
    for each in record.classes:
        state.update(_bytes(each.text_embedding))
        state.update(_bytes(each.prototype))
    return int.from_bytes(state.digest(), "big")


def _bytes(vector: Floats) -> bytes:
    return vector.astype("<f4").tobytes()
