"""How accurate is a model on episodes of a task, next to what needs no training?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from taskaware.conditioners import Switches
from taskaware.core.errors import EpisodeError
from taskaware.core.seeds import generator
from taskaware.episodes import Draw, EncodedTask, Words, draw_episode
from taskaware.evaluation.baselines import baseline_predictions
from taskaware.evaluation.metrics import Interval, calibration_error, mean_interval
from taskaware.pipeline import TaskAware
from taskaware.pipeline.batching import Request, assemble, guard, to_device
from taskaware.pipeline.config import RetrievalConfig
from taskaware.pipeline.retrieval import Library

_CHUNK = 16


@dataclass(frozen=True)
class Condition:
    """What an arm of an evaluation changes: the words shown, the retrieval, and parts of the conditioner.

    words(words, draw, rng) may replace words; `memory` is "on", "off" or "random": neighbours are found as before, but
    each brings the code of another past task, and no classes are found.
    """

    words: Callable[[Words, Draw, np.random.Generator], Words] = lambda words, draw, rng: words
    memory: Literal["on", "off", "random"] = "on"
    switches: Switches = Switches()


@dataclass(frozen=True)
class Scores:
    """Accuracy of each episode [E]; confidence [n] and correctness [n] of every query, for calibration."""

    accuracy: NDArray[np.float64]
    confidence: NDArray[np.float64]
    correct: NDArray[np.float64]


@dataclass(frozen=True)
class Evaluation:
    """A task's result at one number of shots: the model and the baselines on the same episodes."""

    task: str
    way: int
    shots: int
    accuracy: dict[str, Interval]
    ece: float
    per_episode: dict[str, NDArray[np.float64]]


def draw_episodes(
    task: EncodedTask, *, way: int, shots: int, episodes: int, seed: int, query: int = 5, wording: int = 0
) -> list[Draw]:
    """The same episodes for every model and arm: they depend on the arguments alone.

    Raises EpisodeError when the task has fewer classes than the way with enough examples.
    """
    able = sum(len(rows) > shots for rows in task.rows)
    if able < min(way, len(task.classes)):
        raise EpisodeError(
            f"{task.id}: {way}-way {shots}-shot episodes need {min(way, len(task.classes))} classes with more than "
            f"{shots} examples, {able} have them; lower the way or the shots"
        )
    return [
        draw_episode(
            task,
            way=way,
            shots=shots,
            query=query,
            rng=generator("evaluate", seed, task.id, shots, index),
            wording=wording,
        )
        for index in range(episodes)
    ]


def score(model: TaskAware, draws: Sequence[Draw], condition: Condition = Condition()) -> Scores:
    """Runs the model over drawn episodes under one condition."""
    conditioner = model.learner.conditioner
    before, conditioner.switches = conditioner.switches, condition.switches
    try:
        parts = [_chunk(model, draws[start : start + _CHUNK], condition) for start in range(0, len(draws), _CHUNK)]
    finally:
        conditioner.switches = before
    return Scores(*(np.concatenate([getattr(part, name) for part in parts]) for name in Scores.__dataclass_fields__))


def evaluate(
    model: TaskAware,
    task: EncodedTask,
    *,
    way: int,
    shots: int,
    episodes: int,
    seed: int = 0,
    untuned: EncodedTask | None = None,
) -> Evaluation:
    """Model and baselines on the same episodes, with 95% intervals over episodes and the model's ECE.

    untuned: the same task as the encoder read it before it was tuned, for the baselines, which train nothing.
    """
    draws = draw_episodes(task, way=way, shots=shots, episodes=episodes, seed=seed)
    scores = score(model, draws)
    plain = [replace(draw, task=untuned) for draw in draws] if untuned else draws
    per_episode = {"taskaware": scores.accuracy, **baseline_scores(plain)}
    return Evaluation(
        task=task.id,
        way=min(way, len(task.classes)),
        shots=shots,
        accuracy={name: mean_interval(values) for name, values in per_episode.items()},
        ece=calibration_error(scores.confidence, scores.correct),
        per_episode=per_episode,
    )


def baseline_scores(draws: Sequence[Draw]) -> dict[str, NDArray[np.float64]]:
    """Per-episode accuracy [E] of each baseline."""
    results: dict[str, list[float]] = {}
    for draw in draws:
        for name, predicted in baseline_predictions(draw).items():
            results.setdefault(name, []).append(float((predicted == draw.query_labels).mean()))
    return {name: np.array(values) for name, values in results.items()}


@torch.no_grad()
def _chunk(model: TaskAware, draws: Sequence[Draw], condition: Condition) -> Scores:
    library, retrieval = _memory(model, condition.memory)
    requests = [_request(model, draw, condition, library) for draw in draws]
    batch = to_device(assemble(requests, retrieval), model.device)
    probabilities = torch.func.vmap(model.learner)(batch).softmax(-1)
    confidence, predicted = probabilities.max(-1)
    mask = batch.query.mask
    right = (predicted == batch.query.labels).float() * mask
    real = mask.bool().cpu().numpy()
    accuracy = (right.double().sum(-1) / mask.double().sum(-1)).cpu().numpy()
    return Scores(accuracy, confidence.double().cpu().numpy()[real], right.double().cpu().numpy()[real])


def _memory(model: TaskAware, state: Literal["on", "off", "random"]) -> tuple[Library, RetrievalConfig]:
    library, retrieval = model.library, model.config.retrieval
    if state == "off":
        return library, RetrievalConfig(tasks=0, classes=0)
    if state == "random":
        order = generator("random memory", len(library.codes)).permutation(len(library.codes))
        return Library(library.memory, library.codes[order]), RetrievalConfig(tasks=retrieval.tasks, classes=0)
    return library, retrieval


def _request(model: TaskAware, draw: Draw, condition: Condition, library: Library) -> Request:
    rng = generator("condition", draw.task.id, len(draw.support), *draw.query.tolist())
    words = condition.words(Words.of(draw), draw, rng)
    return Request(draw, words, library, guard(draw, library), model.whole_code())
