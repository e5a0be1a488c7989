"""What happens when files are cut, changed, stale, of another encoder, or the process is killed?"""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from taskaware.core.errors import MemoryStoreError
from taskaware.memory import TaskMemory, TaskRecord
from taskaware.memory.index import VectorIndex

MakeRecord = Callable[..., TaskRecord]

PRINT = "encoder:print"


@pytest.fixture
def folder(tmp_path: Path, make_record: MakeRecord) -> Path:
    """A closed memory of 60 tasks with indexes."""
    with TaskMemory.create(tmp_path / "memory", PRINT, 8) as memory:
        memory.add([make_record(f"task {number:02}") for number in range(60)])
    return tmp_path / "memory"


def _first_hit_is_oneself(memory: TaskMemory) -> bool:
    snapshot = memory.snapshot()
    tasks = memory.search_tasks(snapshot.task_embeddings, 1).rows[:, 0]
    classes = memory.search_classes(snapshot.class_texts, 1).rows[:, 0]
    return bool((tasks == np.arange(len(tasks))).all() and (classes == np.arange(len(classes))).all())


def test_another_encoder_is_refused_and_both_are_named(folder: Path) -> None:
    with pytest.raises(MemoryStoreError, match=r"'encoder:print'.*'another'.*load the encoder"):
        TaskMemory.open(folder, "another")
    with TaskMemory.open(folder, None) as memory:
        assert memory.fingerprint == PRINT


def test_a_missing_memory_and_one_in_the_way_are_errors(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(MemoryStoreError, match="no memory here"):
        TaskMemory.open(tmp_path / "nowhere", PRINT)
    with pytest.raises(MemoryStoreError, match="there is a memory already"):
        TaskMemory.create(folder, PRINT, 8)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_a_truncated_store_is_reported(folder: Path, keep: float) -> None:
    path = folder / "memory.sqlite"
    os.truncate(path, int(path.stat().st_size * keep))
    with pytest.raises(MemoryStoreError, match=r"memory\.sqlite"), TaskMemory.open(folder, PRINT) as memory:
        memory.snapshot()


def test_a_file_that_is_no_database_is_reported(folder: Path) -> None:
    (folder / "memory.sqlite").write_bytes(b"pickled cucumbers" * 1000)
    with pytest.raises(MemoryStoreError, match="damaged"):
        TaskMemory.open(folder, PRINT)


def test_another_schema_is_refused(folder: Path) -> None:
    _change(folder, "UPDATE meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(MemoryStoreError, match="expected memory schema 2, saw 99"):
        TaskMemory.open(folder, PRINT)


@pytest.mark.parametrize("change", ["missing", "cut", "altered", "no sidecar", "stale"])
def test_an_index_that_cannot_be_trusted_is_reported_and_rebuilt(
    folder: Path, change: str, make_record: MakeRecord
) -> None:
    path = folder / "tasks.faiss"
    whole = path.read_bytes()
    if change == "missing":
        path.unlink()
    elif change == "cut":
        path.write_bytes(whole[:100])
    elif change == "altered":
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif change == "no sidecar":
        path.with_name("tasks.faiss.json").unlink()
    else:
        sidecar = path.with_name("tasks.faiss.json").read_bytes()
        with TaskMemory.open(folder, PRINT) as memory:
            memory.add([make_record("a new first one")])
        path.write_bytes(whole)
        path.with_name("tasks.faiss.json").write_bytes(sidecar)
    with TaskMemory.open(folder, PRINT) as memory:
        assert any("tasks.faiss" in problem for problem in memory.verify())
        assert _first_hit_is_oneself(memory)
        assert memory.verify() == []


def test_a_whole_index_is_read_and_not_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VectorIndex, "build", None)
    with TaskMemory.open(folder, PRINT) as memory:
        assert _first_hit_is_oneself(memory)


def test_an_index_that_cannot_be_written_is_warned_about_and_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: VectorIndex, path: Path, checksum: str) -> None:
        raise OSError("No space left on device")

    (folder / "tasks.faiss").unlink()
    monkeypatch.setattr(VectorIndex, "write", full)
    with TaskMemory.open(folder, PRINT) as memory, pytest.warns(UserWarning, match=r"not kept.*No space left"):
        assert _first_hit_is_oneself(memory)


_KILLED = """
import os, sys
from pathlib import Path
from taskaware.memory import TaskMemory
memory = TaskMemory.open(Path(sys.argv[1]), None)
memory.search_tasks(memory.snapshot().task_embeddings, 1)
memory.add_export(Path(sys.argv[2]))
os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kills the POSIX way")
def test_a_kill_between_the_write_and_the_index_loses_nothing(
    folder: Path, tmp_path: Path, make_record: MakeRecord
) -> None:
    with TaskMemory.in_memory(PRINT, 8) as other:
        other.add([make_record("a new first one")])
        other.export(tmp_path / "new.jsonl")
    seen = subprocess.run([sys.executable, "-c", _KILLED, str(folder), str(tmp_path / "new.jsonl")], check=False)
    assert seen.returncode == -9
    with TaskMemory.open(folder, PRINT) as memory:
        assert len(memory) == 61
        assert any("stale" in problem for problem in memory.verify())
        assert _first_hit_is_oneself(memory)
        assert memory.verify() == []


def _change(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "memory.sqlite")
    with connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE tasks SET description = 'forged' WHERE id = 'task 07'", "task task 07: its contents do not match"),
        ("UPDATE classes SET count = 99 WHERE task = 'task 07'", "task task 07: its contents do not match"),
        ("UPDATE tasks SET embedding = x'0000' WHERE id = 'task 07'", "task task 07: expected 8 numbers, saw 0.5"),
        (
            "UPDATE classes SET prototype = x'" + "00" * 28 + "0000807f' WHERE task = 'task 07' AND position = 1",
            "class task 07/class 1 prototype: its vector holds NaN or infinity",
        ),
        ("UPDATE tasks SET adapter = x'00' WHERE id = 'task 07'", "task task 07 adapter: expected 3 numbers, saw 0.25"),
        (
            "UPDATE tasks SET adapter = x'" + "00" * 8 + "0000807f' WHERE id = 'task 07'",
            "task task 07 adapter: its vector holds NaN or infinity",
        ),
        ("UPDATE tasks SET adapter = x'' WHERE id = 'task 07'", "task task 07: its contents do not match"),
        ("UPDATE meta SET value = '2' WHERE key = 'adapter'", "task task 00 adapter: expected 2 numbers, saw 3"),
        ("DELETE FROM tasks WHERE id = 'task 07'", "class task 07/class 0: its task is not there"),
        ("DELETE FROM classes WHERE task = 'task 07'", "task task 07: its contents do not match"),
        ("UPDATE meta SET value = 'abc' WHERE key = 'content'", "the checksum of the whole memory does not match"),
        ("UPDATE tasks SET card = '{' WHERE id = 'task 07'", "damaged file: .*card that is no JSON"),
    ],
)
def test_a_change_behind_the_memorys_back_is_found(folder: Path, statement: str, problem: str) -> None:
    _change(folder, statement)
    with TaskMemory.open(folder, PRINT) as memory:
        problems = memory.verify()
    assert problems
    assert re.match(problem, problems[0]), problems


_WRITER = """
import sys
from pathlib import Path
from taskaware.memory import TaskMemory
for _ in range(5):
    with TaskMemory.open(Path(sys.argv[1]), None) as memory:
        memory.add_export(Path(sys.argv[2]))
"""


def test_processes_may_write_at_once(folder: Path, tmp_path: Path, make_record: MakeRecord) -> None:
    commands = []
    for writer in range(3):
        with TaskMemory.in_memory(PRINT, 8) as other:
            other.add([make_record(f"writer {writer}, task {number}") for number in range(4)])
            other.export(tmp_path / f"{writer}.jsonl")
        commands.append([sys.executable, "-W", "error", "-c", _WRITER, str(folder), str(tmp_path / f"{writer}.jsonl")])
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    errors = [each.communicate(timeout=120)[1] for each in running]
    assert [each.returncode for each in running] == [0, 0, 0], errors
    with TaskMemory.open(folder, PRINT) as memory:
        assert len(memory) == 72
        assert _first_hit_is_oneself(memory)
        assert memory.verify() == []
