"""Does a description turn the features toward what it asks for? The same texts, questions of subject and of manner.

    python scripts/benchmark_pairs.py runs/quickstart configs/benchmarks/pairs.yaml

Beside the training-free mix: logistic regression that takes label texts as examples, the run itself without any words,
and with the description and background of the other question about the same texts (its own label texts stay). Questions
whose rows are not on this machine, or whose classes the run's memory holds, are named and left out.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from pydantic import Field
from rich.console import Console

from taskaware import TaskAware
from taskaware.core.config import Config, build, read_yaml
from taskaware.core.errors import DataError
from taskaware.core.seeds import generator
from taskaware.data import TextTask, find_card, load_tasks
from taskaware.encoders import TextEncoder, load_encoder
from taskaware.episodes import Draw, encode_task
from taskaware.episodes.batch import Words
from taskaware.episodes.tasks import Wordings, encode_words
from taskaware.evaluation.arms import subset
from taskaware.evaluation.benchmarks.rivals import LR_TEXTS, logistic_regression_scores
from taskaware.evaluation.evaluate import Condition, draw_episodes, evaluate, score
from taskaware.evaluation.statistics import paired_difference
from taskaware.memory.records import class_key

console = Console(soft_wrap=True, highlight=False)
ARMS = (LR_TEXTS, "no words", "swapped")


class Question(Config):
    """One task of a card, over all of its rows or those of a split; `way` where it is not the benchmark's."""

    card: str
    task: str
    split: Literal["train", "validation", "test"] | None = None
    fold: str | None = None
    way: int | None = None


class PairsConfig(Config):
    """Questions of subject and of manner, coarse and fine ones, and the episodes on which they are asked."""

    episodes: int
    seed: int
    shots: list[int]
    way: int
    subject: list[Question]
    manner: list[Question]
    coarse: list[Question] = Field(default_factory=list)
    fine: list[Question] = Field(default_factory=list)


def main(
    run: Annotated[Path, typer.Argument(help="a trained run, e.g. runs/quickstart")],
    config: Annotated[Path, typer.Argument(help="configs/benchmarks/pairs.yaml")],
    out: Annotated[Path, typer.Option(help="folder for results.json and table.md")] = Path("runs/benchmarks/pairs"),
) -> None:
    """Measures the run and the training-free mix on the same episodes of every question."""
    settings = build(PairsConfig, read_yaml(config), str(config))
    model = TaskAware.from_pretrained(run)
    plain = load_encoder(model.config.encoder.untuned())
    rows = []
    asked = [(kind, each) for kind in ("subject", "manner", "coarse", "fine") for each in getattr(settings, kind)]
    for kind, question in asked:
        texts = _load(question, model)
        if texts is not None:
            other = next(each for _, each in asked if each.card == question.card and each.task != question.task)
            rows += _measure(
                settings, model, plain, texts, encode_words(_task(other).card, model.encoder), kind, question.way
            )
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    table = _table(settings, rows)
    (out / "table.md").write_text(table, encoding="utf-8")
    console.print(table, markup=False)


def _load(question: Question, model: TaskAware) -> TextTask | None:
    try:
        found = _task(question)
    except DataError as error:
        console.print(f"left out: {error}", markup=False)
        return None
    if known := {class_key(found.card.id, name) for name in found.card.labels} & model.library.class_keys:
        console.print(f"left out: {found.card.id}: {len(known)} of its classes are in the run's memory", markup=False)
        return None
    return found


def _task(question: Question) -> TextTask:
    tasks = load_tasks(find_card(question.card), split=question.split, fold=question.fold, every_aspect=True)
    return next(task for task in tasks if task.card.id.endswith(f"/{question.task}"))


def _measure(
    settings: PairsConfig,
    model: TaskAware,
    plain: TextEncoder,
    texts: TextTask,
    other: Wordings,
    kind: str,
    own_way: int | None,
) -> list[dict[str, Any]]:
    """One row for each number of shots. Rivals read with the encoder as it was before any tuning."""
    way = own_way or settings.way

    def swap(words: Words, draw: Draw, rng: np.random.Generator) -> Words:
        present = (len(other.descriptions) > 0, len(other.background) > 0, words.present[2])
        description = other.descriptions[0] if present[0] else words.description
        return replace(words, description=description, background=other.background, present=present)

    arms = {"no words": subset(()), "swapped": Condition(words=swap)}
    task, untuned = (encode_task(texts.card, texts.texts, texts.labels, each) for each in (model.encoder, plain))
    rows = []
    for shots in settings.shots:
        found = evaluate(
            model, task, way=way, shots=shots, episodes=settings.episodes, seed=settings.seed, untuned=untuned
        )
        draws = draw_episodes(task, way=way, shots=shots, episodes=settings.episodes, seed=settings.seed)
        ours, mix = found.per_episode["taskaware"], found.per_episode["mix"]
        rival = logistic_regression_scores([replace(draw, task=untuned) for draw in draws])[LR_TEXTS]
        changed = {LR_TEXTS: float(rival.mean())}
        changed |= {name: float(score(model, draws, arm).accuracy.mean()) for name, arm in arms.items()}
        paired = paired_difference(ours, mix, generator("pairs", task.id, shots))
        rows.append(
            {"task": task.id, "kind": kind, "way": found.way, "shots": shots, "ece": found.ece}
            | {"taskaware": float(ours.mean()), "mix": float(mix.mean()), "low": paired.low, "high": paired.high}
            | changed
        )
    return rows


def _table(settings: PairsConfig, rows: list[dict[str, Any]]) -> str:
    lines = [f"{settings.episodes} episodes, seed {settings.seed}, 5 queries a class, as many labels as `way` says;"]
    lines[0] += f" 95% intervals of the paired difference. Command: `{' '.join(['python', *sys.argv])}`"
    lines += [
        "",
        f"| asks for | task | way | shots | taskaware | mix | difference | {' | '.join(ARMS)} |",
        "|---" * (7 + len(ARMS)) + "|",
    ]
    for row in rows:
        difference = f"{100 * (row['taskaware'] - row['mix']):+.1f} [{100 * row['low']:+.1f}, {100 * row['high']:+.1f}]"
        cells = [row["kind"], row["task"], row["way"], row["shots"]]
        cells += [f"{100 * row['taskaware']:.1f}", f"{100 * row['mix']:.1f}", difference]
        cells += [f"{100 * row[arm]:.1f}" for arm in ARMS]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
