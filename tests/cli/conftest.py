"""A trained run and the command line in this process, shared by the command-line tests."""

import contextlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

from taskaware.cli.main import main

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


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object) -> Done:
    stdout, stderr, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            with mock.patch.object(sys, "argv", ["taskaware", *map(str, arguments)]):
                main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Done(code, stdout.getvalue(), stderr.getvalue())


@pytest.fixture(scope="session")
def cli() -> Callable[..., Done]:
    """Runs one command as the `taskaware` script does; an exception that reaches the user fails the test."""
    return run


@pytest.fixture(scope="session")
def write_task() -> Callable[..., Path]:
    """Writes the card of a task of one's own; `extra` is its third label."""

    def write(path: Path, description: str = "which shelf", extra: str = "food: about food") -> Path:
        path.write_text(TASK.format(description=description, extra=extra), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    write_run: Callable[[Path], Path],
    write_task: Callable[..., Path],
) -> Path:
    """A folder with a trained run, an adapted task, cards, examples and new texts."""
    folder = tmp_path_factory.mktemp("cli")
    done = run("train", write_run(folder))
    assert done.returncode == 0, done.stderr
    write_task(folder / "task.md")
    (folder / "few.csv").write_text('text,label\n"dog, cat",animal\nrain,weather\nbread,food\n', encoding="utf-8")
    (folder / "few.tsv").write_text("text\tlabel\ndog, cat\tanimal\nrain\tweather\nbread\tfood\n", encoding="utf-8")
    lines = [
        f'{{"text": "{text}", "label": "{label}"}}'
        for text, label in (("dog, cat", "animal"), ("rain", "weather"), ("bread", "food"))
    ]
    (folder / "few.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "new.csv").write_text("text\ndog horse\nsnow\ncheese\n", encoding="utf-8")
    done = run("adapt", folder / "runs" / "tiny", "--card", folder / "task.md", "--out", folder / "adapted")
    assert done.returncode == 0, done.stderr
    return folder
