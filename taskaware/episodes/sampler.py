"""Which classes and rows make an episode?

A draw is a function of the task, the way, the shots and a generator; generators come from (seed, step, task index)
alone, so what one process draws, W processes draw too. Vinyals et al. 2016, https://arxiv.org/abs/1606.04080, section
4; variable way and shot as in Triantafillou et al. 2020, https://arxiv.org/abs/1903.03096.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from taskaware.core.config import Config
from taskaware.core.errors import EpisodeError
from taskaware.episodes.tasks import EncodedTask


class EpisodeConfig(Config):
    """How episodes are drawn: `way` and `shots` are choices (one is picked per episode), `query` is per class.

    A task with fewer classes than the way drawn gives all its classes; `full_label_set` always gives all.
    """

    way: tuple[int, ...] = Field(default=(2, 3, 4, 6), min_length=1)
    shots: tuple[int, ...] = Field(default=(0, 1, 3, 5), min_length=1)
    query: int = Field(default=3, ge=1)
    full_label_set: bool = False

    @field_validator("way", "shots", mode="before")
    @classmethod
    def _choices(cls, value: object) -> object:
        return (value,) if isinstance(value, int) else tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _bounds(self) -> "EpisodeConfig":
        if min(self.way) < 2:
            raise ValueError("way: at least 2 classes make a task")
        if min(self.shots) < 0:
            raise ValueError("shots: 0 or more examples a class")
        return self


@dataclass(frozen=True)
class Draw:
    """Which classes [N], support rows [S] with labels [S] and query rows [Q] with labels [Q] make the episode.

    Labels count within the episode, 0..N-1. wording picks among the task's wordings.
    """

    task: EncodedTask
    classes: NDArray[np.int64]
    support: NDArray[np.int64]
    support_labels: NDArray[np.int64]
    query: NDArray[np.int64]
    query_labels: NDArray[np.int64]
    wording: int = 0


def draw_episode(
    task: EncodedTask, *, way: int, shots: int, query: int, rng: np.random.Generator, wording: int = 0
) -> Draw:
    """An episode of exactly `shots` per class and up to `query` per class (fewer where rows are scarce, at least 1).

    Only classes with more than `shots` rows can be drawn. Raises EpisodeError when fewer than 2 remain.
    """
    able = [index for index, rows in enumerate(task.rows) if len(rows) > shots]
    if len(able) < 2:
        raise EpisodeError(
            f"{task.id}: {len(able)} classes have more than {shots} examples, 2 needed; lower the shots or add rows"
        )
    classes = np.sort(rng.choice(able, size=min(way, len(able)), replace=False))
    support, queries = [], []
    for index in classes:
        rows = rng.permutation(task.rows[index])[: shots + query]
        support.append(rows[:shots])
        queries.append(rows[shots:])
    return Draw(
        task=task,
        classes=classes,
        support=np.concatenate(support),
        support_labels=np.repeat(np.arange(len(classes)), shots),
        query=np.concatenate(queries),
        query_labels=np.repeat(np.arange(len(classes)), [len(rows) for rows in queries]),
        wording=wording,
    )


def draw_training_episode(
    tasks: Sequence[EncodedTask], weights: NDArray[np.float64], config: EpisodeConfig, rng: np.random.Generator
) -> Draw:
    """Picks a task by weight, then way, shots and wording within bounds, then the rows.

    Shots fall to what the task's scarce classes allow, so that a small task is never an error in training.
    """
    task = tasks[int(rng.choice(len(tasks), p=weights))]
    second = sorted(len(rows) for rows in task.rows)[-2] if len(task.rows) > 1 else 0
    shots = min(int(rng.choice(config.shots)), second - 1)
    if shots < 0:
        raise EpisodeError(f"{task.id}: fewer than 2 classes have examples; it cannot be trained on")
    way = len(task.classes) if config.full_label_set else int(rng.choice(config.way))
    wording = int(rng.integers(1 << 30))
    return draw_episode(task, way=way, shots=shots, query=config.query, rng=rng, wording=wording)
