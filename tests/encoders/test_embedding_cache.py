"""Does the cache give exactly what the encoder gives, and ask it for each text once?"""

import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from taskaware.encoders import cache
from taskaware.encoders.cache import CachedEncoder, cache_folder
from taskaware.encoders.hashing import HashingEncoder


class CountingEncoder:
    """Counts how often each text is encoded."""

    def __init__(self, dimension: int = 16, layers: tuple[int, ...] = (2,)) -> None:
        self._encoder = HashingEncoder(dimension, layers)
        self.fingerprint = self._encoder.fingerprint
        self.dimension = dimension
        self.layers = self._encoder.layers
        self.width = self._encoder.width
        self.asked: Counter[str] = Counter()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.update(texts)
        return self._encoder.encode(texts)

    def features(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.update(texts)
        return self._encoder.features(texts)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.text(max_size=8), max_size=12), max_size=4))
def test_the_cache_gives_what_the_encoder_gives_and_asks_for_each_text_once(calls: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        counting = CountingEncoder()
        for texts in calls:
            for _ in range(2):
                encoder = CachedEncoder(counting, Path(folder))  # a new process's cache each time
                np.testing.assert_array_equal(encoder.encode(texts), HashingEncoder(16).encode(texts))
                np.testing.assert_array_equal(encoder.features(texts), HashingEncoder(16, (2,)).features(texts))
                assert encoder.encode(texts).shape == (len(texts), encoder.dimension)
                assert encoder.features(texts).shape == (len(texts), encoder.width)
        assert all(times == 1 for times in counting.asked.values())


def test_texts_seen_in_this_process_are_not_read_from_disk_again(tmp_path: Path) -> None:
    encoder = CachedEncoder(CountingEncoder(), tmp_path)
    expected = encoder.encode(["a", "b"])
    for path in tmp_path.iterdir():
        path.unlink()
    np.testing.assert_array_equal(encoder.encode(["b", "a"]), expected[::-1])
    assert not list(tmp_path.iterdir())


def test_more_texts_than_fit_in_memory_or_in_one_write_still_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_RECENT", 5)
    monkeypatch.setattr(cache, "_TEXTS_PER_WRITE", 3)
    monkeypatch.setattr(cache, "_KEYS_PER_QUERY", 2)
    counting = CountingEncoder()
    encoder = CachedEncoder(counting, tmp_path)
    texts = [f"text {number % 11}" for number in range(30)]
    for _ in range(2):
        np.testing.assert_array_equal(encoder.encode(texts), HashingEncoder(16).encode(texts))
    assert set(counting.asked.values()) == {1}


def test_other_layers_of_one_encoder_do_not_share_features(tmp_path: Path) -> None:
    for layers in ((2,), (4,), (4, 2), ()):
        encoder = CachedEncoder(HashingEncoder(8, layers), tmp_path)
        assert encoder.layers == layers
        np.testing.assert_array_equal(encoder.features(["a"]), HashingEncoder(8, layers).features(["a"]))
    assert len(list(tmp_path.glob("*.sqlite"))) == 4


def test_two_encoders_do_not_share_vectors(tmp_path: Path) -> None:
    narrow, wide = (CachedEncoder(HashingEncoder(size), tmp_path) for size in (8, 16))
    assert narrow.encode(["a"]).shape == (1, 8)
    assert wide.encode(["a"]).shape == (1, 16)


_WRITER = """
import sys
from pathlib import Path
from taskaware.encoders.cache import CachedEncoder
from taskaware.encoders.hashing import HashingEncoder
for part in range(20):
    encoder = CachedEncoder(HashingEncoder(16, (2,)), Path(sys.argv[1]))
    encoder.encode([f"text {number}" for number in range(part * 10, part * 10 + 25)])
"""


def test_processes_may_fill_the_cache_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", _WRITER, str(tmp_path)]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0], errors
    counting = CountingEncoder()
    texts = [f"text {number}" for number in range(215)]
    np.testing.assert_array_equal(CachedEncoder(counting, tmp_path).encode(texts), HashingEncoder(16).encode(texts))
    assert not counting.asked


def test_a_folder_that_cannot_be_written_is_warned_about_once_and_does_not_stop_encoding(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    encoder = CachedEncoder(HashingEncoder(16), blocked / "embeddings")
    with pytest.warns(UserWarning, match=r"not cached.*TASKAWARE_CACHE"):
        seen = encoder.encode(["a"])
    encoder.encode(["b"])  # a second warning would be an error
    np.testing.assert_array_equal(seen, HashingEncoder(16).encode(["a"]))


_FULL = """
import resource, sys
from pathlib import Path
from taskaware.encoders.cache import CachedEncoder
from taskaware.encoders.hashing import HashingEncoder
CachedEncoder(HashingEncoder(512, (2,)), Path(sys.argv[1])).encode(["first"])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
print(CachedEncoder(HashingEncoder(512, (2,)), Path(sys.argv[1])).encode([f"t{n}" for n in range(500)]).shape)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files the POSIX way")
def test_a_full_disk_is_warned_about_and_leaves_the_cache_whole(tmp_path: Path) -> None:
    seen = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "(500, 512)"
    assert "embeddings are not cached" in seen.stderr
    counting = CountingEncoder(512)
    CachedEncoder(counting, tmp_path).encode(["first"])
    assert not counting.asked


def test_a_damaged_cache_file_is_warned_about_and_does_not_stop_encoding(tmp_path: Path) -> None:
    CachedEncoder(HashingEncoder(16), tmp_path).encode(["a"])
    (path,) = tmp_path.glob("*.sqlite")
    path.write_bytes(b"no database" * 100)
    with pytest.warns(UserWarning, match="delete this file"):
        seen = CachedEncoder(HashingEncoder(16), tmp_path).encode(["a"])
    np.testing.assert_array_equal(seen, HashingEncoder(16).encode(["a"]))


def test_a_vector_of_the_wrong_width_is_encoded_anew(tmp_path: Path) -> None:
    CachedEncoder(HashingEncoder(16), tmp_path).encode(["a"])
    (path,) = tmp_path.glob("*.sqlite")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE embeddings SET vector = x'00'")
    connection.close()
    seen = CachedEncoder(HashingEncoder(16), tmp_path).encode(["a"])
    np.testing.assert_array_equal(seen, HashingEncoder(16).encode(["a"]))


def test_twenty_thousand_cached_texts_are_read_in_seconds_at_most(tmp_path: Path) -> None:
    counting = CountingEncoder(64)
    texts = [f"text {number}" for number in range(20_000)]
    CachedEncoder(counting, tmp_path).encode(texts)
    begin = time.perf_counter()
    CachedEncoder(counting, tmp_path).encode(texts)
    assert time.perf_counter() - begin < 5.0  # about 0.2 s alone; room for a busy machine
    assert set(counting.asked.values()) == {1}


def test_the_environment_moves_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKAWARE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path / "embeddings"
    monkeypatch.delenv("TASKAWARE_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "taskaware" / "embeddings"
