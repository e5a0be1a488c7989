"""Is everything in a store as it was written?"""

import sqlite3
from pathlib import Path

import numpy as np

from taskaware.core.errors import MemoryStoreError
from taskaware.memory.index import choose_index, index_problem
from taskaware.memory.records import digest
from taskaware.memory.store import TaskStore

_VECTORS = (
    "SELECT 'task ' || id, embedding FROM tasks UNION ALL "
    "SELECT 'class ' || task || '/' || name || ' text', text_embedding FROM classes UNION ALL "
    "SELECT 'class ' || task || '/' || name || ' prototype', prototype FROM classes"
)
_ADAPTERS = "SELECT 'task ' || id || ' adapter', adapter FROM tasks WHERE length(adapter) > 0"
_ORPHANS = "SELECT task, name FROM classes WHERE task NOT IN (SELECT id FROM tasks) ORDER BY task, position"


def store_problems(store: TaskStore) -> list[str]:
    """What is wrong with the contents; empty when nothing is."""
    try:
        lines = [str(line) for (line,) in store.connection.execute("PRAGMA integrity_check")]
        if lines != ["ok"]:
            return [f"damaged file: {line}" for line in lines]
        problems = _vector_problems(store, _VECTORS, store.dimension)
        problems += _vector_problems(store, _ADAPTERS, store.adapter_width())
        return problems or [*_orphans(store), *_checksum_problems(store)]
    except (sqlite3.Error, MemoryStoreError) as error:
        return [f"damaged file: {error}"]


def index_problems(store: TaskStore, files: dict[Path, int]) -> list[str]:
    """What is wrong with the index files; files maps each to the number of rows it should cover."""
    checksum = store.checksum()
    found = {path: index_problem(path, checksum, choose_index(rows)) for path, rows in files.items() if rows}
    return [
        f"index {path.name} is {problem}; the next search rebuilds it" for path, problem in found.items() if problem
    ]


def _vector_problems(store: TaskStore, query: str, width: int) -> list[str]:
    problems = []
    for name, blob in store.connection.execute(query):
        if len(blob) != 4 * width:
            problems.append(f"{name}: expected {width} numbers, saw {len(blob) / 4:g}")
        elif not np.isfinite(np.frombuffer(blob, dtype="<f4")).all():
            problems.append(f"{name}: its vector holds NaN or infinity")
    return problems


def _orphans(store: TaskStore) -> list[str]:
    return [f"class {task}/{name}: its task is not there" for task, name in store.connection.execute(_ORPHANS)]


def _checksum_problems(store: TaskStore) -> list[str]:
    stored = dict(store.connection.execute("SELECT id, digest FROM tasks ORDER BY id"))
    problems, total = [], 0
    for task_id, expected in stored.items():
        record = store.get(task_id)
        number = digest(record) if record else 0
        total += number
        if f"{number:x}" != expected:
            problems.append(f"task {task_id}: its contents do not match their checksum")
    if not problems and f"{total % 2**256:x}" != store.checksum().partition("-")[2]:
        problems.append("the checksum of the whole memory does not match its tasks")
    return problems
