"""Which rows does an exclusion name?"""

from collections import defaultdict
from typing import final

import numpy as np
from numpy.typing import NDArray

from taskaware.memory.records import Exclusion, Integers, Snapshot, Strings

Mask = NDArray[np.bool_]

_REMEMBERED = 64  # exclusions whose masks are kept: an episode asks for tasks, then classes


@final
class RowMap:
    """Row numbers by task id, data set and class key, so that a search needs no SQL. Made once per snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._class_rows = snapshot.class_rows
        self._tasks = _rows_by_name(snapshot.task_ids)
        self._datasets = _rows_by_name(snapshot.task_datasets)
        self._classes = _rows_by_name(snapshot.class_keys)
        self._shape = (len(snapshot.task_ids), len(snapshot.class_keys))
        self._masks: dict[Exclusion, tuple[Mask, Mask]] = {}

    def tasks(self, exclusion: Exclusion) -> Mask | None:
        """True for excluded tasks [R]; None when none is."""
        return self._some(exclusion, 0)

    def classes(self, exclusion: Exclusion) -> Mask | None:
        """True for excluded classes [C]; None when none is."""
        return self._some(exclusion, 1)

    def _some(self, exclusion: Exclusion, which: int) -> Mask | None:
        if not exclusion.any():
            return None
        masks = self._masks.get(exclusion)
        if masks is None:
            if len(self._masks) >= _REMEMBERED:
                self._masks = {}
            masks = self._masks[exclusion] = self._both(exclusion)
        return masks[which] if masks[which].any() else None

    def _both(self, exclusion: Exclusion) -> tuple[Mask, Mask]:
        tasks, classes = (np.zeros(size, dtype=np.bool_) for size in self._shape)
        for names, rows in ((exclusion.tasks, self._tasks), (exclusion.datasets, self._datasets)):
            for name in names & rows.keys():
                tasks[rows[name]] = True
        classes |= tasks[self._class_rows]
        for name in exclusion.classes & self._classes.keys():
            classes[self._classes[name]] = True
        return tasks, classes


def _rows_by_name(names: Strings) -> dict[str, Integers]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, name in enumerate(names.tolist()):
        rows[name].append(row)
    return {name: np.array(found, dtype=np.int64) for name, found in rows.items()}
