"""Did the model see anything of the test in training?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from taskaware.core.errors import EpisodeError
from taskaware.data import TextTask, overlap
from taskaware.memory.records import class_key
from taskaware.pipeline import TaskAware


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What training shares with the test: counts. Shared classes are an error, and rows of shared texts are removed.

    label_texts: test classes that are described as a training class of another task is. validation_classes: test
    classes on which the weights were chosen.
    """

    task_ids: int
    label_texts: int
    removed_rows: int
    validation_classes: int

    def summary(self) -> str:
        """One line for logs and reports."""
        parts = [
            "no class",
            f"{self.task_ids} task id{'' if self.task_ids == 1 else 's'}",
            f"{self.label_texts} label texts",
            f"{self.removed_rows} test rows whose text occurs in training (removed)",
        ]
        if self.validation_classes:
            parts.append(f"{self.validation_classes} CLASSES WITH VALIDATION")
        return "shared with training: " + ", ".join(parts)

    def to_json(self) -> dict[str, int]:
        """Counts by name."""
        return asdict(self)


def without_leaks(
    test: TextTask, train: Sequence[TextTask], validation: Sequence[TextTask], model: TaskAware
) -> tuple[TextTask, Shared]:
    """The test task without the rows that training saw, and what was shared.

    Raises EpisodeError when a test class is a class of training, or lies in the model's memory.
    """
    found = overlap(train, [test])
    if found.classes:
        raise EpisodeError(
            f"{test.card.id}: classes in training and test: {_some([name for _, name in found.classes])}"
        )
    keys = {class_key(test.card.id, name): name for name in test.classes}
    if leaked := keys.keys() & model.library.class_keys:
        raise EpisodeError(f"{test.card.id}: test classes in the memory: {_some([keys[key] for key in leaked])}")
    seen = set(found.texts)
    kept = [index for index, text in enumerate(test.texts) if " ".join(text.casefold().split()) not in seen]
    clean = replace(
        test,
        texts=tuple(test.texts[index] for index in kept),
        labels=tuple(test.labels[index] for index in kept),
    )
    described = {text.casefold() for task in train for text in task.card.labels.values()}
    return clean, Shared(
        task_ids=len(found.task_ids),
        label_texts=sum(text.casefold() in described for text in test.card.labels.values()),
        removed_rows=len(test.texts) - len(kept),
        validation_classes=len(overlap(validation, [test]).classes),
    )


def _some(names: list[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")
