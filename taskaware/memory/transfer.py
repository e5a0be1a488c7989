"""How do records travel between memories? As JSON lines: a header that names the encoder, then one task per line."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from taskaware.core.errors import MemoryStoreError
from taskaware.core.files import atomic_path
from taskaware.memory.records import ClassRecord, Floats, TaskRecord

_FORMAT = "taskaware-memory-1"


def write_records(path: Path, records: Iterable[TaskRecord], fingerprint: str, dimension: int) -> None:
    """Writes all records, complete or not at all. Vectors keep the 9 digits that float32 needs to come back exactly."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        header = {"format": _FORMAT, "encoder": fingerprint, "dimension": dimension}
        for line in (header, *map(_to_json, records)):
            stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")


def read_records(path: Path, fingerprint: str) -> list[TaskRecord]:
    """All records of an export made with that encoder. Raises MemoryStoreError with the line's number."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: texts may hold other line separators
    except (OSError, UnicodeDecodeError) as error:
        raise MemoryStoreError(f"{path}: cannot be read: {error}") from error
    header, *values = [_parse(path, number, line) for number, line in enumerate(lines, 1) if line.strip()] or [{}]
    if header.get("format") != _FORMAT:
        raise MemoryStoreError(f"{path}: expected a first line with format {_FORMAT!r}, saw {header.get('format')!r}")
    if header.get("encoder") != fingerprint:
        raise MemoryStoreError(
            f"{path}: its vectors are from encoder {header.get('encoder')!r}, the memory's from {fingerprint!r}; "
            "vectors of two encoders cannot be compared: add the tasks again with this one"
        )
    return [_from_json(path, number, value) for number, value in enumerate(values, 2)]


def _parse(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise MemoryStoreError(f"{path}, line {number}: no JSON: {error}") from error
    if not isinstance(value, dict):
        raise MemoryStoreError(f"{path}, line {number}: expected an object, saw {type(value).__name__}")
    return value


def _to_json(record: TaskRecord) -> dict[str, Any]:
    classes = [
        {**vars(each), "text_embedding": _numbers(each.text_embedding), "prototype": _numbers(each.prototype)}
        for each in record.classes
    ]
    vectors = {"embedding": _numbers(record.embedding), "adapter": _numbers(record.adapter)}
    return {**vars(record), **vectors, "classes": classes}


def _from_json(path: Path, number: int, value: dict[str, Any]) -> TaskRecord:
    try:
        classes = tuple(
            ClassRecord(
                name=str(each["name"]),
                text=str(each["text"]),
                text_embedding=np.array(each["text_embedding"], dtype=np.float32),
                prototype=np.array(each["prototype"], dtype=np.float32),
                count=int(each["count"]),
            )
            for each in value["classes"]
        )
        return TaskRecord(
            id=str(value["id"]),
            dataset=str(value["dataset"]),
            description=str(value["description"]),
            embedding=np.array(value["embedding"], dtype=np.float32),
            classes=classes,
            card=dict(value.get("card", {})),
            created=str(value.get("created", "")),
            adapter=np.array(value.get("adapter", []), dtype=np.float32),  # exports of schema 1 have none
        )
    except KeyError as error:
        raise MemoryStoreError(f"{path}, line {number}: expected a field {error}, saw none") from error
    except (TypeError, ValueError) as error:
        raise MemoryStoreError(f"{path}, line {number}: not a task record: {error}") from error


def _numbers(vector: Floats) -> list[float]:
    return [float(f"{value:.9g}") for value in vector.tolist()]
