"""Is the conditioned model better than what needs no training, on intents that it never saw?

For each data set and fold: train on the fold's training classes, choose on its validation classes, print what training
and test share, and measure on the test classes, with all baselines and arms on the same episodes. Finished folds are
kept in --out and skipped the next time; results.json and table.md sum up.

    TASKAWARE_DATA=path/to/data python scripts/benchmark_text.py configs/benchmarks/intents.yaml
"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console

from taskaware import TaskAware, __version__
from taskaware.core.config import Config, build, override, read_yaml
from taskaware.core.seeds import generator
from taskaware.data import TextTask, find_card, load_tasks, overlap
from taskaware.episodes import EncodedTask, encode_task
from taskaware.evaluation.arms import build_arms
from taskaware.evaluation.evaluate import baseline_scores, draw_episodes, score
from taskaware.evaluation.metrics import mean_interval
from taskaware.evaluation.statistics import holm, paired_difference
from taskaware.training import RunConfig
from taskaware.training.session import train_and_save

console = Console(soft_wrap=True, highlight=False)
NO_WORDS, SHUFFLED = "none", "label texts: shuffled"


class BenchmarkConfig(Config):
    """Data sets, folds and episodes; `run` is the training run of every fold, without its data."""

    name: str
    datasets: list[str]
    folds: list[str]
    way: int
    shots: list[int]
    query: int
    episodes: int
    seed: int
    run: dict[str, Any]


def main(
    config: Annotated[Path, typer.Argument(help="configs/benchmarks/intents.yaml")],
    out: Annotated[Path, typer.Option(help="folder for runs, fold results and tables")] = Path(
        "runs/benchmarks/intents"
    ),
    assignments: Annotated[list[str] | None, typer.Option("--set", help="key=value over the file; repeatable")] = None,
) -> None:
    """Runs what is not done yet, then writes the tables."""
    settings = build(BenchmarkConfig, override(read_yaml(config), assignments or []), str(config))
    results = [_fold(settings, dataset, fold, out) for dataset in settings.datasets for fold in settings.folds]
    command = " ".join(["python", *sys.argv])
    facts = {"command": command, "taskaware": __version__, "torch": torch.__version__, **settings.model_dump()}
    (out / "results.json").write_text(json.dumps({"settings": facts, "folds": results}, indent=1), encoding="utf-8")
    table = tables(settings, results, command)
    (out / "table.md").write_text(table, encoding="utf-8")
    console.print(table, markup=False)


def _fold(settings: BenchmarkConfig, dataset: str, fold: str, out: Path) -> dict[str, Any]:
    path = out / f"{dataset}-{fold}.json"
    wanted = settings.model_dump(exclude={"datasets", "folds"})
    if path.exists():
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if stored["settings"] == wanted:
            return stored
    splits = {split: _intents(dataset, split, fold) for split in ("train", "validation", "test")}
    console.print(f"{dataset}, fold {fold}: {overlap([splits['train']], [splits['test']]).summary()}")
    model = _train(settings, dataset, fold, out)
    task = encode_task(splits["test"].card, splits["test"].texts, splits["test"].labels, model.encoder)
    if leaked := model.library.class_keys & {f"{task.id}/{name}" for name in task.classes}:
        raise SystemExit(f"{dataset}, fold {fold}: test classes in the memory: {sorted(leaked)[:3]}")
    shots = {str(count): _measure(settings, model, task, count) for count in settings.shots}
    shared = overlap([splits["train"]], [splits["test"]]).summary()
    result = {"settings": wanted, "dataset": dataset, "fold": fold, "overlap": shared, "shots": shots}
    path.write_text(json.dumps(result), encoding="utf-8")
    means = {
        s: {n: round(100 * float(np.mean(v)), 2) for n, v in each["accuracy"].items()} for s, each in shots.items()
    }
    console.print(f"{dataset}, fold {fold}: {means}")
    return result


def _intents(dataset: str, split: str, fold: str) -> TextTask:
    """The intent task of the card: the one without a split of its own."""
    return load_tasks(find_card(dataset), split=split, fold=fold)[0]


def _train(settings: BenchmarkConfig, dataset: str, fold: str, out: Path) -> TaskAware:
    values = dict(settings.run)
    values |= {"name": f"{dataset}-{fold}", "output": str(out)}
    aspect = _intents(dataset, "test", fold).card.id.rpartition("/")[2]
    for key, split in (("data", "train"), ("validation", "validation")):
        values[key] = [{"card": dataset, "split": split, "fold": fold, "tasks": [aspect]}]
    start = time.perf_counter()
    finished = train_and_save(build(RunConfig, values, settings.name), resume=False, report=lambda progress: None)
    console.print(f"  {finished.summary} in {time.perf_counter() - start:.0f} s")
    return TaskAware.from_pretrained(finished.folder)


def _measure(settings: BenchmarkConfig, model: TaskAware, task: EncodedTask, shots: int) -> dict[str, Any]:
    draws = draw_episodes(
        task, way=settings.way, shots=shots, episodes=settings.episodes, seed=settings.seed, query=settings.query
    )
    arms = build_arms(["label texts"], [task], model.encoder, np.zeros((0, model.encoder.dimension), np.float32))
    accuracy = {"taskaware": score(model, draws).accuracy, **baseline_scores(draws)}
    accuracy |= {name: score(model, draws, arms[name]).accuracy for name in (NO_WORDS, SHUFFLED)}
    start = time.perf_counter()
    score(model, draws[:50])
    milliseconds = 1000 * (time.perf_counter() - start) / len(draws[:50])
    return {"accuracy": {name: values.tolist() for name, values in accuracy.items()}, "milliseconds": milliseconds}


def tables(settings: BenchmarkConfig, results: list[dict[str, Any]], command: str) -> str:
    """Means over folds, fold by fold against the better baseline, and the ablation."""
    folds, count = len(settings.folds), settings.episodes
    lines = [f"{settings.way}-way, {count} episodes a fold, {folds} folds, {settings.query} queries a class, "]
    lines[0] += f"seed {settings.seed}; 95% intervals. Command: `{command}`"
    methods = ["taskaware", "mix", "mix.5", "proto", "label"]
    lines += ["", _row(["accuracy, %", "shots", *methods, "ms an episode"]), _row(["---"] * (len(methods) + 3))]
    pooled = {(d, s): _pool(results, d, str(s)) for d in settings.datasets for s in settings.shots}
    for (dataset, shots), values in pooled.items():
        cells = [_interval(values[name]) for name in methods]
        speed = np.median([r["shots"][str(shots)]["milliseconds"] for r in results if r["dataset"] == dataset])
        lines.append(_row([dataset, str(shots), *cells, f"{speed:.1f}"]))
    lines += ["", *_by_fold(settings, results), "", *_contrasts(pooled)]
    return "\n".join(lines) + "\n"


def _by_fold(settings: BenchmarkConfig, results: list[dict[str, Any]]) -> list[str]:
    """Per fold: the model minus mix (1 shot) or minus the better of proto and mix.5 (more shots)."""
    lines = [_row(["difference, points", "shots", "against", *(f"fold {f}" for f in settings.folds)])]
    lines.append(_row(["---"] * (3 + len(settings.folds))))
    for dataset in settings.datasets:
        for shots in settings.shots:
            rivals = ["mix"] if shots <= 1 else ["proto", "mix.5"]
            cells = []
            for result in (each for each in results if each["dataset"] == dataset):
                means = {name: np.mean(v) for name, v in result["shots"][str(shots)]["accuracy"].items()}
                cells.append(f"{100 * (means['taskaware'] - max(means[name] for name in rivals)):+.2f}")
            lines.append(_row([dataset, str(shots), "better of proto, mix.5" if shots > 1 else "mix", *cells]))
    return lines


def _contrasts(pooled: dict[tuple[str, int], dict[str, np.ndarray]]) -> list[str]:
    """True metadata against none, against shuffled label texts and against the training-free mix, over all folds."""
    rows = []
    for (dataset, shots), values in pooled.items():
        for rival in ("mix", "mix.5", "proto", NO_WORDS, SHUFFLED):
            rng = generator("benchmark", dataset, shots, rival)
            rows.append((dataset, shots, rival, paired_difference(values["taskaware"], values[rival], rng)))
    adjusted = holm(np.array([paired.p_value for *_, paired in rows]))
    lines = [_row(["paired difference", "shots", "taskaware minus", "points [95%]", "Holm p"]), _row(["---"] * 5)]
    for (dataset, shots, rival, paired), p_value in zip(rows, adjusted, strict=True):
        interval = f"{100 * paired.difference:+.2f} [{100 * paired.low:+.2f}, {100 * paired.high:+.2f}]"
        lines.append(_row([dataset, str(shots), rival, interval, "<0.001" if p_value < 0.001 else f"{p_value:.3f}"]))
    return lines


def _pool(results: list[dict[str, Any]], dataset: str, shots: str) -> dict[str, np.ndarray]:
    parts = [each["shots"][shots]["accuracy"] for each in results if each["dataset"] == dataset]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _interval(values: np.ndarray) -> str:
    found = mean_interval(values)
    return f"{100 * found.mean:.1f} ± {100 * (found.high - found.mean):.1f}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    typer.run(main)
