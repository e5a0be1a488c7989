"""What did each piece of metadata contribute? Runs every arm over the same episodes.

Resumable: each finished (arm, shots) is stored beside the report, and a second run of the same configuration goes on
where the first stopped.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from taskaware.core.config import Config
from taskaware.core.errors import EpisodeError
from taskaware.data import find_card, load_tasks
from taskaware.episodes import Draw, EncodedTask, encode_task
from taskaware.evaluation.arms import FACTORS, Factor, build_arms
from taskaware.evaluation.evaluate import baseline_scores, draw_episodes, score
from taskaware.evaluation.results import AblationResult, Measurement, MeasurementStore
from taskaware.pipeline import TaskAware


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class AblationConfig(Config):
    """What is ablated: a card's tasks, the episodes (per task), and which factors. seed decides the episodes."""

    name: str
    card: str
    split: Literal["train", "validation", "test"] | None = None
    fold: str | None = None
    every_aspect: bool = False
    way: int = Field(default=5, ge=2)
    shots: Annotated[tuple[int, ...], BeforeValidator(_tuple), Field(min_length=1)] = (0, 1, 3, 5, 10)
    episodes: int = Field(default=200, ge=2)
    query: int = Field(default=5, ge=1)
    seed: int = 0
    factors: Annotated[tuple[Factor, ...], BeforeValidator(_tuple)] = FACTORS


def run_ablation(
    model: TaskAware,
    config: AblationConfig,
    folder: Path,
    command: str,
    report: Callable[[int, int, str], None] = lambda done, total, arm: None,
) -> AblationResult:
    """Measures every arm at every number of shots. Raises EpisodeError when no task has enough examples for a shot."""
    tasks = load_ablation_tasks(model, config)
    known = {task.id for task in tasks}
    snapshot = model.memory.snapshot()
    others = np.array([str(name) not in known for name in snapshot.task_ids], dtype=bool)
    described = np.linalg.norm(snapshot.task_embeddings, axis=1) > 0
    arms = build_arms(config.factors, tasks, model.encoder, snapshot.task_embeddings[others & described])
    for shots in config.shots:
        _draws(tasks, config, shots)  # episodes that cannot be drawn stop here, before anything is written
    store = MeasurementStore(folder, {**config.model_dump(mode="json"), "model": fingerprint(model)})
    done, total = 0, len(arms) * len(config.shots)
    for shots in config.shots:
        draws = _draws(tasks, config, shots)
        for name, condition in arms.items():
            if store.find(name, shots) is None:
                accuracy = score(model, draws, condition).accuracy
                store.add(Measurement(name, shots, tuple(accuracy.tolist())))
            done += 1
            report(done, total, f"{name}, {shots}-shot")
    return AblationResult(
        name=config.name,
        dataset=", ".join(task.id for task in tasks),
        way=config.way,
        episodes=config.episodes * len(tasks),
        seed=config.seed,
        query=config.query,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=command,
        measurements=tuple(each for each in store.finished() if each.arm in arms and each.shots in config.shots),
        notes=_notes(tasks, config),
    )


def fingerprint(model: TaskAware) -> str:
    """A hash of weights and memory: measurements of another model must not be mixed in."""
    state = hashlib.sha256(model.memory.snapshot().checksum.encode())
    for name, value in sorted(model.learner.state_dict().items()):
        state.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return state.hexdigest()


def load_ablation_tasks(model: TaskAware, config: AblationConfig) -> list[EncodedTask]:
    """The tasks of the card that have two classes or more, encoded."""
    found = load_tasks(find_card(config.card), split=config.split, fold=config.fold, every_aspect=config.every_aspect)
    return [encode_task(task.card, task.texts, task.labels, model.encoder) for task in found if len(task.classes) > 1]


def _draws(tasks: list[EncodedTask], config: AblationConfig, shots: int) -> list[Draw]:
    draws: list[Draw] = []
    for task in tasks:
        draws += draw_episodes(
            task, way=config.way, shots=shots, episodes=config.episodes, seed=config.seed, query=config.query
        )
    if not draws:
        raise EpisodeError(f"{config.card}: no task to ablate")
    return draws


def _notes(tasks: list[EncodedTask], config: AblationConfig) -> dict[str, str]:
    baselines = []
    for shots in config.shots:
        means = {name: 100 * values.mean() for name, values in baseline_scores(_draws(tasks, config, shots)).items()}
        baselines.append(f"{shots}-shot " + ", ".join(f"{name} {value:.1f}" for name, value in means.items()))
    return {"training-free baselines on the same episodes (accuracy, %)": "; ".join(baselines)}
