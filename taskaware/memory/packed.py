"""How does a memory travel with a package? As one safetensors file of half the size, which is read into RAM.

Tensors, vectors in float16: tasks [R, D], adapters [R, A] (zeros for a task without one), texts [C, D] and
prototypes [C, D]; the classes of a task follow each other. Words are JSON in the file's header. Label texts are left
out: nothing is computed from them, and they may be the words of others.
Letters: R tasks, C classes of all tasks together, D embedding width, A adapter width.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from taskaware.core.errors import MemoryStoreError
from taskaware.core.files import atomic_path
from taskaware.memory.records import ClassRecord, Floats, TaskRecord

_FORMAT = "taskaware-packed-memory-1"
_ENTRY = "taskaware"
_VECTORS = ("tasks", "adapters", "texts", "prototypes")


@dataclass(frozen=True)
class Packed:
    """What a packed file holds."""

    fingerprint: str
    dimension: int
    records: list[TaskRecord]


def write_packed(path: Path, records: Iterable[TaskRecord], fingerprint: str, dimension: int) -> None:
    """Writes all records, complete or not at all. Vectors are rounded to float16: about 3 digits of each number."""
    tasks = list(records)
    classes = [each for task in tasks for each in task.classes]
    width = max((len(task.adapter) for task in tasks), default=0)
    tensors = {
        "tasks": _rows([task.embedding for task in tasks], dimension),
        "adapters": _rows(
            [task.adapter if len(task.adapter) else np.zeros(width, np.float32) for task in tasks], width
        ),
        "texts": _rows([each.text_embedding for each in classes], dimension),
        "prototypes": _rows([each.prototype for each in classes], dimension),
    }
    words = {
        "format": _FORMAT,
        "encoder": fingerprint,
        "dimension": dimension,
        "tasks": [_words(each) for each in tasks],
    }
    with atomic_path(path) as temporary:  # one entry: several would be written in any order
        save_file(tensors, temporary, {_ENTRY: json.dumps(words, ensure_ascii=False, separators=(",", ":"))})


def read_packed(path: Path) -> Packed:
    """Reads what `write_packed` wrote. Raises MemoryStoreError."""
    try:
        with safe_open(path, "np") as file:
            words = json.loads((file.metadata() or {})[_ENTRY])
            if words["format"] != _FORMAT:
                raise MemoryStoreError(f"{path}: expected format {_FORMAT!r}, saw {words['format']!r}")
            vectors = {name: file.get_tensor(name).astype(np.float32) for name in _VECTORS}
        return Packed(words["encoder"], int(words["dimension"]), list(_records(words["tasks"], vectors)))
    except (OSError, SafetensorError, ValueError, KeyError, IndexError, TypeError) as error:
        raise MemoryStoreError(f"{path}: no packed memory, or a damaged one: {error!r}; pack it again") from error


def _rows(vectors: Sequence[Floats], width: int) -> Floats:
    return np.stack(vectors).astype(np.float16) if vectors else np.zeros((0, width), np.float16)


def _words(task: TaskRecord) -> dict[str, Any]:
    classes = [[each.name, each.count] for each in task.classes]
    words = {"id": task.id, "dataset": task.dataset, "description": task.description, "created": task.created}
    return {**words, "card": task.card, "adapter": len(task.adapter) > 0, "classes": classes}


def _records(words: Iterable[dict[str, Any]], vectors: dict[str, Floats]) -> Iterable[TaskRecord]:
    start = 0
    for row, each in enumerate(words):
        classes = tuple(
            ClassRecord(name, "", vectors["texts"][number], vectors["prototypes"][number], count)
            for number, (name, count) in enumerate(each["classes"], start)
        )
        start += len(classes)
        adapter = vectors["adapters"][row] if each["adapter"] else np.zeros(0, np.float32)
        yield TaskRecord(
            each["id"],
            each["dataset"],
            each["description"],
            vectors["tasks"][row],
            classes,
            each["card"],
            each["created"],
            adapter,
        )
