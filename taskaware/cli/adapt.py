"""`taskaware adapt`, `predict` and `explain`: from words and a few examples to predictions, without writing Python."""

import csv
import io
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from taskaware.cli.console import console, show_table
from taskaware.cli.memory import check_kept
from taskaware.core.errors import DataError
from taskaware.core.files import write_text

_BATCH = 512


def adapt_command(
    run: Annotated[Path, typer.Argument(help="a run folder, or a model that came with the package: general")],
    card: Annotated[Path, typer.Option(help="the task's card: description, labels, background")],
    out: Annotated[Path, typer.Option(help="where the adapted task is written")],
    examples: Annotated[Path | None, typer.Option(help="csv, tsv, jsonl or parquet with columns text,label")] = None,
    remember: Annotated[bool, typer.Option("--remember", help="write the task to the run's memory")] = False,
    shots: Annotated[int | None, typer.Option(help="require at least this many examples of each label")] = None,
) -> None:
    """Learns a new task from its card and 0 or more examples; writes a predictor folder."""
    from taskaware.data import Table, check_labels, read_card, read_examples
    from taskaware.pipeline import TaskAware

    task_card = read_card(card).task_card()
    if not task_card.description.strip():
        console.print(f"notice: {card} has no description; the label texts have to speak for the task", highlight=False)
    table = read_examples(examples) if examples else Table((), ())
    check_labels(table, task_card.labels, str(examples))
    if shots is not None:
        _check_shots(task_card.labels, list(table.labels or ()), shots, examples or card)
    model = TaskAware.from_pretrained(run)
    if remember:
        check_kept(model.memory, run)
    task = model.adapt(task_card, table)
    task.save(out)
    if remember:
        name = model.remember(task)
        console.print(f"remembered as {name!r}; the memory now holds {len(model.memory)} tasks", highlight=False)
    model.memory.close()
    console.print(f"adapted to {len(task.classes)} labels with {len(task.examples)} examples: {out}", highlight=False)


def _check_shots(labels: dict[str, str], given: list[str], shots: int, origin: Path) -> None:
    for name in labels:
        if given.count(name) < shots:
            raise DataError(
                f"{origin}: label {name!r} has {given.count(name)} examples, {shots} expected by --shots; "
                f"add {shots - given.count(name)} or lower --shots"
            )


def predict_command(
    adapted: Annotated[Path, typer.Argument(help="a folder that `taskaware adapt` wrote")],
    texts: Annotated[Path, typer.Argument(help="csv, tsv, jsonl or parquet with a column text")],
    out: Annotated[Path, typer.Option(help="the csv to write: text, prediction, probability, one column per label")],
) -> None:
    """Predicts a label for every text of a file."""
    from taskaware.data import read_texts
    from taskaware.pipeline import AdaptedTask

    table = read_texts(texts)
    task = AdaptedTask.load(adapted)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(["text", "prediction", "probability", *task.classes])
    starts = range(0, len(table.texts), _BATCH)
    for start in track(starts, "predicting", console=console, disable=len(starts) < 4):
        found = task.predict(table.texts[start : start + _BATCH])
        for text, label, row in zip(found.texts, found.labels, found.probabilities, strict=True):
            writer.writerow([text, label, f"{row.max():.4f}", *(f"{value:.4f}" for value in row)])
    write_text(out, stream.getvalue())
    console.print(f"{len(table.texts)} predictions: {out}", highlight=False)


def explain_command(
    adapted: Annotated[Path, typer.Argument(help="a folder that `taskaware adapt` wrote")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Shows past tasks, gates and what each source of knowledge changed."""
    from taskaware.pipeline.explanation import Explanation
    from taskaware.pipeline.saving import read_json

    explanation = Explanation.from_json(read_json(adapted / "explanation.json", "an adapted task"))
    if as_json:
        console.print_json(json.dumps(explanation.to_json()))
        return
    rows = [
        (each.id, f"{each.description:.2f}", f"{each.labels:.2f}", f"{each.attention:.2f}")
        for each in explanation.past_tasks
    ]
    rows.append(("(the frozen space)", "", "", f"{explanation.identity:.2f}"))
    show_table("Past tasks that it builds on", ["task", "description", "labels", "attention"], rows)
    show_table(
        "Weight of examples against words", ["label", "gate"], [(k, f"{v:.2f}") for k, v in explanation.gates.items()]
    )
    effects = [
        (
            each.source,
            f"{each.shift:.3f}",
            *("" if v is None else f"{v:+.3f}" for v in (each.accuracy, each.log_likelihood)),
        )
        for each in explanation.effects
    ]
    show_table("What each source changed", ["without", "shift", "accuracy", "log-likelihood"], effects)
