"""Where are past tasks kept? In SQLite, which is the truth; indexes are derived from it.

Each write is one transaction that also moves the checksum: a revision counter and a content hash. The content hash is
the sum of the records' hashes modulo 2**256 (Bellare & Micciancio 1997, "AdHash"), so that a write costs what it
changes, not what the memory holds.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from taskaware.core.errors import MemoryStoreError
from taskaware.core.files import atomic_path
from taskaware.memory.connection import closing_on_error, connect, explain, transaction
from taskaware.memory.records import ClassRecord, Snapshot, TaskRecord, digest, dump_card
from taskaware.memory.rows import blob, check, read_record, read_snapshot

SCHEMA_VERSION = 2

_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    (
        "CREATE TABLE tasks (id TEXT PRIMARY KEY, digest TEXT NOT NULL, dataset TEXT NOT NULL, "
        "description TEXT NOT NULL, card TEXT NOT NULL, created TEXT NOT NULL, embedding BLOB NOT NULL, "
        "adapter BLOB NOT NULL)"
    ),
    (
        "CREATE TABLE classes (task TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE, position INTEGER NOT NULL, "
        "name TEXT NOT NULL, text TEXT NOT NULL, count INTEGER NOT NULL, text_embedding BLOB NOT NULL, "
        "prototype BLOB NOT NULL, PRIMARY KEY (task, position), UNIQUE (task, name))"
    ),
)


@final
class TaskStore:
    """Records of one encoder's vectors in one SQLite file (or in RAM). Every failure is a MemoryStoreError."""

    def __init__(self, connection: sqlite3.Connection, place: str) -> None:
        self.connection = connection
        self.place = place
        meta = self._meta()
        if meta.get("schema") != str(SCHEMA_VERSION):
            seen = meta.get("schema", "none")
            raise MemoryStoreError(
                f"{place}: expected memory schema {SCHEMA_VERSION}, saw {seen}; this is no task memory, "
                "or one of another version of taskaware: export it with that version and add the file here"
            )
        self.fingerprint = meta["fingerprint"]
        self.dimension = int(meta["dimension"])

    @classmethod
    def create(cls, path: Path | None, fingerprint: str, dimension: int) -> "TaskStore":
        """A new store at `path`, or in RAM for None. Raises MemoryStoreError when there is one already."""
        place = str(path or "memory in RAM")
        if dimension < 1:
            raise MemoryStoreError(f"{place}: expected a dimension of at least 1, saw {dimension}")
        meta = {
            "schema": SCHEMA_VERSION,
            "fingerprint": fingerprint,
            "dimension": dimension,
            "adapter": 0,
            "revision": 0,
            "content": "0",
        }
        with explain(place), closing_on_error(connect(path)) as connection:
            with transaction(connection):
                if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                    raise MemoryStoreError(f"{place}: there is a memory already; open it, or delete its folder first")
                for statement in _TABLES:
                    connection.execute(statement)
                rows = [(key, str(value)) for key, value in meta.items()]
                connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
            return cls(connection, place)

    @classmethod
    def open(cls, path: Path, fingerprint: str | None) -> "TaskStore":
        """The store at `path`. None skips the check of the encoder. Raises MemoryStoreError."""
        if not path.is_file():
            raise MemoryStoreError(f"{path}: there is no memory here; create one, or check the folder")
        with explain(str(path)), closing_on_error(connect(path)) as connection:
            store = cls(connection, str(path))
            if fingerprint is not None and fingerprint != store.fingerprint:
                raise MemoryStoreError(
                    f"{path}: its vectors are from encoder {store.fingerprint!r}, this run uses {fingerprint!r}; "
                    "load the encoder it was made with, or make a new memory by adding the tasks again"
                )
            return store

    def _meta(self) -> dict[str, str]:
        with explain(self.place):
            return dict(self.connection.execute("SELECT key, value FROM meta"))

    def checksum(self) -> str:
        """Changes with every write: `revision-content hash`."""
        meta = self._meta()
        return f"{meta['revision']}-{meta['content']}"

    def adapter_width(self) -> int:
        """A, the width of all adapters; 0 until the first task with one."""
        return int(self._meta()["adapter"])

    def put(self, records: Iterable[TaskRecord]) -> None:
        """Adds records in one transaction; one whose id is known replaces the older. Raises MemoryStoreError."""
        checked = [check(record, self.dimension, self.place) for record in records]
        if not checked:
            return
        with self._write():
            self._fix_adapter_width(checked)
            self._shift_content(sum(self._replace(record) for record in checked))

    def delete(self, ids: Iterable[str]) -> int:
        """Removes tasks and their classes in one transaction; says how many there were. Unknown ids are ignored."""
        with self._write():
            gone = [digest for each in ids if (digest := self._delete(each)) is not None]
            self._shift_content(-sum(gone))
            return len(gone)

    def get(self, task_id: str) -> TaskRecord | None:
        """The record of that id, if there is one."""
        with explain(self.place), transaction(self.connection, write=False):
            return read_record(self.connection, task_id, self.dimension, self.place)

    def ids(self) -> list[str]:
        """All task ids, sorted."""
        with explain(self.place):
            return [each for (each,) in self.connection.execute("SELECT id FROM tasks ORDER BY id")]

    def count(self) -> int:
        """How many tasks there are."""
        with explain(self.place):
            number: int = self.connection.execute("SELECT count(*) FROM tasks").fetchone()[0]
            return number

    def snapshot(self) -> Snapshot:
        """All rows as arrays, read in one transaction."""
        with explain(self.place), transaction(self.connection, write=False):
            width = self.adapter_width()
            return read_snapshot(self.connection, self.checksum(), self.dimension, width, self.place)

    def copy_to(self, path: Path) -> None:
        """Writes a copy of the whole store to `path`, complete or not at all."""
        with explain(self.place), atomic_path(path) as temporary:
            target = sqlite3.connect(temporary)
            try:
                self.connection.backup(target)
            finally:
                target.close()

    def close(self) -> None:
        """Ends the connection."""
        self.connection.close()

    @contextmanager
    def _write(self) -> Iterator[None]:
        with explain(self.place), transaction(self.connection):
            yield
            self.connection.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'revision'")

    def _fix_adapter_width(self, records: list[TaskRecord]) -> None:
        before = width = self.adapter_width()
        for record in records:
            size = len(record.adapter)
            width = width or size
            if size not in (0, width):
                raise MemoryStoreError(
                    f"{self.place}: task {record.id!r}, adapter: expected {width} numbers as in the first task with "
                    f"one, or none, saw {size}; adapters of two widths need two memories"
                )
        if width != before:
            self.connection.execute("UPDATE meta SET value = ? WHERE key = 'adapter'", (str(width),))

    def _replace(self, record: TaskRecord) -> int:
        """By how much the sum of all digests grows."""
        gone = self._delete(record.id) or 0
        return self._insert(record) - gone

    def _insert(self, record: TaskRecord) -> int:
        """The record's digest."""
        number = digest(record)
        row = (record.id, f"{number:x}", record.dataset, record.description, dump_card(record.card), record.created)
        vectors = (blob(record.embedding), blob(record.adapter))
        self.connection.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, *vectors))
        rows = [_class_row(record.id, position, each) for position, each in enumerate(record.classes)]
        self.connection.executemany("INSERT INTO classes VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        return number

    def _delete(self, task_id: str) -> int | None:
        """The digest of what was there, if anything."""
        found = self.connection.execute("SELECT digest FROM tasks WHERE id = ?", (task_id,)).fetchone()
        if found is None:
            return None
        self.connection.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
        return int(found[0], 16)

    def _shift_content(self, number: int) -> None:
        (content,) = self.connection.execute("SELECT value FROM meta WHERE key = 'content'").fetchone()
        shifted = (int(content, 16) + number) % 2**256
        self.connection.execute("UPDATE meta SET value = ? WHERE key = 'content'", (f"{shifted:x}",))


def _class_row(task_id: str, position: int, each: ClassRecord) -> tuple[str, int, str, str, int, bytes, bytes]:
    vectors = (blob(each.text_embedding), blob(each.prototype))
    return (task_id, position, each.name, each.text, each.count, *vectors)
