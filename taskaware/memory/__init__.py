"""The memory of past tasks: SQLite holds the truth, FAISS finds what is near."""

from taskaware.memory.index import Hits
from taskaware.memory.memory import TaskMemory
from taskaware.memory.records import ClassRecord, Exclusion, Snapshot, TaskRecord
from taskaware.memory.view import MemoryView

__all__ = ["ClassRecord", "Exclusion", "Hits", "MemoryView", "Snapshot", "TaskMemory", "TaskRecord"]
