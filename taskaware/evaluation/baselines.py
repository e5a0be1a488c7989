"""What would one get without training? The baselines that a learned model has to beat.

All live in the frozen encoder's sentence space (the first D columns of the features). `mix` adds the label text to the
class mean, `mix.5` half of it; without examples both are the label text.

Shapes: N ways, S support, Q query, D width.
"""

import numpy as np
from numpy.typing import NDArray

from taskaware.core.vectors import unit_rows
from taskaware.episodes import Draw
from taskaware.episodes.tasks import Floats

BASELINES = ("proto", "label", "mix", "mix.5")


def baseline_predictions(draw: Draw) -> dict[str, NDArray[np.int64]]:
    """Predicted labels [Q] of each baseline; `proto` is absent without examples. Labels in the draw's wording."""
    centres = baseline_centres(draw)
    queries = draw.task.features[draw.query, : draw.task.words.labels.shape[-1]]
    return {name: _nearest(queries, each) for name, each in centres.items()}


def baseline_centres(draw: Draw) -> dict[str, Floats]:
    """What each baseline learns from the examples: a vector for each class [N, D]."""
    labels = draw.task.words.labels[draw.classes, draw.wording % draw.task.words.labels.shape[1]]
    if not len(draw.support):
        return dict.fromkeys(BASELINES[1:], labels)
    support = draw.task.features[draw.support, : labels.shape[1]]
    means = np.stack([support[draw.support_labels == index].mean(0) for index in range(len(labels))])
    return {"proto": means, "label": labels, "mix": means + labels, "mix.5": means + 0.5 * labels}


def _nearest(queries: Floats, centres: Floats) -> NDArray[np.int64]:
    result: NDArray[np.int64] = (queries @ unit_rows(centres).T).argmax(axis=1)
    return result
