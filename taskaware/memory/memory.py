"""What did past tasks teach? The memory finds those whose words are near."""

import threading
import warnings
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import final

from taskaware.core.errors import MemoryStoreError
from taskaware.core.files import atomic_folder
from taskaware.memory.connection import explain
from taskaware.memory.exclusions import RowMap
from taskaware.memory.index import Hits, VectorIndex, sidecar
from taskaware.memory.packed import read_packed, write_packed
from taskaware.memory.records import Exclusion, Floats, Snapshot, TaskRecord
from taskaware.memory.store import TaskStore
from taskaware.memory.transfer import read_records, write_records
from taskaware.memory.verify import index_problems, store_problems
from taskaware.memory.view import MemoryView

FOLDER = "memory"  # of a run
PACKED = "memory.safetensors"  # in place of it, in a packed run
STORE = "memory.sqlite"
TASK_INDEX = "tasks.faiss"
CLASS_INDEX = "classes.faiss"

_NOTHING = Exclusion()


@final
class TaskMemory:
    """Past tasks of one encoder, in a folder or in RAM. Close it, or use it in a `with` block.

    Searches read arrays made at the first search after a write; what another process writes is seen after reopening.
    """

    def __init__(self, store: TaskStore, folder: Path | None) -> None:
        self._store = store
        self._folder = folder
        self._lock = threading.RLock()
        self._snapshot: Snapshot | None = None
        self._view: MemoryView | None = None
        self._index_due = False
        self.fingerprint = store.fingerprint
        self.dimension = store.dimension

    @classmethod
    def create(cls, folder: Path, fingerprint: str, dimension: int) -> "TaskMemory":
        """A new memory for vectors [D] of that encoder. Raises MemoryStoreError when the folder holds one already."""
        return cls(TaskStore.create(folder / STORE, fingerprint, dimension), folder)

    @classmethod
    def open(cls, folder: Path, fingerprint: str | None) -> "TaskMemory":
        """The memory in `folder`. None skips the check of the encoder (for listing). Raises MemoryStoreError."""
        return cls(TaskStore.open(folder / STORE, fingerprint), folder)

    @classmethod
    def of_run(cls, run: Path, fingerprint: str | None) -> "TaskMemory":
        """The memory of a run, as `open`; a packed one is read into RAM, and what is added to it is not kept."""
        if not (run / PACKED).is_file():
            return cls.open(run / FOLDER, fingerprint)
        packed = read_packed(run / PACKED)
        if fingerprint is not None and fingerprint != packed.fingerprint:
            raise MemoryStoreError(
                f"{run / PACKED}: its vectors are from encoder {packed.fingerprint!r}, this run uses {fingerprint!r}; "
                "load the encoder it was made with"
            )
        memory = cls.in_memory(packed.fingerprint, packed.dimension)
        memory.add(packed.records)
        return memory

    @classmethod
    def in_memory(cls, fingerprint: str, dimension: int) -> "TaskMemory":
        """A memory that lives in RAM and ends with the process."""
        return cls(TaskStore.create(None, fingerprint, dimension), None)

    @property
    def kept(self) -> bool:
        """Whether what is added outlives the process."""
        return self._folder is not None

    def add(self, records: Iterable[TaskRecord]) -> None:
        """Adds tasks in one transaction; a known id is replaced. Raises MemoryStoreError, and then nothing changed."""
        with self._lock:
            self._store.put(records)
            self._forget()

    def remove(self, ids: Iterable[str]) -> int:
        """Removes tasks with their classes; says how many there were. Unknown ids are ignored."""
        with self._lock:
            removed = self._store.delete(ids)
            self._forget()
            return removed

    def _forget(self) -> None:
        self._snapshot = self._view = None
        self._index_due = True

    def get(self, task_id: str) -> TaskRecord:
        """The record of that id. Raises MemoryStoreError when there is none."""
        with self._lock:
            record = self._store.get(task_id)
        if record is None:
            raise MemoryStoreError(f"{self._store.place}: no task {task_id!r}; `memory list` shows those there are")
        return record

    def ids(self) -> list[str]:
        """All task ids, sorted: the order of the snapshot's rows."""
        with self._lock:
            return self._store.ids()

    def __len__(self) -> int:
        with self._lock:
            return self._store.count() if self._snapshot is None else len(self._snapshot.task_ids)

    def snapshot(self) -> Snapshot:
        """The memory as arrays, cached until this object's next write."""
        with self._lock:
            if self._snapshot is None:
                self._snapshot = self._store.snapshot()
            return self._snapshot

    def search_tasks(self, queries: Floats, k: int, exclude: Exclusion = _NOTHING) -> Hits:
        """As `MemoryView.search_tasks`, in the present state."""
        return self.view().search_tasks(queries, k, exclude)

    def search_classes(self, queries: Floats, k: int, exclude: Exclusion = _NOTHING) -> Hits:
        """As `MemoryView.search_classes`, in the present state."""
        return self.view().search_classes(queries, k, exclude)

    def view(self) -> MemoryView:
        """The present state, as it will answer for as long as somebody holds it; cached until the next write."""
        view = self._view
        if view is not None:
            return view
        with self._lock:
            if self._view is None:
                snapshot = self.snapshot()
                tasks = self._index(TASK_INDEX, snapshot.task_embeddings, snapshot.checksum)
                classes = self._index(CLASS_INDEX, snapshot.class_texts, snapshot.checksum)
                self._view = MemoryView(snapshot, RowMap(snapshot), tasks, classes)
                self._index_due = False
            return self._view

    def _index(self, name: str, vectors: Floats, checksum: str) -> VectorIndex:
        """Read if it belongs to these contents, else built and, where possible, written for the next process."""
        path = self._folder / name if self._folder else None
        index = VectorIndex.read(path, checksum, vectors) if path else None
        if index is None:
            index = VectorIndex.build(vectors)
            if path:
                _write_if_possible(index, path, checksum)
        return index

    def copy_to(self, folder: Path) -> None:
        """A complete copy that replaces `folder` as a whole. Raises MemoryStoreError if that holds files of others."""
        ours = {STORE, f"{STORE}-wal", f"{STORE}-shm"}
        ours |= {each for name in (TASK_INDEX, CLASS_INDEX) for each in (name, sidecar(Path(name)).name)}
        others = sorted({path.name for path in folder.iterdir()} - ours) if folder.is_dir() else []
        if others:
            raise MemoryStoreError(f"{folder}: holds files of others ({', '.join(others[:3])}); name another folder")
        if self._folder and folder.resolve() == self._folder.resolve():
            raise MemoryStoreError(f"{folder}: this memory lies there already; name another folder to copy to")
        with self._lock, explain(str(folder)), atomic_folder(folder) as temporary:
            view = self.view()
            self._store.copy_to(temporary / STORE)
            view.tasks.write(temporary / TASK_INDEX, view.snapshot.checksum)
            view.classes.write(temporary / CLASS_INDEX, view.snapshot.checksum)

    def pack(self, run: Path) -> None:
        """Writes all tasks to one small file in a run's folder, vectors in float16; `of_run` reads it."""
        write_packed(run / PACKED, (self.get(each) for each in self.ids()), self.fingerprint, self.dimension)

    def export(self, path: Path) -> None:
        """Writes all tasks as JSON lines; `add_export` reads them."""
        write_records(path, (self.get(each) for each in self.ids()), self.fingerprint, self.dimension)

    def add_export(self, path: Path) -> int:
        """Adds the tasks of an export of the same encoder; says how many. Raises MemoryStoreError."""
        records = read_records(path, self.fingerprint)
        self.add(records)
        return len(records)

    def verify(self) -> list[str]:
        """What is wrong with the store or its index files, in words; empty when nothing is."""
        with self._lock:
            problems = store_problems(self._store)
            if problems or self._folder is None or self._index_due:
                return problems
            rows = self.snapshot()
            files = {self._folder / TASK_INDEX: len(rows.task_ids), self._folder / CLASS_INDEX: len(rows.class_keys)}
            return index_problems(self._store, files)

    def close(self) -> None:
        """Brings the index files up to date with this object's writes and ends the connection."""
        with self._lock:
            try:
                if self._index_due and self._folder:
                    self.view()
            finally:
                self._store.close()

    def __enter__(self) -> "TaskMemory":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._index_due = self._index_due and kind is None
        self.close()


def _write_if_possible(index: VectorIndex, path: Path, checksum: str) -> None:
    try:
        index.write(path, checksum)
    except OSError as error:
        warnings.warn(f"{path}: not kept, so the next process builds this index again: {error}", stacklevel=2)
