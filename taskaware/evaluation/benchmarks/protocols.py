"""Which examples and queries is a test task made of?

Both protocols depend on the data, the shape and the seed alone, so that every method sees the same ones.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from taskaware.core.errors import EpisodeError
from taskaware.core.seeds import generator
from taskaware.data import TextTask
from taskaware.episodes import Draw, EncodedTask
from taskaware.evaluation.benchmarks.settings import BenchmarkConfig, Shape
from taskaware.evaluation.evaluate import draw_episodes

Rows = NDArray[np.int64]


def draw(settings: BenchmarkConfig, texts: TextTask, task: EncodedTask, shape: Shape) -> list[Draw]:
    """The test tasks of one shape. Raises EpisodeError where rows are too few."""
    count, seed, query = settings.episodes, settings.seed, settings.query
    if shape.way is None:
        return draw_full_label_sets(texts, task, shots=shape.shots, query=query, draws=count, seed=seed)
    return draw_episodes(task, way=shape.way, shots=shape.shots, episodes=count, seed=seed, query=query)


def draw_full_label_sets(
    texts: TextTask, task: EncodedTask, *, shots: int, query: int, draws: int, seed: int
) -> list[Draw]:
    """All classes, `draws` times: one fixed sample of queries, and a support set of `shots` a class anew each time.

    Without examples the queries are drawn anew instead, the fixed sample first. No support text is also a query, and
    none occurs twice. A draw's support set with fewer shots is part of the one with more, so shots differ by added
    examples only. Raises EpisodeError for a class with too few different texts.
    """
    return [_full_label_set(texts, task, shots, query, seed, index) for index in range(draws)]


def _full_label_set(texts: TextTask, task: EncodedTask, shots: int, query: int, seed: int, index: int) -> Draw:
    asked = ("query", seed, task.id, 0 if shots else index)
    queries = [_sample(texts, rows, set(), query, asked, task) for rows in task.rows]
    taken = {_normal(texts.texts[row]) for rows in queries for row in rows}
    support = [_sample(texts, rows, taken, shots, ("support", seed, task.id, index), task) for rows in task.rows]
    return Draw(
        task=task,
        classes=np.arange(len(task.classes)),
        support=np.concatenate(support),
        support_labels=np.repeat(np.arange(len(task.classes)), shots),
        query=np.concatenate(queries),
        query_labels=np.repeat(np.arange(len(task.classes)), query),
    )


def digest(draws: Sequence[Draw], texts: TextTask) -> str:
    """A hash of the very texts, labels and words of some draws: results of others must not be taken for theirs."""
    state = hashlib.sha256(repr(texts.card).encode())
    for each in draws:
        for rows, labels in ((each.support, each.support_labels), (each.query, each.query_labels)):
            shown = [(texts.texts[row], int(label)) for row, label in zip(rows, labels, strict=True)]
            state.update(repr((each.classes.tolist(), shown)).encode())
    return state.hexdigest()


def _sample(
    texts: TextTask, rows: Rows, taken: set[str], count: int, place: tuple[int | str, ...], task: EncodedTask
) -> Rows:
    """The first `count` rows of a class in random order whose texts differ from each other and from those taken."""
    name = task.classes[task.labels[rows[0]]] if len(rows) else "a class without rows"
    order = generator("full label set", *place, name).permutation(rows)
    chosen: dict[str, int] = {}
    for row in order:
        text = _normal(texts.texts[row])
        if len(chosen) < count and text not in taken:
            chosen.setdefault(text, int(row))
    if len(chosen) < count:
        raise EpisodeError(
            f"{task.id}: class {name!r} has {len(chosen)} different texts left, {count} needed; lower query or shots"
        )
    return np.array(list(chosen.values()), dtype=np.int64)


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())
