"""How is a task written into the memory?"""

from datetime import datetime, timezone

import numpy as np

from taskaware.core.vectors import unit_rows
from taskaware.episodes import EncodedTask
from taskaware.episodes.tasks import Floats
from taskaware.memory import ClassRecord, TaskRecord


def record_of(task: EncodedTask, adapter: Floats, wording: int | None = None) -> TaskRecord:
    """The task's words, class prototypes in sentence space [D], and its code [A].

    wording picks one of the task's wordings; None averages them, which is what a finished memory holds.
    """
    words = task.words
    descriptions = (
        words.descriptions if wording is None or not len(words.descriptions) else _pick(words.descriptions, wording)
    )
    labels = words.labels if wording is None else words.labels[:, [wording % words.labels.shape[1]]]
    dimension = words.labels.shape[-1]
    classes = [
        ClassRecord(
            name=name,
            text=task.card.labels[name],
            text_embedding=unit_rows(labels[index].mean(0)),
            prototype=task.features[rows, :dimension].mean(0) if len(rows) else np.zeros(dimension, np.float32),
            count=len(rows),
        )
        for index, (name, rows) in enumerate(zip(task.classes, task.rows, strict=True))
    ]
    return TaskRecord(
        id=task.id,
        dataset=task.card.dataset,
        description=task.card.description,
        embedding=unit_rows(descriptions.mean(0)) if len(descriptions) else np.zeros(dimension, np.float32),
        adapter=adapter,
        classes=tuple(classes),
        card={"background": list(task.card.background), "licence": task.card.licence, "source": task.card.source},
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _pick(rows: Floats, index: int) -> Floats:
    return rows[[index % len(rows)]]
