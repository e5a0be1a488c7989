"""How do records become rows of the store, and rows records and arrays?"""

import json
import sqlite3
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskaware.core.errors import MemoryStoreError
from taskaware.memory.records import ClassRecord, Floats, Snapshot, TaskRecord, class_key, dump_card

_TASK = "SELECT id, dataset, description, embedding, card, created, adapter FROM tasks WHERE id = ?"
_CLASSES = "SELECT name, text, text_embedding, prototype, count FROM classes WHERE task = ? ORDER BY position"
_ALL_TASKS = (  # a task without an adapter gets zeros
    "SELECT id, dataset, embedding, CASE length(adapter) WHEN 0 THEN zeroblob({size}) ELSE adapter END "
    "FROM tasks ORDER BY id"
)
_ALL_CLASSES = "SELECT task, name, count, text_embedding, prototype FROM classes ORDER BY task, position"
_ROWS = 8192  # read at a time, so that a large memory is never held twice


def blob(vector: Floats) -> bytes:
    """A vector of any width -> little-endian float32 bytes."""
    return vector.astype("<f4").tobytes()


def check(record: TaskRecord, dimension: int, place: str) -> TaskRecord:
    """The record with float32 vectors. Raises MemoryStoreError for what the store cannot hold."""
    where = f"{place}: task {record.id!r}"
    try:
        dump_card(record.card)
    except (TypeError, ValueError) as error:
        raise MemoryStoreError(f"{where}: its card holds what JSON cannot: {error}") from error
    names = [each.name for each in record.classes]
    if len(set(names)) != len(names):
        raise MemoryStoreError(f"{where}: expected each class name once, saw {names}")
    classes = tuple(
        replace(
            each,
            text_embedding=_vector(each.text_embedding, dimension, f"{where}, class {each.name!r}, text_embedding"),
            prototype=_vector(each.prototype, dimension, f"{where}, class {each.name!r}, prototype"),
            count=int(each.count),
        )
        for each in record.classes
    )
    embedding = _vector(record.embedding, dimension, f"{where}, embedding")
    adapter = _vector(record.adapter, np.size(record.adapter), f"{where}, adapter")  # the store knows their width
    return replace(record, embedding=embedding, classes=classes, adapter=adapter)


def _vector(values: Floats, dimension: int, where: str) -> Floats:
    vector = np.asarray(values, dtype=np.float32)
    if vector.shape != (dimension,):
        raise MemoryStoreError(f"{where}: expected a vector of {dimension} numbers, saw shape {vector.shape}")
    if not np.isfinite(vector).all():
        raise MemoryStoreError(f"{where}: expected finite numbers, saw NaN or infinity; drop this task")
    return vector


def read_record(connection: sqlite3.Connection, task_id: str, dimension: int, place: str) -> TaskRecord | None:
    """One task with its classes."""
    found = connection.execute(_TASK, (task_id,)).fetchone()
    if found is None:
        return None
    identity, dataset, description, embedding, card, created, adapter = found
    rows = connection.execute(_CLASSES, (task_id,)).fetchall()
    texts = _matrix([row[2] for row in rows], dimension, place)
    prototypes = _matrix([row[3] for row in rows], dimension, place)
    try:
        extra = json.loads(card)
    except ValueError as error:
        raise MemoryStoreError(f"{place}: damaged: task {task_id!r} has a card that is no JSON: {error}") from error
    classes = tuple(
        ClassRecord(name, text, texts[row], prototypes[row], count)
        for row, (name, text, _, _, count) in enumerate(rows)
    )
    vector = _matrix([embedding], dimension, place)[0]
    small = _matrix([adapter], len(adapter) // 4, place)[0]
    return TaskRecord(identity, dataset, description, vector, classes, extra, created, small)


def read_snapshot(
    connection: sqlite3.Connection, checksum: str, dimension: int, adapter_width: int, place: str
) -> Snapshot:
    """All tasks and classes as arrays; call within a read transaction."""
    query = _ALL_TASKS.format(size=4 * adapter_width)
    tasks, (embeddings, adapters) = _read(connection, query, "tasks", 2, (dimension, adapter_width), place)
    row_of = {task[0]: row for row, task in enumerate(tasks)}
    classes, (texts, prototypes) = _read(connection, _ALL_CLASSES, "classes", 3, (dimension, dimension), place)
    known = np.array([each[0] in row_of for each in classes], dtype=np.bool_)
    if not known.all():  # classes whose task is gone
        classes = [each for each in classes if each[0] in row_of]
        texts, prototypes = texts[known], prototypes[known]
    class_rows = np.array([row_of[each[0]] for each in classes], dtype=np.int64)
    snapshot = Snapshot(
        checksum=checksum,
        task_ids=np.array([task[0] for task in tasks], dtype=np.str_),
        task_rows=row_of,
        task_datasets=np.array([task[1] for task in tasks], dtype=np.str_),
        task_embeddings=embeddings,
        task_adapters=adapters,
        class_keys=np.array([class_key(each[0], each[1]) for each in classes], dtype=np.str_),
        class_texts=texts,
        class_prototypes=prototypes,
        class_counts=np.array([each[2] for each in classes], dtype=np.int64),
        class_rows=class_rows,
        class_start=np.searchsorted(class_rows, np.arange(len(tasks) + 1)).astype(np.int64),
    )
    for value in vars(snapshot).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    return snapshot


def _read(
    connection: sqlite3.Connection, query: str, table: str, words: int, widths: tuple[int, int], place: str
) -> tuple[list[tuple[Any, ...]], list[Floats]]:
    """The first columns of all rows, `words` of them, and the two columns of vectors that follow as arrays."""
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    rows: list[tuple[Any, ...]] = []
    arrays = [np.empty((count, width), dtype=np.float32) for width in widths]
    cursor = connection.execute(query)
    while part := cursor.fetchmany(_ROWS):
        for number, (array, width) in enumerate(zip(arrays, widths, strict=True)):
            array[len(rows) : len(rows) + len(part)] = _matrix([row[words + number] for row in part], width, place)
        rows += [row[:words] for row in part]
    return rows, arrays


def _matrix(blobs: list[bytes], dimension: int, place: str) -> NDArray[np.float32]:
    """n blobs -> [n, dimension]."""
    if any(len(each) != 4 * dimension for each in blobs):
        raise MemoryStoreError(f"{place}: damaged: a vector is not {dimension} numbers wide; see `memory verify`")
    return np.frombuffer(b"".join(blobs), dtype="<f4").astype(np.float32).reshape(len(blobs), dimension)
