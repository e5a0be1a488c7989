"""How is no text encoded twice?

One SQLite file per encoder fingerprint and choice of layers under $TASKAWARE_CACHE (or ~/.cache/taskaware) holds
sha256(text) -> float32 features [W], whose first D are the sentence vector. WAL and INSERT OR IGNORE in short
transactions let several processes fill it at once. The cache is a convenience: when the disk is full, read-only or
damaged, texts are encoded as if it were not there, with one warning.
"""

import hashlib
import os
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar, final

import numpy as np
from numpy.typing import NDArray

from taskaware.encoders.protocol import TextEncoder

Vector = NDArray[np.float32]
Result = TypeVar("Result")

_BUSY_SECONDS = 30.0
_KEYS_PER_QUERY = 900  # SQLite's oldest limit on variables is 999
_TEXTS_PER_WRITE = 4096  # what a kill may cost
_RECENT = 65_536  # texts kept in this process; 300 MB at W = 3 * 384


def cache_folder() -> Path:
    """$TASKAWARE_CACHE/embeddings, or ~/.cache/taskaware/embeddings."""
    root = os.environ.get("TASKAWARE_CACHE")
    return (Path(root).expanduser() if root else Path.home() / ".cache" / "taskaware") / "embeddings"


@final
class CachedEncoder:
    """Wraps an encoder: gives what it gives, and asks it for each distinct text once."""

    def __init__(self, encoder: TextEncoder, folder: Path | None = None) -> None:
        self._encoder = encoder
        key = f"{encoder.fingerprint} layers {list(encoder.layers)}"
        self._path = (folder or cache_folder()) / f"{hashlib.sha256(key.encode()).hexdigest()}.sqlite"
        self._recent: dict[bytes, Vector] = {}
        self._warned = False

    @property
    def fingerprint(self) -> str:
        return self._encoder.fingerprint

    @property
    def dimension(self) -> int:
        return self._encoder.dimension

    @property
    def untuned(self) -> slice:
        return self._encoder.untuned

    @property
    def layers(self) -> tuple[int, ...]:
        return self._encoder.layers

    @property
    def width(self) -> int:
        return self._encoder.width

    def encode(self, texts: Sequence[str]) -> Vector:
        """n texts -> [n, D] float32 of unit length: the first columns of their features."""
        size = self.dimension
        rows = [row[:size] for row in self._rows_of(texts)]
        return np.stack(rows) if rows else np.zeros((0, size), dtype=np.float32)

    def features(self, texts: Sequence[str]) -> Vector:
        """n texts -> [n, W] float32, from memory, disk or the wrapped encoder, in this order."""
        rows = self._rows_of(texts)
        return np.stack(rows) if rows else np.zeros((0, self.width), dtype=np.float32)

    def _rows_of(self, texts: Sequence[str]) -> list[Vector]:
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        distinct = dict(zip(keys, texts, strict=True))
        found = {key: self._recent[key] for key in distinct if key in self._recent}
        found |= self._read([key for key in distinct if key not in found])
        missing = [key for key in distinct if key not in found]
        for start in range(0, len(missing), _TEXTS_PER_WRITE):
            part = missing[start : start + _TEXTS_PER_WRITE]
            fresh = dict(zip(part, self._encoder.features([distinct[key] for key in part]), strict=True))
            self._write(fresh)
            found |= fresh
        self._remember(found)
        return [found[key] for key in keys]

    def _remember(self, vectors: dict[bytes, Vector]) -> None:
        if len(self._recent) + len(vectors) > _RECENT:
            self._recent = {}
        if len(vectors) <= _RECENT:
            self._recent |= vectors

    def _read(self, keys: list[bytes]) -> dict[bytes, Vector]:
        if not keys or not self._path.exists():
            return {}
        return self._attempt(lambda connection: dict(self._stored(connection, keys))) or {}

    def _stored(self, connection: sqlite3.Connection, keys: list[bytes]) -> Iterator[tuple[bytes, Vector]]:
        size = 4 * self.width
        for start in range(0, len(keys), _KEYS_PER_QUERY):
            part = keys[start : start + _KEYS_PER_QUERY]
            marks = ",".join("?" * len(part))
            for key, blob in connection.execute(f"SELECT key, vector FROM embeddings WHERE key IN ({marks})", part):
                if len(blob) == size:
                    yield key, np.frombuffer(blob, dtype="<f4")

    def _write(self, vectors: dict[bytes, Vector]) -> None:
        rows = [(key, vector.astype("<f4").tobytes()) for key, vector in vectors.items()]

        def insert(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR IGNORE INTO embeddings VALUES (?, ?)", rows)

        self._attempt(insert)

    def _attempt(self, action: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """Runs `action` on a connection of its own (safe after a fork and in threads); None when the disk fails."""
        try:
            with _connection(self._path) as connection:
                return action(connection)
        except (OSError, sqlite3.Error) as error:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"{self._path}: embeddings are not cached: {error}; set TASKAWARE_CACHE to a writable folder "
                    "with free space, or delete this file if it is damaged",
                    stacklevel=4,
                )
            return None


@contextmanager
def _connection(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
        yield connection


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
