"""How long does a user wait for a large task to be learned? Adapting from cached embeddings, and by which stage."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from taskaware import TaskAware
from taskaware.core.config import Config
from taskaware.core.values import TaskCard
from taskaware.encoders import EncoderConfig
from taskaware.episodes import encode_task
from taskaware.learners import LearnerConfig
from taskaware.pipeline.config import ModelConfig


class AdaptConfig(Config):
    """A task of so many classes with so many examples each, and the time that adapting to it may take."""

    classes: int
    shots: int
    limit_ms: float
    rounds: int


def measure_adapting(settings: AdaptConfig) -> dict[str, dict[str, float]]:
    """Median milliseconds of `TaskAware.adapt` and of its stages, for every learner, unmeasured the first time."""
    card, rows = task(settings)
    return {name: stages(name, card, rows, settings.rounds) for name in ("protonet", "protomaml", "maml")}


def stages(learner: str, card: TaskCard, rows: list[tuple[str, str]], rounds: int) -> dict[str, float]:
    """Milliseconds: the whole, the embeddings out of the cache, words and memory, the learner."""
    encoder = EncoderConfig(name="hashing", dimension=384)
    model = TaskAware.fresh(ModelConfig(encoder=encoder, learner=LearnerConfig(name=learner)))
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    encoded = encode_task(card, texts, labels, model.encoder)
    situation = model.situation(encoded)
    with torch.no_grad():
        return {
            "whole": median(lambda: model.adapt(card, rows), rounds),
            "embeddings from the cache": median(lambda: encode_task(card, texts, labels, model.encoder), rounds),
            "words and memory": median(lambda: model.situation(encoded), rounds),
            "learner": median(lambda: model.learner.adapt(situation.support, situation.context), rounds),
        }


def median(work: Callable[[], Any], rounds: int) -> float:
    """Median milliseconds after one unmeasured call."""
    work()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times))


def task(settings: AdaptConfig) -> tuple[TaskCard, list[tuple[str, str]]]:
    """A task of made-up texts."""
    labels = {f"shelf {each}": f"things that lie on shelf {each}" for each in range(settings.classes)}
    rows = [(f"{label} holds item {each} and more", label) for label in labels for each in range(settings.shots)]
    return TaskCard(id="shelves", dataset="shelves", labels=labels, description="say on which shelf it lies"), rows
