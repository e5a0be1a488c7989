"""How near are the classes of given past tasks to some texts?

Letters: N texts, K given tasks, G classes of the given tasks together, D width.
"""

import numpy as np
import torch

from taskaware.core.errors import MemoryStoreError
from taskaware.memory.records import Floats, Integers, Snapshot


def label_similarity(snapshot: Snapshot, texts: Floats, task_rows: Integers) -> Floats:
    """For each given task, the mean over texts of the inner product with its nearest class. texts [N, D] -> [K].

    task_rows [K] are rows of the snapshot. 0.0 for row -1, for a task without classes and without texts. Raises
    MemoryStoreError for other rows that are not there.
    """
    rows = _checked(task_rows, len(snapshot.task_ids))
    similarity = np.zeros(len(rows), dtype=np.float32)
    starts = snapshot.class_start[rows]  # row -1 reads the end of the last task, and is left out below
    counts = np.where(rows >= 0, snapshot.class_start[rows + 1] - starts, 0)
    used = np.flatnonzero(counts)
    if not len(used) or not len(texts):
        return similarity
    starts, counts = starts[used], counts[used]
    first = np.cumsum(counts) - counts  # where each task's classes begin among the G gathered
    gathered = np.arange(counts.sum()) + np.repeat(starts - first, counts)
    products = _products(texts, snapshot.class_texts[gathered])  # [N, G]
    similarity[used] = np.maximum.reduceat(products, first, axis=1).mean(axis=0)
    return similarity


def _products(left: Floats, right: Floats) -> Floats:
    """left [N, D], right [G, D] -> [N, G], by torch; a read-only array is copied.

    NumPy's BLAS has threads of its own, which spin for some ten milliseconds after a product and meanwhile keep the
    cores from torch's: in adapting, this one small product would cost more than all the rest.
    """
    first, second = (torch.from_numpy(np.require(array, requirements="W")) for array in (left, right))
    products: Floats = (first @ second.mT).numpy()
    return products


def _checked(task_rows: Integers, tasks: int) -> Integers:
    rows = np.asarray(task_rows)
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise MemoryStoreError(f"expected integer task rows [K], saw {rows.dtype} of shape {rows.shape}")
    absent = rows[(rows < -1) | (rows >= tasks)]
    if absent.size:
        raise MemoryStoreError(f"expected task rows from -1 (none) to {tasks - 1}, saw {absent.tolist()[:3]}")
    return rows.astype(np.int64)
