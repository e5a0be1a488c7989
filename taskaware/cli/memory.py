"""How is a run's memory of past tasks looked at and changed from the command line?"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taskaware.core.config import build
from taskaware.core.errors import ConfigError, MemoryStoreError
from taskaware.core.runs import run_folder
from taskaware.encoders import EncoderConfig, load_encoder
from taskaware.memory import TaskMemory

app = typer.Typer(help="The memory of past tasks in a run folder.", no_args_is_help=True)

Run = Annotated[Path, typer.Argument(help="A run folder, or a model that came with the package.")]
Records = Annotated[Path, typer.Argument(help="A JSON lines file in the format of `memory export`.")]


@app.command("list")
def list_tasks(run: Run) -> None:
    """Shows the tasks that the memory holds."""
    with _open(run) as memory:
        records = [memory.get(each) for each in memory.ids()]
    rows = [
        (each.id, each.dataset, len(each.classes), sum(c.count for c in each.classes), each.created, each.description)
        for each in records
    ]
    _show(f"{len(rows)} tasks", ("task", "data set", "classes", "examples", "created", "description"), rows)


@app.command()
def search(
    run: Run,
    query: Annotated[str, typer.Argument(help="A description or a label text.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many tasks and classes to show.")] = 5,
) -> None:
    """Shows the past tasks and classes whose words are nearest to QUERY."""
    encoder = load_encoder(_encoder_config(run))
    with TaskMemory.of_run(run_folder(run), encoder.fingerprint) as memory:
        vector = encoder.encode([query])
        tasks, classes = memory.search_tasks(vector, k), memory.search_classes(vector, k)
        snapshot = memory.snapshot()
        task_rows, class_rows = tasks.rows[0][tasks.rows[0] >= 0], classes.rows[0][classes.rows[0] >= 0]
        found = [memory.get(each) for each in snapshot.task_ids[task_rows].tolist()]
    near = [
        (f"{similarity:.3f}", each.id, each.dataset, each.description)
        for similarity, each in zip(tasks.similarity[0], found, strict=False)
    ]
    _show("Nearest tasks", ("similarity", "task", "data set", "description"), near)
    keys, counts = snapshot.class_keys[class_rows], snapshot.class_counts[class_rows]
    triples = zip(classes.similarity[0], keys, counts, strict=False)
    _show("Nearest classes", ("similarity", "class", "examples"), [(f"{s:.3f}", key, n) for s, key, n in triples])


@app.command()
def add(run: Run, file: Records) -> None:
    """Adds the tasks in FILE; a task whose id is known is replaced."""
    with _open_to_change(run) as memory:
        typer.echo(f"added {memory.add_export(file)} tasks, {len(memory)} in all")


@app.command()
def remove(run: Run, ids: Annotated[list[str], typer.Argument(help="Ids as `memory list` shows them.")]) -> None:
    """Removes tasks and their classes; exits with 1 when an id is not known."""
    with _open_to_change(run) as memory:
        unknown = sorted(set(ids) - set(memory.ids()))
        typer.echo(f"removed {memory.remove(ids)} tasks, {len(memory)} left")
    if unknown:
        typer.echo(f"not there: {', '.join(unknown)}; `memory list` shows the ids there are", err=True)
        raise typer.Exit(1)


@app.command()
def export(run: Run, file: Annotated[Path, typer.Argument(help="The JSON lines file to write.")]) -> None:
    """Writes all tasks with their vectors to FILE, which `memory add` reads."""
    with _open(run) as memory:
        memory.export(file)
        typer.echo(f"wrote {len(memory)} tasks to {file}")


@app.command()
def verify(run: Run) -> None:
    """Checks every record and index; exits with 1 and lists the problems if there are any."""
    with _open(run) as memory:
        problems = memory.verify()
        for problem in problems:
            typer.echo(problem, err=True)
        if problems:
            raise typer.Exit(1)
        typer.echo(f"{len(memory)} tasks, no problems")


def _open(run: Path) -> TaskMemory:
    return TaskMemory.of_run(run_folder(run), None)


def _open_to_change(run: Path) -> TaskMemory:
    memory = _open(run)
    check_kept(memory, run)
    return memory


def check_kept(memory: TaskMemory, run: Path) -> None:
    """Raises MemoryStoreError for a packed memory, which cannot be added to."""
    if not memory.kept:
        raise MemoryStoreError(
            f"{run}: its memory is packed and cannot change; make a run of your own first: "
            f"taskaware copy {run} runs/mine"
        )


def _encoder_config(run: Path) -> EncoderConfig:
    path = run_folder(run) / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}; is {run} a run folder?") from error
    section = values.get("encoder") if isinstance(values, dict) else None
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: expected a section 'encoder', saw {section!r}")
    config = build(EncoderConfig, section, f"{path}: encoder")
    return config.model_copy(update={"adapter": str(path.with_name(config.adapter))}) if config.adapter else config


def _show(title: str, columns: Iterable[str], rows: Iterable[Iterable[str | int | np.integer]]) -> None:
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    Console().print(table)
