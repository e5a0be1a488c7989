"""How does the memory talk to SQLite, and how do its failures read?"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from taskaware.core.errors import MemoryStoreError

_BUSY_SECONDS = 30.0


def connect(path: Path | None) -> sqlite3.Connection:
    """A connection in autocommit, usable from any thread (TaskMemory holds a lock). None: in RAM.

    A file or folder that cannot be written opens for reading only, as published runs are.
    """
    if path is None:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    elif path.exists() and not _writable(path):
        mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
        uri = f"{path.absolute().as_uri()}?{mode}"
        connection = sqlite3.connect(uri, _BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, _BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        with closing_on_error(connection):
            _use_write_ahead_log(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@contextmanager
def closing_on_error(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Closes the connection if the block raises, and leaves it open otherwise."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


@contextmanager
def transaction(connection: sqlite3.Connection, *, write: bool = True) -> Iterator[None]:
    """All or nothing; a read transaction sees one state of the store throughout."""
    connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def explain(place: str) -> Iterator[None]:
    """Turns SQLite's and the disk's errors into MemoryStoreError with the place and what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise MemoryStoreError(
            f"{place}: cannot be read or written: {error}; check that it is a task memory, that the disk has room, "
            "that the folder is writable, and that no other process holds it"
        ) from error
    except sqlite3.DatabaseError as error:
        raise MemoryStoreError(
            f"{place}: damaged: {error}; restore it from a copy, or delete the folder and add the tasks again"
        ) from error
    except OSError as error:
        raise MemoryStoreError(f"{place}: cannot be read or written: {error}") from error


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Turns WAL on. Two processes that do so at once collide without the busy timeout applying, hence the retries."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
