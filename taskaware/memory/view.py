"""What does the memory answer in one state? The same to all questions, whatever is written meanwhile.

Letters: Q queries, N texts, K tasks, D width.
"""

from dataclasses import dataclass
from typing import final

import numpy as np

from taskaware.core.errors import MemoryStoreError
from taskaware.memory.exclusions import RowMap
from taskaware.memory.index import Hits, VectorIndex
from taskaware.memory.overlap import label_similarity
from taskaware.memory.records import Exclusion, Floats, Integers, Snapshot

_NOTHING = Exclusion()


@final
@dataclass(frozen=True)
class MemoryView:
    """The arrays of one state of a memory, and how they are searched."""

    snapshot: Snapshot
    rows: RowMap
    tasks: VectorIndex
    classes: VectorIndex

    def __len__(self) -> int:
        return len(self.snapshot.task_ids)

    def search_tasks(self, queries: Floats, k: int, exclude: Exclusion = _NOTHING) -> Hits:
        """The k tasks whose embeddings are nearest to each of queries [Q, D]; rows point into the snapshot's tasks."""
        return self.tasks.search(self._checked(queries), k, self.rows.tasks(exclude))

    def search_classes(self, queries: Floats, k: int, exclude: Exclusion = _NOTHING) -> Hits:
        """The k classes whose text embeddings are nearest to queries [Q, D]; rows point into the snapshot's classes."""
        return self.classes.search(self._checked(queries), k, self.rows.classes(exclude))

    def label_similarity(self, texts: Floats, task_rows: Integers) -> Floats:
        """How near the classes of the tasks in task_rows [K] are to texts [N, D], as `overlap` defines it -> [K]."""
        return label_similarity(self.snapshot, self._checked(texts), task_rows)

    def _checked(self, queries: Floats) -> Floats:
        queries, width = np.ascontiguousarray(queries, dtype=np.float32), self.snapshot.task_embeddings.shape[1]
        if queries.ndim != 2 or queries.shape[1] != width or not np.isfinite(queries).all():
            raise MemoryStoreError(f"expected finite queries [Q, {width}], saw shape {queries.shape}")
        return queries
