"""Do the `memory` commands show, change and check a run's memory?"""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from taskaware.cli.memory import app
from taskaware.core.errors import ConfigError, MemoryStoreError
from taskaware.encoders import EncoderConfig, load_encoder
from taskaware.encoders.adapters import save_adapter
from taskaware.encoders.hashing import HashingEncoder
from taskaware.encoders.tunable import TunableEncoder
from taskaware.memory import ClassRecord, TaskMemory, TaskRecord


def _record(task_id: str, description: str, *labels: str) -> TaskRecord:
    encoder = HashingEncoder(32)
    classes = tuple(
        ClassRecord(label, label, encoder.encode([label])[0], encoder.encode([label])[0], 3) for label in labels
    )
    return TaskRecord(task_id, "shop", description, encoder.encode([description])[0], classes)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TASKAWARE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")
    folder = tmp_path / "run"
    with TaskMemory.create(folder / "memory", HashingEncoder(32).fingerprint, 32) as memory:
        memory.add([_record("mood", "the mood of a letter", "glad", "angry"), _record("[b]shelf", "shelf of a book")])
    (folder / "config.json").write_text(
        json.dumps({"encoder": {"name": "hashing", "dimension": 32, "layers": [1]}, "other": 1})
    )
    return folder


def _invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_list_shows_every_task_as_it_is_written(run: Path) -> None:
    seen = _invoke("list", run)
    assert seen.exit_code == 0
    assert "[b]shelf" in seen.stdout
    assert "the mood of a letter" in seen.stdout


def test_search_ranks_tasks_and_classes_by_their_words(run: Path) -> None:
    seen = _invoke("search", run, "the mood of this letter", "-k", 1)
    assert seen.exit_code == 0, seen.exception
    assert "mood" in seen.stdout
    assert "shelf" not in seen.stdout
    assert "mood/glad" in _invoke("search", run, "glad", "-k", 1).stdout


def test_search_reads_with_the_encoder_that_the_run_tuned(tiny_model: Path, tmp_path: Path) -> None:
    section = {"name": str(tiny_model), "layers": [1], "cache": False}
    (tmp_path / "run").mkdir()
    adapter = tmp_path / "run" / "encoder.safetensors"
    save_adapter(adapter, TunableEncoder(EncoderConfig(name=str(tiny_model)), rank=2, length=16, seed=0).adapter())
    encoder = load_encoder(EncoderConfig(name=str(tiny_model), layers=(1,), cache=False, adapter=str(adapter)))
    vectors = encoder.encode(["the mood", "glad"])
    record = TaskRecord(
        "mood", "mail", "the mood", vectors[0], (ClassRecord("glad", "glad", vectors[1], vectors[1], 2),)
    )
    with TaskMemory.create(tmp_path / "run" / "memory", encoder.fingerprint, encoder.dimension) as memory:
        memory.add([record])
    (tmp_path / "run" / "config.json").write_text(json.dumps({"encoder": {**section, "adapter": adapter.name}}))
    seen = _invoke("search", tmp_path / "run", "glad", "-k", 1)
    assert seen.exit_code == 0, seen.exception
    assert "mood/glad" in seen.stdout


def test_a_packed_memory_is_shown_and_not_changed(run: Path, tmp_path: Path) -> None:
    with TaskMemory.open(run / "memory", None) as memory:
        memory.pack(run)
        memory.export(tmp_path / "tasks.jsonl")
    shutil.rmtree(run / "memory")
    assert "[b]shelf" in _invoke("list", run).stdout
    assert "mood" in _invoke("search", run, "the mood of this letter", "-k", 1).stdout
    for change in (("add", run, tmp_path / "tasks.jsonl"), ("remove", run, "mood")):
        refused = _invoke(*change).exception
        assert isinstance(refused, MemoryStoreError)
        assert f"taskaware copy {run}" in str(refused)


def test_search_needs_the_encoder_section_and_the_right_encoder(run: Path) -> None:
    (run / "config.json").write_text('{"encoder": {"name": "hashing", "dimension": 16}}')
    assert isinstance(_invoke("search", run, "a").exception, MemoryStoreError)
    (run / "config.json").write_text("{}")
    assert isinstance(_invoke("search", run, "a").exception, ConfigError)
    (run / "config.json").unlink()
    assert isinstance(_invoke("search", run, "a").exception, ConfigError)


def test_export_remove_and_add_bring_a_task_back(run: Path, tmp_path: Path) -> None:
    assert "wrote 2 tasks" in _invoke("export", run, tmp_path / "tasks.jsonl").stdout
    assert "removed 1 tasks, 1 left" in _invoke("remove", run, "mood").stdout
    assert _invoke("remove", run, "mood").exit_code == 1
    assert "added 2 tasks, 2 in all" in _invoke("add", run, tmp_path / "tasks.jsonl").stdout
    assert _invoke("verify", run).exit_code == 0


def test_verify_exits_with_one_on_problems(run: Path) -> None:
    assert "no problems" in _invoke("verify", run).stdout
    (run / "memory" / "classes.faiss").write_bytes(b"x")
    seen = _invoke("verify", run)
    assert seen.exit_code == 1
    assert "classes.faiss is damaged" in seen.output
