"""How long does it take to learn one task, by each method?

One task at a time, learning only: queries are scored elsewhere. "cached": every text has been encoded before; "text":
the texts of the task (for the model: its words too) are encoded as part of it. Seconds, as the median over tasks.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from taskaware.core.values import TaskCard
from taskaware.data import TextTask
from taskaware.encoders import EncoderConfig, TextEncoder, load_encoder
from taskaware.episodes import Draw
from taskaware.evaluation.baselines import baseline_centres
from taskaware.evaluation.benchmarks.rivals import LR, LR_TEXTS, examples, fit_logistic_regression
from taskaware.pipeline import TaskAware

Task = TypeVar("Task")
Seconds = dict[str, dict[str, float]]
CACHED, TEXT = "cached", "text"
TRAINING_FREE = "training-free"


def model_seconds(model: TaskAware, draws: Sequence[Draw], texts: TextTask) -> dict[str, float]:
    """The model's `adapt`, from a card and examples as a user calls it."""
    found = {}
    for kind, cache in ((CACHED, True), (TEXT, False)):
        encoder = load_encoder(model.config.encoder.model_copy(update={"cache": cache}))
        timed = TaskAware(model.config, encoder, model.learner, model.memory)
        tasks = [_as_user_gives_it(draw, texts) for draw in draws]
        if cache:
            for card, rows in tasks:
                timed.adapt(card, rows)
        found[kind] = _median(partial(_adapt, timed), tasks)
    return found


def frozen_seconds(config: EncoderConfig, draws: Sequence[Draw], texts: TextTask) -> Seconds:
    """Logistic regression, and the training-free baselines all together."""
    encoder = load_encoder(config.model_copy(update={"cache": False}))
    found = {TRAINING_FREE: {CACHED: _median(baseline_centres, draws)}}
    for name, with_texts in ((LR, False), (LR_TEXTS, True)):
        chosen = [draw for draw in draws if with_texts or len(draw.support)]
        if chosen:
            cached, raw = partial(_fit, with_texts), partial(_encode_and_fit, texts, encoder, with_texts)
            found[name] = {CACHED: _median(cached, chosen), TEXT: _median(raw, chosen)}
    return found


def _adapt(model: TaskAware, task: tuple[TaskCard, list[tuple[str, str]]]) -> None:
    model.adapt(*task)
    if model.device.type == "cuda":
        torch.cuda.synchronize(model.device)


def _fit(with_texts: bool, draw: Draw) -> None:
    fit_logistic_regression(*examples(draw, texts=with_texts))


def _encode_and_fit(texts: TextTask, encoder: TextEncoder, with_texts: bool, draw: Draw) -> None:
    shown, labels = [texts.texts[row] for row in draw.support], draw.support_labels
    if with_texts:
        shown = shown + [texts.card.labels[draw.task.classes[index]] for index in draw.classes]
        labels = np.concatenate([labels, np.arange(len(draw.classes))])
    fit_logistic_regression(encoder.encode(shown), labels)


def _as_user_gives_it(draw: Draw, texts: TextTask) -> tuple[TaskCard, list[tuple[str, str]]]:
    """A card of the draw's classes without other wordings, which `adapt` does not read.

    Its name is its own, so that all that the memory holds is searched, as for any new task.
    """
    names = [draw.task.classes[index] for index in draw.classes]
    labels = {name: texts.card.labels[name] for name in names}
    name = f"{texts.card.id} (timed)"
    card = replace(texts.card, id=name, labels=labels, paraphrases=(), label_paraphrases=None)
    rows = [(texts.texts[row], names[label]) for row, label in zip(draw.support, draw.support_labels, strict=True)]
    return card, rows


def _median(learn: Callable[[Task], object], tasks: Sequence[Task]) -> float:
    """Median seconds to learn one; the first is learned once more before, for what loads at the first use."""
    learn(tasks[0])
    seconds = []
    for task in tasks:
        start = time.perf_counter()
        learn(task)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
