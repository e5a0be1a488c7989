"""How far are examples of a task to be relied on, next to the words for its classes?

Some questions show in every text (an intent); in others one example says little of its class (a subject within a wide
field, written in any mood). Measured on a past task's own rows, in the encoder's untuned space: nothing was fitted to
them there, so what is found holds for tasks like it.
Shapes: R rows, C classes, D width.
"""

import numpy as np
from numpy.typing import NDArray

from taskaware.core.seeds import generator
from taskaware.core.vectors import unit_rows
from taskaware.episodes.tasks import EncodedTask, Floats

ORDINARY = -0.4  # log-odds of an ordinary task: a label text says somewhat more than one example
_WAYS, _EPISODES, _QUERY, _LEAST = 5, 60, 3, 0.02


def reliance(task: EncodedTask) -> float:
    """Log-odds by which one example of each class predicts better than the label texts, less those of ordinary tasks.

    Accuracies are corrected for chance and lie between 2% and 98%. 0 where fewer than two classes have two rows.
    """
    able = [index for index, rows in enumerate(task.rows) if len(rows) > 1]
    if len(able) < 2:
        return 0.0
    sentences = task.features[:, : task.words.labels.shape[-1]]
    texts, words = unit_rows(sentences[:, task.untuned]), unit_rows(task.words.labels[:, 0, task.untuned])
    right, asked = np.zeros(2), 0
    for index in range(_EPISODES):
        rng = generator("reliance", task.id, index)
        classes = rng.permutation(able)[:_WAYS]
        picked = [rng.permutation(task.rows[label])[: 1 + _QUERY] for label in classes]
        own, query = texts[[rows[0] for rows in picked]], texts[np.concatenate([rows[1:] for rows in picked])]
        wanted = np.repeat(np.arange(len(classes)), [len(rows) - 1 for rows in picked])
        told = unit_rows(words[classes] - words[classes].mean(0) * len(classes) / (len(classes) + 1))
        right += [(_nearest(query, own) == wanted).sum(), (_nearest(query, told) == wanted).sum()]
        asked += len(wanted)
    chance = 1 / min(_WAYS, len(able))
    shown, read = np.clip((right / asked - chance) / (1 - chance), _LEAST, 1 - _LEAST)
    return float(np.log(shown / (1 - shown)) - np.log(read / (1 - read)) - ORDINARY)


def _nearest(query: Floats, centres: Floats) -> NDArray[np.int64]:
    nearest: NDArray[np.int64] = (query @ centres.T).argmax(1)
    return nearest
