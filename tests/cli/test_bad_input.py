"""Is bad input answered with exit code 1 and one line that names file, value and what to do, and is nothing written?"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CLI = Callable[..., Any]


def contents(*folders: Path) -> dict[Path, str]:
    """Every file and folder; SQLite's own side files apart, which reading may touch."""
    paths = [path for folder in folders for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm"))]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "" for path in paths}


def assert_refused(cli: CLI, arguments: list[object], named: list[str], *folders: Path) -> None:
    before = contents(*folders)
    done = cli(*arguments)
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    for part in named:
        assert part in done.stderr, done.stderr
    assert contents(*folders) == before


@pytest.mark.parametrize(
    ("few", "named"),
    [
        (b"text,category\ndog,animal\n", ["no column 'label'", "'category'", "rename"]),
        (b"text;label\ndog;animal\n", ["semicolons", "expected commas"]),
        (b"text,label\ndog,animals\n", ["'animals'", "did you mean 'animal'"]),
        (b"text,label\n ,animal\n", ["blank", "fill or remove"]),
        (b"text,label\ndog,cat,animal\n", ["quote texts with commas"]),
        ("text,label\ncafé,food\n".encode("latin-1"), ["UTF-8"]),
        (b"text,label\n", ["no rows"]),
        (b"", ["empty"]),
    ],
)
def test_bad_examples_are_refused(trained: Path, tmp_path: Path, cli: CLI, few: bytes, named: list[str]) -> None:
    (tmp_path / "few.csv").write_bytes(few)
    arguments = ["--card", trained / "task.md", "--examples", tmp_path / "few.csv", "--out", tmp_path / "out"]
    assert_refused(cli, ["adapt", trained / "runs" / "tiny", *arguments], ["few.csv", *named], trained, tmp_path)


def test_examples_of_unknown_kind_or_place_are_refused(trained: Path, tmp_path: Path, cli: CLI) -> None:
    for name, named in (("few.xlsx", "expected .csv"), ("nowhere.csv", "no such file")):
        arguments = ["--card", trained / "task.md", "--examples", trained / name, "--out", tmp_path / "out"]
        assert_refused(cli, ["adapt", trained / "runs" / "tiny", *arguments], [name, named], trained, tmp_path)


def test_fewer_examples_than_asked_for_are_counted(trained: Path, tmp_path: Path, cli: CLI) -> None:
    given = ["--card", trained / "task.md", "--examples", trained / "few.csv", "--out", tmp_path / "out"]
    named = ["few.csv", "'animal' has 1 examples, 2 expected", "add 1 or lower --shots"]
    assert_refused(cli, ["adapt", trained / "runs" / "tiny", *given, "--shots", 2], named, trained, tmp_path)


def test_no_examples_are_fewer_than_asked_for(trained: Path, tmp_path: Path, cli: CLI) -> None:
    given = ["--card", trained / "task.md", "--out", tmp_path / "out", "--shots", 2]
    assert_refused(cli, ["adapt", trained / "runs" / "tiny", *given], ["0 examples, 2 expected"], trained, tmp_path)


def test_bad_cards_are_refused(trained: Path, tmp_path: Path, cli: CLI, write_task: Callable[..., Path]) -> None:
    write_task(tmp_path / "twice.md", extra="animal: beasts")
    write_task(tmp_path / "latin.md").write_bytes(b"---\npretty_name: caf\xe9\n---\n")
    (tmp_path / "plain.md").write_text("no front matter", encoding="utf-8")
    cases = (("twice", "'animal' appears twice"), ("latin", "UTF-8"), ("plain", "expected '---'"), ("no", "No such"))
    for name, named in cases:
        arguments = ["--card", tmp_path / f"{name}.md", "--out", tmp_path / "out"]
        assert_refused(cli, ["adapt", trained / "runs" / "tiny", *arguments], [f"{name}.md", named], trained, tmp_path)


def test_texts_without_their_column_are_refused(trained: Path, tmp_path: Path, cli: CLI) -> None:
    (tmp_path / "new.csv").write_text("content\nx\n", encoding="utf-8")
    arguments = ["predict", trained / "adapted", tmp_path / "new.csv", "--out", tmp_path / "p.csv"]
    assert_refused(cli, arguments, ["new.csv", "no column 'text'", "'content'"], trained, tmp_path)


@pytest.mark.parametrize(
    ("assignment", "named"),
    [
        ("training.step=3", ["tiny.yaml", "'training.step'", "did you mean 'steps'"]),
        ("training.steps=many", ["tiny.yaml", "training.steps", "'many'"]),
        ("training.steps", ["'training.steps'", "expected section.key=value"]),
        ("learner.name=protonett", ["'protonett'", "did you mean 'protonet'"]),
        ("data=[{card: mesages}]", ["'mesages'", "did you mean 'messages'"]),
        ("episodes.way=[1]", ["episodes", "at least 2 classes"]),
    ],
)
def test_unknown_keys_and_values_of_a_configuration_are_refused(
    trained: Path, tmp_path: Path, cli: CLI, assignment: str, named: list[str]
) -> None:
    arguments = ["train", trained / "tiny.yaml", "--set", assignment, "--set", f"output={tmp_path}"]
    assert_refused(cli, arguments, named, trained, tmp_path)


def test_an_assignment_that_is_no_yaml_is_refused(trained: Path, cli: CLI) -> None:
    assert_refused(cli, ["train", trained / "tiny.yaml", "--set", "training.steps=[1"], ["[1"], trained)


def test_a_configuration_that_is_no_yaml_is_refused_in_one_line(trained: Path, tmp_path: Path, cli: CLI) -> None:
    (tmp_path / "broken.yaml").write_text("name: [a\nb: c\n", encoding="utf-8")
    for name in ("broken.yaml", "nowhere.yaml"):
        assert_refused(cli, ["train", tmp_path / name], [name, "cannot be read as YAML"], trained, tmp_path)


def test_folders_that_are_missing_or_of_the_other_kind_are_named(trained: Path, tmp_path: Path, cli: CLI) -> None:
    model, adapted, nothing = trained / "runs" / "tiny", trained / "adapted", tmp_path / "nothing"
    held_out, new, out = trained / "held_out.md", trained / "new.csv", tmp_path / "out"
    cases: list[tuple[list[object], list[str]]] = [
        (["predict", model, new, "--out", out], ["run folder, expected an adapted task"]),
        (["explain", model], ["expected an adapted task"]),
        (["predict", nothing, new, "--out", out], ["no such file; expected an adapted task"]),
        (["evaluate", adapted, "--card", held_out], ["adapted task, expected a run folder"]),
        (["adapt", adapted, "--card", trained / "task.md", "--out", out], ["adapted task, expected a run folder"]),
        (["evaluate", nothing, "--card", held_out], ["no such file; expected a run folder"]),
        (["memory", "list", nothing], ["no memory here"]),
        (["memory", "list", adapted], ["no memory here"]),
    ]
    for arguments, named in cases:
        assert_refused(
            cli, arguments, [str(arguments[2 if arguments[0] == "memory" else 1]), *named], trained, tmp_path
        )


def test_evaluations_that_cannot_be_drawn_are_refused(trained: Path, cli: CLI) -> None:
    model, held_out = trained / "runs" / "tiny", trained / "held_out.md"
    cases: list[tuple[list[object], list[str]]] = [
        (["--card", "mesages"], ["'mesages'", "did you mean 'messages'"]),
        (["--card", held_out, "--shot", 99], ["99-shot", "lower the way or the shots"]),
        (["--card", held_out, "--way", 1], ["--way 1", "at least 2"]),
        (["--card", held_out, "--split", "tests"], ["'tests'", "expected one of train"]),
        (["--card", trained / "task.md"], ["source is missing"]),
    ]
    for arguments, named in cases:
        assert_refused(cli, ["evaluate", model, *arguments], named, trained)


def test_an_ablation_of_unknown_keys_or_factors_is_refused(trained: Path, tmp_path: Path, cli: CLI) -> None:
    cases = (("factor: [memory]", "did you mean 'factors'"), ("factors: [memry]", "'memry'"))
    for setting, named in cases:
        text = f"{{name: t, card: {trained / 'held_out.md'}, episodes: 4, {setting}}}"
        (tmp_path / "ablation.yaml").write_text(text, encoding="utf-8")
        arguments = ["ablate", trained / "runs" / "tiny", tmp_path / "ablation.yaml", "--out", tmp_path / "report"]
        assert_refused(cli, arguments, ["ablation.yaml", named], trained, tmp_path)


def test_an_ablation_that_cannot_be_drawn_writes_nothing(trained: Path, tmp_path: Path, cli: CLI) -> None:
    text = f"{{name: t, card: {trained / 'held_out.md'}, shots: [50], episodes: 4}}"
    (tmp_path / "ablation.yaml").write_text(text, encoding="utf-8")
    arguments = ["ablate", trained / "runs" / "tiny", tmp_path / "ablation.yaml", "--out", tmp_path / "report"]
    assert_refused(cli, arguments, ["50-shot", "lower the way or the shots"], trained, tmp_path)


def test_an_output_that_cannot_be_written_is_one_line(trained: Path, tmp_path: Path, cli: CLI) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    out = tmp_path / "file" / "out"
    for arguments in (
        ["predict", trained / "adapted", trained / "new.csv"],
        ["adapt", trained / "runs" / "tiny", "--card", trained / "task.md"],
    ):
        assert_refused(cli, [*arguments, "--out", out], [str(tmp_path / "file")], trained, tmp_path)


@pytest.mark.parametrize("kind", ["folder", "file", "run"])
def test_what_taskaware_did_not_write_as_an_adapted_task_is_never_replaced_by_one(
    trained: Path, tmp_path: Path, cli: CLI, kind: str
) -> None:
    out = tmp_path / "thesis"
    if kind == "folder":
        out.mkdir()
        (out / "chapter.txt").write_text("years of work", encoding="utf-8")
    elif kind == "file":
        out.write_text("years of work", encoding="utf-8")
    else:
        assert (
            cli("train", trained / "tiny.yaml", "--set", f"output={tmp_path}", "--set", "name=thesis").returncode == 0
        )
    arguments = ["adapt", trained / "runs" / "tiny", "--card", trained / "task.md", "--out", out]
    assert_refused(cli, arguments, [str(out)], trained, tmp_path)
