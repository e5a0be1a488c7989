"""What do the memory's tests share?"""

from collections.abc import Callable

import numpy as np
import pytest

from taskaware.core.seeds import generator
from taskaware.memory import ClassRecord, TaskRecord

MakeRecord = Callable[..., TaskRecord]


def _unit(*place: int | str, dimension: int) -> np.ndarray:
    vector = generator(*place).normal(size=dimension)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(scope="session")
def make_record() -> MakeRecord:
    """A function that makes a record whose vectors follow from its id and version."""

    def make(
        task_id: str, dataset: str = "mail", classes: int = 2, version: int = 0, dimension: int = 8, adapter: int = 3
    ) -> TaskRecord:
        parts = tuple(
            ClassRecord(
                name=f"class {number}",
                text=f"words of class {number}, version {version}",
                text_embedding=_unit(task_id, version, number, "text", dimension=dimension),
                prototype=_unit(task_id, version, number, "prototype", dimension=dimension),
                count=number + 1,
            )
            for number in range(classes)
        )
        embedding = _unit(task_id, version, dimension=dimension)
        card = {"language": "en", "background": ["passage"], "version": version}
        created = "2026-01-02T03:04:05+00:00"
        small = _unit(task_id, version, "adapter", dimension=adapter) if adapter else np.zeros(0, dtype=np.float32)
        return TaskRecord(task_id, dataset, f"about {task_id}", embedding, parts, card, created, small)

    return make


@pytest.fixture(scope="session")
def same_record() -> Callable[[TaskRecord, TaskRecord], bool]:
    """A function that compares two records exactly, vectors included."""

    def same(first: TaskRecord, second: TaskRecord) -> bool:
        return _plain(first) == _plain(second)

    return same


def _plain(record: TaskRecord) -> tuple[object, ...]:
    classes = [
        (each.name, each.text, each.text_embedding.tolist(), each.prototype.tolist(), each.count)
        for each in record.classes
    ]
    words = (record.id, record.dataset, record.description, record.card, record.created)
    return (*words, record.embedding.tolist(), record.adapter.tolist(), classes)
