"""Does the memory give back what it was given, and never what was excluded?"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskaware.core.errors import MemoryStoreError
from taskaware.memory import Exclusion, TaskMemory, TaskRecord, rows
from taskaware.memory.records import digest

MakeRecord = Callable[..., TaskRecord]
SameRecord = Callable[[TaskRecord, TaskRecord], bool]

PRINT = "encoder:print"


def test_records_come_back_exactly_from_a_reopened_memory(
    tmp_path: Path, make_record: MakeRecord, same_record: SameRecord
) -> None:
    records = [make_record("b"), make_record("a", classes=0), make_record("c", dataset="news", classes=3)]
    with TaskMemory.create(tmp_path / "memory", PRINT, 8) as memory:
        memory.add(records)
    with TaskMemory.open(tmp_path / "memory", PRINT) as memory:
        assert memory.ids() == ["a", "b", "c"]
        assert len(memory) == 3
        assert memory.dimension == 8
        assert all(same_record(memory.get(each.id), each) for each in records)
        assert memory.verify() == []


def test_the_snapshot_lines_tasks_up_with_their_classes(make_record: MakeRecord) -> None:
    with TaskMemory.in_memory(PRINT, 8) as memory:
        memory.add([make_record("b", classes=3), make_record("a", classes=0), make_record("c", dataset="news")])
        snapshot = memory.snapshot()
        assert memory.snapshot() is snapshot
        assert snapshot.task_ids.tolist() == ["a", "b", "c"]
        assert snapshot.task_rows == {"a": 0, "b": 1, "c": 2}
        assert snapshot.task_datasets.tolist() == ["mail", "mail", "news"]
        assert snapshot.class_rows.tolist() == [1, 1, 1, 2, 2]
        assert snapshot.class_start.tolist() == [0, 0, 3, 5]
        assert snapshot.class_keys.tolist()[2:4] == ["b/class 2", "c/class 0"]
        assert snapshot.class_counts.tolist() == [1, 2, 3, 1, 2]
        expected = memory.get("c").classes[1]
        np.testing.assert_array_equal(snapshot.class_texts[4], expected.text_embedding)
        np.testing.assert_array_equal(snapshot.class_prototypes[4], expected.prototype)
        with pytest.raises(ValueError, match="read-only"):
            snapshot.task_embeddings[0] = 0.0


def test_adapters_line_up_with_tasks_and_tasks_without_one_have_zeros(make_record: MakeRecord) -> None:
    with TaskMemory.in_memory(PRINT, 8) as memory:
        memory.add([make_record("b", adapter=0)])
        assert memory.snapshot().task_adapters.shape == (1, 0)
        memory.add([make_record("c"), make_record("a", adapter=0), make_record("d")])
        seen = memory.snapshot().task_adapters
        assert seen.dtype == np.float32
        expected = [np.zeros(3), np.zeros(3), make_record("c").adapter, make_record("d").adapter]
        np.testing.assert_array_equal(seen, expected)
        assert memory.get("a").adapter.shape == (0,)
        assert memory.verify() == []


def test_the_first_adapter_fixes_the_width_of_all(tmp_path: Path, make_record: MakeRecord) -> None:
    with TaskMemory.create(tmp_path / "memory", PRINT, 8) as memory:
        with pytest.raises(MemoryStoreError, match=r"task 'b', adapter: expected 3 numbers .* saw 4"):
            memory.add([make_record("a"), make_record("b", adapter=4)])
        assert memory.snapshot().task_adapters.shape == (0, 0)  # nothing was written, the width neither
        memory.add([make_record("a", adapter=4)])
    with TaskMemory.open(tmp_path / "memory", PRINT) as memory:
        with pytest.raises(MemoryStoreError, match=r"expected 4 numbers .* saw 3"):
            memory.add([make_record("a")])
        memory.remove(["a"])
        memory.add([make_record("b", adapter=0)])
        assert memory.snapshot().task_adapters.tolist() == [[0.0] * 4]


_TASKS = st.lists(st.integers(min_value=0, max_value=4), min_size=1, max_size=6)  # how many classes each has


@settings(max_examples=40, deadline=None)
@given(classes=_TASKS, given_rows=st.lists(st.integers(-1, 5), max_size=8), texts=st.integers(0, 5))
def test_label_similarity_is_the_mean_over_texts_of_the_nearest_class(
    make_record: MakeRecord, classes: list[int], given_rows: list[int], texts: int
) -> None:
    rows = [row for row in given_rows if row < len(classes)]
    with TaskMemory.in_memory(PRINT, 8) as memory:
        memory.add([make_record(f"task {number}", classes=each) for number, each in enumerate(classes)])
        queries = make_record("queries", classes=texts).classes
        words = np.array([each.text_embedding for each in queries], dtype=np.float32).reshape(texts, 8)
        seen = memory.view().label_similarity(words, np.array(rows, dtype=np.int64))
        known = [np.array([each.text_embedding for each in memory.get(task).classes]) for task in memory.ids()]
    expected = [
        np.mean([max(text @ vector for vector in known[row]) for text in words])
        if row >= 0 and len(known[row]) and texts
        else 0.0
        for row in rows
    ]
    assert seen.dtype == np.float32 and seen.shape == (len(rows),)
    np.testing.assert_allclose(seen, expected, atol=1e-6)


def test_a_tasks_own_label_texts_are_nearest_to_itself(make_record: MakeRecord) -> None:
    with TaskMemory.in_memory(PRINT, 8) as memory:
        memory.add([make_record(f"task {number}", classes=5) for number in range(4)])
        snapshot = memory.snapshot()
        own = snapshot.class_texts[snapshot.class_start[2] : snapshot.class_start[3]]
        seen = memory.view().label_similarity(own, np.array([0, 1, 2, 3, -1]))
        assert seen[2] == pytest.approx(1.0)
        assert seen.argmax() == 2 and seen[4] == 0.0
        for bad in ([4], [-2], [0.5]):
            with pytest.raises(MemoryStoreError, match="task rows"):
                memory.view().label_similarity(own, np.array(bad))
        with pytest.raises(MemoryStoreError, match=r"\[Q, 8\]"):
            memory.view().label_similarity(own[:, :4], np.array([0]))


def test_an_empty_memory_has_an_empty_snapshot_and_no_hits() -> None:
    with TaskMemory.in_memory(PRINT, 8) as memory:
        snapshot = memory.snapshot()
        assert snapshot.task_embeddings.shape == snapshot.class_texts.shape == (0, 8)
        assert snapshot.class_start.tolist() == [0]
        assert snapshot.task_adapters.shape == (0, 0)
        assert snapshot.task_rows == {}
        hits = memory.search_tasks(np.ones((2, 8), dtype=np.float32), 3)
        assert hits.rows.tolist() == [[-1] * 3] * 2
        assert not hits.similarity.any()


def test_the_same_id_replaces_and_moves_the_checksum(make_record: MakeRecord, same_record: SameRecord) -> None:
    with TaskMemory.in_memory(PRINT, 8) as memory:
        memory.add([make_record("a", classes=3), make_record("b")])
        before = memory.snapshot()
        newer = make_record("a", classes=1, version=1)
        memory.add([newer])
        assert memory.ids() == ["a", "b"]
        assert same_record(memory.get("a"), newer)
        assert memory.snapshot().class_keys.tolist() == ["a/class 0", "b/class 0", "b/class 1"]
        assert memory.snapshot().checksum != before.checksum
        assert memory.verify() == []


def test_the_content_hash_does_not_depend_on_the_order_of_writes(make_record: MakeRecord) -> None:
    contents = []
    for order in ("abc", "cab"):
        with TaskMemory.in_memory(PRINT, 8) as memory:
            for each in order:
                memory.add([make_record(each)])
            contents.append(memory.snapshot().checksum)
    assert contents[0] == contents[1]


def test_removed_tasks_take_their_classes_along(make_record: MakeRecord) -> None:
    with TaskMemory.in_memory(PRINT, 8) as memory:
        memory.add([make_record("a"), make_record("b")])
        assert memory.remove(["a", "unknown"]) == 1
        assert memory.snapshot().class_keys.tolist() == ["b/class 0", "b/class 1"]
        with pytest.raises(MemoryStoreError, match="no task 'a'"):
            memory.get("a")
        assert memory.verify() == []


def test_a_bad_record_leaves_the_memory_as_it_was(make_record: MakeRecord) -> None:
    wrong = [make_record("wide", dimension=9), make_record("nan"), make_record("twice")]
    wrong[1].embedding[0] = np.nan
    object.__setattr__(wrong[2], "classes", wrong[2].classes[:1] * 2)
    with TaskMemory.in_memory(PRINT, 8) as memory:
        memory.add([make_record("a")])
        for record, message in zip(wrong, ("8 numbers, saw shape", "finite", "class name once"), strict=True):
            with pytest.raises(MemoryStoreError, match=message):
                memory.add([make_record("b"), record])
        assert memory.ids() == ["a"]


def test_everything_in_a_record_counts_in_its_digest(make_record: MakeRecord) -> None:
    first = make_record("a")
    others = [make_record("b"), make_record("a", dataset="x"), make_record("a", classes=1), make_record("a", version=1)]
    others.append(make_record("a", adapter=0))
    assert len({digest(each) for each in (first, *others)}) == 6
    first.classes[0].prototype[0] += 1
    assert digest(first) != digest(make_record("a"))


_IDS = st.frozensets(st.sampled_from([f"task {number}" for number in range(12)] + ["unknown"]), max_size=6)
_CLASSES = st.frozensets(st.builds("task {}/class {}".format, st.integers(0, 12), st.integers(0, 3)), max_size=20)


@settings(max_examples=60, deadline=None)
@given(
    tasks=_IDS,
    datasets=st.frozensets(st.sampled_from(["d0", "d1", "d2", "dx"])),
    classes=_CLASSES,
    k=st.integers(1, 40),
)
def test_a_search_returns_all_that_is_not_excluded_and_nothing_that_is(
    make_record: MakeRecord, tasks: frozenset[str], datasets: frozenset[str], classes: frozenset[str], k: int
) -> None:
    exclusion = Exclusion(tasks, datasets, classes)
    with TaskMemory.in_memory(PRINT, 8) as memory:
        memory.add([make_record(f"task {n}", dataset=f"d{n % 3}", classes=n % 4) for n in range(12)])
        snapshot = memory.snapshot()
        queries = snapshot.task_embeddings[:2]
        out = np.isin(snapshot.task_ids, list(tasks)) | np.isin(snapshot.task_datasets, list(datasets))
        classes_out = out[snapshot.class_rows] | np.isin(snapshot.class_keys, list(classes))
        pairs = (
            (memory.search_tasks(queries, k, exclusion), snapshot.task_embeddings, out),
            (memory.search_classes(queries, k, exclusion), snapshot.class_texts, classes_out),
        )
        for hits, vectors, excluded in pairs:
            _assert_exact(hits.similarity, hits.rows, queries @ vectors.T, excluded, k)


def _assert_exact(similarity: np.ndarray, rows: np.ndarray, expected: np.ndarray, excluded: np.ndarray, k: int) -> None:
    allowed = set(np.flatnonzero(~excluded).tolist())
    for query in range(len(rows)):
        found = rows[query][rows[query] >= 0].tolist()
        assert len(set(found)) == len(found) == min(k, len(allowed))
        assert set(found) <= allowed
        best = sorted(expected[query][list(allowed)].tolist(), reverse=True)[: len(found)]
        np.testing.assert_allclose(similarity[query][: len(found)], best, atol=1e-5)
        assert not similarity[query][len(found) :].any()


def test_a_query_of_another_width_is_refused(make_record: MakeRecord) -> None:
    with TaskMemory.in_memory(PRINT, 8) as memory:
        memory.add([make_record("a")])
        with pytest.raises(MemoryStoreError, match=r"queries \[Q, 8\], saw shape \(1, 9\)"):
            memory.search_tasks(np.ones((1, 9), dtype=np.float32), 1)


def test_a_copy_holds_the_same_and_lives_on_its_own(
    tmp_path: Path, make_record: MakeRecord, same_record: SameRecord
) -> None:
    with TaskMemory.in_memory(PRINT, 8) as memory:
        memory.add([make_record("a"), make_record("b")])
        for _ in range(2):  # the second replaces the first
            memory.copy_to(tmp_path / "copy")
        memory.remove(["a"])
    names = {"memory.sqlite", "tasks.faiss", "tasks.faiss.json", "classes.faiss", "classes.faiss.json"}
    assert {path.name for path in (tmp_path / "copy").iterdir()} == names
    with TaskMemory.open(tmp_path / "copy", PRINT) as copy:
        assert copy.ids() == ["a", "b"]
        assert same_record(copy.get("b"), make_record("b"))
        assert copy.verify() == []


def test_a_copy_does_not_replace_a_folder_with_other_files_nor_itself(tmp_path: Path, make_record: MakeRecord) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with TaskMemory.create(tmp_path / "memory", PRINT, 8) as memory:
        with pytest.raises(MemoryStoreError, match=r"files of others \(letter.txt\)"):
            memory.copy_to(tmp_path / "home")
        with pytest.raises(MemoryStoreError, match="lies there already"):
            memory.copy_to(tmp_path / "memory")


def test_an_export_adds_up_to_the_same_memory(tmp_path: Path, make_record: MakeRecord, same_record: SameRecord) -> None:
    odd = make_record('odd \u2028 \u4e2d "quoted"\n', classes=1)
    with TaskMemory.in_memory(PRINT, 8) as memory, TaskMemory.in_memory(PRINT, 8) as other:
        memory.add([make_record("a"), odd])
        memory.export(tmp_path / "tasks.jsonl")
        assert other.add_export(tmp_path / "tasks.jsonl") == 2
        assert same_record(other.get("a"), make_record("a"))
        assert same_record(other.get(odd.id), odd)


def test_an_export_from_before_adapters_is_read_without_them(tmp_path: Path, make_record: MakeRecord) -> None:
    path = tmp_path / "tasks.jsonl"
    with TaskMemory.in_memory(PRINT, 8) as memory, TaskMemory.in_memory(PRINT, 8) as other:
        memory.add([make_record("a")])
        memory.export(path)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        del lines[1]["adapter"]
        path.write_text("\n".join(json.dumps(line) for line in lines))
        other.add_export(path)
        assert other.get("a").adapter.shape == (0,)


def test_an_export_of_another_encoder_or_a_damaged_one_is_refused(tmp_path: Path, make_record: MakeRecord) -> None:
    path = tmp_path / "tasks.jsonl"
    with TaskMemory.in_memory(PRINT, 8) as memory, TaskMemory.in_memory("other", 8) as other:
        memory.add([make_record("a")])
        memory.export(path)
        with pytest.raises(MemoryStoreError, match=r"encoder 'encoder:print'.*from 'other'"):
            other.add_export(path)
        path.write_text(path.read_text() + '{"id": "b"}\n')
        with pytest.raises(MemoryStoreError, match="line 3: expected a field 'classes'"):
            memory.add_export(path)
        path.write_text("nonsense\n")
        with pytest.raises(MemoryStoreError, match="line 1: no JSON"):
            memory.add_export(path)
        path.write_text("")
        with pytest.raises(MemoryStoreError, match="expected a first line"):
            memory.add_export(path)


def test_a_folder_that_cannot_be_written_still_serves_searches(
    tmp_path: Path, make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TaskMemory.create(tmp_path / "made", PRINT, 8) as memory:
        memory.add([make_record("a")])
    shutil.copytree(tmp_path / "made", tmp_path / "published")
    monkeypatch.setattr("taskaware.memory.connection._writable", lambda path: False)
    with TaskMemory.open(tmp_path / "published", PRINT) as memory:
        assert memory.search_tasks(memory.snapshot().task_embeddings, 1).rows.tolist() == [[0]]
        with pytest.raises(MemoryStoreError, match=r"cannot be read or written.*writable"):
            memory.add([make_record("b")])
    assert len(list((tmp_path / "published").iterdir())) == 5


@pytest.mark.parametrize("at_a_time", [1, 2, 7])
def test_a_snapshot_is_the_same_however_many_rows_are_read_at_a_time(
    make_record: MakeRecord, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TaskMemory.in_memory("encoder", 8) as memory:
        memory.add([make_record(f"task {number}", classes=number % 4, adapter=3 * (number % 2)) for number in range(9)])
        whole = memory.snapshot()
        memory.remove(["nothing of this name"])  # forgets the arrays, as every write does
        monkeypatch.setattr(rows, "_ROWS", at_a_time)
        parts = memory.snapshot()
    assert parts is not whole
    for name, value in vars(whole).items():
        if name != "checksum":  # it counts writes too
            np.testing.assert_equal(getattr(parts, name), value, err_msg=name)
