"""Which model is measured: one trained for each data set and fold, or a finished run?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskaware.core.config import build
from taskaware.core.errors import ConfigError
from taskaware.core.runs import run_folder
from taskaware.data import TextTask, find_card, load_tasks
from taskaware.evaluation.benchmarks.settings import BenchmarkConfig, Dataset
from taskaware.evaluation.benchmarks.source import source_digest
from taskaware.pipeline import TaskAware
from taskaware.pipeline.saving import read_json
from taskaware.training import DataEntry, RunConfig
from taskaware.training.session import train_and_save

Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """A model with the texts that it was trained and chosen on."""

    model: TaskAware
    train: tuple[TextTask, ...]
    validation: tuple[TextTask, ...]


def held_out_task(settings: BenchmarkConfig, dataset: Dataset, fold: str | None) -> TextTask:
    """The task of the data set that is tested. Raises ConfigError when `task` is needed or unknown."""
    found = load_tasks(find_card(dataset.card), split=settings.split, fold=fold)
    tasks = {task.card.id.rpartition("/")[2]: task for task in found}
    name = dataset.task or next(iter(tasks))
    if name not in tasks or (dataset.task is None and len(tasks) > 1):
        raise ConfigError(f"datasets: {dataset.card}: task {dataset.task!r}, expected one of {', '.join(tasks)}")
    return tasks[name]


def finished_model(folder: Path) -> Measured:
    """A run folder's model. Raises CheckpointError, DataError when its training data are not at hand."""
    folder = run_folder(folder)
    stored = read_json(folder / "config.json", "a run folder (see `taskaware train`)")["training"]
    entries = {key: [build(DataEntry, values, str(folder)) for values in stored[key]] for key in ("data", "validation")}
    return _measured(folder, entries["data"], entries["validation"])


def trained_model(config: RunConfig, say: Say) -> Measured:
    """The model of this very training configuration: found in its folder, or trained now."""
    folder = Path(config.output) / config.name
    if not holds(folder, config):
        finished = train_and_save(config, resume=False, report=lambda progress: None)
        say(finished.summary)
    return _measured(folder, config.data, config.validation)


def run_of(settings: BenchmarkConfig, dataset: Dataset, fold: str | None, out: Path) -> RunConfig:
    """The training run for a data set and fold. Its own data are the card's other splits.

    Where full label sets are tested no class of the data set can be trained on: entries of its card are left out. A
    model of other code is another model: the folder is named after the code. Raises ConfigError.
    """
    if settings.run is None:
        raise ConfigError(f"{settings.name}: has no section run to train by; add it, or name a finished run (--run)")
    values = dict(settings.run)
    folder = out / "models" / source_digest()[:12]
    values |= {"name": dataset.name + (f"-{fold}" if fold else ""), "output": str(folder)}
    if not values.get("data"):
        aspect = held_out_task(settings, dataset, fold).card.id.rpartition("/")[2]
        for key, split in (("data", "train"), ("validation", "validation")):
            values[key] = [{"card": dataset.card, "split": split, "fold": fold, "tasks": [aspect]}]
    elif settings.protocol == "full_label_sets":
        for key in ("data", "validation"):
            values[key] = [entry for entry in values.get(key, []) if Path(entry["card"]).stem != dataset.name]
    return build(RunConfig, values, settings.name)


def holds(folder: Path, config: RunConfig) -> bool:
    """Whether the folder holds a model of exactly this training configuration, wherever it was trained."""
    if not (folder / "config.json").exists():
        return False
    values: dict[str, Any] = read_json(folder / "config.json", "a run folder")
    values |= values.pop("training")
    known = {name: value for name, value in values.items() if name in RunConfig.model_fields}
    try:
        stored = build(RunConfig, known, str(folder))
    except ConfigError:
        return False  # a configuration of another version
    return _wish(stored) == _wish(config)


def _wish(config: RunConfig) -> dict[str, Any]:
    """A training configuration without where it lies, and without what a run writes into its own."""
    values = config.model_dump(exclude={"output"})
    values["encoder"].pop("adapter", None)
    return values


def _measured(folder: Path, data: Sequence[DataEntry], validation: Sequence[DataEntry]) -> Measured:
    train, chosen = ([task for entry in entries for task in _tasks_of(entry)] for entries in (data, validation))
    return Measured(TaskAware.from_pretrained(folder), tuple(train), tuple(chosen))


def _tasks_of(entry: DataEntry) -> list[TextTask]:
    """All that training may have seen of an entry: rows that a run leaves out by chance count as seen."""
    found = load_tasks(find_card(entry.card), split=entry.split, fold=entry.fold, every_aspect=entry.every_aspect)
    return [task for task in found if entry.tasks is None or task.card.id.rpartition("/")[2] in entry.tasks]
