"""Which episode does task index i of step s hold?

Everything derives from (seed, step, task index): the draw, which words are dropped, which library it retrieves from and
the dropout of its code. So W processes see exactly what one sees, and a resumed run needs no loader state.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from taskaware.core.seeds import generator
from taskaware.episodes import Draw, EpisodeConfig, Words, draw_training_episode
from taskaware.memory import Exclusion
from taskaware.pipeline.batching import Request, episode_classes
from taskaware.pipeline.retrieval import Library
from taskaware.training.config import DropConfig
from taskaware.training.tasks import TrainingTasks


def training_request(
    tasks: TrainingTasks,
    libraries: Sequence[Library],
    episodes: EpisodeConfig,
    drop: DropConfig,
    place: tuple[int, int, int],
) -> Request:
    """The episode at place = (seed, step, task index), with its words, library, exclusions and code dropout."""
    rng = generator("train", *place)
    draw = draw_training_episode(tasks.tasks, tasks.weights, episodes, rng)
    # Below the number of libraries there is always one that words both description and labels differently.
    draw = replace(draw, wording=draw.wording % len(libraries))
    library = _other_wording(draw, libraries, rng)
    words = _drop_words(Words.of(draw), draw, drop, rng)
    hidden = rng.random() < drop.own_task
    exclude = Exclusion(tasks=frozenset({draw.task.id} if hidden else ()), classes=episode_classes(draw))
    if rng.random() < drop.memory:
        exclude = Exclusion(tasks=frozenset(task.id for task in tasks.tasks))
    return Request(draw, words, library, exclude, _code_mask(library.codes.shape[1], drop.code, rng))


def _other_wording(draw: Draw, libraries: Sequence[Library], rng: np.random.Generator) -> Library:
    """A library that words this task's description and labels differently, as far as it has several wordings."""
    words, own = draw.task.words, draw.wording
    several = [count for count in (len(words.descriptions), words.labels.shape[1]) if count > 1]
    others = [index for index in range(len(libraries)) if all(index % count != own % count for count in several)]
    choices = others or list(range(len(libraries)))
    return libraries[choices[int(rng.integers(len(choices)))]]


def _drop_words(words: Words, draw: Draw, drop: DropConfig, rng: np.random.Generator) -> Words:
    described, background, labelled = words.present
    lost = rng.random(4)
    has_examples = len(draw.support) > 0
    keeps = lost[2] >= drop.labels or not has_examples
    if has_examples and lost[3] < drop.nonsense:
        words = replace(words, labels=words.labels[rng.permutation(len(words.labels))])
    present = (described and lost[0] >= drop.description, background and lost[1] >= drop.background, labelled and keeps)
    return replace(words, present=present)


def _code_mask(width: int, rate: float, rng: np.random.Generator) -> Tensor:
    """Inverted dropout of FiLM units, one mask for the whole task [A]; the last number of a code is none of them."""
    kept = (rng.random(width) >= rate).astype(np.float32) / np.float32(1 - rate)
    kept[-1] = 1.0
    return torch.from_numpy(kept)
