"""Does the command line do the whole job, and say clearly what is wrong with bad input?"""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TASK = """\
---
pretty_name: Shelf
license: cc0-1.0
language: en
taskaware:
  description: "{description}"
  labels: {{animal: "about animals", weather: "about weather", {extra}}}
---
"""
ABLATION = "{{name: tiny, card: {card}, way: 3, shots: [0, 1], episodes: 6, factors: [description, attribution]}}"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "taskaware", *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=200)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A folder with a trained run, its cards and a task of one's own."""
    folder = tmp_path_factory.mktemp("cli")
    write_run: Callable[[Path], Path] = request.getfixturevalue("write_run")
    done = run("train", write_run(folder))
    assert done.returncode == 0, done.stderr
    (folder / "task.md").write_text(TASK.format(description="which shelf", extra="food: about food"), encoding="utf-8")
    (folder / "few.csv").write_text('text,label\n"dog, cat",animal\nrain,weather\nbread,food\n', encoding="utf-8")
    (folder / "new.csv").write_text("text\ndog horse\nsnow\ncheese\n", encoding="utf-8")
    return folder


def test_the_whole_path_from_training_to_a_report(trained: Path) -> None:
    model, out = trained / "runs" / "tiny", trained / "out"
    rows = [("dog", "animal"), ("rain", "weather"), ("rice", "food")]
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    (trained / "few.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for examples in (["--examples", trained / "few.csv"], ["--examples", trained / "few.jsonl"], []):
        adapt = run("adapt", model, "--card", trained / "task.md", *examples, "--out", out, "--remember")
        assert adapt.returncode == 0, adapt.stderr
        predict = run("predict", out, trained / "new.csv", "--out", trained / "predictions.csv")
        assert predict.returncode == 0, predict.stderr
        with (trained / "predictions.csv").open(encoding="utf-8", newline="") as stream:
            found = list(csv.DictReader(stream))
        assert [row["text"] for row in found] == ["dog horse", "snow", "cheese"]
        assert list(found[0]) == ["text", "prediction", "probability", "animal", "weather", "food"]
        assert all(abs(sum(float(row[name]) for name in ("animal", "weather", "food")) - 1) < 1e-3 for row in found)
    assert "identity" in json.loads(run("explain", out, "--json").stdout)
    assert "task" in run("memory", "list", model).stdout
    evaluated = run("evaluate", model, "--card", trained / "held_out.md", "--way", 3, "--episodes", 5, "--json")
    assert json.loads(evaluated.stdout)["tasks"][0]["accuracy"]["taskaware"]["n"] == 5
    (trained / "ablation.yaml").write_text(ABLATION.format(card=trained / "held_out.md"), encoding="utf-8")
    ablated = run("ablate", model, trained / "ablation.yaml", "--out", trained / "report")
    assert ablated.returncode == 0, ablated.stderr
    assert (trained / "report" / "report.html").exists()


@pytest.mark.parametrize(
    ("few", "message"),
    [
        (b"text,category\ndog,animal\n", "label"),
        (b"text,label\ndog,animals\n", "'animals'"),
        ("text,label\ncafé,food\n".encode("latin-1"), "UTF-8"),
        (b"", "few"),
    ],
)
def test_bad_examples_give_one_line_and_write_nothing(trained: Path, tmp_path: Path, few: bytes, message: str) -> None:
    (tmp_path / "few.csv").write_bytes(few)
    arguments = ["--card", trained / "task.md", "--examples", tmp_path / "few.csv", "--out", tmp_path / "out"]
    done = run("adapt", trained / "runs" / "tiny", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("error:") and message in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_fewer_examples_than_asked_for_are_counted(trained: Path, tmp_path: Path) -> None:
    arguments = ["--card", trained / "task.md", "--examples", trained / "few.csv", "--out", tmp_path / "out"]
    done = run("adapt", trained / "runs" / "tiny", *arguments, "--shots", 2)
    assert done.returncode == 1 and "'animal' has 1 examples, 2 expected" in done.stderr


def test_an_empty_description_is_a_notice_and_a_duplicate_label_an_error(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "silent.md").write_text(TASK.format(description="", extra="food: food"), encoding="utf-8")
    done = run("adapt", trained / "runs" / "tiny", "--card", tmp_path / "silent.md", "--out", tmp_path / "out")
    assert done.returncode == 0 and "no description" in done.stdout
    (tmp_path / "twice.md").write_text(TASK.format(description="x", extra="animal: beasts"), encoding="utf-8")
    done = run("adapt", trained / "runs" / "tiny", "--card", tmp_path / "twice.md", "--out", tmp_path / "out2")
    assert done.returncode == 1 and "animal" in done.stderr


def test_unknown_keys_cards_and_folders_are_named(trained: Path, tmp_path: Path) -> None:
    model = trained / "runs" / "tiny"
    done = run("train", trained / "tiny.yaml", "--set", "training.step=3")
    assert done.returncode == 1 and "did you mean 'steps'" in done.stderr
    done = run("evaluate", model, "--card", "mesages")
    assert done.returncode == 1 and "messages" in done.stderr
    done = run("predict", model, trained / "new.csv", "--out", tmp_path / "p.csv")
    assert done.returncode == 1 and "expected an adapted task" in done.stderr
    done = run("evaluate", tmp_path / "nothing", "--card", "messages")
    assert done.returncode == 1 and "no such file" in done.stderr
