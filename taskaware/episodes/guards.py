"""Does evaluation use anything that training saw?"""

from collections.abc import Sequence

import numpy as np

from taskaware.core.errors import EpisodeError
from taskaware.episodes.tasks import EncodedTask


def check_disjoint(train: Sequence[EncodedTask], held_out: Sequence[EncodedTask], what: str) -> None:
    """Raises EpisodeError when a held-out row of a class is a training row of the same class of the same task.

    The same question on unseen texts, and other questions on seen texts, are both fair; the same class of the same text
    is not. Rows are compared by their features.
    """
    seen = {(task.id, name, key) for task in train for name, key in _rows(task)}
    shared = sorted({(task.id, name) for task in held_out for name, key in _rows(task) if (task.id, name, key) in seen})
    if shared:
        names = ", ".join(f"{task}/{name}" for task, name in shared[:5])
        raise EpisodeError(
            f"{what}: examples of {len(shared)} classes are also in training ({names}); "
            "use a class split, a row split, a fold or another aspect"
        )


def _rows(task: EncodedTask) -> list[tuple[str, bytes]]:
    features = np.ascontiguousarray(task.features[:, :16])
    return [(task.classes[label], row.tobytes()) for label, row in zip(task.labels, features, strict=True)]
