"""How long does a user wait for a large task to be learned? From cached embeddings by stage, and from raw texts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from stopwatch import milliseconds

from taskaware import TaskAware
from taskaware.core.config import Config
from taskaware.core.seeds import generator
from taskaware.core.values import TaskCard
from taskaware.encoders import EncoderConfig
from taskaware.episodes import encode_task
from taskaware.learners import LearnerConfig
from taskaware.pipeline.config import ModelConfig
from taskaware.pipeline.records import record_of

LEARNERS = ("protonet", "logistic", "protomaml", "maml")
Rows = list[tuple[str, str]]


class AdaptConfig(Config):
    """A task of so many classes with so many examples each, and the time that adapting to it may take.

    past: tasks in the memory, which all compete for the new one; text_rounds: how often all texts are read.
    """

    classes: int
    shots: int
    past: int
    limit_ms: float
    rounds: int
    text_rounds: int


def measure_adapting(settings: AdaptConfig) -> dict[str, dict[str, float]]:
    """Median milliseconds of `TaskAware.adapt` and of its stages, with an empty memory and with a full one."""
    card, rows = task("shelves", settings.classes, settings.shots)
    return {
        f"{learner}, {past} past tasks": stages(learner, past, card, rows, settings.rounds)
        for learner in LEARNERS
        for past in (0, settings.past)
    }


def measure_reading(settings: AdaptConfig) -> dict[str, dict[str, float]]:
    """From raw texts, by learner: milliseconds of the encoder alone and of `adapt`, and their ratio."""
    return {learner: reading(settings, learner) for learner in LEARNERS[:2]}


def reading(settings: AdaptConfig, learner: str) -> dict[str, float]:
    """The encoder with all texts at once, and `adapt`, in turns; medians, and the median of each turn's ratio."""
    card, rows = task("shelves", settings.classes, settings.shots)
    texts = [text for text, _ in rows] + list(card.labels.values()) + [card.description]
    config = ModelConfig(encoder=EncoderConfig(cache=False), learner=LearnerConfig(name=learner))
    model = remembering(config, settings.past)
    alone, whole = [], []
    for _ in range(settings.text_rounds + 1):
        alone.append(milliseconds(lambda: model.encoder.features(texts)))
        whole.append(milliseconds(lambda: model.adapt(card, rows)))
    ratios = np.array(whole[1:]) / np.array(alone[1:])  # the first turn warms up
    return {
        "encoder": float(np.median(alone[1:])),
        "adapt": float(np.median(whole[1:])),
        "ratio": float(np.median(ratios)),
    }


def stages(learner: str, past: int, card: TaskCard, rows: Rows, rounds: int) -> dict[str, float]:
    """Milliseconds: the whole, the embeddings out of the cache, words and memory, the learner."""
    encoder = EncoderConfig(name="hashing", dimension=384)
    model = remembering(ModelConfig(encoder=encoder, learner=LearnerConfig(name=learner)), past)
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


def remembering(config: ModelConfig, past: int) -> TaskAware:
    """A model with so many past tasks, whose codes are all different."""
    model = TaskAware.fresh(config)
    rng = generator("past tasks", past)
    for number in range(past):
        card, rows = task(f"past {number}", 3, 2)
        encoded = encode_task(card, [text for text, _ in rows], [label for _, label in rows], model.encoder)
        code = 0.3 * rng.standard_normal(model.learner.code_width, dtype=np.float32)
        model.memory.add([record_of(encoded, code)])
    return model


def median(work: Callable[[], Any], rounds: int) -> float:
    """Median milliseconds after one unmeasured call."""
    work()
    return float(np.median([milliseconds(work) for _ in range(rounds)]))


def task(name: str, classes: int, shots: int) -> tuple[TaskCard, Rows]:
    """A task of made-up texts."""
    labels = {f"shelf {each}": f"things that lie on shelf {each} of {name}" for each in range(classes)}
    rows = [(f"{label} of {name} holds item {each} and more", label) for label in labels for each in range(shots)]
    return TaskCard(id=name, dataset=name, labels=labels, description=f"say on which shelf of {name} it lies"), rows
