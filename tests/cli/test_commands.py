"""Does the command line do the whole job, from training to a report?"""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ABLATION = "{{name: tiny, card: {card}, way: 3, shots: [0, 1], episodes: 6, factors: [description, attribution]}}"


def test_the_whole_path_from_examples_to_a_report(trained: Path, tmp_path: Path, cli: Callable[..., Any]) -> None:
    model, out = trained / "runs" / "tiny", tmp_path / "out"
    for examples in ("few.csv", "few.tsv", "few.jsonl", None):
        given = ["--examples", trained / examples, "--shots", 1] if examples else []
        adapt = cli("adapt", model, "--card", trained / "task.md", *given, "--out", out, "--remember")
        assert adapt.returncode == 0, adapt.stderr
        predict = cli("predict", out, trained / "new.csv", "--out", tmp_path / "predictions.csv")
        assert predict.returncode == 0, predict.stderr
        with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as stream:
            found = list(csv.DictReader(stream))
        assert [row["text"] for row in found] == ["dog horse", "snow", "cheese"]
        assert list(found[0]) == ["text", "prediction", "probability", "animal", "weather", "food"]
        assert all(abs(sum(float(row[name]) for name in ("animal", "weather", "food")) - 1) < 1e-3 for row in found)
    assert "identity" in json.loads(cli("explain", out, "--json").stdout)
    assert "attention" in cli("explain", out).stdout
    listed = cli("memory", "list", model).stdout
    assert "3 tasks" in listed and "which shelf" in listed
    (tmp_path / "ablation.yaml").write_text(ABLATION.format(card=trained / "held_out.md"), encoding="utf-8")
    ablated = cli("ablate", model, tmp_path / "ablation.yaml", "--out", tmp_path / "report")
    assert ablated.returncode == 0, ablated.stderr
    assert (tmp_path / "report" / "report.html").exists()


def test_the_same_examples_give_the_same_predictions_in_every_format(
    trained: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    found = []
    for name in ("few.csv", "few.tsv", "few.jsonl"):
        arguments = ["--card", trained / "task.md", "--examples", trained / name, "--out", tmp_path / name]
        assert cli("adapt", trained / "runs" / "tiny", *arguments).returncode == 0
        assert cli("predict", tmp_path / name, trained / "new.csv", "--out", tmp_path / "p.csv").returncode == 0
        found.append((tmp_path / "p.csv").read_text(encoding="utf-8"))
    assert found[0] == found[1] == found[2]


def test_a_packed_copy_adapts_and_only_a_copy_of_it_remembers(
    trained: Path, tmp_path: Path, cli: Callable[..., Any]
) -> None:
    packed, own = tmp_path / "packed", tmp_path / "own"
    assert cli("copy", trained / "runs" / "tiny", packed, "--packed").returncode == 0
    assert cli("copy", packed, own).returncode == 0
    task = ["--card", trained / "task.md", "--examples", trained / "few.csv", "--out"]
    refused = cli("adapt", packed, *task, tmp_path / "refused", "--remember")
    assert refused.returncode == 1 and "taskaware copy" in refused.stderr
    assert not (tmp_path / "refused").exists()
    for run, more in ((packed, []), (own, ["--remember"])):
        adapted = cli("adapt", run, *task, tmp_path / f"of_{run.name}", *more)
        assert adapted.returncode == 0, adapted.stderr
        done = cli("predict", tmp_path / f"of_{run.name}", trained / "new.csv", "--out", tmp_path / f"{run.name}.csv")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "own.csv").read_text() == (tmp_path / "packed.csv").read_text()


def test_a_way_beyond_the_classes_is_all_classes(trained: Path, cli: Callable[..., Any]) -> None:
    arguments = ["--card", trained / "held_out.md", "--episodes", 5, "--json"]
    done = cli("evaluate", trained / "runs" / "tiny", *arguments, "--way", 99)
    found = json.loads(done.stdout)["tasks"][0]
    assert found["way"] == 4 and found["accuracy"]["taskaware"]["n"] == 5
    whole = cli("evaluate", trained / "runs" / "tiny", *arguments, "--way", 4)
    assert whole.stdout == done.stdout


def test_an_empty_description_works_with_a_notice(
    trained: Path, tmp_path: Path, cli: Callable[..., Any], write_task: Callable[..., Path]
) -> None:
    card = write_task(tmp_path / "silent.md", description="")
    done = cli("adapt", trained / "runs" / "tiny", "--card", card, "--out", tmp_path / "out")
    assert done.returncode == 0 and "no description" in done.stdout


def test_the_package_runs_as_a_module(trained: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "taskaware", "predict", trained / "adapted", trained / "few.md"]
    done = subprocess.run(
        [*map(str, command), "--out", str(tmp_path / "p.csv")], check=False, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "expected .csv" in done.stderr


@pytest.mark.parametrize(("rank", "lines"), [("0", 20), ("1", 0)])
def test_a_log_shows_progress_twenty_times_a_stage_and_only_once_for_all_processes(
    rank: str, lines: int, trained: Path, tmp_path: Path, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    changes = [f"output={tmp_path}", "training.steps=40", "training.validate_every=40"]
    done = cli("train", trained / "tiny.yaml", *(part for change in changes for part in ("--set", change)))
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stdout.splitlines() if line.startswith("training, step ")]
    assert len(steps) == lines
    assert [line.split()[2] for line in steps] == [str(step) for step in range(2, 41, 2)][:lines]
