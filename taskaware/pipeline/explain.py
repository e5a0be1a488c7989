"""What did each source of knowledge contribute to one adapted task?

Each of description, background, label texts, memory and examples is left out in turn, the task is adapted again, and
the predictions are compared (leave-one-covariate-out, Lei et al. 2018, https://arxiv.org/abs/1604.04173, section 6).
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from taskaware.core.errors import DataError
from taskaware.core.values import Episode, Examples, TaskContext, map_tensors
from taskaware.episodes import Shape, Words
from taskaware.learners.base import Learner
from taskaware.pipeline.batching import context_of
from taskaware.pipeline.config import RetrievalConfig
from taskaware.pipeline.explanation import Effect, Explanation, PastTask
from taskaware.pipeline.retrieval import find_tasks

if TYPE_CHECKING:
    from taskaware.pipeline.adapted import AdaptedTask, Situation

SOURCES = ("description", "background", "label texts", "memory", "examples")
_HELD_OUT = 200  # examples held out one by one at most


def explain(task: "AdaptedTask") -> Explanation:
    """The account for a task that was adapted in this process."""
    situation = task.situation
    if situation is None:
        raise DataError("this task was loaded without its explanation; adapt it again to explain it")
    attention = task.adapted.modulation.attention.tolist()
    gates = dict(zip(task.classes, task.adapted.modulation.gate.tolist(), strict=True))
    return Explanation(_past_tasks(task, situation), attention[-1], gates, _effects(task, situation))


def _past_tasks(task: "AdaptedTask", situation: "Situation") -> tuple[PastTask, ...]:
    rows = find_tasks(situation.library, situation.words, task.config.retrieval, situation.exclude)
    similarity = situation.context.neighbours.task_similarity.tolist()
    attention = task.adapted.modulation.attention.tolist()
    ids = situation.library.memory.snapshot.task_ids
    found = [
        PastTask(str(ids[row]), similarity[slot][0], similarity[slot][1], attention[slot])
        for slot, row in enumerate(rows)
        if row >= 0
    ]
    return tuple(sorted(found, key=lambda each: -each.attention))


def _effects(task: "AdaptedTask", situation: "Situation") -> tuple[Effect, ...]:
    support, reference = situation.support, _reference(task, situation)
    known = len(support.mask) > 1
    full = _scores(task.learner, support, situation.context, reference)
    full_held_out = _leave_one_out(task.learner, support, situation.context) if known else None
    effects = []
    for source in _used(situation):
        context, kept = _without(source, task, situation)
        changed = _scores(task.learner, kept, context, reference)
        shift = float((full - changed).abs().sum(-1).mean() / 2)
        accuracy = likelihood = None
        if full_held_out is not None and source != "examples":
            held_out = _leave_one_out(task.learner, kept, context)
            accuracy, likelihood = ((a - b).mean().item() for a, b in zip(full_held_out, held_out, strict=True))
        effects.append(Effect(source, shift, accuracy, likelihood))
    return tuple(effects)


def _used(situation: "Situation") -> list[str]:
    described, background, labels = situation.words.present
    used = (described, background, labels, len(situation.library.memory) > 0, len(situation.support.mask) > 0)
    return [source for source, present in zip(SOURCES, used, strict=True) if present]


def without_words(words: Words, source: str) -> Words:
    """The same words without one source."""
    keep = [present and name != source for name, present in zip(SOURCES, words.present, strict=False)]
    return replace(words, present=(keep[0], keep[1], keep[2]))


def _without(source: str, task: "AdaptedTask", situation: "Situation") -> tuple[TaskContext, Examples]:
    support = situation.support
    if source == "examples":
        return situation.context, map_tensors(lambda tensor: tensor[:0], support)
    shape = Shape(len(task.classes), len(support.mask), 0, len(situation.words.background))
    retrieval = task.config.retrieval if source != "memory" else RetrievalConfig(tasks=0, classes=0)
    words = without_words(situation.words, source)
    mask = situation.context.code_mask
    return context_of(words, shape, situation.library, retrieval, situation.exclude, mask), support


def _reference(task: "AdaptedTask", situation: "Situation") -> Tensor:
    if len(situation.support.mask):
        return situation.support.features
    return torch.from_numpy(task.encoder.features(list(task.card.labels.values())))


@torch.no_grad()
def _scores(learner: Learner, support: Examples, context: TaskContext, features: Tensor) -> Tensor:
    return learner.logits(learner.adapt(support, context), features).softmax(-1)


@torch.no_grad()
def _leave_one_out(learner: Learner, support: Examples, context: TaskContext) -> tuple[Tensor, Tensor]:
    """(correct [S], log-likelihood [S]) of each example when the task is adapted without it."""
    chosen = torch.from_numpy(np.random.default_rng(0).permutation(len(support.mask))[:_HELD_OUT])

    def held_out(index: Tensor) -> Tensor:
        keep = (torch.arange(len(support.mask)) != index).float()
        features = support.features.index_select(0, index[None])
        query = Examples(features, support.labels[:1], support.mask[:1])
        rest = Examples(support.features, support.labels, support.mask * keep)
        logits: Tensor = learner(Episode(rest, query, context))
        return logits[0].log_softmax(-1)

    scores: Tensor = torch.func.vmap(held_out, chunk_size=16)(chosen)
    labels = support.labels[chosen]
    return (scores.argmax(-1) == labels).float(), scores.gather(-1, labels[:, None])[:, 0]
