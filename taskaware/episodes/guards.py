"""Does evaluation use anything that training saw?"""

from collections.abc import Sequence

from taskaware.core.errors import EpisodeError
from taskaware.episodes.tasks import EncodedTask


def check_disjoint(train: Sequence[EncodedTask], held_out: Sequence[EncodedTask], what: str) -> None:
    """Raises EpisodeError when a class of a held-out task is a training class of the same task.

    Same-named classes of different tasks are different questions and may both occur.
    """
    seen = {(task.id, name) for task in train for name in task.classes}
    shared = sorted({(task.id, name) for task in held_out for name in task.classes} & seen)
    if shared:
        names = ", ".join(f"{task}/{name}" for task, name in shared[:5])
        raise EpisodeError(
            f"{what}: {len(shared)} classes are also in training ({names}); use a class split, a fold or another aspect"
        )
