"""Does a packed memory hold what the memory held, and say so when it is not what it should be?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from taskaware.core.errors import MemoryStoreError
from taskaware.memory import TaskMemory, TaskRecord
from taskaware.memory.memory import PACKED

MakeRecord = Callable[..., TaskRecord]


@pytest.fixture
def packed(make_record: MakeRecord, tmp_path: Path) -> Path:
    """A run's folder with a packed memory of three tasks."""
    with TaskMemory.in_memory("encoder:1", 8) as memory:
        memory.add([make_record("first"), make_record("second", adapter=0), make_record("third", classes=0)])
        memory.pack(tmp_path)
    return tmp_path


def test_vectors_come_back_to_float16_and_words_but_label_texts_as_they_were(
    packed: Path, make_record: MakeRecord
) -> None:
    with TaskMemory.of_run(packed, "encoder:1") as memory:
        assert memory.ids() == ["first", "second", "third"]
        found, wanted = memory.get("first"), make_record("first")
        assert memory.get("second").adapter.size == 0
        assert memory.get("third").classes == ()
        assert memory.verify() == []
    assert (found.description, found.card, found.created) == (wanted.description, wanted.card, wanted.created)
    assert [(each.name, each.count) for each in found.classes] == [(each.name, each.count) for each in wanted.classes]
    assert b"words of class" not in (packed / PACKED).read_bytes()
    for ours, theirs in zip(found.classes, wanted.classes, strict=True):
        np.testing.assert_array_equal(ours.text_embedding, theirs.text_embedding.astype(np.float16))
        np.testing.assert_array_equal(ours.prototype, theirs.prototype.astype(np.float16))
    np.testing.assert_array_equal(found.embedding, wanted.embedding.astype(np.float16))
    np.testing.assert_array_equal(found.adapter, wanted.adapter.astype(np.float16))


def test_packing_again_changes_nothing(packed: Path, tmp_path: Path) -> None:
    before = (packed / PACKED).read_bytes()
    with TaskMemory.of_run(packed, None) as memory:
        memory.pack(packed)
    assert (packed / PACKED).read_bytes() == before


def test_an_empty_memory_can_be_packed(tmp_path: Path) -> None:
    with TaskMemory.in_memory("encoder:1", 8) as memory:
        memory.pack(tmp_path)
    with TaskMemory.of_run(tmp_path, "encoder:1") as memory:
        assert (len(memory), memory.dimension) == (0, 8)


def test_it_is_read_and_never_written(packed: Path, make_record: MakeRecord) -> None:
    before = {path: path.read_bytes() for path in packed.iterdir()}
    with TaskMemory.of_run(packed, "encoder:1") as memory:
        assert not memory.kept
        memory.add([make_record("new")])
        memory.search_tasks(np.ones((1, 8), np.float32), 2)
    assert {path: path.read_bytes() for path in packed.iterdir()} == before


def test_that_of_another_encoder_is_refused(packed: Path) -> None:
    with pytest.raises(MemoryStoreError, match="encoder:1"):
        TaskMemory.of_run(packed, "encoder:2")


@pytest.mark.parametrize("damage", ["cut", "garbage", "another"])
def test_a_damaged_file_is_named(packed: Path, damage: str) -> None:
    path = packed / PACKED
    data = path.read_bytes()
    path.write_bytes(
        {"cut": data[:-4], "garbage": b"nothing", "another": data.replace(b"packed-memory-1", b"?" * 15)}[damage]
    )
    with pytest.raises(MemoryStoreError, match=PACKED):
        TaskMemory.of_run(packed, None)
