"""`taskaware evaluate`: accuracy on episodes of any card, next to what needs no training."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from taskaware.cli.console import console, progress_bar, show_table
from taskaware.core.errors import EpisodeError


def evaluate_command(
    run: Annotated[Path, typer.Argument(help="a run folder, or a model that came with the package: general")],
    card: Annotated[str, typer.Option(help="a card with rows: a path or a name (see `taskaware cards list`)")],
    way: Annotated[int, typer.Option(help="classes per episode; tasks with fewer give all theirs")] = 5,
    shot: Annotated[int, typer.Option(help="examples per class")] = 1,
    episodes: Annotated[int, typer.Option(help="episodes per task")] = 600,
    split: Annotated[str | None, typer.Option(help="train, validation or test; default: all rows")] = None,
    fold: Annotated[str | None, typer.Option(help="which class split, where a card has several")] = None,
    every_aspect: Annotated[bool, typer.Option("--every-aspect", help="also the tasks of other splits")] = False,
    seed: Annotated[int, typer.Option(help="decides the episodes")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Accuracy with 95% intervals and calibration error, for the model and training-free baselines."""
    from taskaware.data import find_card, load_tasks
    from taskaware.encoders import load_encoder
    from taskaware.episodes import encode_task
    from taskaware.evaluation.evaluate import evaluate
    from taskaware.pipeline import TaskAware

    if way < 2 or shot < 0 or episodes < 2:
        raise EpisodeError(f"--way {way} --shot {shot} --episodes {episodes}: at least 2, 0 and 2 expected")
    model = TaskAware.from_pretrained(run)
    plain = load_encoder(model.config.encoder.untuned()) if model.config.encoder.adapter else model.encoder
    loaded = load_tasks(find_card(card), split=split, fold=fold, every_aspect=every_aspect)
    tasks = [task for task in loaded if len(task.classes) > 1]
    results = []
    with progress_bar() as bar:
        job = bar.add_task("evaluating", total=len(tasks), note="", visible=not as_json)
        for task in tasks:
            encoded = encode_task(task.card, task.texts, task.labels, model.encoder)
            untuned = encode_task(task.card, task.texts, task.labels, plain)
            results.append(evaluate(model, encoded, way=way, shots=shot, episodes=episodes, seed=seed, untuned=untuned))
            bar.update(job, advance=1, note=task.card.id)
    if as_json:
        found = [_json(each.task, each.way, each.ece, each.accuracy) for each in results]
        console.print_json(json.dumps({"shot": shot, "episodes": episodes, "seed": seed, "tasks": found}))
        return
    rows = [
        (each.task if name == "taskaware" else "", name, _interval(interval), f"{each.way}", _calibration(each, name))
        for each in results
        for name, interval in each.accuracy.items()
    ]
    title = f"{shot}-shot accuracy, % (95% interval over {episodes} episodes, seed {seed})"
    show_table(title, ["task", "method", "accuracy", "way", "ECE"], rows)


def _calibration(result: Any, name: str) -> str:
    return f"{result.ece:.3f}" if name == "taskaware" else ""


def _interval(interval: Any) -> str:
    return f"{100 * interval.mean:.1f} ± {100 * (interval.high - interval.mean):.1f}"


def _json(task: str, way: int, ece: float, accuracy: dict[str, Any]) -> dict[str, Any]:
    return {"task": task, "way": way, "ece": ece, "accuracy": {name: vars(each) for name, each in accuracy.items()}}
